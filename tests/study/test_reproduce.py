"""A report taken at its word: the same numbers again, or how far they are off."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from mer_nas import api
from mer_nas.report import read_report
from mer_nas.search.events import Event, FoldDone
from mer_nas.study.reproduction.followed import followed
from mer_nas.study.reproduction.verdicts import Number

Call = Callable[..., Result]
FOLDS = 2 * 4
"""Seeds of the final stage times subjects."""


def edited(study: Path, change: Callable[[dict[str, Any]], None]) -> str:
    """Change the report of a study as by hand; return the file."""
    file = study / "report.json"
    tree = json.loads(file.read_text())
    change(tree)
    file.write_text(json.dumps(tree))
    return str(file)


def test_a_run_made_twice_on_one_machine_is_identical_to_the_last_bit(
    call: Call, study: Path
) -> None:
    report = json.loads((study / "report.json").read_text())
    result = call("reproduce", str(study / "report.json"), "ray.workers=0", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["verdict"] == "identical"
    assert found["changes"] == [{"what": "ray.workers", "then": "1", "now": "0"}]
    assert {number["verdict"] for number in found["numbers"]} == {"identical"}
    numbers = {number["name"]: number["found"] for number in found["numbers"]}
    winner = report["study"]["finalists"][0]
    for seed, scores in enumerate(winner["scores"], start=1):
        for name, label in (("uf1", "UF1"), ("uar", "UAR"), ("accuracy", "accuracy")):
            assert numbers[f"{label}, seed {seed}"] == scores[name]
    assert numbers["UF1, mean"] == report["answer"]["uf1"]["mean"]
    assert numbers["weights, parameters"] == winner["parameters"]
    assert numbers["headline UF1"] == report["study"]["headline"]["uf1"]["value"]
    # All of it was trained here: the folds are no copy of the study's.
    lines = (Path(found["folder"]) / "ledger.jsonl").read_text().splitlines()
    assert len(lines) == 1 + FOLDS
    assert result.stderr.count(" folds; about ") == FOLDS


def test_what_has_changed_is_named_before_training_and_what_differs_by_how_much(
    call: Call, study: Path
) -> None:
    def forge(tree: dict[str, Any]) -> None:
        facts = tree["study"]
        facts["code_version"] = "0123456789ab"
        facts["environment"]["packages"]["torch"] = "1.0"
        facts["environment"]["packages"]["opencv-python-headless"] = "3.1"
        facts["environment"]["cores"] = 1024
        facts["data"]["fingerprint"] = "fedcba9876543210"
        for scores in facts["finalists"][0]["scores"]:
            for confusion in scores["subjects"]:
                for kind, row in enumerate(confusion):
                    row[:] = [sum(row) if column == kind else 0 for column in range(3)]

    file = Path(edited(study, forge))
    file.write_text(followed(read_report(file)).to_json())  # all of it agrees with the forgery
    result = call("reproduce", str(file), "trainer.device=cpu", "ray.workers=0")
    assert result.exit_code == 1, result.output
    said = result.stderr.splitlines()
    begun = next(n for n, line in enumerate(said) if line.startswith("training took "))
    named = [line.partition("not as it was: ")[2] for line in said[:begun] if "not as" in line]
    starts = [
        "ray.workers: 1 in the report, 0 here",
        "trainer.device: auto in the report, cpu here",
        "code that decides scores: 0123456789ab in the report, ",
        "cores: 1024 in the report, ",
        "package opencv-python-headless: 3.1 in the report, none here",
        "package torch: 1.0 in the report, ",
        "clips (fingerprint): fedcba9876543210 in the report, ",
    ]
    assert [line[: len(start)] for line, start in zip(named, starts, strict=True)] == starts
    rows = {line[18:66].strip(): line for line in result.stdout.splitlines()}
    for name in ("accuracy, seed 1", "UF1, seed 2", "UAR, mean", "headline UF1"):
        assert rows[name].startswith("different "), rows
        assert "seeds differ by 0)" in rows[name]
    assert "1.0000, here " in rows["accuracy, seed 1"]
    assert rows["multiply-accumulates"].startswith("identical ")
    for name in ("answer.uf1.mean", "ranking.0.uar.low", "study.comparisons.0.difference.high"):
        assert rows[name].endswith("; follows from the scores)"), rows
    assert result.stdout.splitlines()[-2].startswith("not reproduced: ")


@pytest.mark.parametrize(
    ("found", "tolerance", "verdict"),
    [
        (0.5, 0.0, "identical"),
        (0.5 + 1e-12, 0.0, "different"),
        (0.625, 0.125, "within tolerance"),
        (0.375, 0.125, "within tolerance"),
        (0.626, 0.125, "different"),
    ],
)
def test_a_number_may_be_off_by_no_more_than_the_seeds_are_apart(
    found: float, tolerance: float, verdict: str
) -> None:
    assert Number("UF1, seed 1", 0.5, found, tolerance).verdict == verdict


def test_an_interrupted_reproduction_goes_on_and_a_finished_one_begins_anew(study: Path) -> None:
    def interrupt(event: Event) -> None:
        heard.append(event)
        if sum(isinstance(e, FoldDone) for e in heard) == 3:
            raise KeyboardInterrupt

    def trained() -> int:
        return sum(isinstance(event, FoldDone) for event in heard)

    heard: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        api.reproduce(study, "ray.workers=0", on_event=interrupt)
    heard.clear()
    first = api.reproduce(study, "ray.workers=0", on_event=heard.append)
    assert (trained(), first.verdict) == (FOLDS - 3, "identical")
    heard.clear()
    again = api.reproduce(study, "ray.workers=0", on_event=heard.append)
    assert (trained(), again.verdict) == (FOLDS, "identical")
    assert again.folder != first.folder


def test_without_a_final_stage_the_search_scores_behind_the_answer_are_checked(
    call: Call, study: Path
) -> None:
    assert call("resume", str(study), "study.final=none").exit_code == 0
    found = api.reproduce(study, "ray.workers=0")
    assert found.verdict == "identical"
    numbers = {number.name: number.found for number in found.numbers}
    report = json.loads((study / "report.json").read_text())
    assert numbers["UF1, seed 1"] == report["answer"]["uf1"]["mean"]
    values = {trial["number"]: trial["value"] for trial in report["study"]["trials"]}
    for member in report["answer"]["members"]:  # which are asked for where nothing else is
        assert numbers[f"trial {member['trial']}: UF1, seed 1"] == values[member["trial"]]
    assert report["answer"]["members"] or numbers["UF1, seed 1"] == max(values.values())


def test_what_cannot_be_checked_is_refused_before_training(call: Call, study: Path) -> None:
    def renamed(tree: dict[str, Any]) -> None:
        subjects = tree["study"]["data"]["subjects"]
        subjects["faces:nobody"] = subjects.pop(list(subjects)[-1])

    def lost(tree: dict[str, Any]) -> None:
        tree["answer"] = None

    def damaged(tree: dict[str, Any]) -> None:
        del tree["study"]["settings"]["space"]["file"]

    def older(tree: dict[str, Any]) -> None:
        tree["schema"] = "mer-nas report 1"

    def rootless(tree: dict[str, Any]) -> None:
        tree["study"]["settings"]["data"] = {"kind": "precomputed_flow", "root": "/no/where"}

    text, file = (study / "report.json").read_text(), study / "report.json"
    for change, message in (
        (renamed, f"{file}: the report was made with other clips: clips of each "),
        (lost, f"{file}: no trial was complete, so there is no winner to train again\n"),
        (damaged, f"{file}: study.settings.space: the setting 'file' is missing\n"),
        (older, f"{file}: schema is 'mer-nas report 1', but this version reads "),
        (rootless, "data.root: there is no folder /no/where\n"),
    ):
        file.write_text(text)
        result = call("reproduce", edited(study, change))
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        assert f"mer-nas: {message}" in result.stderr
    file.write_text(text)
    for words, message in (
        ([str(file), "data.rot=x"], "no key to change is called 'data.rot'; known: data.cache, "),
        (["nothing.json"], "nothing.json: no such file; `mer-nas report STUDY` writes it\n"),
        ([str(file), "trainer.device=cuda:99"], "trainer.device: 'cuda:99' is no device of this"),
    ):
        result = call("reproduce", *words)
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        assert f"mer-nas: {message}" in result.stderr
    assert not list(Path("runs").glob("reproductions/*/reproduced.json"))
