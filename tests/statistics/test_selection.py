import numpy as np
import pytest

from mer_nas.statistics import correct

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
    assert (found.candidates, found.selected) == (3, 0)


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
    found = correct(candidates("+-+-", "++--", "----"), CLASSES)
    assert found.selected == 0
