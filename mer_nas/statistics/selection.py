"""What the best of many candidates is worth once it is not judged by what it was chosen by.

Bootstrap bias corrected cross-validation (BBC-CV; Tsamardinos, Greasidou & Borboudakis 2018,
Machine Learning 107): subjects are drawn with replacement, the best
candidate on those drawn is looked at on those left out, and so again and again. Nothing is trained
for it. Two things are as this field has them:

- subjects are drawn, not clips, because clips of one face are not independent;
- what the winners say of subjects left out is pooled over all draws before it is scored, as the
  MEGC guideline pools folds. The mean of the draws' own UF1 would lie lower the fewer subjects
  there are, because a draw's third of them may show no clip of a class.

The candidates must be those among which the search chose, all over the same subjects. A candidate
that was stopped early is missing here; a pruner must therefore spare those that a draw of subjects
could have made the winner (see `search.pruners`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_nas.errors import DataError
from mer_nas.statistics.bootstrap import DRAWS, Estimate, around, drawn, totals, widening
from mer_nas.statistics.counts import METRICS, Counts, Values, check, uf1

_CELLS = 4_000_000
"""Confusion cells that are held in memory at a time."""


@dataclass(frozen=True)
class Correction:
    """The corrected scores of a choice."""

    candidates: int
    """C: among how many it was made."""
    selected: int
    """Row of the chosen candidate: highest UF1, of equals the first."""
    score: float
    """Its UF1, by which it was chosen."""
    uf1: Estimate
    uar: Estimate
    accuracy: Estimate

    @property
    def optimism(self) -> float:
        """How much the choice flatters the score: UF1 minus corrected UF1."""
        return self.score - self.uf1.value


def correct(
    candidates: Counts, classes: Sequence[str], draws: int = DRAWS, seed: int = 0
) -> Correction:
    """Return what the candidate with the highest UF1 is worth.

    Args:
        candidates: (C, S, K, K).
        classes: Names of the K classes.
        draws: B.
        seed: Of the draws.

    Raises:
        DataError: There is no candidate, there are too few subjects, or a class is absent.
    """
    if not len(candidates):
        raise DataError("no candidate is complete, so there is no choice to correct")
    check(candidates, classes)
    weights = drawn(candidates.shape[1], draws, seed)
    winners = _winners(weights, candidates)
    left_out = np.einsum("bs,bsij->ij", weights == 0, candidates[winners])
    scores = uf1(candidates.sum(1))
    selected = int(scores.argmax())
    resampled = totals(weights, candidates[selected])
    factor = widening(candidates)
    estimates = {}
    for name, metric in METRICS.items():
        value = float(metric(left_out))
        low, high = around(value, metric(resampled), factor)
        estimates[name] = Estimate(value, max(0.0, low), min(1.0, high))
    return Correction(len(candidates), selected, float(scores[selected]), **estimates)


def _winners(weights: Values, candidates: Counts) -> NDArray[np.int64]:
    """Return the best candidate (B,) of every draw, of equals the first."""
    size = max(1, _CELLS // (candidates.size // candidates.shape[1]))
    parts = [weights[start : start + size] for start in range(0, len(weights), size)]
    return np.concatenate([uf1(totals(part, candidates)).argmax(1) for part in parts])
