"""Folds that hang, or for which memory is short: who ends them, and what becomes of their trials."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Heard
from scripted import POINTS, ScriptedEvaluator, evaluator, history, search

from mer_nas.evaluation.results import FoldResult
from mer_nas.search import local, patience
from mer_nas.search.events import Ended, Event, Note
from mer_nas.search.failures import Failure
from mer_nas.search.ledger import read
from mer_nas.search.patience import Patience, Watch
from mer_nas.space import WarmStart


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time as whoever watches sees it."""
    found = Clock()
    monkeypatch.setattr(patience, "clock", found)
    monkeypatch.setattr(patience, "POLL_SECONDS", 0.01)
    return found


# When a fold is late


def lateness(clock: Clock, watch: Watch, epochs: list[float], silent: float) -> str:
    """Return what is said of a fold after epochs of these seconds and a silence."""
    with watch.over():
        for seconds in epochs:
            clock.now += seconds
            watch.beat()
        clock.now += silent
        return watch.late()


def test_a_fold_hangs_once_no_epoch_has_ended_for_half_an_hour(clock: Clock) -> None:
    assert lateness(clock, Watch(Patience()), [], 1799) == ""
    assert lateness(clock, Watch(Patience()), [80] * 100, 1799) == ""
    said = lateness(clock, Watch(Patience()), [10], 1800)
    assert said.startswith("no epoch came to its end within 30 min")
    assert "study.fold_minutes=N" in said


def test_slow_epochs_are_given_twenty_times_the_slowest_of_their_candidate(clock: Clock) -> None:
    watch = Watch(Patience())
    assert lateness(clock, watch, [100, 300, 100], 5999) == ""
    assert "within 1 h 40 min" in lateness(clock, watch, [100], 6000)  # of the fold before, too


def test_a_fold_may_be_given_minutes_in_all_whatever_its_epochs_take(clock: Clock) -> None:
    watch = Watch(Patience(fold=120))
    assert lateness(clock, watch, [30, 30, 30], 29) == ""
    assert lateness(clock, watch, [], 119) == ""  # each fold has them anew
    said = lateness(clock, watch, [30, 30, 30], 30)
    assert said.startswith("it took longer than the 2 minutes that study.fold_minutes allows")


def test_there_is_less_patience_once_the_minutes_of_the_search_are_spent(clock: Clock) -> None:
    assert lateness(clock, Watch(Patience(spent=600)), [], 599) == ""
    said = lateness(clock, Watch(Patience(spent=600)), [], 600)
    assert "study.minutes" in said
    assert lateness(clock, Watch(Patience(spent=0)), [1], 59) == ""
    assert lateness(clock, Watch(Patience(spent=0)), [1], 60) != ""
    assert lateness(clock, Watch(Patience(spent=0)), [5], 99) == ""  # 20 times the slowest: 100 s


def test_nobody_is_late_who_has_nothing_to_do(clock: Clock) -> None:
    watch = Watch(Patience(fold=1))
    clock.now += 100
    assert watch.late() == ""


# Folds in this process


@dataclass
class Faulty(ScriptedEvaluator):
    """Goes wrong at the third fold of a gated candidate."""

    wrong: Any = None

    def fold(self, candidate: Any, index: int, repetition: int = 0) -> FoldResult:
        """Train, or go wrong."""
        if dict(candidate.values)["kind"] == "gated" and index == 2:
            self.wrong()
        return super().fold(candidate, index, repetition)


def faulty(wrong: Any) -> Faulty:
    base = evaluator()
    return Faulty(base.clips, base.protocol, wrong=wrong)


def failed(heard: Heard) -> list[Ended]:
    return [e for e in heard.of(Ended) if isinstance(e, Ended) and e.outcome == "failed"]


