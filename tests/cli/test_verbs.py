"""The verbs that train nothing: list, show, check, copy, schema, completion, search --plan."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import jsonschema
import pytest
import yaml
from click.testing import Result

import mer_nas
from mer_nas import api
from mer_nas.cli.options import StudyName, Word
from mer_nas.config import presets
from mer_nas.evaluation.candidate import Candidate
from mer_nas.search.config import RayConfig, StudyConfig
from mer_nas.settings import resolve

Call = Callable[..., Result]


def test_the_version(call: Call) -> None:
    assert call("--version").stdout == f"mer-nas, version {mer_nas.__version__}\n"


def test_every_verb_has_a_help_with_an_example(call: Call) -> None:
    verbs = [
        "check",
        "compare",
        "completion",
        "copy",
        "data",
        "evaluate",
        "export",
        "keys",
        "list",
        "predict",
        "report",
        "reproduce",
        "resume",
        "schema",
        "search",
        "show",
        "track",
        "watch",
    ]
    listed = re.findall(
        r"^  (\w+)  ", call("--help").stdout.partition("Commands:")[2], re.MULTILINE
    )
    assert listed == verbs
    for verb in verbs:
        result = call(verb, "--help")
        assert result.exit_code == 0
        assert f"mer-nas {verb}" in result.stdout.partition("\n")[2]


def test_help_and_completion_need_neither_torch_nor_ray() -> None:
    heavy = "import sys; from mer_nas.cli import main; main(['--help'], standalone_mode=False); sys.exit(any(m in sys.modules for m in ('torch', 'ray', 'optuna')))"
    done = subprocess.run(
        [sys.executable, "-c", heavy], capture_output=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0


def test_list_shows_every_preset_point_and_block(call: Call) -> None:
    rows = json.loads(call("list", "--json").stdout)
    for group in presets.FOLDERS:
        assert [row["name"] for row in rows[group]] == presets.names(group)
        assert all(row["text"] for row in rows[group])
    names = {row["name"] for row in rows["points"]}
    assert names >= {"dre_s", "prog_s", "hyb_ms_prog_expert", "dre", "htnet_ref"}
    assert all(
        row["source"] and row["fidelity"] in {"code", "paper", "reading"} for row in rows["points"]
    )
    assert {"gate.prog", "global.expert", "down.maa", "stem.conv"} <= {
        row["name"] for row in rows["blocks"]
    }
    assert {row["name"] for row in rows["layouts"]} >= {"casme2", "samm", "smic", "casme3"}
    lines = call("list", "space").stdout.splitlines()
    assert lines[0] == "space"
    assert any(line.startswith("  moe  ") for line in lines)


def test_show_gives_yaml_from_which_the_same_settings_come(call: Call, tiny: list[str]) -> None:
    result = call("show", *tiny, "study.trials=7", "trainer.lr=2e-3")
    tree = yaml.safe_load(result.stdout)
    assert tree["study"]["trials"] == 7
    assert tree == json.loads(
        call("show", *tiny, "study.trials=7", "trainer.lr=2e-3", "--json").stdout
    )
    text = presets.dump({"study": tree["study"]})
    assert presets.parse(text, "x")["study"] == tree["study"]
    (Path("again.yaml")).write_text(presets.dump(tree["study"]))
    assert resolve([*tiny, "study=./again.yaml"]).study == resolve([*tiny, "study.trials=7"]).study


@pytest.mark.parametrize("name", ["prog_s", "dre_s", "hyb_ms_prog_expert", "dre", "htnet_ref"])
def test_what_show_prints_of_a_point_builds_the_same_candidate(call: Call, name: str) -> None:
    from mer_nas.api import point

    result = call("show", "space=moe", f"point={name}", "--yaml")
    tree = presets.parse(result.stdout, name)
    parts = {part: tree[part] for part in ("architecture", "trainer")}
    assert Candidate.parse(parts, name) == point(name)
    counts = {
        "prog_s": 318_463,
        "dre_s": 1_464_603,
        "hyb_ms_prog_expert": 312_388,
        "dre": 135_138_730,
        "htnet_ref": 139_582_982,
    }
    assert tree["params"] == counts[name]


def test_show_portrays_a_point_wherever_it_is(call: Call) -> None:
    result = call("show", "point=prog_s")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "prog_s: point of space=moe, 3 classes"
    facts = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines[1:8]}
    assert "doi:10.3724/SP.J.1249.2024.06756" in facts["source"]
    assert facts["fidelity"] == "reading: our reading of the text"
    assert facts["but"].startswith("gates start nearly open")
    assert facts["weights"] == "318,463 trained, 318,463 deployed"
    assert facts["work"].endswith("multiply-accumulates a clip (nominal, deployed)")
    measured = (
        r"[\d.e+]+ ms a training step of 16 clips, [\d.e+]+ ms a clip at inference; .*, one thread"
    )
    assert re.fullmatch(measured, facts["measured"])
    # By hand, from the points: widths 16, 16, 32, 64, 128 at 28, 28, 14, 7 and 4 pixels.
    shapes = [line[-15:-2].strip() for line in lines if line.startswith("│ gate prog")]
    assert shapes == ["16 x 28 x 28", "32 x 14 x 14", "64 x 7 x 7", "128 x 4 x 4"]
    assert any(re.search(r"gap .* 3 classes", line) for line in lines)


def test_a_point_of_no_space_is_refused_with_a_guess(call: Call) -> None:
    result = call("show", "point=htnet")
    assert result.exit_code == 2
    assert result.stderr.startswith("mer-nas: point=htnet: no point is called 'htnet'; known: ")
    assert result.stderr.endswith("Did you mean 'htnet_ref'?\n")


def test_check_counts_parameters_and_feasible_draws(call: Call, tiny: list[str]) -> None:
    result = call("check", *tiny)
    assert result.exit_code == 0
    # stem 3 x 3 x 3 x 8 + 16, block 2 x (3 x 3 x 8 x 8 + 16) and head 8 x 3 + 3 make 1,443 weights
    assert result.stdout.splitlines()[0].split("weights")[0].split() == ["seed", "point", "1,443"]
    assert result.stdout.splitlines()[1] == (
        "small: well formed, 3 open parameters, 100 of 100 draws feasible"
    )
    found = json.loads(call("check", *tiny, "--json").stdout)
    assert (found["parameters"], found["feasible"], found["reasons"]) == (3, 1.0, {})


def test_check_groups_the_reasons_of_infeasible_draws(call: Call, tiny: list[str]) -> None:
    # Width 8 gives 1,443 weights and width 16 more than four times as many, with one stage or two.
    Path("space.yaml").write_text("limits: {params: 1443}\n" + Path("space.yaml").read_text())
    found = json.loads(call("check", *tiny, "--json").stdout)
    assert 0.1 < found["feasible"] < 0.4  # a quarter of the draws
    assert len(found["reasons"]) == 1
    (reason,) = found["reasons"]
    assert reason.endswith("weights; the space allows at most 1,443")


def test_a_preset_is_copied_unchanged_and_never_over_a_file(call: Call, here: Path) -> None:
    result = call("copy", "space=moe", "mine")
    assert (result.exit_code, result.stdout) == (0, "mine/moe.yaml\n")
    assert (here / "mine/moe.yaml").read_text() == presets.find("space", "moe").read_text()
    again = call("copy", "space=moe", "mine")
    assert again.exit_code == 2
    assert again.stderr == "mer-nas: mine/moe.yaml: the file exists and is left as it is\n"
    assert call("copy", "moe").stderr == (
        "mer-nas: moe: no group is called 'moe'; known: data, space, study, trainer; space=moe would "
        "be right\n"
    )


def test_the_schema_of_an_architecture_knows_every_block(call: Call) -> None:
    from mer_nas.api import point

    schema = json.loads(call("schema", "architecture").stdout)
    jsonschema.validate(point("dre_s").dump()["architecture"], schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"paths": [{"stem": {"kind": "cnov"}}]}, schema)
    definitions = schema["$defs"]
    gates = definitions["Stage"]["properties"]["gate"]["discriminator"]["mapping"]
    assert set(gates) == {"none", "prog", "cbam_seq", "cbam_par", "se", "eca"}
    assert definitions["Expert"]["properties"]["experts"]["description"] == "Experts in a layer."
    assert "maa" in definitions["Path"]["properties"]["shared"]["properties"]
    assert "global" in definitions["Stage"]["properties"]
    assert json.loads(call("schema", "study").stdout)["additionalProperties"] is False


def complete(word: str, *before: str) -> list[str]:
    """Return what the shell is offered after `mer-nas search` and some words."""
    ctx = click.Context(click.Command("search"))
    ctx.params["words"] = before
    return [item.value for item in Word().shell_complete(ctx, click.Option(["-x"]), word)]


def test_words_are_completed(call: Call) -> None:
    assert complete("sp") == ["space.", "space="]
    assert complete("st") == ["study.", "study="]
    assert complete("space=m") == ["space=moe"]
    assert complete("trainer.ep") == ["trainer.epochs="]
    assert complete("data.ro") == ["data.root=", "data.roots="]
    assert complete("nothing=") == complete("nothing.a") == []
    for shell in ("bash", "zsh", "fish"):
        assert "_MER_NAS_COMPLETE" in call("completion", shell).stdout


def test_keys_are_completed_at_every_depth_and_their_values_where_they_are_words() -> None:
    assert complete("study.fin") == ["study.final.", "study.final="]
    assert complete("study.final.s") == ["study.final.seeds="]
    assert complete("study.pruner=b") == ["study.pruner=bootstrap", "study.pruner=bound"]
    assert complete("ray.dashboard=") == ["ray.dashboard=false", "ray.dashboard=true"]
    assert complete("point=prog_s") == ["point=prog_s"]


def test_keys_of_an_architecture_are_those_of_the_space_that_was_named(here: Path) -> None:
    (here / "mine.yaml").write_text("name: mine\narchitecture: {paths: [{odd: {kind: a}}]}\n")
    assert complete("space.architecture.paths.0.od", "space=./mine.yaml") == [
        "space.architecture.paths.0.odd.",
        "space.architecture.paths.0.odd=",
    ]
    assert complete("space.architecture.paths.0.od") == []
    assert complete("space.architecture.pa", "space=./nowhere.yaml") == []


def test_studies_are_completed_by_name(here: Path) -> None:
    for name in ("moe-1", "hybrid-1"):
        (here / "runs" / name).mkdir(parents=True)
    (here / "runs" / "moe-1" / "origin.json").touch()
    ctx = click.Context(click.Command("resume"))
    (found,) = StudyName().shell_complete(ctx, click.Option(["-x"]), "mo")
    assert found.value == "moe-1"


# Keys


def test_every_key_says_what_it_does(call: Call) -> None:
    rows = json.loads(call("keys", "--json").stdout)
    names = [row["name"] for row in rows]
    assert len(names) == len(set(names))
    assert {name.partition(".")[0] for name in names} == {*presets.FOLDERS, "ray"}
    assert [row["name"] for row in rows if not row["about"] or not row["kind"]] == []


def test_a_key_is_told_with_all_that_it_may_be(call: Call) -> None:
    assert call("keys", "trainer.label_smoothing").stdout == (
        "trainer.label_smoothing: number from 0 below 1; where nobody says, 0.0\n"
        "Probability mass that the target spreads evenly over all classes.\n"
    )
    assert "  study.final.seeds=1 " in call("keys", "study.final").stdout


def test_an_unknown_key_is_refused_with_a_guess(call: Call) -> None:
    refused = call("keys", "study.trails")
    assert refused.exit_code == 2
    assert "Did you mean 'study.trials'?" in refused.stderr


def test_the_help_of_a_search_names_every_key_of_a_group(call: Call) -> None:
    told = call("search", "--help").stdout.partition("Keys (mer-nas keys GROUP")[2]
    named = set(re.findall(r"[a-z_]+", told))
    assert {"alternatives", "final", "epochs", "root", "workers", "limits"} <= named
    assert set(StudyConfig.model_fields) | set(RayConfig.model_fields) <= named


def test_a_plan_trains_nothing_and_makes_nothing(call: Call, tiny: list[str], here: Path) -> None:
    before = sorted(here.rglob("*"))
    result = call("search", *tiny, "--plan", "ray.workers=1")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) <= 10
    assert "faces: 24 clips, 4 subjects, " in result.stdout
    assert "3 trials" in lines
    assert "2 folds a trial (2 subject groups), 1 worker" in lines
    assert any(line.startswith("search: at most about ") for line in lines)
    assert any(line.startswith("final stage: 2 candidates x 2 seeds, about ") for line in lines)
    plan = json.loads(
        call("search", *tiny, "--plan", "--json", "study.folds=loso", "ray.workers=1").stdout
    )
    assert (plan["trials"], plan["folds"], plan["protocol"], plan["workers"]) == (3, 4, "LOSO", 1)
    assert plan["final_repetitions"] == 4
    assert plan["search_seconds"] == pytest.approx(3 * plan["seconds_per_trial"])
    assert plan["settings"]["study"]["folds"] == "loso"
    full = call("search", "--plan=full", *tiny, "ray.workers=1").stdout
    assert (
        yaml.safe_load(full.partition(" on faces: ")[0].rpartition("\n")[0])["study"]["trials"]
        == 3
    )
    assert sorted(here.rglob("*")) == before


def test_a_plan_for_recordings_prepares_none_of_them(call: Call, here: Path) -> None:
    api.synthesize(layout="casme2", out="set", size=32, frames=3)
    words = ["data=casme2", "data.root=set", "data.cache=kept", "data.pipeline.align=none"]
    for verb in (["search", "study.folds=2"], ["evaluate", "point=prog_s", "study.folds=2"]):
        told = call(*verb, *words, "trainer.epochs=1", "--plan")
        assert told.exit_code == 0, told.stderr
        assert "casme2: " in told.stdout
    assert not (here / "kept").exists()


def test_the_command_leaves_with_its_status_and_tells_whoever_asked_to_be_told() -> None:
    code = """
