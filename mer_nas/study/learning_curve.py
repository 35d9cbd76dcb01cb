"""How finalists learned: the losses of their trainings, and what looking back at them shows.

What looking back shows is leaky. It is written into the report, and nothing else reads it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from math import ceil

import numpy as np

from mer_nas.evaluation.hindsight import best_of_each, course
from mer_nas.evaluation.results import FoldResult, pool
from mer_nas.report import HindsightSummary, LossCurve
from mer_nas.study.state import StudyState, Trial


def learning(state: StudyState, entry: Trial) -> LossCurve | None:
    """Return how the loss of a finalist fell, or none where no losses were kept."""
    final, shape = state.settings.study.final, state.origin.final
    if final is None or shape is None:
        return None
    key = entry.candidate.key
    every = [state.under(shape, key, repetition) for repetition in range(final.seeds)]
    return fall(result for results in every for result in results)


def fall(results: Iterable[FoldResult]) -> LossCurve | None:
    """Return how the loss fell over trainings, or none where no losses were kept."""
    kept = [result.losses for result in results if result.losses]
    if not kept:
        return None
    parts = max(map(len, kept))
    losses = np.array([_stretched(each, parts) for each in kept])
    low, high = np.quantile(losses, (0.1, 0.9), axis=0)
    return LossCurve(
        folds=len(kept), mean=losses.mean(0).tolist(), low=low.tolist(), high=high.tolist()
    )


def hindsight(state: StudyState, entry: Trial) -> HindsightSummary | None:
    """Return what a finalist would have scored with the epoch chosen in hindsight. LEAKY.

    Only repetitions whose folds are complete count, and of which one was looked back at at least.
    """
    final, shape = state.settings.study.final, state.origin.final
    if final is None or shape is None:
        return None
    repetitions = []
    for repetition in range(final.seeds):
        results = state.under(shape, entry.candidate.key, repetition)
        pairs = [(result, state.hindsight.get(result.key)) for result in results]
        if len(pairs) == len(shape.folds) and any(back is not None for _, back in pairs):
            repetitions.append(pairs)
    backs = [back for pairs in repetitions for _, back in pairs if back is not None]
    if not backs:
        return None
    parts = max(len(back.epochs) for back in backs)
    courses = [[scores.uf1 for scores in course(pairs, parts)] for pairs in repetitions]
    return HindsightSummary(
        seeds=len(repetitions),
        folds=len(backs),
        of=sum(map(len, repetitions)),
        epochs=parts,
        last=statistics.fmean(pool([result for result, _ in p]).uf1 for p in repetitions),
        best_of_each=statistics.fmean(best_of_each(pairs).uf1 for pairs in repetitions),
        best_of_all=statistics.fmean(map(max, courses)),
        course=np.mean(courses, axis=0).tolist(),
    )


def _stretched(values: Sequence[float], parts: int) -> list[float]:
    """Return `parts` of the values, each once at least, in order; the last part is the last one.

    >>> _stretched([3.0, 2.0], 4)
    [3.0, 3.0, 2.0, 2.0]
    """
    return [values[ceil(part * len(values) / parts) - 1] for part in range(1, parts + 1)]
