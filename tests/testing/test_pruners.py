"""Our own pruners keep what is promised of every pruner, and a broken one is found out."""

import random
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from optuna.trial import TrialState

from mer_nas.search.config import PrunerName
from mer_nas.search.pruners import Pruner, TrialSnapshot, build
from mer_nas.testing import Check, check_pruner, pruner_checks

NEEDS = {"bootstrap": 6, "wilcoxon": 6}
"""Subjects that our pruners need."""
OTHERWISE = {
    # Patience asks whether a curve still rises, and fewer mistakes at its start let it rise less.
    "patient": ["spares_the_better_trial", "spares_a_trial_without_mistakes"],
}


def checks(name: PrunerName) -> list[Check]:
    return pruner_checks(
        lambda: build(name, chance=0.05, margin=0.0, blocks=6),
        NEEDS.get(name, 0),
        OTHERWISE.get(name, ()),
    )


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{name}-{check}")
        for name in get_args(PrunerName)
        for check in checks(name)
    ],
)
def test_our_pruners_keep_what_is_promised(check: Check) -> None:
    check()


class Eager(Pruner):
    """Stops everything at once."""

    def should_prune(self, snapshot: TrialSnapshot) -> str:
        return "at once"


class Chance(Pruner):
    """Stops by chance."""

    def should_prune(self, snapshot: TrialSnapshot) -> str:
        return "bad luck" if snapshot.best and random.random() < 0.5 else ""


class Fickle(Pruner):
    """Counts how often it is asked."""

    asked = 0

    def should_prune(self, snapshot: TrialSnapshot) -> str:
        self.asked += 1
        return "asked often" if snapshot.best and self.asked % 7 == 0 else ""


class Meddling(Pruner):
    """Writes into what it is shown."""

    def should_prune(self, snapshot: TrialSnapshot) -> str:
        next(iter(snapshot.answers.values()))[:] += 1
        return ""


class Forgetful(Pruner):
    """Remembers only the ends that it has seen coming."""

    def __init__(self) -> None:
        self.asked: set[int] = set()
        self.done = 0

    def should_prune(self, snapshot: TrialSnapshot) -> str:
        self.asked.add(snapshot.number)
        return "enough trials" if self.done > 3 else ""

    def ended(self, number: int, state: TrialState, value: float | None) -> None:
        self.done += number in self.asked


class Envious(Pruner):
    """Stops what is good."""

    def should_prune(self, snapshot: TrialSnapshot) -> str:
        right = sum(np.trace(counts) for counts in snapshot.answers.values())
        made = sum(counts.sum() for counts in snapshot.answers.values())
        return "too good" if snapshot.best and right > 0.8 * made else ""


class Prophetic(Pruner):
    """Looks at answers for subjects that the trial has not met."""

    def should_prune(self, snapshot: TrialSnapshot) -> str:
        if snapshot.best is None:
            return ""
        coming = [c for s, c in snapshot.best.answers.items() if s not in snapshot.answers]
        return (
            "the best will be good" if np.trace(sum(coming)) > sum(map(np.sum, coming)) / 2 else ""
        )


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (Eager, "waits_for_a_complete_trial"),
        (Eager, "waits_for_its_subjects"),
        (Chance, "decides_the_same_twice"),
        (Fickle, "answers_a_question_twice"),
        (Meddling, "answers_a_question_twice"),
        (Forgetful, "decides_the_same_after_a_restart"),
        (Envious, "spares_the_better_trial"),
        (Envious, "spares_a_trial_without_mistakes"),
        (Prophetic, "looks_at_what_both_have_answered"),
    ],
)
def test_a_broken_pruner_is_found_out(make: Callable[[], Pruner], name: str) -> None:
    (check,) = [check for check in pruner_checks(make, subjects=4) if check.name == name]
    with pytest.raises(AssertionError, match=f"^{name}: "):
        check()


def test_all_promises_that_a_pruner_breaks_are_said_at_once() -> None:
    with pytest.raises(AssertionError) as caught:
        check_pruner(Envious)
    said = str(caught.value)
    assert "spares_the_better_trial: " in said
    assert "spares_a_trial_without_mistakes: " in said
    check_pruner(Envious, without=["spares_the_better_trial", "spares_a_trial_without_mistakes"])
