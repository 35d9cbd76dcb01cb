"""A report taken at its word: its winner trained again, and every number held against the first.

First the report is held against itself: its numbers follow from the confusions that it holds, and
one that does not is named before anything is trained (`consistency`). Repeated is what the answer
of the report rests on: the winner, or every member of the ensemble, under the protocol and with
the seeds that gave its scores. The search is not, so the confusions of the other candidates are
taken from the report. Scores follow from candidate, clips, held-out subjects, seed and code alone;
on one machine they come out the same to the last bit. Another processor or another version of a
package rounds otherwise, and training makes much of little; so a number that differs is held
against how far the seeds of the report differ among themselves.

runs/reproductions/moe-synthetic-1-<digest of the report>-1/
├── ledger.jsonl       every finished fold: an interrupted reproduction goes on from here
└── reproduced.json    what came out; the next reproduction of the report begins anew beside it
"""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mer_nas.config.base import Tree, file_name
from mer_nas.data.clips import ClipSet
from mer_nas.errors import TrainingFailed
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.files import digest, write
from mer_nas.search.events import Listener, Note, ignore
from mer_nas.search.patience import Patience
from mer_nas.search.workers import measure_in
from mer_nas.study.folder import RUNS
from mer_nas.study.reproduction.changes import Change, changes, held_against
from mer_nas.study.reproduction.compared import compared
from mer_nas.study.reproduction.members import ReportedMember
from mer_nas.study.reproduction.reported_result import ReportedResult
from mer_nas.study.reproduction.verdicts import Number, Verdict
from mer_nas.training.fit import pick_device
from mer_nas.wording import brief, count, duration


@dataclass(frozen=True)
class Reproduction:
    """What came of training the winner of a report again."""

    reported: ReportedResult
    changes: tuple[Change, ...]
    """What is not as it was; empty where everything is."""
    numbers: tuple[Number, ...]
    """What training again gave; where the report contradicts itself, its contradictions."""
    folder: Path | None
    """Where the folds lie; None where the report contradicts itself, so that nothing was
    trained."""

    def __repr__(self) -> str:
        """Return what came out."""
        facts = [("study", self.reported.report.study.name), ("verdict", self.verdict)]
        counts = [("numbers", len(self.numbers)), ("changes", len(self.changes))]
        return brief(self, [*facts, *counts, ("folder", str(self.folder))])

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of a number."""
        found = {number.verdict for number in self.numbers}
        order: tuple[Verdict, ...] = ("different", "within tolerance", "identical")
        return next(verdict for verdict in order if verdict in found)

    def count(self, verdict: Verdict) -> int:
        """Return how many numbers have a verdict."""
        return sum(number.verdict == verdict for number in self.numbers)

    def tree(self) -> Tree:
        """Return everything as a plain tree."""
        return {
            "report": str(self.reported.path),
            "study": self.reported.report.study.name,
            "winner": self.reported.answer.label,
            "verdict": self.verdict,
            "changes": [asdict(change) for change in self.changes],
            "numbers": [number.tree() for number in self.numbers],
            "following": self.reported.following,
            "contradicts_itself": self.folder is None,
            "folder": None if self.folder is None else str(self.folder),
        }


def contradicted(reported: ReportedResult, on_event: Listener = ignore) -> Reproduction | None:
    """Return what is to be said of a report whose numbers contradict one another, or None.

    Args:
        reported: What the report says.
        on_event: Is told what is looked at, and what is not here as it was.
    """
    answer, study = reported.answer, reported.report.study
    on_event(
        Note(
            f"{study.name}: {answer.label} ({answer.origin}) again, {answer.protocol} on "
            f"{study.data.name}, {count(len(reported.scores), 'seed')}; the search is not repeated"
        )
    )
    found = changes(reported)
    for change in found:
        on_event(Note(f"not as it was: {change}"))
    if numbers := reported.contradictions:
        return Reproduction(reported, found, numbers, None)
    on_event(Note(f"{reported.following:,} numbers of the report follow from one another"))
    return None


def reproduce(
    reported: ReportedResult, clips: ClipSet, on_event: Listener = ignore, runs: Path = RUNS
) -> Reproduction:
    """Train the winner again and compare every number that follows from it.

    Of a report that contradicts itself nothing is trained; its contradictions are the result.
    Folds of a reproduction that was interrupted are not trained twice.

    Args:
        reported: What the report says.
        clips: The data that its settings name.
        on_event: Is told what happens.
        runs: Below which folder the folds are kept.

    Raises:
        DataError: The clips are others than the report's.
        ConfigError: The machine has no such device as the report trained on.
        TrainingFailed: A fold of which the report holds a score cannot be trained.
    """
    study, files = reported.settings.study, reported.settings.space.extensions
    if (refuted := contradicted(reported)) is not None:
        return refuted
    other = held_against(reported, clips)
    for change in other:
        on_event(Note(f"not as it was: {change}"))
    found = (*changes(reported), *other)
    if not found:
        on_event(Note("settings, code, packages, machine and clips are as they were"))
    on_event(Note(f"training took {duration(reported.seconds)} then, on one worker"))
    protocol = study.divided(clips, reported.folds)
    evaluator = Evaluator(clips, protocol, study.seed, files)
    evaluator.one_by_one = reported.together == 1
    if reported.ray.address is None:
        for member in reported.members:
            pick_device(member.candidate.trainer.device)  # refused before a fold begins
    folder = folder_of(reported, runs)
    again = measure_in(
        folder,
        {_called(reported, member): member.candidate for member in reported.members},
        reported.repetitions,
        evaluator,
        reported.ray,
        on_event,
        Patience(study.fold_seconds),
    )
    for repetition, label in again.failed.items():
        said = f"{label} cannot be trained here: {again.failures[label]}"
        if repetition in reported.needed:
            raise TrainingFailed(f"{reported.path}: {said}")
        # It failed then, too: failures follow from the seed.
        on_event(Note(f"{said}; the report holds no score of it"))
    here = max(result.width for folds in again.results.values() for result in folds)
    if here != reported.together:
        change = Change("folds as one computation", str(reported.together), str(here))
        on_event(Note(f"not as it was: {change}"))
        found = (*found, change)
    done = Reproduction(reported, found, tuple(compared(reported, again.results)), folder)
    write(folder / "reproduced.json", json.dumps(done.tree(), indent=2) + "\n")
    return done


def _called(reported: ReportedResult, member: ReportedMember) -> str:
    return member.trial.label if reported.answer.members else reported.answer.label


def folder_of(reported: ReportedResult, runs: Path) -> Path:
    """Return the folder of an interrupted reproduction, or of a new one."""
    content = digest(reported.path)[:8]
    name = reported.report.study.name
    try:
        file_name(name)
    except ValueError:  # a study's folder may be called as its user likes, and a stranger's too
        name = "study"
    for number in itertools.count(1):
        folder = runs / "reproductions" / f"{name}-{content}-{number}"
        if not (folder / "reproduced.json").is_file():
            return folder
    raise AssertionError
