"""What a report claims of its answer, read with all that it takes to say it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path

from mer_nas import trust
from mer_nas.architectures.extensions import load_extensions, stand_in
from mer_nas.config import overrides
from mer_nas.config.base import validate
from mer_nas.errors import ConfigError, StudyError, unknown
from mer_nas.files import place
from mer_nas.report import (
    Report,
    SeedScores,
    Winner,
    read_report,
)
from mer_nas.report.files import JSON
from mer_nas.search.config import Folds, RayConfig
from mer_nas.settings import Settings, changed_data
from mer_nas.study.folder import RUNS, refuse_other
from mer_nas.study.reproduction.consistency import contradictions, numbers_of, why_taken
from mer_nas.study.reproduction.members import ReportedMember, members_of
from mer_nas.study.reproduction.verdicts import Number
from mer_nas.wording import brief

WORDS = (*overrides.PLACE_KEYS, "trainer.device", "ray")
"""What may be another here than in the report, with everything below it."""


@dataclass(frozen=True)
class ReportedResult:
    """What a report says of its winner, with all that it takes to say it again."""

    path: Path
    """Of the report."""
    report: Report
    answer: Winner
    scores: tuple[SeedScores, ...]
    """Of the answer, one a seed."""
    settings: Settings
    """The study's, with data and workers as they are here."""
    members: tuple[ReportedMember, ...]
    """Whose training gave these: the winner, or the members of the ensemble."""
    folds: Folds
    ray: RayConfig
    """The workers here; the report's are no matter of this machine."""

    def __repr__(self) -> str:
        """Return of whom something is claimed, and where."""
        return brief(self, [("path", str(self.path)), ("winner", self.answer.label)])

    @property
    def repetitions(self) -> int:
        """Number of repetitions to be trained."""
        return 1 + max(score.repetition for score in self.scores)

    @property
    def needed(self) -> frozenset[tuple[str, int]]:
        """Whom the scores of the report are of, by candidate's key and repetition."""
        return frozenset(
            (member.candidate.key, score.repetition)
            for member in self.members
            for score in (*self.scores, *member.scores)
        )

    @property
    def together(self) -> int:
        """How many folds were trained as one computation then; rounding follows from it."""
        compute = self.report.study.compute
        return compute.final_together if self.answer.stage == "final" else compute.together

    @property
    def seconds(self) -> float:
        """What training took then, on one worker."""
        return sum(member.seconds for member in self.members)

    @cached_property
    def contradictions(self) -> tuple[Number, ...]:
        """The numbers of the report that are not what follows from what it holds."""
        return tuple(
            Number(".".join(place), stored, found)
            for place, stored, found in contradictions(self.report)
        )

    @cached_property
    def following(self) -> int:
        """How many numbers of the report follow from others that it holds."""
        places = (place for place, _ in numbers_of(self.report.model_dump(mode="json")))
        return sum(not why_taken(place) for place in places)


def read_reported_result(word: str | PathLike[str], words: Sequence[str] = ()) -> ReportedResult:
    """Return what a report claims.

    Args:
        word: The file, a folder that holds one, or the name of a study under `runs`.
        words: Such as "data.root=DIR"; see `WORDS`.

    Raises:
        StudyError: There is no report, another version wrote it, or it names no winner.
        ConfigError: A word may not change, or what the report says cannot be built.
    """
    path = _file(word)
    report = read_report(path)
    answer = report.answer
    if answer is None:
        raise StudyError(f"{path}: no trial was complete, so there is no winner to train again")
    read = overrides.parse(words)
    for key in (*read.plain, *read.dotted):
        if not overrides.below(key, WORDS):
            raise ConfigError(unknown("key to change", key, WORDS))
    trust.require(trust.to_reach(report.study.settings))
    settings = Settings.load(report.study.settings, f"{path}: study.settings")
    stand_in(settings.space.extensions, path.parent)
    load_extensions(settings.space.extensions)
    # Where the report's writer kept clips is no place here.
    moved = {"cache": None} if hasattr(settings.data, "cache") else {}
    data = changed_data(settings.data, moved | read.of("data"))
    final = settings.study.final
    members = members_of(path, report, answer, read.of("trainer"))
    ensemble = report.study.ensemble
    return ReportedResult(
        path,
        report,
        answer,
        ensemble.scores if answer.members and ensemble is not None else members[0].scores,
        replace(settings, data=data),
        members,
        final.folds if answer.stage == "final" and final else settings.study.folds,
        validate(RayConfig, overrides.apply({}, read.of("ray")), "ray"),
    )


def _file(word: str | PathLike[str]) -> Path:
    path = place(word, "report", StudyError)
    if not path.exists() and (RUNS / path).is_dir():
        path = RUNS / path
    if not path.is_dir():
        return path
    if not any((path / name).is_file() for name in ("origin.json", JSON)):
        refuse_other(str(path), "a report, or the folder of one, would be right")
    return path / JSON
