"""Scores as a report states them: of a repetition, over several, and what was taken for what."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from mer_nas.config.base import Config, Share
from mer_nas.data.records import dataset_of
from mer_nas.evaluation.metrics import METRICS, Confusion, Counts, Scores
from mer_nas.evaluation.own_metrics import own_scores
from mer_nas.evaluation.results import FoldResult, fold_average
from mer_nas.statistics import by_subject

ALL_SCORES = (*METRICS, "weighted_f1", "fold_f1")
"""Also those that papers state instead."""


class DatasetScores(Scores):
    """Scores on the clips of one data set, out of the predictions on all of them.

    UF1 and UAR are means over the classes of which the set has clips: no answer could earn it
    anything for another.
    """

    name: str

    @classmethod
    def metrics(cls, confusion: Counts) -> dict[str, float]:
        """Return the scores of one confusion (K, K), over the classes that are in the set."""
        there = max(1, int(confusion.any(1).sum()))
        every = super().metrics(confusion)
        means = {name: every[name] * len(confusion) / there for name in ("uf1", "uar")}
        return every | {name: min(1.0, mean) for name, mean in means.items()}


class SeedScores(Scores):
    """Scores of one repetition of a protocol, from predictions pooled over all held-out folds."""

    repetition: NonNegativeInt = 0
    """Which repetition; it decides the seed of every fold."""
    subjects: tuple[Confusion, ...] = ()
    """Confusion of each subject, in the order of `DataSummary.subjects`; empty where unknown."""
    fold_f1: Share | None = None
    """Mean over folds of the F1 of each, of the classes that occur in it; not pooled."""
    own: dict[str, float] = Field(default_factory=dict)
    """What metrics of the user's own say of the pooled predictions, by their names."""
    own_failed: dict[str, str] = Field(default_factory=dict)
    """Of those that gave no number, why."""
    datasets: tuple[DatasetScores, ...] = ()
    """The same predictions by data set, where there are several."""

    @classmethod
    def pooled(
        cls,
        results: Sequence[FoldResult],
        subjects: Sequence[str],
        repetition: int,
        extensions: Sequence[Path] = (),
    ) -> SeedScores:
        """Return what all folds of a repetition come to.

        Args:
            results: One a fold.
            subjects: Of the whole data set, in the order of `DataSummary.subjects`.
            repetition: Which it is.
            extensions: Files of the space, whose metrics are asked too.
        """
        found = by_subject(results, subjects, len(results[0].probabilities[0]))
        own = own_scores(results, extensions)
        return cls.of(
            found.sum(0),
            repetition=repetition,
            subjects=found.tolist(),
            fold_f1=fold_average(results),
            own=own.values,
            own_failed=own.failed,
            datasets=tuple(
                DatasetScores.of(counts, name=name)
                for name, counts in _by_dataset(found, subjects)
            ),
        )


def _by_dataset(counts: Counts, subjects: Sequence[str]) -> Iterator[tuple[str, Counts]]:
    """Yield the confusion (K, K) of each data set by name, where there are several.

    The guideline of MEGC 2019 does so: the same predictions, and no networks of a data set's own.

    Args:
        counts: (S, K, K), of each subject.
        subjects: Their ids.
    """
    asked = counts.any((1, 2))
    names = np.array([dataset_of(subject) for subject in subjects])[asked]
    several = sorted(set(names.tolist()))
    for name in several if len(several) > 1 else ():
        yield name, counts[asked][names == name].sum(0)


class OwnSpread(Config):
    """A number of any size over several seeds, such as a metric of the user's own."""

    mean: float
    deviation: NonNegativeFloat | None
    """Standard deviation (n - 1); none for a single seed."""
    low: float
    high: float
    seeds: PositiveInt

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return mean, standard deviation and range of a number over seeds.

        >>> Spread.of([0.5, 0.75]).mean, Spread.of([0.5]).deviation
        (0.625, None)
        """
        low, high = min(values), max(values)
        return cls(
            # The mean of equal numbers may leave their range by a rounding.
            mean=min(max(statistics.fmean(values), low), high),
            deviation=statistics.stdev(values) if len(values) > 1 else None,
            low=low,
            high=high,
            seeds=len(values),
        )


class Spread(OwnSpread):
    """A score over several seeds."""

    mean: Share
    low: Share
    high: Share


def counts_by_subject(scores: Sequence[SeedScores]) -> Counts:
    """Return the confusions (R, S, K, K) by subject of several repetitions."""
    return np.array([each.subjects for each in scores], dtype=np.int64)


def spreads(scores: Sequence[Scores], names: Sequence[str] = tuple(METRICS)) -> dict[str, Spread]:
    """Return the spread of each score of several repetitions that every one of them has.

    Args:
        scores: One a repetition; of none, nothing is returned.
        names: Which scores, by their fields.
    """
    columns = {name: [getattr(score, name, None) for score in scores] for name in names}
    return {
        name: Spread.of([value for value in values if value is not None])
        for name, values in columns.items()
        if values and None not in values
    }


def own_spreads(scores: Sequence[SeedScores]) -> dict[str, OwnSpread]:
    """Return the spread of each metric of the user's own that every repetition has."""
    first = scores[0].own if scores else {}
    names = [name for name in first if all(name in each.own for each in scores)]
    return {name: OwnSpread.of([each.own[name] for each in scores]) for name in names}


class ConfusionMatrix(Config):
    """True against chosen classes of the winner, summed over seeds."""

    classes: tuple[str, ...]
    counts: Confusion
    shares: tuple[tuple[Share, ...], ...]
    """Counts divided by the sum of their row: the diagonal holds each class's recall."""
    totals: tuple[NonNegativeInt, ...]
    """Sum of each row."""
    seeds: PositiveInt
    protocol: str

    @classmethod
    def of(
        cls, counts: Counts, classes: Sequence[str], seeds: int, protocol: str
    ) -> ConfusionMatrix:
        """Return counts (K, K) with the shares and sums of their rows."""
        totals = counts.sum(1)
        return cls(
            classes=tuple(classes),
            counts=counts.tolist(),
            shares=(counts / np.maximum(totals, 1)[:, None]).tolist(),
            totals=totals.tolist(),
            seeds=seeds,
            protocol=protocol,
        )
