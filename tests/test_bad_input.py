"""Every mistake a user can make: one message with the place, what was found and what would be right.

Exit status 2, nothing on stdout, and the working directory stays as it was.
"""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result

from mer_nas.config import presets

Call = Callable[..., Result]


def files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.fixture
def refused(call: Call, here: Path) -> Callable[..., str]:
    """Runs a command that must be refused; returns its message, without what came before it."""

    def run(*words: str) -> str:
        before = files(here)
        result = call(*words)
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        assert files(here) == before
        before_it, found, message = result.stderr.rpartition("mer-nas: ")
        assert found
        assert "mer-nas: " not in before_it
        return message.rstrip("\n")

    return run


Refused = Callable[..., str]


def edit(file: str, old: str, new: str) -> None:
    text = Path(file).read_text()
    assert old in text
    Path(file).write_text(text.replace(old, new))


def test_a_working_directory_that_was_deleted(here: Path, call: Call) -> None:
    here.rmdir()
    result = call("list")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "mer-nas: the working directory is not there any more; `cd` to one that is\n"
    )


# Words -----------------------------------------------------------------------------------------


def test_an_unknown_verb(refused: Refused) -> None:
    assert refused("serch", "space=moe") == (
        "no verb is called 'serch'; known: check, compare, completion, copy, data, evaluate, export, keys, list, predict, "
        "report, reproduce, resume, schema, search, show, track, watch. Did you mean 'search'?"
    )


def test_an_unknown_option(call: Call) -> None:
    result = call("search", "--plann")
    assert result.exit_code == 2
    assert result.stderr == (
        "mer-nas search: No such option '--plann'. Did you mean '--plan'? "
        "See mer-nas search --help.\n"
    )


def test_a_word_that_is_no_key_and_value(refused: Refused, tiny: list[str]) -> None:
    assert refused("search", "moe.yaml") == (
        "'moe.yaml': a word of the form key=value would be right"
    )


def test_an_unknown_key_and_an_unknown_group(refused: Refused, tiny: list[str]) -> None:
    assert refused("search", *tiny, "spaec=moe", "trainr.lr=1").splitlines() == [
        "no key is called 'spaec'; known: data, space, study, trainer. Did you mean 'space'?",
        "trainr.lr: no group is called 'trainr'; known: data, ray, space, study, trainer. "
        "Did you mean 'trainer'?",
    ]


def test_an_unknown_setting(refused: Refused, tiny: list[str]) -> None:
    assert refused("search", *tiny, "study.trails=3") == (
        "study: no setting is called 'trails'; known: alternatives, block, chance, final, "
        "fold_minutes, folder, folds, margin, minutes, name, objectives, outer, pace, pruner, sampler, seed, startup, "
        "storage, track, trials. Did you mean 'trials'?"
    )


def test_an_unknown_tracker(refused: Refused, tiny: list[str]) -> None:
    known = (
        "no tracker is called 'mlflo'; known: mlflow, tensorboard, wandb. Did you mean 'mlflow'?"
    )
    assert refused("search", *tiny, "study.track=[mlflo]") == f"study.track: {known}"


def test_an_unknown_preset(refused: Refused, tiny: list[str]) -> None:
    known = ", ".join(presets.names("space"))
    assert refused("search", *tiny, "space=meo") == (
        f"space=meo: no preset is called 'meo'; known: {known}. Did you mean 'moe'?"
    )


def test_a_file_that_is_not_there(refused: Refused, tiny: list[str]) -> None:
    assert refused("search", *tiny, "space=./mine.yaml") == (
        "space=./mine.yaml: there is no such file"
    )


def test_a_file_that_is_no_text(refused: Refused, here: Path, tiny: list[str]) -> None:
    (here / "trainer.yaml").write_bytes(b"\xff\xfe\x00")
    assert refused("search", *tiny).startswith(
        "trainer.yaml: this is no text in UTF-8: byte 0: invalid start byte"
    )