@pytest.mark.parametrize("thread", [False, True])
def test_a_fold_that_hangs_fails_its_trial_and_the_others_go_on(
    tmp_path: Path, heard: Heard, clock: Clock, thread: bool
) -> None:
    def hang() -> None:
        clock.now += 1800
        while True:
            try:
                if thread:  # a signal ends a wait in the main thread alone
                    while True:
                        sum(range(100))
                threading.Event().wait()
            except Exception:
                continue

    scripted = faulty(hang)

    def run() -> None:
        with search(tmp_path, scripted, trials=6, pruner="none", on_event=heard.append) as driver:
            local.run(driver, scripted, heard.append)
            counts.update(driver.counts)

    counts: dict[str, int] = {}
    if thread:
        other = threading.Thread(target=run)
        other.start()
        other.join()
    else:
        run()
    assert counts["complete"] + counts["failed"] == 6
    assert counts["failed"] >= 1
    assert {event.done for event in failed(heard)} == {2}
    for event in failed(heard):
        assert event.reason.startswith("FoldHangs")
        if not thread:
            assert "study.fold_minutes=N" in event.reason


def test_a_fold_that_hangs_when_the_minutes_are_spent_ends_the_search(
    tmp_path: Path, heard: Heard, clock: Clock
) -> None:
    def hang() -> None:
        clock.now += 180
        threading.Event().wait()

    scripted = faulty(hang)
    with search(
        tmp_path, scripted, trials=1, minutes=1, points=POINTS[1:], on_event=heard.append
    ) as driver:
        local.run(driver, scripted)
    (event,) = failed(heard)
    assert "the minutes of the search (study.minutes) are spent" in event.reason


def test_a_fold_that_nothing_ends_leaves_its_trial_closed(
    tmp_path: Path, heard: Heard, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As code does that never comes back to Python; here it does once everything is said."""
    said = threading.Event()
    monkeypatch.setattr(local, "STUBBORN_SECONDS", 0.0)

    def hang() -> None:
        clock.now += 1800
        said.wait()

    def listen(event: Event) -> None:
        heard.append(event)
        if isinstance(event, Note) and "the end of this process" in event.text:
            closed.append([trial.state for trial in driver.study.get_trials()][-1])
            said.set()

    closed: list[Any] = []
    scripted = faulty(hang)
    with search(tmp_path, scripted, trials=2, pruner="none", on_event=listen) as driver:
        local.run(driver, scripted, listen)
        assert dict(driver.counts) == {"complete": 1, "failed": 1}
    assert [state.name for state in closed] == ["FAIL"]
    assert {len(rows) for rows in [read(tmp_path / "ledger.jsonl")]} == {12 + 2}


def test_a_fold_that_runs_out_of_memory_is_tried_once_more(tmp_path: Path, heard: Heard) -> None:
    attempts: list[int] = []

    def short() -> None:
        attempts.append(1)
        if len(attempts) != 2:
            raise MemoryError

    scripted = faulty(short)
    two = tuple(
        WarmStart(name, {"x": x, "kind": "gated", "gates": 1, "y": 0})
        for name, x in [("lucky", 0.1), ("short", 0.2)]
    )
    with search(
        tmp_path, scripted, trials=2, points=two, pruner="none", on_event=heard.append
    ) as driver:
        local.run(driver, scripted, heard.append)
        outcomes = [row[5] for row in history(driver)]
        kept = [trial.user_attrs.get("traceback", "") for trial in driver.study.get_trials()]
    assert outcomes == ["complete", "failed"]  # short of memory once, and twice
    notes = [e.text for e in heard.of(Note) if isinstance(e, Note) and "tried once more" in e.text]
    assert len(notes) == 2
    assert len(attempts) == 4
    assert ["MemoryError" in text for text in kept] == [False, True]
    assert len(set(scripted.runs)) == len(scripted.runs)  # nothing is trained twice


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (MemoryError(), True),
        (RuntimeError("alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_a_lack_of_memory_is_told_from_other_errors(error: Exception, memory: bool) -> None:
    assert Failure.of(error).memory == memory