import atexit, sys
from mer_nas import cli
def main(prog_name):
    atexit.register(print, "told", prog_name)
    sys.exit(3)
cli.main = main
cli.run()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert (done.returncode, done.stdout) == (3, "told mer-nas\n")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ImportError("libtorch_cpu.so: failed to map segment", name="torch._C"),
            "mer-nas: torch cannot be loaded: libtorch_cpu.so: failed to map segment; install",
        ),
        (MemoryError("Unable to allocate 9 GiB"), "mer-nas: memory is short: Unable to allocate"),
    ],
    ids=["a library", "memory"],
)
def test_a_machine_that_cannot_is_told_as_such(
    error: Exception, message: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(*words: str, on_event: object) -> None:
        raise error

    monkeypatch.setattr(api, "search", search)
    failed = call("search", "space=moe")
    assert failed.exit_code == 2
    assert failed.stderr.startswith(message)


@pytest.mark.parametrize("ends", [KeyboardInterrupt, click.Abort], ids=["at work", "when asked"])
@pytest.mark.parametrize(
    ("words", "does"),
    [
        (["report", "mine"], "load_study"),
        (["check"], "check"),
        (["data", "check"], "check_data"),
        (["predict", "model", "clip"], "open_export"),
        (["search"], "search"),
    ],
    ids=lambda words: words if isinstance(words, str) else "",
)
def test_ctrl_c_ends_every_verb_with_130(
    words: list[str],
    does: str,
    ends: type[BaseException],
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise ends

    monkeypatch.setattr(api, does, interrupted)
    ended = call(*words)
    assert ended.exit_code == 130
    assert ended.stderr.startswith("interrupted")
