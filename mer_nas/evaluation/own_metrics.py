"""Metrics of users: functions of labels and probabilities, reported beside UF1.

    @metric("kappa")
    def kappa(labels: np.ndarray, probabilities: np.ndarray) -> float:
        return cohen_kappa_score(labels, probabilities.argmax(1))

They see the pooled predictions of a whole protocol, once for each seed, and decide nothing. Shapes
speak of N clips and K classes.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mer_nas.architectures.extensions import counts_for
from mer_nas.errors import ConfigError, shown, told
from mer_nas.evaluation.results import FoldResult
from mer_nas.registry import Functions, place_of

OWN_METRICS = Functions("metric", {"labels": np.ndarray, "probabilities": np.ndarray}, float)
"""The metrics by their names. They take (N,), class indices, and (N, K), and give a number."""
metric = OWN_METRICS.named
"""Makes a function a metric: `@metric("kappa")`."""


class OwnScores(NamedTuple):
    """What metrics of the user's say of some predictions, by their names."""

    values: dict[str, float]
    failed: dict[str, str]
    """Of those that gave no number, why, with the line."""


def own_scores(results: Sequence[FoldResult], extensions: Sequence[Path]) -> OwnScores:
    """Return what each metric of the user's says of the pooled predictions of some folds.

    One that fails decides nothing, and ends nothing that took hours.

    Args:
        results: The folds.
        extensions: The files of the space, whose metrics are asked; those of packages always are.
    """
    found = OwnScores({}, {})
    for name in _names(extensions):
        labels = np.array([label for result in results for label in result.labels])
        rows = np.array([row for result in results for row in result.probabilities])
        try:
            found.values[name] = _asked(name, labels, rows)
        except ConfigError as error:
            found.failed[name] = str(error)
    return found


def try_metrics(extensions: Sequence[Path], classes: int) -> None:
    """Ask every metric of the user's about two clips of each class; each is answered once or more.

    Args:
        extensions: As of `own_scores`.
        classes: K.

    Raises:
        ConfigError: One fails, or gives no number; with the line where it is.
    """
    labels = np.arange(2 * classes) % classes
    rows = np.random.default_rng(0).dirichlet(np.ones(classes), len(labels))
    rows[:classes] = (rows[:classes] + classes * np.eye(classes)) / (1 + classes)
    for name in _names(extensions):
        _asked(name, labels, rows)


def _names(extensions: Sequence[Path]) -> list[str]:
    return [name for name, function in OWN_METRICS.items() if counts_for(function, extensions)]


def _asked(name: str, labels: np.ndarray, probabilities: np.ndarray) -> float:
    function = OWN_METRICS[name]
    try:
        found = function(labels.copy(), probabilities.copy())
        said = f"gives {shown(found)}; one number would do"
        if isinstance(found, bool) or not isinstance(found, int | float | np.number):
            raise ConfigError(f"{place_of(function)}: the metric {name!r} {said}")
    except ConfigError:
        raise
    except Exception as error:  # a user's function may fail of anything
        said = f"fails: {told(error)}"
        raise ConfigError(f"{place_of(function)}: the metric {name!r} {said}") from error
    if not math.isfinite(found):
        raise ConfigError(f"{place_of(function)}: the metric {name!r} {said}")
    return float(found)
