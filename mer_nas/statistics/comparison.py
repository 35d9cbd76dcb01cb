"""One candidate against others over the same subjects, and how easily chance would give that.

Sources: Wilcoxon 1945 (Biometrics Bulletin 1) for signed ranks; Holm 1979 (Scandinavian Journal
of Statistics 6) for many comparisons at once.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from mer_nas.config.base import Config, Share
from mer_nas.evaluation.metrics import Counts, uf1
from mer_nas.statistics.bootstrap import (
    DRAWS,
    Estimate,
    around,
    bootstrap_weights,
    resampled_counts,
    widening,
)


class PairedComparison(Config):
    """How two candidates compare over the same subjects."""

    difference: Estimate
    """In mean UF1 over repetitions, first minus second."""
    p: Share
    """Two-sided exact signed-rank test over subjects of the number of correct answers."""
    adjusted: Share
    """The same, corrected for all comparisons made at once (Holm)."""

    def turned(self) -> Self:
        """Return how the second compares with the first."""
        found = self.difference
        turned = Estimate(value=0 - found.value, low=0 - found.high, high=0 - found.low)
        return self.model_copy(update={"difference": turned})


def compare_pairs(one: Counts, others: Mapping[str, Counts]) -> dict[str, PairedComparison]:
    """Compare `one` with each of `others`, all (R, S, K, K) over the same subjects; R may differ.

    The p-value and the interval answer two questions: whether subjects by and large are read
    better, each subject counting once, and by how much the pooled UF1 differs.
    """
    p_values = [signed_rank_p(_ahead(one, other), "two-sided") for other in others.values()]
    return {
        name: PairedComparison(difference=_difference(one, other), p=p, adjusted=adjusted)
        for (name, other), p, adjusted in zip(
            others.items(), p_values, holm(p_values), strict=True
        )
    }


def chance_as_good(one: Counts, other: Counts, draws: int = DRAWS, seed: int = 0) -> float:
    """Return the share of draws of the subjects in which `one` is at least as good as `other`.

    That is, in mean UF1 over repetitions, both (R, S, K, K) over the same subjects; R may differ.
    """
    weights = bootstrap_weights(one.shape[-3], draws, seed)
    ours, theirs = (uf1(resampled_counts(weights, counts)).mean(-1) for counts in (one, other))
    return float(np.mean(ours >= theirs))


def _difference(one: Counts, other: Counts) -> Estimate:
    """Return how far `one` lies above `other` in UF1, both (R, S, K, K) over the same subjects.

    Every draw takes the same subjects for both, so what is hard for both cancels out; R may
    differ.
    """
    weights = bootstrap_weights(one.shape[-3])
    value = float(uf1(one.sum(-3)).mean() - uf1(other.sum(-3)).mean())
    ours, theirs = (uf1(resampled_counts(weights, counts)).mean(-1) for counts in (one, other))
    low, high = around(value, ours - theirs, widening(one))
    return Estimate(value=value, low=max(-1.0, low), high=min(1.0, high))


def _ahead(one: Counts, other: Counts) -> NDArray[np.int64]:
    """Return by how many correct answers (S,) `one` leads, times the repetitions of both."""
    ours, theirs = (np.trace(counts, axis1=-2, axis2=-1).sum(0) for counts in (one, other))
    return np.asarray(ours * len(other) - theirs * len(one), dtype=np.int64)


def signed_rank_p(
    differences: NDArray[np.int64], alternative: Literal["less", "two-sided"] = "less"
) -> float:
    """Return the exact p-value of the signed-rank test that `differences` are centred on 0.

    Subjects with few clips tie all the time, for which the usual tables do not hold and
    enumerating all signs takes seconds; the distribution is computed by convolution over doubled
    mid-ranks instead. Zeros take part in the ranking and count half for each side (Optuna and
    scipy call it zsplit).

    Args:
        differences: (S,), integers, so that equal ones are ranked as equal.
        alternative: That they lie below 0, or on either side.

    >>> signed_rank_p(np.array([-1, -2, -3, -4, -5]))
    0.03125
    >>> signed_rank_p(np.array([-1, -2, -3, -4, -5]), "two-sided")
    0.0625
    """
    from scipy.stats import rankdata  # not wherever settings are read: it takes a second

    doubled = np.rint(2 * rankdata(np.abs(differences))).astype(np.int64)
    above = int(doubled[differences > 0].sum())
    flips = doubled[differences != 0]
    chance = np.zeros(int(flips.sum()) + 1)  # of each sum of the ranks above zero
    chance[0] = 1.0
    for rank in flips:
        shifted = np.zeros_like(chance)
        shifted[rank:] = chance[: len(chance) - rank]
        chance = (chance + shifted) / 2
    less = float(chance[: above + 1].sum())
    if alternative == "less":
        return less
    return min(1.0, 2 * min(less, float(chance[above:].sum())))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values that hold for all comparisons at once (step-down), in the order given.

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return tuple(adjusted)
