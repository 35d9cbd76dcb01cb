"""`report.json`: the facts of a study, and what a reader wants to know of them.

Every number that `report.html` prints stands here, so the page can be checked against the file and
other programs need no HTML. A change that old readers would not understand changes `SCHEMA`.
"""

import json
import re
from pathlib import Path
from typing import Final, Literal

from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from mer_nas import files
from mer_nas.config.base import C, Config, Tree, validate
from mer_nas.errors import StudyError, shown
from mer_nas.evaluation.metrics import Confusion, Share
from mer_nas.report.facts import CandidateSummary, StudySummary
from mer_nas.report.literature import Literature
from mer_nas.search.events import Outcome
from mer_nas.space.published import PublishedScores
from mer_nas.statistics import Difference
from mer_nas.wording import brief

SCHEMA: Final = "mer-nas report 3"
HONESTY: Final = "selected on these subjects; expect less on new ones"
CORRECTED: Final = (
    "the headline is corrected for being the best of many; what earlier studies learned from "
    "these subjects is not"
)

_BREAK = re.compile(r",\n\s+")
_NUMBERS = re.compile(r'\[\n\s+([^][{}"]+?)\n\s+\]')
_ROWS = re.compile(r"\[\n\s+(\[[^][\n]*\](?:,\n\s+\[[^][\n]*\])*)\n\s+\]")


class Spread(Config):
    """A score over several seeds."""

    mean: Share
    deviation: NonNegativeFloat | None
    """Standard deviation (n - 1); none for a single seed."""
    low: Share
    high: Share
    seeds: PositiveInt


class RankedCandidate(CandidateSummary):
    """A candidate in the ranking."""

    rank: PositiveInt | None
    """None for warm starts that did not reach the final stage."""
    label: str
    outcome: Outcome
    search_score: Share | None
    """UF1 under the search protocol."""
    uf1: Spread | None
    """Under the final protocol, as are the next two; none where it was not run."""
    uar: Spread | None
    accuracy: Spread | None


class Margin(Config):
    """The winner against the best warm start, both under one protocol."""

    label: str
    """Of the warm start."""
    protocol: str
    winner: Share
    warm_start: Share
    difference: Difference
    """Winner minus warm start, in UF1."""
    deviation: NonNegativeFloat | None
    """The larger standard deviation over seeds of the two; none where there is one seed."""


class Winner(CandidateSummary):
    """What the study found."""

    label: str
    key: str
    stage: Literal["final", "search"]
    """Which stage the score comes from."""
    protocol: str
    uf1: Spread
    uar: Spread | None
    accuracy: Spread | None
    weighted_f1: Spread | None = None
    """F1 of the classes, each counted as often as it has clips."""
    fold_f1: Spread | None = None
    """Mean over folds of the F1 of each; not pooled, so not to be compared with `uf1`."""
    honesty: str
    """How far the scores can be trusted, in a sentence."""
    search_score: Share | None
    against: Margin | None
    """None where no warm start was measured under the same protocol, or the winner is one."""
    architecture: Tree | None
    """Closed form."""
    trainer: Tree | None
    """What it was trained with under that protocol."""


class ConfusionMatrix(Config):
    """True against chosen classes of the winner, summed over seeds."""

    classes: tuple[str, ...]
    counts: Confusion
    shares: tuple[tuple[Share, ...], ...]
    """Counts divided by the sum of their row: the diagonal holds each class's recall."""
    totals: tuple[NonNegativeInt, ...]
    """Sum of each row."""
    seeds: PositiveInt
    protocol: str


class BestSoFar(Config):
    """The best complete score once a trial had ended."""

    number: NonNegativeInt
    uf1: Share


class Axis(Config):
    """The values of a parameter, as a drawing lays them out."""

    parameter: str
    choices: tuple[str, ...] = ()
    """Its values in order, evenly spaced; empty for a number."""
    low: float | None = None
    """The least value of a number, at place 0, and the largest, at place 1."""
    high: float | None = None
    log: bool = False
    """Whether a number's places are those of its logarithm."""


class Important(Config):
    """A parameter of the search and how much of the score's variation it explains."""

    parameter: str
    importance: NonNegativeFloat
    relative: Share
    """Importance divided by the largest one."""
    tried: Axis | None = None
    """The values that complete trials took; none where no trial has the parameter."""


