"""Scores of pooled predictions, as the MEGC 2019 guideline defines them.

The predictions of all folds are pooled first; F1 and recall of each class are then taken once over
the pool (Forman & Scholz 2010 on why not the mean over folds). UF1 is the unweighted mean of the
F1 of the classes, UAR that of their recalls.

The set of classes is fixed: one that occurs neither among the labels nor among the predictions
counts 0. It cannot happen on a whole data set, but does on the first folds of one, and leaving it
out of the mean would let a partial score exceed the final one.

Every score is taken of confusions (..., K, K), which have a row for each true class and a column
for each predicted one, and gives (...): of one pool, or of thousands of bootstrap draws at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Self

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray
from pydantic import AfterValidator, Strict

from mer_nas.config.base import Config, Share

Labels = Sequence[int] | NDArray[np.int64]
Counts = NDArray[np.int64]
Values = NDArray[np.float64]
Metric = Callable[[Counts | Values], Values]

_Clips = Annotated[int, Strict(), Interval(ge=0, le=10**9)]


def _square(rows: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    if {*map(len, rows)} - {len(rows)}:
        raise ValueError("a confusion has as many columns as rows")
    return rows


Confusion = Annotated[tuple[tuple[_Clips, ...], ...], AfterValidator(_square)]
"""Clips by true class (rows) and chosen class (columns), in the order of the classes."""


class Scores(Config):
    """How well predictions agree with labels."""

    uf1: Share
    """Unweighted F1: the mean over classes of each class's F1."""
    uar: Share
    """Unweighted average recall."""
    accuracy: Share
    weighted_f1: Share | None = None
    """Mean of the F1 of the classes, each counted as often as it has clips.

    None in reports of earlier versions."""
    confusion: Confusion

    @classmethod
    def of(cls, confusion: Counts, **more: Any) -> Self:
        """Return the scores of one confusion (K, K), with what a subclass knows besides."""
        return cls(**cls.metrics(confusion), confusion=confusion.tolist(), **more)

    @classmethod
    def metrics(cls, confusion: Counts) -> dict[str, float]:
        """Return the scores of one confusion (K, K) by their fields."""
        return {
            "uf1": float(uf1(confusion)),
            "uar": float(uar(confusion)),
            "accuracy": float(accuracy(confusion)),
            "weighted_f1": float(weighted_f1(confusion)),
        }


def confusion_of(labels: Labels, predicted: Labels, classes: int) -> Counts:
    """Count labels against predictions (K, K), both class indices below `classes`.

    >>> confusion_of([0, 0, 1, 2], [0, 0, 1, 1], classes=3).tolist()
    [[2, 0, 0], [0, 1, 0], [0, 1, 0]]
    """
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (np.asarray(labels, np.int64), np.asarray(predicted, np.int64)), 1)
    return counts


def scores(labels: Labels, predicted: Labels, classes: int) -> Scores:
    """Compare predictions with labels, both class indices below `classes`."""
    return Scores.of(confusion_of(labels, predicted, classes))


def uf1(confusions: Counts | Values) -> Values:
    """Return the unweighted mean over classes of F1.

    >>> float(uf1(np.array([[3, 1], [0, 0]])))
    0.42857142857142855
    """
    return _mean(_f1(confusions))


def uar(confusions: Counts | Values) -> Values:
    """Return the unweighted mean over classes of recall.

    >>> float(uar(np.array([[3, 1], [0, 2]])))
    0.875
    """
    return _mean(_hits(confusions) / np.maximum(confusions.sum(-1), 1))


def accuracy(confusions: Counts | Values) -> Values:
    """Return the share of correct answers; 0 where there are none at all.

    >>> float(accuracy(np.array([[3, 1], [0, 0]])))
    0.75
    """
    total = np.maximum(confusions.sum((-2, -1)), 1)
    return np.asarray(_hits(confusions).sum(-1) / total, dtype=np.float64)


def weighted_f1(confusions: Counts | Values) -> Values:
    """Return the mean of the F1 of the classes, each counted as often as it has clips.

    >>> float(weighted_f1(np.array([[3, 1], [0, 0]])))
    0.8571428571428571
    """
    clips = confusions.sum(-1)
    f1 = _f1(confusions)
    return np.asarray((f1 * clips).sum(-1) / np.maximum(clips.sum(-1), 1), dtype=np.float64)


METRICS: dict[str, Metric] = {"uf1": uf1, "uar": uar, "accuracy": accuracy}
"""The scores that everything is said of."""


def f1_of_present(confusions: Counts) -> Values:
    """Return the mean F1 of the classes that occur among labels or predictions of a pool.

    >>> float(f1_of_present(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]]))) == 2 / 3
    True
    """
    present = ((confusions.sum(-2) + confusions.sum(-1)) > 0).sum(-1)
    f1: Values = np.add.reduce(_f1(confusions), axis=-1)  # a class that does not occur has none
    return np.asarray(f1 / np.maximum(present, 1), dtype=np.float64)


def _f1(confusions: Counts | Values) -> Values:
    """Return the F1 (..., K) of each class."""
    # Over axes as short as these, einsum adds up four times as fast as sum.
    seen = np.einsum("...ij->...i", confusions) + np.einsum("...ij->...j", confusions)
    return np.asarray(2 * _hits(confusions) / np.maximum(seen, 1), dtype=np.float64)


def _hits(confusions: Counts | Values) -> NDArray[Any]:
    return np.diagonal(confusions, axis1=-2, axis2=-1)


def _mean(values: Values) -> Values:
    # As np.mean, without its questions, which take longer than so short a sum.
    return np.asarray(np.add.reduce(values, axis=-1) / values.shape[-1], dtype=np.float64)
