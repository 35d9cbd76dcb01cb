"""Going on with a study: nothing is trained twice, and only what leaves old folds valid may change."""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from click.testing import Result

from mer_nas.provenance import version_of
from mer_nas.search.journal import Journal
from mer_nas.search.ledger import Ledger, read
from mer_nas.search.trials import TRIALS

Call = Callable[..., Result]
ONLY = "on resume only study.trials, study.minutes, study.fold_minutes, study.final, study.outer, study.track, data.root, data.roots, data.cache, ray may change"


def lines(study: Path) -> list[str]:
    return (study / "ledger.jsonl").read_text().splitlines()


def protocols(study: Path) -> list[str]:
    return [json.loads(line)["protocol"] for line in lines(study)[1:]]


@pytest.fixture
def refused(call: Call, study: Path) -> Callable[..., str]:
    """Runs a resume that must be refused and leave the study as it was; returns the message."""

    def run(*words: str) -> str:
        kept = ("settings.yaml", "origin.json", "ledger.jsonl", "study.db", "report.json")
        before = {name: (study / name).read_bytes() for name in kept}
        result = call("resume", str(study), *words)
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        assert {name: (study / name).read_bytes() for name in kept} == before
        return result.stderr.rpartition("mer-nas: ")[2].rstrip("\n")

    return run


def test_a_finished_study_trains_nothing(call: Call, study: Path) -> None:
    before, answer = lines(study), json.loads((study / "report.json").read_text())["answer"]
    result = call("resume", str(study))
    assert result.exit_code == 0
    assert lines(study) == before
    assert json.loads((study / "report.json").read_text())["answer"] == answer


def answer(study: Path) -> dict[str, object]:
    found = json.loads((study / "report.json").read_text())["answer"]
    return {name: told for name, told in found.items() if name not in ("step_ms", "clip_ms")}


@pytest.mark.parametrize("left", [2, 1, 0], ids=("one fold gone", "all", "no file"))
def test_folds_that_complete_trials_lack_are_named_and_measured_again(
    left: int, call: Call, study: Path
) -> None:
    before, ledger, said = lines(study), study / "ledger.jsonl", answer(study)
    kept = [before[0], *(before[2:] if left == 2 else [])]
    ledger.write_text("\n".join(kept) + "\n")
    if not left:
        ledger.unlink()
    for words in (["report", str(study)], ["resume", str(study), "study.trials=4"]):
        result = call(*words)
        assert result.exit_code == 2
        many = "1 fold of trial 0, which is complete, is" if left == 2 else "2 folds of trial "
        assert f"{ledger}: {many}" in result.stderr
        assert result.stderr.endswith(
            f"or measure again what is missing: `mer-nas resume {study} --anew`\n"
        )
    assert call("resume", str(study), "--anew").exit_code == 0
    assert len(lines(study)) == len(before)
    assert answer(study) == said
    assert call("resume", str(study)).exit_code == 0
    assert len(lines(study)) == len(before)


