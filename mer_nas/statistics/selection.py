"""What the best of many candidates is worth once it is not judged by what it was chosen by.

Bootstrap bias corrected cross-validation (BBC-CV; Tsamardinos, Greasidou & Borboudakis 2018,
Machine Learning 107): subjects are drawn with replacement, the best
candidate on those drawn is looked at on those left out, and so again and again. Nothing is trained
for it. Two things are as this field has them:

- subjects are bootstrap_weights, not clips, because clips of one face are not independent;
- what the winners say of subjects left out is pooled over all draws before it is scored, as the
  MEGC guideline pools folds. The mean of the draws' own UF1 would lie lower the fewer subjects
  there are, because a draw's third of them may show no clip of a class.

The candidates must be those among which the search chose, all over the same subjects. A candidate
that was stopped early is missing here; a pruner must therefore spare those that a draw of subjects
could have made the winner (see `search.pruners`).
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from mer_nas.config.base import Config, Share
from mer_nas.errors import DataError
from mer_nas.evaluation.metrics import METRICS, Counts, Scores, Values, uf1
from mer_nas.statistics.bootstrap import (
    DRAWS,
    Difference,
    Estimate,
    bootstrap_weights,
    check_counts,
    interval,
    resampled_counts,
)

_CELLS = 4_000_000
"""Confusion cells that are held in memory at a time."""


class Correction(Config):
    """The corrected scores of a choice."""

    candidates: PositiveInt
    """C: among how many it was made."""
    score: Share
    """UF1 by which the choice was made."""
    optimism: Difference
    """By how much that flatters: the score minus the corrected UF1."""
    uf1: Estimate
    """Corrected, as are the next two."""
    uar: Estimate
    accuracy: Estimate

    def no_better(self, naive: Scores) -> Self:
        """Return it with no score above that which it corrects: chance alone lifts one there.

        Args:
            naive: The scores of the chosen candidate.
        """
        corrected = {
            name: _no_better(getattr(self, name), getattr(naive, name)) for name in METRICS
        }
        return self.model_copy(update={"optimism": max(0.0, self.optimism), **corrected})


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
    check_counts(candidates, classes)
    weights = bootstrap_weights(candidates.shape[1], draws, seed)
    winners = _winners(weights, candidates)
    left_out = np.einsum("bs,bsij->ij", weights == 0, candidates[winners])
    chosen = candidates[int(uf1(candidates.sum(1)).argmax())]
    return correction_of(chosen, left_out, len(candidates), draws, seed)


def correction_of(
    chosen: Counts, left_out: Counts, candidates: int, draws: int, seed: int
) -> Correction:
    """Return what a choice is worth, from what the choices of all draws said of those left out.

    Args:
        chosen: (S, K, K), of what was chosen by all subjects.
        left_out: (K, K), of what each draw chose and the subjects that it left out, pooled.
        candidates: C, among how many the choice was made.
        draws: B.
        seed: Of the draws.
    """
    resampled = resampled_counts(bootstrap_weights(len(chosen), draws, seed), chosen)
    estimates = {}
    for name, metric in METRICS.items():
        value = float(metric(left_out))
        low, high = interval(value, metric(resampled), chosen)
        estimates[name] = Estimate(value=value, low=max(0.0, low), high=min(1.0, high))
    score = float(uf1(chosen.sum(0)))
    return Correction(
        candidates=candidates,
        score=score,
        optimism=score - estimates["uf1"].value,
        **estimates,
    )


def _no_better(corrected: Estimate, naive: float) -> Estimate:
    above = max(0.0, corrected.value - naive)
    low, high = max(0.0, corrected.low - above), max(0.0, corrected.high - above)
    return Estimate(value=corrected.value - above, low=low, high=high)


def _winners(weights: Values, candidates: Counts) -> NDArray[np.int64]:
    """Return the best candidate (B,) of every draw, of equals the first."""
    size = max(1, _CELLS // (candidates.size // candidates.shape[1]))
    parts = [weights[start : start + size] for start in range(0, len(weights), size)]
    return np.concatenate([uf1(resampled_counts(part, candidates)).argmax(1) for part in parts])