def test_an_unknown_option_of_a_setting(refused: Refused, tiny: list[str]) -> None:
    assert refused("search", *tiny, "study.sampler=tpee", "data.kind=synthetik").splitlines() == [
        "data: no option is called 'synthetik'; known: own, precomputed_flow, recorded, synthetic. "
        "Did you mean 'synthetic'?",
        "study.sampler: input should be 'tpe', 'random', 'gp', 'evolutionary', 'grid' or 'points', not 'tpee'",
    ]


def test_a_wrong_type_and_a_wrong_range(refused: Refused, tiny: list[str]) -> None:
    words = [
        "study.trials=many",
        "study.block=2",
        "trainer.epochs=0",
        "ray.gpu=3",
        "study.folds=1",
    ]
    assert refused("search", *tiny, *words).splitlines() == [
        "trainer.epochs: input should be greater than 0, not 0",
        "study.trials: input should be a valid integer, not 'many'",
        "study.folds: input should be 'loso' or 'lodo' or greater than or equal to 2, not 1",
        "study.block: input should be less than or equal to 1, not 2",
        "ray.gpu: input should be less than or equal to 1, not 3",
    ]


def test_a_value_that_is_no_yaml(refused: Refused, tiny: list[str]) -> None:
    assert refused("search", *tiny, "trainer.lr=[1,").startswith(
        "trainer.lr: '[1,' cannot be read: expected the node content"
    )


def test_seeds_and_ranks_are_whole_numbers(refused: Refused, tiny: list[str]) -> None:
    assert refused("evaluate", *tiny, "seeds=two") == (
        "seeds=two: a whole number of 1 or more would be right"
    )


@pytest.mark.parametrize(
    ("hours", "right"), [("-1", "greater than 0"), ("nan", "a finite number")]
)
def test_the_hours_of_a_row_are_a_number_above_nothing(
    refused: Refused, tiny: list[str], hours: str, right: str
) -> None:
    said = refused("evaluate", "--leaderboard", "board", *tiny, "--hours", hours)
    assert said == f"leaderboard.hours: input should be {right}, not {float(hours)}"


def test_an_unknown_study(refused: Refused, here: Path) -> None:
    folder = here / "runs" / "first"
    folder.mkdir(parents=True)
    (folder / "origin.json").write_text("{}")
    for verb in ("resume", "export", "report"):
        assert refused(verb, "firts") == (
            "no study is called 'firts'; known: first. Did you mean 'first'?; "
            "a study's folder would be right too"
        )


def marked(file: str) -> Path:
    """Make a file, and the folder that it makes something of."""
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return path.parent


OTHERS = {
    "runs/evaluations/a/evaluation.json": "an evaluation, which `mer-nas compare` takes",
    "board/leaderboard.json": "a leaderboard, which `mer-nas compare` takes",
    "export/model.yaml": "an export, which `mer-nas predict` takes",
    "mine/export/rank1/model.yaml": "an export of the study mine, which `mer-nas predict` takes",
    "runs/reproductions/a/reproduced.json": "what `mer-nas reproduce` trained",
    "lost/settings.yaml": "a study that has lost its origin.json",
    "runs/a/origin.json": "a folder of studies: runs/a",
    "faces/s1/frame.png": "a folder without a study",
}


@pytest.mark.parametrize(("file", "found"), OTHERS.items())
def test_what_is_no_study_is_called_what_it_is(
    refused: Refused, tiny: list[str], file: str, found: str
) -> None:
    if file.startswith("mine"):
        marked("mine/origin.json")
    folder = marked(file).parent if found.startswith("a folder") else marked(file)
    said = f"{folder}: this is {found}; a study's folder would be right"
    for verb in ("resume", "report", "export", "watch"):
        assert refused(verb, str(folder)) == said
    assert refused("track", str(folder), "mlflow") == said
    assert refused("reproduce", str(folder)) == (
        f"{folder}: this is {found}; a report, or the folder of one, would be right"
    )
    if not file.endswith(("evaluation.json", "leaderboard.json")):
        assert refused("compare", str(folder), "b").startswith(
            f"{folder}: this is {found}; right: "
        )
    for plan in ([], ["--plan"]):
        assert refused("search", *tiny, f"study.folder={folder}", *plan) == (
            f"study.folder={folder}: {folder} is {found}; a new or an empty folder would be right"
        )


