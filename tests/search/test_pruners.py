import math

import numpy as np
import pytest
from numpy.typing import NDArray
from optuna.trial import TrialState

from mer_nas.evaluation.metrics import uf1
from mer_nas.search.config import PrunerName
from mer_nas.search.pruners import (
    Best,
    Bootstrap,
    Bound,
    TrialSnapshot,
    Wilcoxon,
    build,
)

Answers = NDArray[np.int64]


def confusion(labels: Answers, chosen: Answers) -> Answers:
    counts = np.zeros((3, 3), dtype=np.int64)
    np.add.at(counts, (labels, chosen), 1)
    return counts


def snapshot(labels: Answers, chosen: Answers, done: int, best: Best | None) -> TrialSnapshot:
    remaining = np.bincount(labels[done:], minlength=3)
    return TrialSnapshot(1, {"toy:all": confusion(labels[:done], chosen[:done])}, remaining, best)


def right(clips: int, of: int = 20) -> Answers:
    """Return the confusion of a subject with so many correct answers, all of one class."""
    counts = np.zeros((3, 3), dtype=np.int64)
    counts[0, :2] = clips, of - clips
    return counts


def random_study(dice: np.random.Generator) -> tuple[Answers, list[Answers]]:
    """Return the labels of 40 clips, and what 6 candidates of unlike quality answered."""
    labels = np.concatenate([[0, 1, 2], dice.choice(3, 37, p=[0.6, 0.25, 0.15])])
    candidates = []
    for quality in dice.uniform(0.3, 0.98, 6):
        wrong = (labels + dice.integers(1, 3, labels.size)) % 3
        candidates.append(np.where(dice.random(labels.size) < quality, labels, wrong))
    return labels, candidates


def test_the_bound_is_what_a_trial_reaches_that_makes_no_further_mistake() -> None:
    labels, (chosen, *_) = random_study(np.random.default_rng(1))
    for done in range(0, 40, 7):
        perfect = np.concatenate([chosen[:done], labels[done:]])
        place = snapshot(labels, chosen, done, None)
        assert place.reachable_uf1 == pytest.approx(uf1(confusion(labels, perfect)), abs=1e-12)


def test_the_bound_without_margin_never_prunes_a_winner_in_1000_studies() -> None:
    pruner, pruned = Bound(), 0
    dice = np.random.default_rng(2)
    for _ in range(1000):
        labels, candidates = random_study(dice)
        best: Best | None = None
        for chosen in candidates:
            value = uf1(confusion(labels, chosen))
            stopped = any(
                pruner.should_prune(snapshot(labels, chosen, done, best))
                for done in range(4, 40, 4)
            )
            pruned += stopped
            assert not (stopped and (best is None or value > best.value))
            if not stopped and (best is None or value > best.value):
                best = Best(0, value, {})
        assert best is not None
        assert best.value == max(uf1(confusion(labels, chosen)) for chosen in candidates)
    assert pruned > 2000  # it does prune, most of what cannot win


def test_the_margin_is_how_far_below_the_best_a_trial_may_end() -> None:
    labels = np.repeat([0, 1, 2], 10)
    chosen = labels.copy()
    chosen[0] = 1  # one mistake: two F1 of 18/19 and 20/21, one of 1
    reachable = (18 / 19 + 20 / 21 + 1) / 3
    place = snapshot(labels, chosen, 5, Best(3, reachable + 0.02, {}))
    assert Bound(0.021).should_prune(place) == ""
    assert Bound(0.019).should_prune(place) == (
        f"can reach a UF1 of at most {reachable:.3f}; trial 3 has {reachable + 0.02:.3f}"
    )


@pytest.mark.parametrize(("subjects", "stops"), [(5, False), (6, False), (7, True), (12, True)])
def test_wilcoxon_stops_what_is_worse_for_every_subject_once_there_are_seven(
    subjects: int, stops: bool
) -> None:
    # The smallest p-value of n subjects is 2 to the power of -n: 0.0156 for 6, 0.0078 for 7.
    names = [f"toy:s{number}" for number in range(subjects)]
    best = Best(4, 0.9, dict.fromkeys(names, right(5)))
    place = TrialSnapshot(9, dict.fromkeys(names, right(3)), np.ones(3), best)
    reason = Wilcoxon().should_prune(place)
    assert bool(reason) is stops
    if subjects == 7:
        assert reason == "worse than trial 4 over 7 subjects, p = 0.0078"


