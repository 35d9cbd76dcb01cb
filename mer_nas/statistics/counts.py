"""Confusion counts by subject, and the scores of any number of confusions at once.

The scores are those of `evaluation.metrics`, which takes labels of one pool; these take counts
(..., K, K) and give (...). A class that does not occur counts 0 here as there.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_nas.errors import DataError
from mer_nas.evaluation.results import FoldResult

Counts = NDArray[np.int64]
Values = NDArray[np.float64]
Metric = Callable[[Counts | Values], Values]

FEWEST_SUBJECTS = 3
"""Below, drawing subjects again says nothing."""


def by_subject(results: Iterable[FoldResult], subjects: Sequence[str], classes: int) -> Counts:
    """Return the confusions (S, K, K) of a candidate's folds, one for each of `subjects`."""
    rows = {subject: row for row, subject in enumerate(subjects)}
    counts = np.zeros((len(subjects), classes, classes), dtype=np.int64)
    for result in results:
        places = [rows[subject] for subject in result.clip_subjects]
        np.add.at(counts, (places, list(result.labels), list(result.predicted)), 1)
    return counts


def uf1(confusions: Counts | Values) -> Values:
    """Return the unweighted mean over classes of F1.

    >>> float(uf1(np.array([[3, 1], [0, 0]])))
    0.42857142857142855
    """
    # Over axes as short as these, einsum adds up four times as fast as sum.
    seen = np.einsum("...ij->...i", confusions) + np.einsum("...ij->...j", confusions)
    return _mean(2 * _hits(confusions) / np.maximum(seen, 1))


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
    seen = np.einsum("...ij->...i", confusions) + np.einsum("...ij->...j", confusions)
    clips = confusions.sum(-1)
    f1 = 2 * _hits(confusions) / np.maximum(seen, 1)
    return np.asarray((f1 * clips).sum(-1) / np.maximum(clips.sum(-1), 1), dtype=np.float64)


METRICS: dict[str, Metric] = {"uf1": uf1, "uar": uar, "accuracy": accuracy}


def check(counts: Counts, classes: Sequence[str]) -> None:
    """Refuse counts (..., S, K, K) from which nothing follows.

    Raises:
        DataError: There are too few subjects, or none of them shows some class.
    """
    found = counts.shape[-3]
    if found < FEWEST_SUBJECTS:
        raise DataError(
            f"statistics draw subjects again, and {found} are too few for it; "
            f"at least {FEWEST_SUBJECTS} are needed"
        )
    shown = counts.reshape(-1, len(classes), len(classes)).sum((0, 2))
    absent = [name for name, times in zip(classes, shown, strict=True) if times == 0]
    if absent:
        raise DataError(
            f"no clip of the predictions is of the class {', '.join(absent)}, so its F1 has no "
            "meaning; every class needs a clip"
        )


def _hits(confusions: Counts | Values) -> NDArray[Any]:
    return np.diagonal(confusions, axis1=-2, axis2=-1)


def _mean(values: Values) -> Values:
    # As np.mean, without its questions, which take longer than so short a sum.
    return np.asarray(np.add.reduce(values, axis=-1) / values.shape[-1], dtype=np.float64)