def test_a_file_and_a_link_are_no_study(refused: Refused, tiny: list[str], here: Path) -> None:
    marked("runs/mine/origin.json").joinpath("report.json").touch()
    marked("lone/report.json")
    (here / "runs" / "gone").symlink_to("nowhere")
    assert refused("resume", "runs/mine/report.json") == (
        "runs/mine/report.json: this is a file of the study runs/mine; a study's folder would be right"
    )
    assert refused("report", "lone/report.json") == (
        "lone/report.json: this is a report without its study, which `mer-nas compare` and `mer-nas "
        "reproduce` take; a study's folder would be right"
    )
    assert refused("resume", "gone") == (
        "runs/gone: this is a link that leads nowhere, to nowhere; a study's folder would be right"
    )
    for word, path, found in (
        ("study.name=gone", "runs/gone", "a link that leads nowhere, to nowhere"),
        ("study.folder=space.yaml", "space.yaml", "a file"),
        ("study.folder=.", ".", "a folder without a study"),
    ):
        assert refused("search", *tiny, word) == (
            f"{word}: {path} is {found}; a new or an empty folder would be right"
        )


# Spaces ----------------------------------------------------------------------------------------


def test_every_mistake_of_a_space_at_once(refused: Refused, tiny: list[str]) -> None:
    edit("space.yaml", "name: small\n", "name: small\nlimits: {parms: 3}\n")
    edit("space.yaml", "repeat: {int: [1, 2]}", "repeat: {int: [2, 1]}")
    edit("space.yaml", "{float: [1e-3, 1e-2], log: true}", "{float: [0, 1e-2], log: true}")
    edit("space.yaml", "width: {choice: [8, 16]}", "width: {choice: [8, 8]}")
    edit("space.yaml", "fidelity: reading", "fidelity: rumour")
    assert refused("check", "space=./space.yaml", *tiny[1:]).splitlines() == [
        "space=./space.yaml.limits: no setting is called 'parms'; known: clip_ms, macs, params, step_ms. "
        "Did you mean 'params'?",
        "space=./space.yaml.points.0.fidelity: input should be 'code', 'paper', 'reading' or "
        "'own', not 'rumour'",
        "space=./space.yaml: architecture.paths.0.stem.width: choice: 8 stands there twice",
        "space=./space.yaml: architecture.paths.0.stages.repeat: int: low 2 is above high 1",
        "space=./space.yaml: trainer.lr: a log scale needs a low above 0, not 0",
    ]


def test_an_unknown_component(refused: Refused, tiny: list[str]) -> None:
    edit(
        "space.yaml",
        "multi_scale: {kind: none}}\n    stages",
        "multi_scale: {kind: paralel}}\n    stages",
    )
    edit("space.yaml", "multi_scale: {kind: none}", "multi_scale: {kind: paralel}")
    for verb in ("check", "search"):
        assert refused(verb, *tiny) == (
            "space=./space.yaml: seed: architecture.paths.0.stem.conv.multi_scale: no option is "
            "called 'paralel'; known: none, parallel. Did you mean 'parallel'?"
        )


def test_an_override_that_widens(refused: Refused, tiny: list[str]) -> None:
    words = [
        (
            "space.trainer.lr=[1e-3,1]",
            "trainer.lr: a number in [0.001, 0.01] would be right, not 1",
        ),
        (
            "space.architecture.paths.0.stem.width=32",
            "architecture.paths.0.stem.width: one of 8, 16 would be right, not 32",
        ),
        (
            "space.architecture.paths.0.stages.repeat=3",
            "architecture.paths.0.stages.repeat: a whole number in [1, 2] would be right, not 3",
        ),
        (
            "space.architecture.paths.0.size=56",
            "architecture.paths.0.size: fixed to 28 in this space, not 56",
        ),
    ]
    for word, message in words:
        assert refused("search", *tiny, word) == f"space=./space.yaml: {message}"
    edit("space.yaml", "name: small\n", "name: small\nlimits: {params: 9000}\n")
    assert refused("search", *tiny, "space.limits.params=9001") == (
        "space=./space.yaml: limits.params: 9001 would widen the space; at most 9000 would be right"
    )