class SlicePoint(Config):
    """One complete trial in a slice."""

    value: str | int | float | bool | None
    uf1: Share


class Slice(Config):
    """Search score against one parameter, over the complete trials that have it."""

    parameter: str
    choice: bool
    """Whether it takes so few values that they are shown one by one."""
    points: tuple[SlicePoint, ...]


class Line(Config):
    """A complete trial in the parallel coordinates."""

    number: NonNegativeInt
    uf1: Share
    places: tuple[Share | None, ...]
    """Where it crosses each axis; none where the trial does not have the parameter."""


class ParallelCoordinates(Config):
    """The complete trials over the parameters that mattered most, the best trial last."""

    axes: tuple[Axis, ...]
    lines: tuple[Line, ...]


class SlotRow(Config):
    """A block that can stand in a slot, over the complete trials."""

    slot: str
    """Dotted where a block stands in another: "stem.multi_scale"."""
    block: str
    trials: PositiveInt
    """Complete trials that have it there, in whichever path or stage."""
    best: NonNegativeInt
    """Of the best quarter of them."""
    uf1: Share
    """Mean search score of those that have it."""
    others: Share | None
    """Of those that do not; none where all have it."""
    winner: bool
    """Whether the winner has it."""


class Slots(Config):
    """Which blocks the good networks have; an association, as others change along."""

    complete: PositiveInt
    """Complete trials."""
    best: PositiveInt
    """Size of their best quarter."""
    rows: tuple[SlotRow, ...]
    """By slot; of each the block with the best mean first."""


class StageRow(Config):
    """One part of the winner's network, input to output."""

    part: str
    """"stem", "stage 1", "head"; with the path in front where there are several."""
    blocks: tuple[str, ...]
    """What it is made of, in the order of the computation."""
    width: NonNegativeInt
    """Channels of its output."""
    height: NonNegativeInt | None
    """Of its output map, in pixels; none behind the pooling."""
    columns: NonNegativeInt | None
    parameters: NonNegativeInt
    share: Share
    """Share of the network's parameters."""


class ComparedRow(Config):
    """A row of a published table, and what we measured."""

    name: str
    about: str
    point: str
    uf1: Spread | None
    """Ours, on the clips of the study; none where the point was not measured."""
    accuracy: Spread | None
    published: dict[str, PublishedScores]
    """The paper's, by data set."""


class ComparedTable(Config):
    """A published table with our scores beside its own."""

    title: str
    source: str
    data: dict[str, str]
    """The paper's data sets."""
    ours: str
    """What ours were measured on, and how: "synthetic (3 classes, 108 clips), LOSO"."""
    rows: tuple[ComparedRow, ...]


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


class SubjectSizes(Config):
    """How many clips the subjects have."""

    smallest: PositiveInt
    median: NonNegativeFloat
    largest: PositiveInt


class Report(Config):
    """`report.json`."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["mer-nas report 3"] = Field(default=SCHEMA, alias="schema")
    answer: Winner | None
    """None where no trial is complete."""
    ranking: tuple[RankedCandidate, ...]
    """Finalists by rank; without a final stage the best complete trials."""
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
    important: tuple[Important, ...]
    """Parameters, most important first."""
    slices: tuple[Slice, ...]
    """Of the two most important parameters."""
    parallel: ParallelCoordinates | None = None
    """None where importance is unknown."""
    slots: Slots | None = None
    """None where fewer trials are complete than make a best quarter, or no slot was searched."""
    stages: tuple[StageRow, ...]
    """Of the winner; empty where there is none."""
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
        tree = self.model_dump(mode="json", by_alias=True)
        return _matrices_in_lines(json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False))


def _matrices_in_lines(text: str) -> str:
    """Return indented JSON with every list of numbers, and every list of those, in one line.

    A line a number would make a file of subjects' confusions ten times as long. Text inside
    quotes has no line breaks in JSON, so it is never touched.
    """
    for lists in (_NUMBERS, _ROWS):
        text = lists.sub(lambda found: f"[{_BREAK.sub(', ', found[1])}]", text)
    return text + "\n"


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
