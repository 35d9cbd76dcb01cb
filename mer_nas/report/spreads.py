"""Scores over several seeds as their mean and spread."""

import statistics
from collections.abc import Sequence

from mer_nas.report.facts import DatasetScores, SeedScores
from mer_nas.report.schema import Spread


def spread(values: Sequence[float]) -> Spread:
    """Return mean, standard deviation and range of a score over seeds.

    >>> spread([0.5, 0.75]).mean, spread([0.5]).deviation
    (0.625, None)
    """
    low, high = min(values), max(values)
    return Spread(
        # The mean of equal numbers may leave their range by a rounding.
        mean=min(max(statistics.fmean(values), low), high),
        deviation=statistics.stdev(values) if len(values) > 1 else None,
        low=low,
        high=high,
        seeds=len(values),
    )


def spreads(scores: Sequence[SeedScores | DatasetScores]) -> dict[str, Spread]:
    """Return the spread of each score of several repetitions, by its name."""
    return {
        name: spread([getattr(score, name) for score in scores])
        for name in ("uf1", "uar", "accuracy")
    }


def others(scores: Sequence[SeedScores | DatasetScores]) -> dict[str, Spread]:
    """Return the spread of each score that papers state instead, where every repetition has it."""
    found = {
        name: [getattr(score, name, None) for score in scores]
        for name in ("weighted_f1", "fold_f1")
    }
    return {
        name: spread([value for value in values if value is not None])
        for name, values in found.items()
        if values and None not in values
    }