def test_an_override_of_something_that_is_not_there(refused: Refused, tiny: list[str]) -> None:
    assert refused("search", *tiny, "space.architecture.paths.0.stem.widht=8") == (
        "space=./space.yaml: architecture.paths.0.stem: no setting is called 'widht'; known: kernel, "
        "kind, multi_scale, pool, stride, width. Did you mean 'width'?"
    )


def test_a_point_outside_its_space(refused: Refused, tiny: list[str]) -> None:
    edit("space.yaml", "width: 8,", "width: 12,")
    assert refused("search", *tiny) == (
        "space=./space.yaml: point 'seed' lies outside: architecture.paths.0.stem.width: "
        "one of 8, 16 would be right, not 12"
    )


@pytest.mark.parametrize("verb", ["check", "search"])
def test_a_space_of_which_nothing_is_within_its_limits(
    refused: Refused, tiny: list[str], verb: str
) -> None:
    # stem 3 x 3 x 3 x 8 + 16, block 2 x (3 x 3 x 8 x 8 + 16) and head 8 x 3 + 3: 1,443 weights
    edit("space.yaml", "name: small\n", "name: small\nlimits: {params: 1442}\n")
    said = refused(verb, *tiny)
    assert said.startswith("space=./space.yaml: 0 of 100 draws feasible: ")
    assert " x 1,443 weights; the space allows at most 1,442" in said
    assert not Path("runs").exists()


EXPERTS = "local: {kind: none}, global: {kind: expert, blocks: 1, experts: 2, top_k: 3}"


@pytest.mark.parametrize("verb", ["check", "search"])
def test_more_experts_chosen_than_there_are(refused: Refused, tiny: list[str], verb: str) -> None:
    told = "top_k 3 is more than the 2 experts; right: top_k from 1 to 2"
    edit("space.yaml", "local: {kind: res_basic, blocks: 1}, global: {kind: none}", EXPERTS)
    edit(
        "space.yaml",
        "local: {kind: res_basic, blocks: 1}\n        global: {kind: none}",
        EXPERTS.replace(", g", "\n        g"),
    )
    assert refused(verb, *tiny) == (
        f"space=./space.yaml: seed: architecture.paths.0.stages.0.global: {told}"
    )
    text = Path("space.yaml").read_text()
    Path("space.yaml").write_text(text[: text.index("points:")])
    assert (
        "space=./space.yaml: architecture.paths.0.stages.each.global.top_k: no draw of 64 keeps 3: "
        f"architecture.paths.0.stages.1.global: {told}"
    ) in refused(verb, *tiny)


def test_an_unknown_point(refused: Refused, tiny: list[str]) -> None:
    assert refused("show", *tiny, "point=sede") == (
        "space=./space.yaml: no point is called 'sede'; known: seed. Did you mean 'seed'?"
    )


def test_an_open_space_is_no_single_candidate(refused: Refused, tiny: list[str]) -> None:
    assert refused("evaluate", *tiny) == (
        "space=./space.yaml: 3 open parameters, and one candidate is measured; right: point= "
        "one of seed, or a space without open leaves such as a study's best.yaml"
    )


def test_a_grid_over_a_range_or_of_too_many_combinations(
    refused: Refused, tiny: list[str]
) -> None:
    words = [*tiny, "study.sampler=grid"]
    assert refused("search", *words) == (
        "space=./space.yaml: a grid takes every combination of choices, but "
        "architecture.paths.0.stages.repeat, trainer.lr may be any number of a range; fix it "
        "(space.architecture.paths.0.stages.repeat=VALUE), or write it as a choice"
    )
    edit("space.yaml", "choice: [8, 16]", f"choice: {list(range(8, 8100, 8))}")
    fixed = ["space.architecture.paths.0.stages.repeat=1", "trainer.lr=1e-3"]
    assert refused("search", *words, *fixed) == (
        "space=./space.yaml: a grid of more than 1,000 combinations; fix or narrow some of "
        "architecture.paths.0.stem.width, or let a sampler choose (study.sampler=tpe)"
    )


