"""Whom the answer of a report rests on: its winner alone, or the members of an ensemble.

They are what is trained again when a report is reproduced, each with what the report says of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer_nas.config import overrides
from mer_nas.errors import StudyError
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.results import FoldResult
from mer_nas.report import FinalistSummary, Report, SeedScores, TrialSummary, Winner
from mer_nas.study.ensemble import Ensemble
from mer_nas.study.trial import Trial


@dataclass(frozen=True)
class ReportedMember:
    """A candidate that is trained again, as the report has it."""

    trial: Trial
    key: str
    """In the report; that of the trial is what it is here."""
    scores: tuple[SeedScores, ...]
    """Its own in the report, one a seed."""
    seconds: float
    """What training it took then, on one worker."""

    @property
    def candidate(self) -> Candidate:
        """What is trained."""
        return self.trial.candidate


def entry_of(report: Report, number: int | None) -> FinalistSummary | TrialSummary | None:
    """Return what a report says of a trial, in the stage that its answer comes from."""
    answer, study = report.answer, report.study
    if answer is not None and answer.stage == "final":
        return next((each for each in study.finalists if each.trial == number), None)
    return next((each for each in study.complete if each.number == number), None)


def members_of(
    path: Path, report: Report, answer: Winner, trainer: dict[str, Any]
) -> tuple[ReportedMember, ...]:
    """Return who is to be trained again, in the order of an ensemble's members.

    Args:
        path: Of the report.
        report: What it holds.
        answer: Of it.
        trainer: Settings of training that are others here.

    Raises:
        StudyError: The report does not hold what it takes.
        ConfigError: What it holds cannot be built.
    """
    found = _entries(report, answer)
    whole = [each for each in found if each.architecture is not None and each.repetitions]
    if len(whole) < max(1, len(answer.members)):
        raise StudyError(
            f"{path}: the report does not hold the architecture and the scores of its winner, "
            f"{answer.label}; `mer-nas report STUDY` writes it anew"
        )
    return tuple(_member(path, report, each, trainer) for each in whole)


def together(
    members: Sequence[ReportedMember], answer: Winner, answers: Sequence[Sequence[FoldResult]]
) -> list[FoldResult]:
    """Return what the members say together, fold by fold; of one, what it says.

    Args:
        members: Who is asked.
        answer: Of the report.
        answers: The folds of one repetition, a sequence a member.
    """
    trials = tuple(member.trial for member in members)
    if not answer.members:
        return list(answers[0])
    weights = tuple(member.weight for member in answer.members)
    ensemble = Ensemble("mean", trials, weights)  # the rule chose, and has no say any more
    return [ensemble.combined(said) for said in zip(*answers, strict=True)]


def _entries(report: Report, answer: Winner) -> Sequence[FinalistSummary | TrialSummary]:
    if answer.members:
        found = [entry_of(report, member.trial) for member in answer.members]
        return [each for each in found if each is not None]
    study = report.study
    every = study.finalists if answer.stage == "final" else study.complete
    return [each for each in every if each.key == answer.key][:1]


def _member(
    path: Path,
    report: Report,
    entry: FinalistSummary | TrialSummary,
    trainer: dict[str, Any],
) -> ReportedMember:
    tree = {
        "architecture": entry.architecture,
        "trainer": overrides.apply(entry.trainer or {}, trainer),
    }
    candidate = Candidate.parse(tree, f"{path}: {entry.label}")
    number = entry.trial if isinstance(entry, FinalistSummary) else entry.number
    trial = Trial(
        number=number or 0,
        origin=entry.origin,
        warm_start=entry.warm_start,
        parsed=lambda: candidate,
        searched=entry.key,
        value=entry.search_score,
    )
    return ReportedMember(trial, entry.key, entry.repetitions, _seconds(report, entry))


def _seconds(report: Report, entry: FinalistSummary | TrialSummary) -> float:
    if isinstance(entry, TrialSummary):
        return entry.seconds
    seeds = [len(finalist.scores) for finalist in report.study.finalists]
    return report.study.compute.final_seconds * len(entry.scores) / sum(seeds)
