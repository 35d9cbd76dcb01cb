"""What every pruner promises: deterministic, fair to the better trial, the same after a restart.

A pruner is run over simulated studies, as the driver runs one: after each block of folds it hears
of the cumulative UF1 and is asked about a snapshot, and in the end of how the trial ended.
"""

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from optuna.trial import TrialState

from mer_nas.evaluation.metrics import Counts, uf1
from mer_nas.search.pruners import Best, Pruner, TrialSnapshot
from mer_nas.testing.checks import Check, expect, no_global_chance, run_all, seeded

SUBJECTS = 12
BLOCKS = 6
"""Blocks of folds; two subjects are asked about in each."""
CLASSES = 3
TRIALS = 10
STUDIES = 8

Make = Callable[[], Pruner]
Reasons = dict[tuple[int, int], str]
"""By trial and block, why the trial was stopped there; empty where it was not."""


def check_pruner(make: Make, subjects: int = 0, without: Collection[str] = ()) -> None:
    """Hold a pruner to everything that is promised of pruners.

    Args:
        make: Returns a new pruner.
        subjects: Number of subjects below which it says that it stops nothing.
        without: Names of checks that it does not claim to pass.

    Raises:
        AssertionError: Every promise that it breaks, and how.
    """
    run_all(pruner_checks(make, subjects, without))


def pruner_checks(make: Make, subjects: int = 0, without: Collection[str] = ()) -> list[Check]:
    """Return what is promised of a pruner, for `pytest.mark.parametrize`.

    Args:
        make: Returns a new pruner.
        subjects: Number of subjects below which it says that it stops nothing.
        without: Names of checks that it does not claim to pass.
    """
    case = _Case(make, subjects)
    checks = Check.of_each(_PROMISES, case)
    return [check for check in checks if check.name not in without]


@dataclass(frozen=True)
class _Case:
    make: Make
    subjects: int


@dataclass(frozen=True)
class _Study:
    """What some trials answer, subject by subject."""

    confusions: Counts
    """(trials, subjects, K, K), true classes in rows."""

    @classmethod
    def draw(cls, seed: int) -> "_Study":
        """Return trials of unlike quality on one set of clips."""
        dice = np.random.default_rng(seed)
        clips = [
            dice.choice(CLASSES, 3 + dice.integers(6), p=[0.5, 0.3, 0.2]) for _ in range(SUBJECTS)
        ]
        found = np.zeros((TRIALS, SUBJECTS, CLASSES, CLASSES), dtype=np.int64)
        for trial, quality in enumerate(dice.uniform(0.2, 0.95, TRIALS)):
            for subject, labels in enumerate(clips):
                right = dice.random(labels.size) < quality
                wrong = (labels + dice.integers(1, CLASSES, labels.size)) % CLASSES
                np.add.at(found[trial, subject], (labels, np.where(right, labels, wrong)), 1)
        return cls(found)

    def improved(self, trial: int) -> "_Study":
        """Return the study in which a trial makes one mistake less, wherever it makes any."""
        better = self.confusions.copy()
        for confusion in better[trial]:
            wrong = np.argwhere(confusion * (1 - np.eye(CLASSES, dtype=np.int64)))
            if wrong.size:
                row, column = wrong[0]
                confusion[row, column] -= 1
                confusion[row, row] += 1
        return _Study(better)

    def perfect(self, trial: int) -> "_Study":
        """Return the study in which a trial makes no mistake."""
        better = self.confusions.copy()
        better[trial] = [np.diag(confusion.sum(1)) for confusion in better[trial]]
        return _Study(better)

    def value(self, trial: int, subjects: int = SUBJECTS) -> float:
        """Return the UF1 pooled over so many subjects."""
        return float(uf1(self.confusions[trial, :subjects].sum(0)))

    def answers(self, trial: int, subjects: int = SUBJECTS) -> dict[str, Counts]:
        """Return the confusions of the first subjects by their names."""
        found = self.confusions[trial, :subjects].copy()
        return {f"data:s{number}": each for number, each in enumerate(found)}


