import random
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import PermutationMethod, wilcoxon

from mer_nas.statistics import holm, signed_rank_p


def differences(seed: int, size: int, spread: Sequence[int]) -> NDArray[np.int64]:
    dice = random.Random(seed)
    return np.array([dice.choice(spread) for _ in range(size)])


@pytest.mark.parametrize("alternative", ["less", "two-sided"])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spread", [(-2, -1, 0, 1), (-3, -2, -1, 1, 2), (-1, 0)])
def test_the_p_value_is_that_of_scipy_with_ties_and_zeros(
    seed: int, spread: Sequence[int], alternative: str
) -> None:
    sample = differences(seed, 5 + seed, spread)
    if not sample.any():
        sample[0] = -1
    expected = wilcoxon(
        sample,
        zero_method="zsplit",
        alternative=alternative,
        method=PermutationMethod(n_resamples=1e6),
    ).pvalue
    assert signed_rank_p(sample, alternative) == pytest.approx(expected, abs=1e-12)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [6, 12, 30])
def test_the_p_value_is_that_of_scipys_exact_table_without_ties(size: int) -> None:
    sample = np.random.default_rng(size).permutation(np.arange(1, size + 1))
    sample[: size * 2 // 3] *= -1
    expected = wilcoxon(sample, alternative="less", method="exact").pvalue
    assert signed_rank_p(sample) == pytest.approx(expected, abs=1e-12)


def test_equal_answers_are_no_evidence() -> None:
    nothing = np.zeros(8, dtype=np.int64)
    assert [signed_rank_p(nothing), signed_rank_p(nothing, "two-sided")] == [1.0, 1.0]


def test_holm_multiplies_the_smallest_by_all_and_never_turns_the_order() -> None:
    # Holm 1979: sorted 0.01, 0.013, 0.014, 0.2 times 4, 3, 2, 1, each at least the one before.
    assert holm([0.2, 0.01, 0.014, 0.013]) == pytest.approx([0.2, 0.04, 0.04, 0.04])
    assert holm([0.6, 0.7]) == (1.0, 1.0)
    assert holm([]) == ()
