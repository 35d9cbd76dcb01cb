"""Drawing subjects again: intervals of a score and of a difference.

Percentiles of the bootstrap are too narrow where subjects are few or of unlike size (Hesterberg
2015, The American Statistician 69, on narrowness bias and expanded percentiles). They are widened
by sqrt(n / (n - 1)) times the ratio of the t to the normal quantile, with n the effective number
of subjects by their clips, (sum of clips)^2 / sum of clips^2 (Kish 1965, Survey Sampling). Where
every draw gives the same score, because nobody was told wrong or nobody right, draws say nothing
of the next people: as many as 1 - q^(1/n) of them may be told otherwise unseen (Clopper & Pearson
1934, Biometrika 26, for n of n and none of n), with q the share below an interval.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Annotated

import numpy as np
from annotated_types import Interval

from mer_nas.config.base import Config
from mer_nas.errors import DataError
from mer_nas.evaluation.metrics import Counts, Metric, Values, uf1
from mer_nas.evaluation.results import FoldResult

Difference = Annotated[float, Interval(ge=-1, le=1)]

MIN_SUBJECTS = 3
"""Below, drawing subjects again says nothing."""
DRAWS = 1000
LEVEL = 0.95
"""Of every interval."""
_TAILS = (100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2)
_ROUNDING = 1e-9
"""By which scores differ that are the same."""


class Estimate(Config):
    """A number with its 95 % interval over subjects."""

    value: Difference
    low: Difference
    high: Difference


def by_subject(results: Iterable[FoldResult], subjects: Sequence[str], classes: int) -> Counts:
    """Return the confusions (S, K, K) of a candidate's folds, one for each of `subjects`."""
    rows = {subject: row for row, subject in enumerate(subjects)}
    counts = np.zeros((len(subjects), classes, classes), dtype=np.int64)
    for result in results:
        places = [rows[subject] for subject in result.clip_subjects]
        np.add.at(counts, (places, list(result.labels), list(result.predicted)), 1)
    return counts


def check_counts(counts: Counts, classes: Sequence[str]) -> None:
    """Refuse counts (..., S, K, K) from which nothing follows.

    Raises:
        DataError: There are too few subjects, or none of them shows some class.
    """
    found = counts.shape[-3]
    if found < MIN_SUBJECTS:
        raise DataError(
            f"statistics draw subjects again, and {found} are too few for it; "
            f"at least {MIN_SUBJECTS} are needed"
        )
    shown = counts.reshape(-1, len(classes), len(classes)).sum((0, 2))
    absent = [name for name, times in zip(classes, shown, strict=True) if times == 0]
    if absent:
        raise DataError(
            f"no clip of the predictions is of the class {', '.join(absent)}, so its F1 has no "
            "meaning; every class needs a clip"
        )


@lru_cache(maxsize=256)
def bootstrap_weights(subjects: int, draws: int = DRAWS, seed: int = 0) -> Values:
    """Return how often each draw (B, S) took each subject: S times with replacement; read-only.

    They are whole numbers in floating point, for which alone there is a fast product of matrices.
    """
    chance = np.random.default_rng(seed)
    shares = np.full(subjects, 1 / subjects)
    times = chance.multinomial(subjects, shares, size=draws).astype(np.float64)
    times.setflags(write=False)
    return times


def resampled_counts(weights: Values, counts: Counts) -> Values:
    """Return the confusions (B, ..., K, K) of every draw (B, S) from counts (..., S, K, K)."""
    first = np.moveaxis(counts, -3, 0)
    summed = weights @ first.reshape(len(first), -1).astype(np.float64)
    return summed.reshape(len(weights), *first.shape[1:])


def estimate(counts: Counts, metric: Metric = uf1, *, less: float = 0.0) -> Estimate:
    """Return a score, its mean over repetitions, with its interval.

    Args:
        counts: (R, S, K, K).
        metric: Of a pooled confusion.
        less: What is taken off the score and its interval, such as an optimism.
    """
    value = float(metric(counts.sum(-3)).mean())
    draws = metric(resampled_counts(bootstrap_weights(counts.shape[-3]), counts)).mean(-1)
    low, high = interval(value, draws, counts)
    value, low, high = (min(1.0, max(0.0, number - less)) for number in (value, low, high))
    return Estimate(value=value, low=low, high=high)


def interval(value: float, draws: Values, counts: Counts) -> tuple[float, float]:
    """Return the interval of a score, which may reach beyond [0, 1].

    Where all draws agree it is the exact one of as many subjects of whom all, or none, are of one
    kind (Clopper and Pearson 1934): as many may be unlike the rest that nobody has seen.

    Args:
        value: The score.
        draws: The same over drawn subjects, (B,).
        counts: Of whose subjects, (..., S, K, K).
    """
    low, high = around(value, draws, widening(counts))
    if high - low < _ROUNDING:
        unseen = 1 - (_TAILS[0] / 100) ** (1 / _effective_subjects(counts))
        right = np.trace(counts, axis1=-2, axis2=-1).sum()
        some_right, some_wrong = right > 0, counts.sum() > right
        return low - unseen * some_right, high + unseen * some_wrong
    return low, high


def around(value: float, draws: Values, factor: float) -> tuple[float, float]:
    """Return the interval of `value` whose spread is that of `draws` (B,), widened by `factor`.

    The mean of few unlike draws may lie outside their percentiles, a value never.
    """
    low, high = (float(end) for end in np.percentile(draws, _TAILS) - draws.mean())
    return value + factor * min(0.0, low), value + factor * max(0.0, high)


def widening(counts: Counts) -> float:
    """Return the factor by which percentiles over the subjects of counts (..., S, K, K) widen."""
    from scipy.stats import norm, t  # not wherever settings are read: it takes a second

    effective = max(_effective_subjects(counts), 2.0)
    upper = 1 - (1 - LEVEL) / 2
    ratio = float(t.ppf(upper, effective - 1) / norm.ppf(upper))
    return ratio * float(np.sqrt(effective / (effective - 1)))


def _effective_subjects(counts: Counts) -> float:
    clips = counts.reshape(-1, *counts.shape[-3:])[0].sum((-2, -1))
    return float(clips.sum() ** 2 / (clips**2).sum())