def test_a_study_of_points_over_a_space_without_any(refused: Refused, tiny: list[str]) -> None:
    space = Path("space.yaml")
    space.write_text(space.read_text().partition("points:")[0])
    assert refused("search", *tiny, "study.sampler=points") == (
        "space=./space.yaml: study.sampler=points, but the space has no points"
    )


def test_objectives_without_the_score(refused: Refused, tiny: list[str]) -> None:
    assert refused("search", *tiny, "study.objectives=[macs]") == (
        "study.objectives: uf1 first, and behind it macs, params or both would be right, not [macs]"
    )


def test_an_extension_that_is_missing_or_broken(
    refused: Refused, tiny: list[str], here: Path
) -> None:
    edit("space.yaml", "name: small\n", "name: small\nextensions: [mine.py]\n")
    assert refused("check", *tiny) == (
        f"extensions: there is no file {here / 'mine.py'}, and no copy of it; right: a python file "
        "with blocks or networks"
    )
    (here / "mine.py").write_text("1 / 0\n")
    assert refused("check", *tiny) == (
        f"extensions: {here / 'mine.py'} cannot be loaded: ZeroDivisionError: division by zero"
    )


# Data ------------------------------------------------------------------------------------------

TABLE = "combined_3_class2_for_optical_flow.csv"
IMAGES = "STSNet_whole_norm_u_v_os"


@pytest.fixture
def flow(tiny: list[str], here: Path) -> list[str]:
    """Words of a search on 12 precomputed flow images: 3 subjects, 3 classes."""
    (here / "data.yaml").write_text("{kind: precomputed_flow, name: flow, root: ./faces}\n")
    rows = [("casme2", f"sub{s:02}", f"EP{c}", c % 3) for s in range(3) for c in range(4)]
    write_rows(here, rows)
    folder = here / "faces" / "datasets" / IMAGES
    folder.mkdir(parents=True)
    for _, subject, name, label in rows:
        image = np.full((28, 28, 3), 80 * label, np.uint8)
        cv2.imwrite(str(folder / f"{subject}_{name} .png"), image)
    return tiny


def write_rows(here: Path, rows: list[tuple[str, str, str, int]]) -> None:
    (here / "faces").mkdir(exist_ok=True)
    lines = ["dataset,sub,filename_o,label", *(",".join(map(str, row)) for row in rows)]
    (here / "faces" / TABLE).write_text("\n".join(lines) + "\n")


def test_a_space_that_reads_what_the_data_do_not_provide(
    refused: Refused, flow: list[str]
) -> None:
    edit("space.yaml", "\n  - input: flow_uvs", "\n  - input: {choice: [flow_uvs, difference]}")
    assert refused("search", *flow) == (
        "space=./space.yaml reads difference, but data flow provides flow_uvs"
    )
    assert refused("search", *flow, "space.architecture.paths.0.input=difference") == (
        "space=./space.yaml reads difference, but data flow provides flow_uvs"
    )


def test_a_point_at_another_size_than_the_data(refused: Refused) -> None:
    assert refused("evaluate", "space=progressive", "point=prog") == (
        "space=progressive: prog reads inputs of 224 pixels, but data synthetic provides them "
        "with 28; size: 28 there, or data.size=224, would be right"
    )


def test_a_point_of_more_frames_than_the_data_have(refused: Refused) -> None:
    assert refused("evaluate", "space=dynamic", "point=fdp_s", "data.frames=4") == (
        "space=dynamic: fdp_s takes 8 frames, but data synthetic provides 4; data.frames=8 would "
        "be right"
    )


def test_a_point_that_learns_action_units_of_data_without_any(
    refused: Refused, flow: list[str]
) -> None:
    message = refused("evaluate", *flow[1:], "space=decoupled", "point=medn_s")
    assert message.splitlines()[-1] == (
        "space=decoupled: medn_s learns action units (losses.au), but no clip of data flow is "
        "annotated with them; losses.au: 0 would be right"
    )


