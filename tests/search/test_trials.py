"""Trials that the storage has lost, or that another program has ended there."""

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from scripted import COSTLY, evaluator, history, journal, search

from mer_nas.errors import StudyError
from mer_nas.search import local
from mer_nas.search.config import StudyConfig
from mer_nas.search.events import Note
from mer_nas.search.ledger import read
from mer_nas.search.storage import close_storage, open_study
from mer_nas.search.trials import TRIALS, KeptTrial, restore


def run(folder: Path, trials: int, **words: Any) -> list[tuple[Any, ...]]:
    folder.mkdir(exist_ok=True)
    scripted = evaluator()
    with search(folder, scripted, trials=trials, **words) as driver:
        local.run(driver, scripted)
        return history(driver)


def restored(folder: Path, entries: tuple[KeptTrial, ...]) -> int:
    study, storage = open_study(journal(folder), "search", StudyConfig())
    back = restore(study, entries)
    close_storage(storage)
    return back


@pytest.mark.parametrize(
    "words", [{"pruner": "bootstrap", **COSTLY}, {"pruner": "halving"}], ids=("costly", "halving")
)
@pytest.mark.parametrize("lines", [None, -1, 4], ids=("all", "one torn", "few"))
def test_a_search_whose_storage_is_lost_ends_as_if_it_had_not_been(
    words: dict[str, Any], lines: int | None, tmp_path: Path
) -> None:
    whole = run(tmp_path / "whole", 11, **words)
    run(tmp_path / "lost", 7, **words)
    before = read(tmp_path / "lost" / "ledger.jsonl")
    (tmp_path / "lost" / "study.log").unlink()
    file = tmp_path / "lost" / "trials.jsonl"
    kept = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(kept[:lines]))
    entries = TRIALS.read(file)
    assert restored(tmp_path / "lost", entries) == len({entry.number for entry in entries})
    assert restored(tmp_path / "lost", entries) == 0
    assert run(tmp_path / "lost", 11, **words) == whole
    after = read(tmp_path / "lost" / "ledger.jsonl")
    assert after[: len(before)] == before
    assert len({result.key for result in after}) == len(after)


def test_a_trial_is_kept_before_its_first_fold_and_with_its_candidate(tmp_path: Path) -> None:
    with search(tmp_path, evaluator(), trials=3) as driver:
        job = driver.ask()
        assert job is not None
        (entry,) = TRIALS.read(tmp_path / "trials.jsonl")
        assert (entry.number, entry.state) == (0, "RUNNING")
        assert entry.attributes["tree"] == job.candidate.dump()
        assert entry.params == {"x": 0.2, "kind": "plain", "y": 1}
        assert entry.attributes["candidate"] == job.candidate.key


def test_a_number_that_no_line_tells_of_is_drawn_again(tmp_path: Path) -> None:
    run(tmp_path / "lost", 5)
    entries = TRIALS.read(tmp_path / "lost" / "trials.jsonl")
    (tmp_path / "lost" / "study.log").unlink()
    restored(tmp_path / "lost", tuple(entry for entry in entries if entry.number != 3))
    found = run(tmp_path / "lost", 5)
    assert [row[0] for row in found] == list(range(len(found)))
    assert TrialState.WAITING not in {row[1] for row in found}


def told(folder: Path, **end: Any) -> list[str]:
    """Have another program end a trial of its own, then go on; return what was noted."""
    study = optuna.load_study(
        study_name="search",
        storage=optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(journal(folder))
        ),
    )
    study.tell(study.ask(), **end)
    notes: list[str] = []
    scripted = evaluator()
    with search(
        folder,
        scripted,
        trials=5,
        on_event=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
    ) as driver:
        local.run(driver, scripted)
        assert driver.counts["complete"] + driver.counts.get("pruned", 0) == 5
    return notes


def test_a_trial_that_another_program_has_failed_is_left_out_and_said(tmp_path: Path) -> None:
    run(tmp_path, 4)
    (note,) = told(tmp_path, state=TrialState.FAIL)
    assert note.startswith("trial ")
    assert ": another program has told its end (FAIL); it is left out" in note


def test_a_score_that_another_program_has_told_is_refused(tmp_path: Path) -> None:
    run(tmp_path, 4)
    with pytest.raises(StudyError, match=r"\(COMPLETE\) without a fold of it.* --anew"):
        told(tmp_path, values=0.9)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"number": "1"}, "number: "),
        ({"state": "WAITING"}, "state: "),
        ({"params": {}}, "one distribution for each parameter"),
        ({"values": [0.5]}, "a complete trial has values"),
        ({"distributions": {"x": "{}", "kind": "[]", "y": "1"}}, "distributions.x: "),
        ({"params": {"x": 7.0, "kind": "plain", "y": 1}}, "params.x: 7.0 was not drawn from it"),
        ({"params": {"x": 0.2, "kind": "odd", "y": 1}}, "'odd' not in "),
    ],
)
def test_a_line_that_tells_of_no_trial_is_refused_with_its_number(
    change: dict[str, Any], found: str, tmp_path: Path
) -> None:
    with search(tmp_path, evaluator(), trials=3) as driver:
        driver.ask()
    file = tmp_path / "trials.jsonl"
    (entry,) = TRIALS.read(file)
    tree = json.loads(entry.to_json()) | change
    file.write_bytes(TRIALS.header + TRIALS.line(json.dumps(tree).encode()))
    with pytest.raises(StudyError, match=rf"{file}: line 2 is damaged: .*{found}"):
        TRIALS.read(file)
