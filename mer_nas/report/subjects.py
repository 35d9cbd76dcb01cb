"""What the winner got right, by subject and by data set."""

from collections.abc import Sequence

from mer_nas.data.clips import dataset_of
from mer_nas.evaluation.metrics import Confusion
from mer_nas.report.confusions import matrix, summed
from mer_nas.report.facts import DataSummary, SeedScores
from mer_nas.report.schema import DatasetPart, Spread, SubjectRow
from mer_nas.report.spreads import others, spreads


def subject_rows(data: DataSummary, scores: Sequence[SeedScores]) -> tuple[SubjectRow, ...]:
    """Return how a candidate did on each subject; nothing where its scores do not tell them."""
    by_subject = _by_subject(scores)
    if not by_subject:
        return ()
    return tuple(
        SubjectRow(
            subject=group.partition(":")[2],
            dataset=dataset_of(group),
            clips=clips,
            right=_hits(counts) / len(scores),
            share=_hits(counts) / (len(scores) * clips),
        )
        for (group, clips), counts in zip(data.subjects.items(), by_subject, strict=True)
    )


def datasets(
    data: DataSummary, scores: Sequence[SeedScores], protocol: str
) -> tuple[DatasetPart, ...]:
    """Return the data sets of a study with how a candidate did in each.

    Args:
        data: The clips.
        scores: Of the candidate, one a seed; may be empty, or not tell its subjects.
        protocol: How they were measured.
    """
    groups = list(data.subjects)
    names = list(dict.fromkeys(map(dataset_of, groups)))
    by_subject = _by_subject(scores)
    parts = []
    for name in names:
        own = [index for index, group in enumerate(groups) if dataset_of(group) == name]
        counts = summed([by_subject[index] for index in own]) if by_subject else None
        shown = [sum(row) // len(scores) for row in counts] if counts else None
        parts.append(
            DatasetPart(
                name=name,
                subjects=len(own),
                clips=sum(data.subjects[groups[index]] for index in own),
                classes=dict(zip(data.classes, shown, strict=True)) if shown else None,
                **_scores(name, scores),
                confusion=matrix(counts, data.classes, len(scores), protocol)
                if counts and len(names) > 1
                else None,
            )
        )
    return tuple(parts)


def _scores(name: str, scores: Sequence[SeedScores]) -> dict[str, Spread]:
    own = [part for score in scores for part in score.datasets if part.name == name]
    return {**spreads(own), **others(own)} if own else {}


def _by_subject(scores: Sequence[SeedScores]) -> list[Confusion]:
    """Return the confusion of each subject summed over seeds; nothing where a seed lacks them."""
    if not scores or not all(score.subjects for score in scores):
        return []
    return [summed(own) for own in zip(*(score.subjects for score in scores), strict=True)]


def _hits(counts: Confusion) -> int:
    return sum(row[index] for index, row in enumerate(counts))