def test_a_data_root_that_is_not_named(refused: Refused, flow: list[str]) -> None:
    assert refused("search", *flow, "data.root=null") == (
        f"data.root: flow needs the folder that holds {TABLE} and the image folder {IMAGES}; "
        "data.root=DIR names it"
    )


def test_a_data_root_that_is_missing(refused: Refused, flow: list[str]) -> None:
    assert refused("search", *flow, "data.root=./nowhere") == (
        "data.root: there is no folder nowhere"
    )


def test_a_data_root_that_is_empty(refused: Refused, flow: list[str], here: Path) -> None:
    (here / "empty").mkdir()
    assert refused("search", *flow, "data.root=./empty") == (
        f"data.root: empty is empty; it should hold {TABLE} and the image folder {IMAGES}"
    )


def test_a_data_root_without_the_table_or_the_images(
    refused: Refused, flow: list[str], here: Path
) -> None:
    (here / "faces" / TABLE).rename(here / "table.csv")
    assert refused("search", *flow) == f"data.root: faces does not hold the table {TABLE}"
    (here / "table.csv").rename(here / "faces" / TABLE)
    shutil.rmtree(here / "faces" / "datasets")
    assert refused("search", *flow) == (
        f"data.root: there is no image folder {IMAGES} anywhere below faces"
    )


def test_images_that_are_missing_or_unreadable(
    refused: Refused, call: Call, flow: list[str], here: Path
) -> None:
    folder = here / "faces" / "datasets" / IMAGES
    (folder / "sub00_EP0 .png").unlink()
    (folder / "sub02_EP3 .png").write_bytes(b"no image")
    assert refused("search", *flow).splitlines() == [
        f"flow: 2 of 12 clips have no readable image in faces/datasets/{IMAGES}; "
        "data.skip_missing=true leaves them out:",
        "  'sub00_EP0 .png': cannot be read: no such file or directory",
        "  'sub02_EP3 .png': this is no image that can be decoded; copy it again",
    ]
    result = call("search", *flow, "data.skip_missing=true", "--plan")
    assert result.exit_code == 0
    assert "  left out: no readable image (2)" in result.stdout.splitlines()


def test_of_many_missing_images_the_first_ten_and_the_number_are_said(
    refused: Refused, flow: list[str], here: Path
) -> None:
    folder = here / "faces" / "datasets" / IMAGES
    for image in folder.iterdir():
        image.unlink()
    lines = refused("search", *flow).splitlines()
    assert lines[0].startswith("flow: 12 of 12 clips have no readable image in ")
    assert len(lines) == 1 + 10 + 1
    assert lines[-1].strip() == "..."
    assert "12 of 12" in refused("search", *flow, "data.skip_missing=true")


def test_a_label_without_a_class(refused: Refused, flow: list[str], here: Path) -> None:
    write_rows(here, [("casme2", "sub00", "EP0", 3), ("casme2", "sub01", "EP0", 0)])
    assert refused("search", *flow).splitlines() == [
        f"{TABLE}: 1 of 2 rows are wrong; labels are 0 negative, 1 positive, 2 surprise:",
        "  line 2: '3'",
    ]


def test_fewer_than_two_subjects(refused: Refused, flow: list[str], here: Path) -> None:
    write_rows(here, [("casme2", "sub00", f"EP{c}", c % 3) for c in range(4)])
    assert refused("search", *flow) == "flow: at least 2 subjects are needed, found 1"
    assert refused("search", *flow, "--plan") == "flow: at least 2 subjects are needed, found 1"


def test_a_class_without_a_clip(refused: Refused, flow: list[str], here: Path) -> None:
    write_rows(here, [("casme2", f"sub{s:02}", f"EP{c}", c) for s in range(3) for c in range(2)])
    assert refused("search", *flow) == (
        "flow: every class needs a clip, but there is none of: surprise"
    )