class _Driver:
    """Runs a pruner over a study, as the driver of a search does."""

    def __init__(self, study: _Study, pruner: Pruner) -> None:
        self.study = study
        self.pruner = pruner
        self.best: Best | None = None
        self.reasons: Reasons = {}

    def run(
        self, trials: Sequence[int], look: Callable[[TrialSnapshot], None] | None = None
    ) -> None:
        """Run trials, one after another."""
        for trial in trials:
            self._run(trial, look)

    def recall(self, trials: Sequence[int], reasons: Reasons) -> None:
        """Hear of trials of an earlier session: their reports and ends, and no questions."""
        for trial in trials:
            stopped = min((b for t, b in reasons if t == trial and reasons[t, b]), default=None)
            for block in range(1, (stopped or BLOCKS) + 1):
                self.pruner.report(trial, block, self.study.value(trial, _done(block)))
            self._end(trial, pruned=stopped is not None)

    def _run(self, trial: int, look: Callable[[TrialSnapshot], None] | None) -> None:
        for block in range(1, BLOCKS + 1):
            self.pruner.report(trial, block, self.study.value(trial, _done(block)))
            if block == BLOCKS:
                break
            snapshot = self.snapshot(trial, block)
            if look is not None:
                look(snapshot)
            reason = self.reasons[trial, block] = self.pruner.should_prune(snapshot)
            expect(
                isinstance(reason, str), f"should_prune gives {reason!r}; a text would be right"
            )
            if reason:
                return self._end(trial, pruned=True)
        return self._end(trial, pruned=False)

    def snapshot(self, trial: int, block: int) -> TrialSnapshot:
        """Return where a trial stands after a block."""
        done = _done(block)
        remaining = self.study.confusions[trial, done:].sum((0, 2))
        return TrialSnapshot(trial, self.study.answers(trial, done), remaining, self.best)

    def _end(self, trial: int, *, pruned: bool) -> None:
        value = self.study.value(trial)
        self.pruner.ended(
            trial,
            TrialState.PRUNED if pruned else TrialState.COMPLETE,
            None if pruned else value,
        )
        if not pruned and (self.best is None or value > self.best.value):
            self.best = Best(trial, value, self.study.answers(trial))


def _done(block: int) -> int:
    return block * SUBJECTS // BLOCKS


def _studies() -> Iterator[tuple[str, _Study]]:
    for seed in range(STUDIES):
        yield f"study {seed}", _Study.draw(seed)


def _reasons(case: _Case, study: _Study) -> Reasons:
    driver = _Driver(study, case.make())
    driver.run(range(TRIALS))
    return driver.reasons


def _stopped(reasons: Reasons, trial: int) -> bool:
    return any(reason for (number, _), reason in reasons.items() if number == trial)


def _waits_for_a_complete_trial(case: _Case) -> None:
    """Nothing is stopped before a first trial is complete."""
    for name, study in _studies():
        driver = _Driver(study, case.make())
        driver.run([0])
        expect(not _stopped(driver.reasons, 0), f"{name}: the first trial is stopped")


def _waits_for_its_subjects(case: _Case) -> None:
    """Nothing is stopped on fewer subjects than the pruner says that it needs."""
    for name, study in _studies():
        for (trial, block), reason in _reasons(case, study).items():
            few = _done(block) < case.subjects
            expect(not (few and reason), f"{name}: trial {trial} is stopped on {_done(block)}")


@contextmanager
def _other_global_chance(seed: int) -> Iterator[None]:
    """Seed every global generator, and leave all of them afterwards as they were."""
    before = random.getstate(), np.random.get_state(legacy=False)
    random.seed(seed)
    np.random.seed(seed)
    try:
        with seeded(seed):
            yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


