"""`report.json`: the summary of a study, and what a reader wants to know of it.

Every number that `report.html` prints stands here, so the page can be checked against the file and
other programs need no HTML. A change that old readers would not understand changes `SCHEMA`.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
from pydantic import ConfigDict, Field, NonNegativeInt

from mer_nas import files
from mer_nas.config.base import C, Config, validate
from mer_nas.errors import StudyError, shown
from mer_nas.report.literature import Literature
from mer_nas.report.parameters import ImportantParameter, ParallelCoordinates, Slice
from mer_nas.report.ranking import BestSoFar, RankedCandidate, Winner
from mer_nas.report.scores import ConfusionMatrix
from mer_nas.report.slots import Slots
from mer_nas.report.stages import StageRow
from mer_nas.report.subjects import DatasetPart, SubjectRow, SubjectSizes
from mer_nas.report.summary import StudySummary
from mer_nas.report.tables import ComparedTable
from mer_nas.search.events import Outcome
from mer_nas.wording import brief

SCHEMA: Final = "mer-nas report 3"

_NESTED = {str, dict, list}
_ENCODED = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


class Report(Config):
    """`report.json`."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["mer-nas report 3"] = Field(default=SCHEMA, alias="schema")
    answer: Winner | None
    """None where no trial is complete."""
    ranking: tuple[RankedCandidate, ...]
    """Finalists by rank; without a final stage the best complete trials."""
    ensemble: RankedCandidate | None = None
    """The ensemble as a row beside the ranking, handed over or not; none where there is none."""
    front: tuple[RankedCandidate, ...] = ()
    """With several objectives: the complete trials that no other betters, best UF1 first."""
    warm_starts: tuple[RankedCandidate, ...]
    """Published points as the search measured them."""
    confusion: ConfusionMatrix | None
    outcomes: dict[Outcome, NonNegativeInt]
    """Number of trials of each outcome."""
    counted: NonNegativeInt
    """Trials that count against the budget: complete, pruned and failed."""
    course: tuple[BestSoFar, ...]
    important: tuple[ImportantParameter, ...]
    """Parameters, most important first."""
    slices: tuple[Slice, ...]
    """Of the two most important parameters."""
    parallel: ParallelCoordinates | None = None
    """None where importance is unknown."""
    slots: Slots | None = None
    """None where fewer trials are complete than make a best quarter, or no slot was searched."""
    stages: tuple[StageRow, ...]
    """Of the best candidate; empty where there is none."""
    tables: tuple[ComparedTable, ...] = ()
    """Published tables with our scores."""
    literature: Literature | None = None
    """What papers state for the composite of MEGC 2019, and how they came by it."""
    subject_sizes: SubjectSizes | None
    datasets: tuple[DatasetPart, ...] = ()
    """Empty where the study does not know its subjects."""
    subjects: tuple[SubjectRow, ...] = ()
    """In the order of `DataSummary.subjects`; empty where there is no winner."""
    study: StudySummary
    """Everything above is derived from this."""

    def __repr__(self) -> str:
        """Return what won and how good it is."""
        facts: list[tuple[str, object]] = [("study", self.study.name), ("trials", self.counted)]
        if self.answer is not None:
            answer, uf1 = self.answer, self.answer.uf1
            facts += [("winner", answer.label), ("uf1", round(uf1.mean, 4))]
            facts += [("seeds", uf1.seeds), ("protocol", answer.protocol)]
        if self.study.headline is not None:
            facts.append(("on_new_subjects", round(self.study.headline.uf1.value, 4)))
        return brief(self, facts)

    @property
    def unranked(self) -> tuple[RankedCandidate, ...]:
        """The warm starts that do not stand in the ranking already."""
        ranked = {row.origin for row in self.ranking if row.warm_start}
        return tuple(row for row in self.warm_starts if row.origin not in ranked)

    def to_json(self) -> str:
        """Return the text of `report.json`."""
        return f"{_indented(self.model_dump(mode='json', by_alias=True))}\n"


