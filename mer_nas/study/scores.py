"""What predictions come to: the scores of one repetition, as a report states them."""

from __future__ import annotations

from collections.abc import Sequence

from mer_nas.evaluation.results import FoldResult, fold_average, pool, pool_by_dataset
from mer_nas.report import DataFacts, DatasetScores, SeedScores
from mer_nas.statistics import by_subject

Results = Sequence[FoldResult]


def seed_scores(results: Results, data: DataFacts, repetition: int) -> SeedScores:
    """Return what all folds of a repetition come to: pooled, by subject and by data set."""
    scores = pool(results)
    subjects = by_subject(results, list(data.subjects), len(data.classes))
    return SeedScores(
        repetition=repetition,
        uf1=scores.uf1,
        uar=scores.uar,
        accuracy=scores.accuracy,
        confusion=scores.confusion,
        subjects=subjects.tolist(),
        weighted_f1=scores.weighted_f1,
        fold_f1=fold_average(results),
        datasets=_by_dataset(results),
    )


def _by_dataset(results: Results) -> tuple[DatasetScores, ...]:
    found = pool_by_dataset(results)
    return tuple(
        DatasetScores(
            name=name,
            uf1=scores.uf1,
            uar=scores.uar,
            accuracy=scores.accuracy,
            weighted_f1=scores.weighted_f1,
            confusion=scores.confusion,
        )
        for name, scores in (found.items() if len(found) > 1 else ())
    )
