"""Scores of pooled predictions, as the MEGC 2019 guideline defines them.

The predictions of all folds are pooled first; F1 and recall of each class are then taken once over
the pool (Forman & Scholz 2010 on why not the mean over folds). UF1 is the unweighted mean of the
F1 of the classes, UAR that of their recalls.

The set of classes is fixed: one that occurs neither among the labels nor among the predictions
counts 0. It cannot happen on a whole data set, but does on the first folds of one, and leaving it
out of the mean would let a partial score exceed the final one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """How well predictions agree with labels; every number but the confusion lies in [0, 1]."""

    uf1: float
    uar: float
    accuracy: float
    confusion: tuple[tuple[int, ...], ...]
    """Counts; a row is a true class, a column a predicted one."""
    per_class_f1: tuple[float, ...]
    weighted_f1: float
    """Mean of the F1 of the classes, each counted as often as it has clips."""


def scores(labels: Labels, predicted: Labels, classes: int) -> Scores:
    """Compare predictions with labels, both class indices below `classes`.

    >>> scores([0, 0, 1, 2], [0, 0, 1, 1], classes=3).confusion
    ((2, 0, 0), (0, 1, 0), (0, 1, 0))
    """
    # Two seconds to import, and workers, which predict and do not score, start without.
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

    known = list(range(classes))
    per_class = f1_score(labels, predicted, labels=known, average=None, zero_division=0.0)
    recalls = recall_score(labels, predicted, labels=known, average=None, zero_division=0.0)
    confusion = confusion_matrix(labels, predicted, labels=known)
    return Scores(
        uf1=float(np.mean(per_class)),
        uar=float(np.mean(recalls)),
        accuracy=float(accuracy_score(labels, predicted)),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        per_class_f1=tuple(float(value) for value in per_class),
        weighted_f1=float(np.average(per_class, weights=confusion.sum(1))),
    )


def macro_f1(labels: Labels, predicted: Labels) -> float:
    """Return the mean F1 of the classes that occur among labels or predictions.

    >>> macro_f1([0, 0, 1], [0, 1, 1]) == macro_f1([0, 0, 2], [0, 2, 2]) == 2 / 3
    True
    """
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, average="macro", zero_division=0.0))