def build_report(summary: StudySummary) -> Report:
    """Return what a reader wants to know of the study that `summary` tells of.

    Blocks of the user's own must be loaded: the winner's network is built to be counted.
    """
    data, complete = summary.data, summary.complete
    winner = Winner.of_study(summary)
    scores = summary.handed_over.repetitions if summary.handed_over is not None else ()
    protocol = winner.protocol if winner is not None else summary.search_protocol
    architecture = summary.best.architecture if summary.best is not None else None
    outcomes = Counter(trial.outcome for trial in summary.trials)
    important = ImportantParameter.ranked(summary.importance or {}, complete)
    classes = len(data.classes)
    return Report(
        answer=winner,
        ranking=RankedCandidate.ranking(summary),
        ensemble=RankedCandidate.together(summary.ensemble),
        front=tuple(map(RankedCandidate.of, summary.front)) if summary.objectives[1:] else (),
        warm_starts=tuple(RankedCandidate.of(t) for t in summary.trials if t.warm_start),
        confusion=ConfusionMatrix.of(
            np.sum([score.confusion for score in scores], axis=0),
            data.classes,
            len(scores),
            protocol,
        )
        if scores
        else None,
        outcomes={outcome: outcomes[outcome] for outcome in get_args(Outcome)},
        counted=sum(outcomes[outcome] for outcome in ("complete", "pruned", "failed")),
        course=BestSoFar.course(complete),
        important=important,
        slices=Slice.of_most_important(important, complete),
        parallel=ParallelCoordinates.of(important, complete),
        slots=Slots.of(complete, architecture),
        stages=StageRow.of_network(architecture, classes) if summary.best is not None else (),
        tables=ComparedTable.of_study(summary),
        literature=Literature.beside(
            data.counts["clips"], data.counts["subjects"], classes, protocol
        ),
        subject_sizes=SubjectSizes.of(list(data.subjects.values())),
        datasets=DatasetPart.of_scores(data, scores, protocol),
        subjects=SubjectRow.of_scores(data, scores),
        study=summary,
    )


def _indented(node: Any, indent: str = "\n") -> str:
    """Return a tree as indented JSON, every list of numbers, and every list of those, in one line.

    A line a number would make a file of subjects' confusions ten times as long, and the indenting
    encoder of Python takes seconds for a long search.

    Args:
        node: The tree.
        indent: What its lines begin with, but for the first.
    """
    deeper = f"{indent}  "
    if isinstance(node, dict) and node:
        rows = (f"{_ENCODED(key)}: {_indented(value, deeper)}" for key, value in node.items())
        return f"{{{deeper}{f',{deeper}'.join(rows)}{indent}}}"
    if isinstance(node, list) and not _in_a_line(node):
        return f"[{deeper}{f',{deeper}'.join(_indented(each, deeper) for each in node)}{indent}]"
    return _ENCODED(node)


def _in_a_line(row: list[Any]) -> bool:
    return _is_flat(row) or all(isinstance(each, list) and _is_flat(each) for each in row)


def _is_flat(row: list[Any]) -> bool:
    return _NESTED.isdisjoint(map(type, row))


def read_report(path: Path) -> Report:
    """Return the report in the file at `path`.

    Raises:
        StudyError: There is none, it is not JSON, or another version of mer-nas wrote it.
        ConfigError: It has been edited into something else, with every mistake.
    """
    if not path.is_file():
        raise StudyError(f"{path}: no such file; `mer-nas report STUDY` writes it")
    return read_document(Report, path, SCHEMA, "`mer-nas report STUDY` writes it anew")


def read_document(model: type[C], path: Path, schema: str, remedy: str) -> C:
    """Return what a JSON file of a versioned schema holds.

    Args:
        model: What it is to be.
        path: The file.
        schema: The version that is read.
        remedy: What to do about a file of another one.

    Raises:
        StudyError: It is not readable as JSON, or of another version.
        ConfigError: It has been edited into something else, with every mistake.
    """
    tree = files.read_json(path, StudyError)
    found = tree.get("schema") if isinstance(tree, dict) else None
    if found != schema:
        raise StudyError(
            f"{path}: schema is {shown(found)}, but this version reads {schema!r}; {remedy}"
        )
    return validate(model, tree, str(path))