@pytest.mark.parametrize("damage", ["deleted", "emptied", "torn", "no database"])
def test_a_storage_that_is_lost_is_rebuilt_and_nothing_trained(
    damage: str, call: Call, study: Path
) -> None:
    before, said, file = lines(study), answer(study), study / "study.db"
    content = file.read_bytes()
    file.unlink()
    if damage != "deleted":
        size = {"emptied": 0, "torn": len(content) // 2}.get(damage)
        file.write_bytes(content[:size] if size is not None else b"x" * 5000)
    report = call("report", str(study))
    assert report.exit_code == 2
    assert "`mer-nas resume`" in report.stderr
    result = call("resume", str(study))
    assert result.exit_code == 0, result.output
    assert (
        f"{study / 'trials.jsonl'}: 3 trials that the storage had lost are back" in result.stderr
    )
    aside = study / "study.db.damaged"
    assert aside.exists() == (damage in ("torn", "no database"))
    assert lines(study) == before
    assert answer(study) == said


def test_a_lost_storage_of_a_study_of_before_takes_with_it_what_is_said(
    call: Call, study: Path
) -> None:
    before, said = lines(study), answer(study)
    (study / "study.db").unlink()
    (study / "trials.jsonl").unlink()
    report = call("report", str(study))
    assert report.exit_code == 2
    assert "the storage cannot be opened: its file is not there" in report.stderr
    result = call("resume", str(study))
    assert result.exit_code == 0
    assert "their numbers, ends and times are lost, and of the 22 folds of " in result.stderr
    assert lines(study) == before
    assert answer(study) == said


@pytest.mark.parametrize("name", ["report.json", "sessions.jsonl"])
def test_a_folder_in_the_place_of_a_file_is_named(name: str, call: Call, study: Path) -> None:
    (study / name).unlink()
    (study / name).mkdir()
    result = call("resume", str(study))
    assert result.exit_code == 2
    assert f"mer-nas: {study / name}: is a directory; delete it; what was " in result.stderr


def test_a_finished_study_does_without_ray(
    call: Call, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object) -> None:
        raise AssertionError("there is nothing to train")

    monkeypatch.setattr("mer_nas.search.workers.cluster", started)
    compute = json.loads((study / "report.json").read_text())["study"]["compute"]
    result = call("resume", str(study), "ray.workers=1")
    assert result.exit_code == 0
    assert "search ended: 3 trials are done" in result.stderr
    assert "final stage: " not in result.stderr  # which announces what is to come
    again = json.loads((study / "report.json").read_text())["study"]["compute"]
    assert again["workers"] == compute["workers"] == 1
    assert again["final_seconds"] == compute["final_seconds"]
    with pytest.raises(AssertionError, match="nothing to train"):
        call("resume", str(study), "study.final.seeds=3")


def test_more_trials_extend_a_finished_study(call: Call, study: Path) -> None:
    before = lines(study)
    result = call("resume", str(study), "study.trials=5")
    assert result.exit_code == 0
    assert lines(study)[: len(before)] == before
    assert protocols(study).count("2 subject groups") == 5 * 2
    assert result.stdout.startswith("5 trials: 5 complete, ")
    assert "study.trials=15" in result.stdout  # three times as many as next step
    settings = (study / "settings.yaml").read_text()
    assert "trials: 5" in settings


def test_the_final_stage_may_change(call: Call, study: Path) -> None:
    before = lines(study)
    result = call("resume", str(study), "study.final.candidates=1", "study.final.seeds=3")
    assert result.exit_code == 0
    assert len(lines(study)) == len(before) + 4  # the third seed of one finalist, 4 subjects
    assert "over 3 seeds, LOSO" in result.stdout
    result = call("resume", str(study), "study.final=none")
    assert result.exit_code == 0
    assert "over 1 seed, 2 subject groups" in result.stdout
    result = call("resume", str(study), "study.final.folds=3", "study.final.seeds=1")
    assert result.exit_code == 0
    assert "over 1 seed, 3 subject groups" in result.stdout
    assert protocols(study).count("3 subject groups") == 2 * 3 or "3 candidates" in result.stderr


def test_what_would_change_old_scores_is_refused_with_the_stored_value(
    refused: Callable[..., str],
) -> None:
    words = {
        "study.seed=1": "study.seed=1: the study was made with study.seed=0",
        "study.folds=loso": "study.folds=loso: the study was made with study.folds=2",
        "study.sampler=gp": "study.sampler=gp: the study was made with study.sampler=tpe",
        "study.name=other": "study.name=other: the study was made with study.name=null",
        "trainer.epochs=2": "trainer.epochs=2: the study was made with trainer.epochs=1",
        "trainer.augment.flip=false": (
            "trainer.augment.flip=False: the study was made with trainer.augment.flip=true"
        ),
        "trainer.lr=1e-3": "trainer.lr=0.001: the study searches this setting",
        "data.subjects=5": "data.subjects=5: the study was made with data.subjects=4",
        "space=moe": "space=moe: a study keeps the space it began with (small)",
        "trainer=full": "trainer=full: a study keeps the trainer it began with (tiny)",
        "data=synthetic": "data=synthetic: a study keeps the data it began with (faces)",
        "study=loso": "study=loso: a study keeps the study it began with",
        "space.trainer.lr=[1e-3,2e-3]": (
            "space.trainer.lr=[0.001, 0.002]: a study keeps the space it began with (small)"
        ),
    }
    for word, message in words.items():
        assert refused(word) == f"{message}; {ONLY}"
    assert refused(*words).splitlines() == [
        f"{message}; {ONLY}"
        for message in sorted(words.values(), key=lambda m: "." in m.split("=")[0])
    ]


def test_what_is_no_key_is_refused_with_a_guess(refused: Callable[..., str]) -> None:
    assert refused("study.trails=5") == (
        "no key to change on resume is called 'study.trails'; known: data.cache, data.root, data.roots, ray, study.final, "
        "study.fold_minutes, study.minutes, study.outer, study.track, study.trials. Did you mean 'study.trials'?"
    )
    assert refused("study.trials=0") == "study.trials: input should be greater than 0, not 0"


@pytest.mark.parametrize("how", [(), ("--plan",), ("--anew",)])
def test_less_than_is_done_is_refused(refused: Callable[..., str], how: tuple[str, ...]) -> None:
    trials, minutes = refused("study.trials=1", "study.minutes=1e-9", *how).splitlines()
    assert trials == "study.trials=1: 3 are done already; more than 3 would go on"
    assert re.fullmatch(
        r"study\.minutes=1e-09: [0-9.]+ are spent already; more would go on, study\.trials=3 ends "
        "the search",
        minutes,
    )


def test_a_word_that_changes_nothing_is_welcome(call: Call, study: Path) -> None:
    assert call("resume", str(study), "study.folds=2", "trainer.epochs=1").exit_code == 0


def test_other_data_are_refused_with_both_fingerprints(
    refused: Callable[..., str], study: Path
) -> None:
    settings = study / "settings.yaml"
    text = settings.read_text()
    assert "clips: 24" in text
    settings.write_text(text.replace("clips: 24", "clips: 25"))
    origin = json.loads((study / "origin.json").read_text())["data"]
    message = refused()
    begin, _, end = message.partition(", not ")
    assert begin == (
        f"{study}: the study was made with other clips: faces with fingerprint "
        f"{origin['fingerprint']}"
    )
    assert end.endswith("; data.root= or data.roots= should name the same set")


def test_other_code_is_refused_with_both_versions(
    refused: Callable[..., str], study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = json.loads((study / "origin.json").read_text())
    code, files = origin["code"], origin["files"]
    now = files | {"mer_nas.training.fit": "0" * 64}
    monkeypatch.setattr("mer_nas.study.resume.code", lambda _: now)
    assert refused() == (
        f"{study}: the code that decides scores has changed since the study began (version {code}, "
        f"now {version_of(now)}: mer_nas.training.fit), so new trials would not compare with the "
        "old; go back to that version, or measure its candidates anew with this one: "
        f"`mer-nas resume {study} --anew`"
    )


def test_other_clips_are_refused_before_anything_is_begun_anew(
    refused: Callable[..., str], study: Path
) -> None:
    file = study / "origin.json"
    other = json.loads(file.read_text())
    other["code"], other["data"]["fingerprint"] = "0123456789ab", "0" * 16
    file.write_text(json.dumps(other))
    assert "the study was made with other clips" in refused("--anew")


def test_the_candidates_of_other_code_are_measured_anew_under_the_same_study(
    call: Call, study: Path
) -> None:
    origin = json.loads((study / "origin.json").read_text())
    before = json.loads((study / "report.json").read_text())["study"]["trials"]
    other = {**origin, "code": "0123456789ab", "files": {}}
    (study / "origin.json").write_text(json.dumps(other))
    results = read(study / "ledger.jsonl")
    (study / "ledger.jsonl").unlink()
    with Ledger(study / "ledger.jsonl") as ledger:
        for each in results:
            ledger.append(replace(each, code="0123456789ab"))
    result = call("resume", str(study), "--anew")
    assert result.exit_code == 0, result.stderr
    trials = json.loads((study / "report.json").read_text())["study"]["trials"]
    # The same candidates in the same order, measured with the same seeds: the same numbers.
    assert [(t["key"], t["value"]) for t in trials] == [(t["key"], t["value"]) for t in before]
    assert len(lines(study)) == 2 * len(results) + 1
    found = json.loads((study / "origin.json").read_text())
    assert (found["code"], found["earlier"]) == (origin["code"], ["small-faces-1"])
    assert found["optuna"] == f"small-faces-1@{origin['code']}"
    again = lines(study)
    assert call("resume", str(study)).exit_code == 0
    assert lines(study) == again


def as_of_before(study: Path) -> None:
    """Make a study as it was when all Optuna studies were called "search"."""
    origin = json.loads((study / "origin.json").read_text())
    assert origin.pop("optuna") == "small-faces-1"
    (study / "origin.json").write_text(json.dumps(origin))
    entries = TRIALS.read(study / "trials.jsonl")
    (study / "trials.jsonl").unlink()
    with Journal(TRIALS, study / "trials.jsonl") as kept:
        for entry in entries:
            attributes = {**entry.attributes, "idle": []} if entry.attributes.get("tree") else {}
            kept.append(replace(entry, study="search", attributes=attributes or entry.attributes))
    with closing(sqlite3.connect(study / "study.db", isolation_level=None)) as database:
        database.execute("UPDATE studies SET study_name = 'search'")
        database.execute("DELETE FROM study_system_attributes WHERE key LIKE '%metric_names'")
        database.execute("UPDATE trial_user_attributes SET value_json='[]' WHERE key = 'idle'")


@pytest.mark.parametrize("lost", [False, True], ids=("there", "lost"))
def test_a_study_of_before_goes_on_under_its_old_name(call: Call, study: Path, lost: bool) -> None:
    before = json.loads((study / "report.json").read_text())["study"]["trials"]
    as_of_before(study)
    if lost:
        (study / "study.db").unlink()
    done = call("resume", str(study), "study.trials=4", "study.final=none")
    assert done.exit_code == 0, done.stderr
    after = json.loads((study / "report.json").read_text())["study"]["trials"]
    kept = ("key", "value", "params", "outcome")
    assert [[t[k] for k in kept] for t in after[: len(before)]] == [
        [t[k] for k in kept] for t in before
    ]
    found = optuna.load_study(study_name="search", storage=f"sqlite:///{study / 'study.db'}")
    assert (found.metric_names, len(found.trials)) == (["uf1"], len(after))


def test_an_address_without_a_cluster_is_not_kept(refused: Callable[..., str]) -> None:
    assert refused("study.trials=5", "ray.address=127.0.0.1:1") == (
        "ray: address=127.0.0.1:1 is a cluster of Ray's, and workers=0 does without Ray; one of "
        "them would be right"
    )
    words = ("study.trials=5", "ray.address=127.0.0.1:1", "ray.workers=1")
    assert refused(*words).startswith(
        "ray.address=127.0.0.1:1: there is no Ray cluster (connection refused); "
    )


EDITS = {
    "epochs: 1": ("epochs: 2", "trainer.epochs=2: the study was made with trainer.epochs=1"),
    "seed: 0": ("seed: 7", "study.seed=7: the study was made with study.seed=0"),
    "folds: 2": ("folds: 3", "study.folds=3: the study was made with study.folds=2"),
    "sampler: tpe": ("sampler: gp", "study.sampler=gp: the study was made with study.sampler=tpe"),
}


@pytest.mark.parametrize("verb", ["resume", "report", "export"])
def test_an_edited_file_of_settings_is_refused_like_the_word(
    verb: str, call: Call, study: Path
) -> None:
    file = study / "settings.yaml"
    text = file.read_text()
    data, group, rest = text.partition("\nstudy:")
    for old, (new, said) in EDITS.items():
        assert text.count(old) == 1 or old in rest
        edited = (
            text.replace(old, new) if old not in rest else data + group + rest.replace(old, new, 1)
        )
        file.write_text(edited)
        result = call(verb, str(study))
        assert result.exit_code == 2
        assert f"mer-nas: {file}: {said}; put that back: {ONLY}\n" in result.stderr
    file.write_text(text.replace("[8, 16]", "[8, 24]"))
    assert "space.file.architecture.paths=" in call(verb, str(study)).stderr
    file.write_text(text.replace("trials: 3", "trials: 4"))
    assert call("report", str(study)).exit_code == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "epochs: 1",
            "epochs: 2",
            "is another candidate than was measured: trainer.epochs=2 (was 1",
        ),
        (
            "seed: 0",
            "seed: 7",
            "study.seed=7: the folds in the ledger were measured with study.seed=0",
        ),
        ("folds: 2", "folds: 3", "make other folds than those of 2 subject groups"),
    ],
)
def test_edited_settings_of_a_study_of_before_are_held_against_its_trials_and_folds(
    old: str, new: str, said: str, call: Call, study: Path
) -> None:
    origin = json.loads((study / "origin.json").read_text())
    assert origin.pop("settings")["trainer"]["epochs"] == 1
    (study / "origin.json").write_text(json.dumps(origin))
    file = study / "settings.yaml"
    text = file.read_text()
    before, group, rest = text.partition("\nstudy:")
    file.write_text(
        before + group + rest.replace(old, new) if old in rest else text.replace(old, new)
    )
    result = call("resume", str(study))
    assert result.exit_code == 2
    assert said in result.stderr
    file.write_text(text)
    assert call("resume", str(study)).exit_code == 0
    assert json.loads((study / "origin.json").read_text())["settings"]["trainer"]["epochs"] == 1