def _decides_the_same_twice(case: _Case) -> None:
    """On one history it decides the same, and draws from no global generator."""
    for name, study in _studies():
        found = []
        for seed in range(2):
            with _other_global_chance(seed), no_global_chance():
                found.append(_reasons(case, study))
        expect(found[0] == found[1], f"{name}: other decisions on the same history")


def _answers_a_question_twice(case: _Case) -> None:
    """Asked again about the same snapshot, it gives the same answer, and changes no snapshot."""
    for name, study in _studies():
        pruner = case.make()

        def look(snapshot: TrialSnapshot, name: str = name, pruner: Pruner = pruner) -> None:
            before = {subject: counts.copy() for subject, counts in snapshot.answers.items()}
            remaining = snapshot.remaining.copy()
            first, second = pruner.should_prune(snapshot), pruner.should_prune(snapshot)
            expect(first == second, f"{name}: {first!r}, then {second!r}")
            whole = all(
                np.array_equal(before[s], counts) for s, counts in snapshot.answers.items()
            )
            whole = whole and np.array_equal(remaining, snapshot.remaining)
            expect(whole, f"{name}: the snapshot that it was asked about is changed")

        _Driver(study, pruner).run(range(TRIALS), look)


def _decides_the_same_after_a_restart(case: _Case) -> None:
    """Told the reports and ends of earlier trials, a new pruner goes on as the old one would."""
    for name, study in _studies():
        whole = _reasons(case, study)
        for first in range(1, TRIALS, 3):
            driver = _Driver(study, case.make())
            driver.recall(range(first), whole)
            driver.run(range(first, TRIALS))
            rest = {key: reason for key, reason in whole.items() if key[0] >= first}
            expect(driver.reasons == rest, f"{name}: other decisions after {first} trials")


def _spares_the_better_trial(case: _Case) -> None:
    """Where a trial goes on, it goes on too with fewer mistakes."""
    for name, study in _studies():
        reasons = _reasons(case, study)
        for trial in range(1, TRIALS):
            if not _stopped(reasons, trial):
                better = _Driver(study.improved(trial), case.make())
                better.run(range(trial + 1))
                stopped = _stopped(better.reasons, trial)
                expect(not stopped, f"{name}: trial {trial} is stopped for fewer mistakes")


def _spares_a_trial_without_mistakes(case: _Case) -> None:
    """A trial that answers everything correctly is never stopped."""
    for name, study in _studies():
        for trial in range(1, TRIALS):
            driver = _Driver(study.perfect(trial), case.make())
            driver.run(range(trial + 1))
            stopped = _stopped(driver.reasons, trial)
            expect(not stopped, f"{name}: trial {trial} is stopped without a mistake")


def _looks_at_what_both_have_answered(case: _Case) -> None:
    """What the best trial answers for subjects to come, beside its UF1, changes no decision."""
    for name, study in _studies():
        pruner = case.make()

        def look(snapshot: TrialSnapshot, name: str = name, pruner: Pruner = pruner) -> None:
            if snapshot.best is None:
                return
            turned = {
                subject: counts if subject in snapshot.answers else counts[:, ::-1].copy()
                for subject, counts in snapshot.best.answers.items()
            }
            other = replace(snapshot, best=replace(snapshot.best, answers=turned))
            found = pruner.should_prune(snapshot), pruner.should_prune(other)
            expect(found[0] == found[1], f"{name}: {found[0]!r}, or {found[1]!r} without seeing")

        _Driver(study, pruner).run(range(TRIALS), look)


_PROMISES: tuple[Callable[[_Case], None], ...] = (
    _waits_for_a_complete_trial,
    _waits_for_its_subjects,
    _decides_the_same_twice,
    _answers_a_question_twice,
    _decides_the_same_after_a_restart,
    _spares_the_better_trial,
    _spares_a_trial_without_mistakes,
    _looks_at_what_both_have_answered,
)
