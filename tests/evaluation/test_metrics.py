"""Scores, against counts by hand and published figures."""

import pytest

from mer_nas.evaluation.metrics import scores


def test_always_negative_on_the_composite_gives_the_published_floor() -> None:
    labels = [0] * 250 + [1] * 109 + [2] * 83
    found = scores(labels, [0] * 442, classes=3)
    assert found.accuracy == pytest.approx(0.5656, abs=5e-5)
    assert found.uf1 == pytest.approx(0.2408, abs=5e-5)
    assert found.uar == pytest.approx(0.3333, abs=5e-5)


def test_a_count_by_hand() -> None:
    # Class 0: 2 of 3 found, 1 wrongly claimed; class 1: 1 of 2, 1 claimed; class 2: 1 of 1, none.
    found = scores([0, 0, 0, 1, 1, 2], [0, 0, 1, 0, 1, 2], classes=3)
    assert found.per_class_f1 == pytest.approx((2 / 3, 1 / 2, 1.0))
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
