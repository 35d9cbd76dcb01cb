"""The leaky diagnostics of a study: in the report, marked, and without effect on anything else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import Result
from sklearn.metrics import f1_score

import mer_nas
from mer_nas.search.journal import JournalFormat

if TYPE_CHECKING:
    from conftest import Searched

TIMES = {"seconds", "step_ms", "clip_ms", "wall_seconds", "search_seconds", "final_seconds"}


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()[1:]]


def finalists(study: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((study / "report.json").read_text())["study"][
        "finalists"
    ]
    return found


def without(tree: Any, names: set[str]) -> Any:
    if isinstance(tree, dict):
        return {name: without(value, names) for name, value in tree.items() if name not in names}
    return [without(value, names) for value in tree] if isinstance(tree, list) else tree


def test_it_says_on_how_much_it_rests_and_agrees_with_the_ledger(searched: "Searched") -> None:
    rows = {
        (row["candidate"], row["fold"], row["repetition"]): row
        for row in lines(searched.study / "ledger.jsonl")
    }
    backs = lines(searched.study / "hindsight.jsonl")
    for back in backs:
        row = rows[back["candidate"], back["fold"], back["repetition"]]
        chosen = [max(range(3), key=clip.__getitem__) for clip in row["probabilities"]]
        assert back["predicted"][-1] == chosen
    for finalist in finalists(searched.study):
        own = [back for back in backs if back["candidate"] == finalist["key"]]
        found = finalist["hindsight"]
        assert (found["seeds"], found["folds"], found["of"]) == (2, 8, 8)
        assert len(own) == 8
        # With one epoch there was no choice, and nothing leaks.
        assert found["epochs"] == 1
        honest = sum(scores["uf1"] for scores in finalist["scores"]) / 2
        assert found["last"] == pytest.approx(honest, abs=1e-12)
        assert found["best_of_each"] == found["best_of_all"] == found["last"]
        assert found["course"] == [found["last"]]


def test_of_two_epochs_the_best_is_taken_fold_by_fold(
    study: Path, call: Callable[..., Result]
) -> None:
    file = study / "hindsight.jsonl"
    head, *rest = file.read_text().splitlines()
    rows = {
        (row["candidate"], row["fold"], row["repetition"]): row
        for row in lines(study / "ledger.jsonl")
    }
    backs = [json.loads(line) for line in rest]
    key = finalists(study)[0]["key"]
    for back in backs:  # a first epoch in which every other fold was all right
        labels = rows[back["candidate"], back["fold"], back["repetition"]]["labels"]
        right = int(back["fold"], 16) % 2 == 0
        back["epochs"] = [1, 2]
        back["predicted"].insert(0, labels if right else [(k + 1) % 3 for k in labels])
    rewritten = [
        JournalFormat.line(json.dumps(without(back, {"crc32"})).encode()) for back in backs
    ]
    file.write_bytes(head.encode() + b"\n" + b"".join(rewritten))
    assert call("report", str(study)).exit_code == 0
    scores = []
    for repetition in (0, 1):
        labels, chosen = [], []
        for back in backs:
            if (back["candidate"], back["repetition"]) == (key, repetition):
                truth = rows[key, back["fold"], repetition]["labels"]
                labels += truth
                hits = [sum(map(int.__eq__, said, truth)) for said in back["predicted"]]
                chosen += back["predicted"][0 if hits[0] > hits[1] else 1]
        scores.append(f1_score(labels, chosen, average="macro", zero_division=0))
    found = finalists(study)[0]["hindsight"]
    assert found["best_of_each"] == pytest.approx(sum(scores) / 2, abs=1e-12)
    assert found["best_of_each"] >= found["last"]


def test_switched_off_it_changes_no_other_number(
    searched: "Searched", tiny: list[str], call: Callable[..., Result]
) -> None:
    done = call("search", *tiny, "study.final.best_epoch=false", "--quiet")
    assert done.exit_code == 0, done.output
    study = Path("runs") / searched.study.name
    assert not (study / "hindsight.jsonl").exists()

    def ledger(folder: Path) -> list[dict[str, Any]]:
        return without(lines(folder / "ledger.jsonl"), {"seconds", "crc32"})  # type: ignore[no-any-return]

    assert ledger(study) == ledger(searched.study)
    off, on = finalists(study), finalists(searched.study)
    assert [finalist["hindsight"] for finalist in off] == [None, None]
    assert without(off, TIMES | {"hindsight"}) == without(on, TIMES | {"hindsight"})
    trees = [
        json.loads((folder / "report.json").read_text()) for folder in (study, searched.study)
    ]
    for name in ("answer", "ranking", "confusion", "course", "stages"):
        assert without(trees[0][name], TIMES) == without(trees[1][name], TIMES)
    for name in ("selection", "headline", "comparisons", "trials"):
        off, on = (without(tree["study"][name], TIMES) for tree in trees)
        assert off == on


def test_a_study_whose_epochs_nobody_kept_is_reported_without_them(
    study: Path, call: Callable[..., Result]
) -> None:
    (study / "hindsight.jsonl").unlink()
    assert call("report", str(study)).exit_code == 0
    assert [finalist["hindsight"] for finalist in finalists(study)] == [None, None]


def test_the_learning_curve_is_the_mean_loss_of_the_folds(searched: "Searched") -> None:
    rows = lines(searched.study / "ledger.jsonl")
    for finalist in finalists(searched.study):
        losses = [
            row["losses"][0]
            for row in rows
            if row["candidate"] == finalist["key"] and len(row["subjects"]) == 1
        ]
        assert finalist["learning"]["folds"] == len(losses) == 8
        assert finalist["learning"]["mean"] == [pytest.approx(sum(losses) / 8)]


def test_what_chooses_and_what_corrects_do_not_know_of_it() -> None:
    package = Path(mer_nas.__path__[0])
    knowing = {
        str(file.relative_to(package).with_suffix(""))
        for folder in ("search", "study", "statistics", "export", "prediction")
        for file in (package / folder).rglob("*.py")
        if "hindsight" in file.read_text(encoding="utf-8")
    }
    assert knowing == {
        # Hand it on, and keep it.
        "search/jobs", "search/local", "search/tuning", "search/measure", "search/ledger",
        "study/folder", "study/run",
        # Read it, for the report.
        "study/state", "study/summary",
        # Hold what the report says of it against the rest.
        "study/reproduction/consistency", "study/reproduction/followed",
    }  # fmt: skip