def test_more_groups_than_subjects(refused: Refused, tiny: list[str]) -> None:
    assert refused("search", *tiny, "study.folds=5") == (
        "faces: study.folds=5 asks for more groups than there are subjects (4); at most 4, or loso"
    )


def test_licensed_data_without_a_root_or_with_a_wrong_one(
    refused: Refused, tiny: list[str], here: Path
) -> None:
    assert refused("search", *tiny, "data=samm") == (
        "data.root: SAMM needs the folder that holds SAMM_Micro_FACS_Codes_v2.xlsx and SAMM; "
        "data.root=DIR names it"
    )
    (here / "faces").mkdir()
    assert refused("search", *tiny, "data=samm", "data.root=faces") == (
        "data.root: faces does not hold SAMM with the clips of SAMM; it holds nothing. Unpack the "
        "archive there, or name the folder where it lies: data.root=DIR"
    )


# Studies and clusters --------------------------------------------------------------------------


def test_a_study_name_that_exists(refused: Refused, tiny: list[str], here: Path) -> None:
    (here / "runs" / "mine").mkdir(parents=True)
    (here / "runs" / "mine" / "origin.json").write_text("{}")
    assert refused("search", *tiny, "study.name=mine") == (
        "study.name=mine: runs/mine exists; `mer-nas resume runs/mine` goes on with it, another name "
        "begins anew"
    )
    assert refused("search", *tiny, "study.folder=./runs/mine") == (
        "study.folder=runs/mine: runs/mine exists; `mer-nas resume runs/mine` goes on with it, "
        "another name begins anew"
    )


def test_a_study_folder_that_cannot_be_made(refused: Refused, tiny: list[str], here: Path) -> None:
    (here / "file").write_text("")
    assert refused("search", *tiny, "study.folder=./file/mine") == (
        "file/mine: the folder cannot be made: not a directory"
    )


def test_a_place_of_all_runs_that_is_no_folder(
    refused: Refused, tiny: list[str], here: Path
) -> None:
    (here / "runs").write_text("")
    message = refused("evaluate", *tiny, "point=seed")
    assert message.startswith("runs/evaluations/seed-faces-")
    assert message.endswith(": no folder can be made there: not a directory")
    (here / "runs").unlink()
    (here / "runs").symlink_to("nowhere")
    assert refused("search", *tiny) == "runs: no folder can be made there: file exists"


def test_a_storage_that_cannot_be_opened_leaves_no_study(
    refused: Refused, tiny: list[str]
) -> None:
    message = refused("search", *tiny, "study.storage=sqlite:////nowhere/study.db")
    assert message.startswith(
        "study.storage=sqlite:////nowhere/study.db: the storage cannot be opened: "
    )


def test_an_address_without_a_cluster_leaves_no_study(refused: Refused, tiny: list[str]) -> None:
    with socket.socket() as listener:  # a port that was free a moment ago
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    assert refused("search", *tiny, "ray.workers=1", f"ray.address=127.0.0.1:{port}") == (
        f"ray.address=127.0.0.1:{port}: there is no Ray cluster (connection refused); start one with "
        "`ray start --head`, or leave ray.address out to use this machine"
    )
    assert refused("search", *tiny, "ray.workers=1", "ray.address=somewhere") == (
        "ray.address=somewhere: this is no address of a Ray cluster; right is HOST:PORT as `ray start "
        "--head` prints it, or auto for the one that runs on this machine"
    )


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("ray.workers=1e9", "ray.workers: input should be less than or equal to 10000, not 1"),
        (
            "study.storage=foo://",
            "study.storage: a URL such as sqlite:///FILE, a file NAME.log, or grpc://HOST:PORT would "
            "be right, not 'foo://'",
        ),
        (
            "study.storage=foo",
            "study.storage: a URL such as sqlite:///FILE, a file NAME.log, or grpc://HOST:PORT would "
            "be right, not 'foo'",
        ),
    ],
)
def test_a_plan_refuses_what_no_search_could_begin_with(
    refused: Refused, tiny: list[str], word: str, message: str
) -> None:
    assert refused("search", *tiny, word, "--plan").startswith(message)
