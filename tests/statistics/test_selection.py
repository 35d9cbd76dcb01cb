import numpy as np
import pytest

from mer_nas.evaluation.metrics import Scores
from mer_nas.statistics import Correction, Estimate, correct

CLASSES = ("no", "yes")
RIGHT, WRONG = np.eye(2, dtype=np.int64), 1 - np.eye(2, dtype=np.int64)


def candidates(*rows: str) -> np.ndarray:
    """Return (C, S, 2, 2) from words such as "+-": subjects of one clip a class, right or wrong."""
    return np.array([[RIGHT if mark == "+" else WRONG for mark in row] for row in rows])


def test_whoever_is_right_about_one_subject_only_is_worth_nothing_on_the_others() -> None:
    # The best on a draw is right about a subject that was drawn, so wrong about all left out.
    found = correct(candidates("+--", "-+-", "--+"), CLASSES)
    assert found.score == pytest.approx(1 / 3)
    assert found.uf1.value == found.uar.value == found.accuracy.value == 0.0
    assert found.optimism == pytest.approx(1 / 3)
    assert found.candidates == 3


def test_three_subjects_by_hand() -> None:
    """Two candidates, right about the first two subjects and about the third.

    Of 27 equally likely draws, 7 take the third subject at least twice: the second candidate wins
    and is wrong about the 2 + 6 subjects left out of them. In 12 the first two make two of three
    places: 6 leave one of them out, of whom the first candidate is right. In 8 the third is never
    drawn: 2 draws of one subject three times leave out one right and one wrong, 6 leave out only
    the third, wrong. So 8 of 24 answers are right.
    """
    found = correct(candidates("++-", "--+"), CLASSES, draws=40_000)
    assert found.score == pytest.approx(2 / 3)
    assert found.uf1.value == pytest.approx(8 / 24, abs=0.01)


def test_a_single_candidate_has_nothing_to_correct() -> None:
    dice = np.random.default_rng(0)
    counts = dice.integers(0, 5, (1, 40, 3, 3))
    found = correct(counts, ("a", "b", "c"))
    assert found.optimism == pytest.approx(0.0, abs=0.005)
    assert found.uf1.low < found.uf1.value < found.uf1.high


def test_the_same_counts_give_the_same_numbers_to_the_last_bit_in_any_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = np.random.default_rng(1).integers(0, 4, (30, 20, 3, 3))
    whole = correct(counts, ("a", "b", "c"))
    monkeypatch.setattr("mer_nas.statistics.selection._CELLS", 1000)
    assert correct(counts, ("a", "b", "c")) == whole
    assert correct(counts, ("a", "b", "c"), seed=1) != whole


def test_of_equals_the_first_is_chosen() -> None:
    equals = candidates("+-" * 12, "+" * 12 + "-" * 12)
    chosen = correct(equals, CLASSES)
    alone = [correct(equals[[row]], CLASSES) for row in (0, 1)]
    below = [found.uf1.value - found.uf1.low for found in (chosen, *alone)]
    assert below[0] == pytest.approx(below[1], abs=1e-12)
    assert below[0] != pytest.approx(below[2], abs=1e-6)


def test_no_score_is_corrected_upwards() -> None:
    same = Estimate(value=0.5, low=0.4, high=0.6)
    naive = Scores(uf1=0.45, uar=0.5, accuracy=0.7, confusion=((1,),))
    found = Correction(
        candidates=2, score=0.45, optimism=-0.05, uf1=same, uar=same, accuracy=same
    ).no_better(naive)
    assert found.optimism == 0.0
    assert (found.uf1.value, found.uf1.low, found.uf1.high) == pytest.approx((0.45, 0.35, 0.55))
    assert (found.uar, found.accuracy) == (same, same)
