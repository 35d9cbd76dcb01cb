import numpy as np
import pytest
from scipy.stats import binomtest, t

from mer_nas.evaluation.metrics import Metric, accuracy, uar, uf1
from mer_nas.statistics import bootstrap_weights, compare_pairs, estimate, resampled_counts
from mer_nas.statistics.bootstrap import widening


def of_shares(shares: list[float], clips: int = 10) -> np.ndarray:
    """Return (1, S, 2, 2): subjects with as many clips of both classes, read right so often."""
    counts = np.zeros((1, len(shares), 2, 2), dtype=np.int64)
    for row, share in enumerate(shares):
        right = round(share * clips)
        counts[0, row] = [[right, clips - right], [clips - right, right]]
    return counts


def test_a_draw_takes_as_many_subjects_as_there_are_and_sums_them() -> None:
    weights = bootstrap_weights(7, draws=50, seed=3)
    counts = np.random.default_rng(0).integers(0, 9, (4, 7, 3, 3))
    assert weights.shape == (50, 7)
    assert set(weights.sum(1)) == {7}
    by_hand = sum(int(times) * counts[2, row] for row, times in enumerate(weights[11]))
    assert (resampled_counts(weights, counts)[11, 2] == by_hand).all()


def test_the_interval_of_a_mean_over_equal_subjects_is_students() -> None:
    # UF1 is here the mean over subjects of the share right, so the t interval is the reference.
    shares = np.random.default_rng(1).normal(0.6, 0.1, 30).round(1)
    found = estimate(of_shares(list(shares)))
    half = t.ppf(0.975, 29) * shares.std(ddof=1) / np.sqrt(30)
    assert found.value == pytest.approx(shares.mean())
    assert found.low == pytest.approx(shares.mean() - half, abs=0.004)
    assert found.high == pytest.approx(shares.mean() + half, abs=0.004)


def test_where_nobody_is_told_wrong_the_interval_is_the_exact_one_of_as_many_successes() -> None:
    found = estimate(of_shares([1.0] * 12))
    exact = binomtest(12, 12).proportion_ci(0.95, "exact")
    assert found.low == pytest.approx(exact.low)
    assert (found.value, found.high) == (1.0, exact.high)


@pytest.mark.parametrize("metric", [uf1, uar, accuracy])
def test_where_everybody_is_told_wrong_it_is_the_exact_one_of_no_success(metric: Metric) -> None:
    found = estimate(of_shares([0.0] * 12), metric)
    exact = binomtest(0, 12).proportion_ci(0.95, "exact")
    assert (found.value, found.low) == (0.0, exact.low)
    assert found.high == pytest.approx(exact.high)


def test_where_every_subject_is_half_right_the_next_may_be_better_or_worse() -> None:
    """Of 5 subjects alike, all were so: by the exact interval of 5 successes of 5."""
    always_first = np.tile([[3, 0], [3, 0]], (1, 5, 1, 1))
    found, unseen = estimate(always_first), 1 - binomtest(5, 5).proportion_ci(0.95, "exact").low
    assert found.value == pytest.approx(1 / 3)
    assert (found.low, found.high) == (0.0, pytest.approx(1 / 3 + unseen))


def test_repetitions_are_averaged_and_an_optimism_is_taken_off_all_three() -> None:
    counts = np.concatenate([of_shares([0.5, 0.6, 0.7]), of_shares([0.7, 0.8, 0.9])])
    found, less = estimate(counts), estimate(counts, less=0.05)
    assert found.value == pytest.approx(0.7)
    assert [less.value, less.low, less.high] == pytest.approx(
        [found.value - 0.05, found.low - 0.05, found.high - 0.05]
    )
    assert estimate(counts, accuracy).value == pytest.approx(0.7)


def test_unequal_subjects_count_as_fewer() -> None:
    equal, unequal = of_shares([0.5] * 10), of_shares([0.5] * 10)
    unequal[0, 0] *= 20
    assert 1.0 < widening(equal) < 1.25 < widening(unequal)
    assert widening(np.concatenate([equal] * 3)) == widening(equal)


def test_a_lead_that_every_subject_shares_is_seen_through_their_differences() -> None:
    """Subjects differ by far more than the candidates, but the lead is the same for all."""
    shares = list(np.linspace(0.2, 0.8, 13))
    behind, ahead = of_shares(shares, 20), of_shares([share + 0.1 for share in shares], 20)
    lead = compare_pairs(ahead, {"behind": behind})["behind"].difference
    assert lead.value == pytest.approx(0.1)
    assert 0.08 < lead.low <= lead.value <= lead.high < 0.12
    alone = estimate(ahead)
    assert alone.high - alone.low > 5 * (lead.high - lead.low)


def test_comparisons_are_exact_tests_over_subjects_corrected_for_their_number() -> None:
    one = of_shares([0.9] * 6)
    others = {"worse": of_shares([0.8, 0.7, 0.6, 0.5, 0.4, 0.3]), "same": one}
    found = compare_pairs(one, others)
    assert found["worse"].p == 2 / 2**6  # better for all of six
    assert found["worse"].adjusted == 2 * found["worse"].p
    assert [found["same"].p, found["same"].adjusted] == [1.0, 1.0]
    assert found["worse"].difference.value == pytest.approx(0.9 - 0.55)
    assert found["same"].difference.low == found["same"].difference.high == 0.0


def test_candidates_with_unlike_numbers_of_repetitions_compare_by_their_means() -> None:
    one = of_shares([0.9, 0.8, 0.7, 0.6])
    assert compare_pairs(np.concatenate([one] * 3), {"itself": one})["itself"].p == 1.0


def test_uf1_of_those_counts_is_the_share_right() -> None:
    assert uf1(of_shares([0.3, 0.5]).sum(1)).item() == pytest.approx(0.4)
