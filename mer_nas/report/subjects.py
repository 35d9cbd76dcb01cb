"""What the winner got right, by subject and by data set."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from mer_nas.config.base import Config, Share
from mer_nas.data.records import dataset_of
from mer_nas.evaluation.metrics import Counts
from mer_nas.report.scores import (
    ALL_SCORES,
    ConfusionMatrix,
    SeedScores,
    Spread,
    counts_by_subject,
    spreads,
)
from mer_nas.report.summary import DataSummary


class DatasetPart(Config):
    """The clips of one data set among those of the study."""

    name: str
    subjects: PositiveInt
    clips: PositiveInt
    classes: dict[str, NonNegativeInt] | None
    """Clips of each class; none where no trial is complete."""
    uf1: Spread | None = None
    """Of the winner, as are the next ones; none where there is one data set, or no winner."""
    uar: Spread | None = None
    accuracy: Spread | None = None
    weighted_f1: Spread | None = None
    confusion: ConfusionMatrix | None

    @classmethod
    def of_scores(
        cls, data: DataSummary, scores: Sequence[SeedScores], protocol: str
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
            counts = None if by_subject is None else by_subject[own].sum(0)
            clips = None if counts is None else (counts.sum(1) // len(scores)).tolist()
            scored = [part for score in scores for part in score.datasets if part.name == name]
            parts.append(
                cls(
                    name=name,
                    subjects=len(own),
                    clips=sum(data.subjects[groups[index]] for index in own),
                    classes=dict(zip(data.classes, clips, strict=True)) if clips else None,
                    **spreads(scored, ALL_SCORES),
                    confusion=ConfusionMatrix.of(counts, data.classes, len(scores), protocol)
                    if counts is not None and len(names) > 1
                    else None,
                )
            )
        return tuple(parts)


class SubjectRow(Config):
    """How the winner did on one subject."""

    subject: str
    """Name without the data set."""
    dataset: str
    clips: PositiveInt
    right: NonNegativeFloat
    """Clips it got right, mean over seeds."""
    share: Share
    """The same as a share."""

    @classmethod
    def of_scores(cls, data: DataSummary, scores: Sequence[SeedScores]) -> tuple[SubjectRow, ...]:
        """Return how a candidate did on each subject; nothing where its scores lack them."""
        by_subject = _by_subject(scores)
        if by_subject is None:
            return ()
        hits = np.trace(by_subject, axis1=1, axis2=2).tolist()
        return tuple(
            cls(
                subject=group.partition(":")[2],
                dataset=dataset_of(group),
                clips=clips,
                right=right / len(scores),
                share=right / (len(scores) * clips),
            )
            for (group, clips), right in zip(data.subjects.items(), hits, strict=True)
        )


class SubjectSizes(Config):
    """How many clips the subjects have."""

    smallest: PositiveInt
    median: NonNegativeFloat
    largest: PositiveInt

    @classmethod
    def of(cls, clips: Sequence[int]) -> SubjectSizes | None:
        """Return them of so many clips a subject; none without subjects."""
        if not clips:
            return None
        return cls(smallest=min(clips), median=statistics.median(clips), largest=max(clips))


def _by_subject(scores: Sequence[SeedScores]) -> Counts | None:
    """Return the confusions (S, K, K) summed over seeds; none where a seed lacks its subjects."""
    if not scores or not all(score.subjects for score in scores):
        return None
    found: Counts = counts_by_subject(scores).sum(0)
    return found
