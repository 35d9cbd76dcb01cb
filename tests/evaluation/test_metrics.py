"""Scores, against counts by hand and published figures."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from mer_nas.evaluation.metrics import (
    accuracy,
    confusion_of,
    f1_of_present,
    scores,
    uar,
    uf1,
    weighted_f1,
)


def test_always_negative_on_the_composite_gives_the_published_floor() -> None:
    labels = [0] * 250 + [1] * 109 + [2] * 83
    found = scores(labels, [0] * 442, classes=3)
    assert found.accuracy == pytest.approx(0.5656, abs=5e-5)
    assert found.uf1 == pytest.approx(0.2408, abs=5e-5)
    assert found.uar == pytest.approx(0.3333, abs=5e-5)


def test_a_count_by_hand() -> None:
    # Class 0: 2 of 3 found, 1 wrongly claimed; class 1: 1 of 2, 1 claimed; class 2: 1 of 1, none.
    found = scores([0, 0, 0, 1, 1, 2], [0, 0, 1, 0, 1, 2], classes=3)
    assert found.uf1 == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert found.uar == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.confusion == ((2, 1, 0), (1, 1, 0), (0, 0, 1))
    assert found.weighted_f1 == pytest.approx((3 * 2 / 3 + 2 * 1 / 2 + 1 * 1.0) / 6)


def test_a_class_that_has_not_come_yet_counts_zero() -> None:
    found = scores([0, 1], [0, 1], classes=3)
    assert found.uf1 == pytest.approx(2 / 3)
    assert found.uar == pytest.approx(2 / 3)
    assert found.confusion == ((1, 0, 0), (0, 1, 0), (0, 0, 0))


def test_all_right_is_one() -> None:
    found = scores([0, 1, 2], [0, 1, 2], classes=3)
    assert (found.uf1, found.uar, found.accuracy) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("classes", [2, 3, 5, 7])
def test_every_score_is_scikit_learns_to_the_last_bit(classes: int) -> None:
    dice = np.random.default_rng(classes)
    known = list(range(classes))
    pairs = [
        dice.integers(0, classes, (2, size)) for size in (1, 2, 5, 40, 442) for _ in range(20)
    ]
    counts = np.array([confusion_of(*pair, classes) for pair in pairs])
    assert np.array_equal(counts, [confusion_matrix(*pair, labels=known) for pair in pairs])
    each = {"labels": known, "average": None, "zero_division": 0.0}
    f1 = [f1_score(*pair, **each) for pair in pairs]
    assert uf1(counts).tolist() == [float(np.mean(of)) for of in f1]
    recalls = [recall_score(*pair, **each) for pair in pairs]
    assert uar(counts).tolist() == [float(np.mean(of)) for of in recalls]
    assert accuracy(counts).tolist() == [accuracy_score(*pair) for pair in pairs]
    weighted = [np.average(of, weights=c.sum(1)) for of, c in zip(f1, counts, strict=True)]
    assert weighted_f1(counts).tolist() == weighted
    present = [f1_score(*pair, average="macro", zero_division=0.0) for pair in pairs]
    assert [f1_of_present(confusion) for confusion in counts] == present
