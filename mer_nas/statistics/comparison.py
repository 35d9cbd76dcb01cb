"""One candidate against others over the same subjects."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_nas.statistics.bootstrap import Estimate, difference
from mer_nas.statistics.counts import Counts
from mer_nas.statistics.significance import holm, signed_rank_p


@dataclass(frozen=True)
class Paired:
    """How two candidates compare."""

    difference: Estimate
    """In mean UF1 over repetitions, first minus second."""
    p: float
    """Two-sided signed-rank test over subjects of the number of correct answers."""
    adjusted: float
    """`p` after Holm's correction for all comparisons made at once."""


def compare(one: Counts, others: Mapping[str, Counts]) -> dict[str, Paired]:
    """Compare `one` with each of `others`, all (R, S, K, K) over the same subjects; R may differ.

    The p-value and the interval answer two questions: whether subjects by and large are read
    better, each subject counting once, and by how much the pooled UF1 differs.
    """
    p_values = [signed_rank_p(_ahead(one, other), "two-sided") for other in others.values()]
    return {
        name: Paired(difference(one, other), p, adjusted)
        for (name, other), p, adjusted in zip(
            others.items(), p_values, holm(p_values), strict=True
        )
    }


def _ahead(one: Counts, other: Counts) -> NDArray[np.int64]:
    """Return by how many correct answers (S,) `one` leads, times the repetitions of both."""
    ours, theirs = (np.trace(counts, axis1=-2, axis2=-1).sum(0) for counts in (one, other))
    return np.asarray(ours * len(other) - theirs * len(one), dtype=np.int64)
