"""How easily chance alone would give a difference.

Sources: Wilcoxon 1945 (Biometrics Bulletin 1) for signed ranks; Holm 1979 (Scandinavian Journal
of Statistics 6) for many comparisons at once.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


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