def test_wilcoxon_spares_a_trial_whose_mean_is_the_bests() -> None:
    names = [f"toy:s{number}" for number in range(10)]
    best = Best(4, 0.9, dict.fromkeys(names, right(5)))
    answers = dict.fromkeys(names, right(4)) | {
        names[0]: right(14)
    }  # worse for 9, far better for 1
    place = TrialSnapshot(9, answers, np.ones(3), best)
    assert Wilcoxon(level=1.0).should_prune(place) == ""


@pytest.mark.parametrize("name", ["median", "percentile", "halving", "hyperband", "patient"])
def test_optunas_pruners_stop_a_poor_curve_and_no_good_one(name: PrunerName) -> None:
    pruner = build(name, chance=0.05, margin=0.0, blocks=9)
    empty = np.zeros((3, 3), dtype=np.int64)
    stopped: dict[int, int] = {}
    for number in range(24):
        good = number % 2 == 0
        for step in range(1, 10):
            # Poor curves do not rise, which is what the patient pruner asks for.
            level = (step + number / 100) / 10 if good else 0.1 - (step + number) / 500
            pruner.report(number, step, level)
            if step < 9 and pruner.should_prune(
                TrialSnapshot(number, {"toy:all": empty}, np.ones(3), None)
            ):
                stopped[number] = step
                break
        state = TrialState.PRUNED if number in stopped else TrialState.COMPLETE
        pruner.ended(number, state, level)
    poor = {number for number in stopped if number % 2}
    assert len(poor) >= 6
    assert len(stopped) - len(poor) <= len(poor)
    if name in ("median", "percentile", "patient"):
        assert len(stopped) == len(poor)


SUBJECTS = [f"toy:s{number}" for number in range(8)]


def test_the_bootstrap_stops_what_is_worse_for_every_subject_and_says_against_whom() -> None:
    best = Best(4, 0.9, dict.fromkeys(SUBJECTS, right(15)))
    place = TrialSnapshot(9, dict.fromkeys(SUBJECTS, right(14)), np.ones(3), best)
    assert Bootstrap().should_prune(place) == (
        "as good as trial 4 in 0.0% of the draws of its first 8 subjects"
    )
    assert Bootstrap(chance=0.0).should_prune(place) == ""


def test_the_bootstrap_needs_a_complete_trial_and_six_subjects() -> None:
    hopeless = {subject: right(0) for subject in SUBJECTS}
    assert Bootstrap().should_prune(TrialSnapshot(9, hopeless, np.ones(3), None)) == ""
    best = Best(4, 0.9, dict.fromkeys(SUBJECTS, right(20)))
    stops = [
        bool(
            Bootstrap().should_prune(
                TrialSnapshot(9, dict(list(hopeless.items())[:done]), np.ones(3), best)
            )
        )
        for done in range(1, 9)
    ]
    assert stops == [False] * 5 + [True] * 3


@pytest.mark.parametrize(("chance", "stops"), [(0.42, False), (0.47, True)])
def test_the_bootstrap_counts_the_draws_in_which_a_trial_is_as_good(
    chance: float, stops: bool
) -> None:
    """By hand: two answers behind for one of eight subjects, one ahead for another.

    A draw takes them a and b times, by the multinomial law, and is as good where b >= 2 a.
    """
    best = Best(4, 0.9, dict.fromkeys(SUBJECTS, right(10)))
    answers = dict.fromkeys(SUBJECTS, right(10)) | {SUBJECTS[0]: right(8), SUBJECTS[1]: right(11)}
    law = {
        (a, b): math.comb(8, a) * math.comb(8 - a, b) * 6 ** (8 - a - b) / 8**8
        for a in range(9)
        for b in range(9 - a)
    }
    assert sum(law.values()) == pytest.approx(1.0)
    assert sum(chance for (a, b), chance in law.items() if b >= 2 * a) == pytest.approx(
        0.448, abs=5e-4
    )
    place = TrialSnapshot(9, answers, np.ones(3), best)
    assert bool(Bootstrap(chance, draws=4000).should_prune(place)) is stops
