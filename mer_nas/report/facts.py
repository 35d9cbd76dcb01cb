"""What a report is made from: the facts of a study, as its storage and its ledger tell them.

Nothing here is computed. Whoever knows the study fills these blocks; `mer_nas.report.build` turns
them into a `Report`, and the blocks that need no change stand in the report as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from mer_nas.config.base import Config, Tree
from mer_nas.evaluation.metrics import Confusion, Scores, Share
from mer_nas.evaluation.results import FoldResult, confusions_by_dataset, fold_average
from mer_nas.search.events import Outcome
from mer_nas.search.objectives import Objective
from mer_nas.space.published import PublishedTable
from mer_nas.space.search_space import Fidelity
from mer_nas.statistics import Correction, Estimate, PairedComparison, by_subject


class DatasetScores(Scores):
    """Scores on the clips of one data set, out of the predictions on all of them."""

    name: str


class SeedScores(Scores):
    """Scores of one repetition of a protocol, from predictions pooled over all held-out folds."""

    repetition: NonNegativeInt = 0
    """Which repetition; it decides the seed of every fold."""
    subjects: tuple[Confusion, ...] = ()
    """Confusion of each subject, in the order of `DataSummary.subjects`; empty where unknown."""
    fold_f1: Share | None = None
    """Mean over folds of the F1 of each, of the classes that occur in it; not pooled."""
    datasets: tuple[DatasetScores, ...] = ()
    """The same predictions by data set, where there are several."""

    @classmethod
    def pooled(
        cls, results: Sequence[FoldResult], subjects: Sequence[str], repetition: int
    ) -> SeedScores:
        """Return what all folds of a repetition come to.

        Args:
            results: One a fold.
            subjects: Of the whole data set, in the order of `DataSummary.subjects`.
            repetition: Which it is.
        """
        by_dataset = confusions_by_dataset(results)
        found = by_subject(results, subjects, len(results[0].probabilities[0]))
        return cls.of(
            found.sum(0),
            repetition=repetition,
            subjects=found.tolist(),
            fold_f1=fold_average(results),
            datasets=tuple(
                DatasetScores.of(counts, name=name)
                for name, counts in (by_dataset.items() if len(by_dataset) > 1 else ())
            ),
        )


class BlockPoint(Config):
    """The score of a trial after a block of folds."""

    clips: Share
    """Share of the clips that were held out so far."""
    uf1: Share
    """UF1 pooled over them; a class absent so far counts 0, so only the last is a score."""


class CandidateSummary(Config):
    """What every table says of a candidate."""

    origin: str
    """Name of the published point, or of the sampler."""
    warm_start: bool = False
    """Whether the origin is a published point."""
    source: str = ""
    """Where the point was published; empty for a proposal of the search."""
    fidelity: Fidelity | None = None
    """code: equal to public code; paper: specified by the text; reading: our interpretation."""
    parameters: NonNegativeInt | None = None
    """Weights that are trained."""
    deployed: NonNegativeInt | None = None
    """Weights without what only training uses."""
    macs: NonNegativeInt | None = None
    """Nominal multiply-accumulates of the deployed network for one clip."""
    step_ms: NonNegativeFloat | None = None
    """Milliseconds of a training step of 16 clips, measured; none where it was not."""
    clip_ms: NonNegativeFloat | None = None
    """Milliseconds of one clip at inference, measured; none where it was not."""

    def said(self) -> Tree:
        """Return these settings, for another block that says them."""
        return {name: getattr(self, name) for name in CandidateSummary.model_fields}


class TrialSummary(CandidateSummary):
    """One proposal of the search and what became of it."""

    number: NonNegativeInt
    """The trial's number in the Optuna study."""
    outcome: Outcome
    value: Share | None = None
    """UF1 over all folds of the search protocol; none unless the trial is complete."""
    scores: SeedScores | None = None
    """The same with UAR, accuracy and confusion matrix, where the ledger holds all folds."""
    curve: tuple[BlockPoint, ...] = ()
    """Score after each block of folds, first to last."""
    params: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    """What the sampler chose, by dotted name."""
    seconds: NonNegativeFloat = 0.0
    """Time spent training and predicting, summed over the folds."""
    key: str = ""
    """Key of the candidate in the ledger; empty where the proposal never became one."""
    architecture: Tree | None = None
    """Closed form; the report draws the winner's, so complete trials should have it."""
    trainer: Tree | None = None
    error: str = ""
    """Why it failed or is infeasible."""


class LossCurve(Config):
    """How the training loss of a finalist fell, over the folds of all its repetitions.

    Where folds have unequal numbers of epochs, a part is an equal share of each one's training.
    """

    folds: PositiveInt
    """Trainings whose losses are known."""
    mean: Annotated[tuple[float, ...], Field(min_length=1)]
    """After each epoch."""
    low: tuple[float, ...]
    """10 % of the folds lie below, and 10 % above `high`."""
    high: tuple[float, ...]


class HindsightSummary(Config):
    """LEAKY: what the same trainings would have scored, had the held-out clips chosen the epoch.

    For comparison with literature that does so; nothing was chosen by it. All scores are UF1 of
    whole pools, means over the repetitions that were looked back at.
    """

    seeds: PositiveInt
    """Repetitions of which a fold was looked back at."""
    folds: PositiveInt
    """Folds of theirs that were looked back at; the others count with their last epoch."""
    of: PositiveInt
    """Folds of theirs."""
    epochs: PositiveInt
    """Epochs among which each fold had the choice, at most."""
    last: Share
    """After the last epoch, which is the honest score of these repetitions."""
    best_of_each: Share
    """LEAKY: each fold with the epoch that tells most of its own held-out clips right."""
    best_of_all: Share
    """LEAKY: all folds of a repetition after the one part of the training that is best pooled."""
    course: tuple[Share, ...]
    """LEAKY: after each part of the training, as many as there are epochs."""


class FinalistSummary(CandidateSummary):
    """A candidate that was retrained under the final protocol with several seeds."""

    rank: PositiveInt
    """1 is the winner: highest mean UF1."""
    label: str
    """How people call it: "trial 17" or "prog_s"."""
    key: str
    trial: NonNegativeInt | None = None
    """The trial it comes from."""
    architecture: Tree
    trainer: Tree
    search_score: Share | None = None
    """UF1 of its trial under the search protocol."""
    scores: Annotated[tuple[SeedScores, ...], Field(min_length=1)]
    """One a repetition."""
    learning: LossCurve | None = None
    """None where a version trained it that kept no losses."""
    hindsight: HindsightSummary | None = None
    """LEAKY; used for no choice. None where no fold was looked back at."""

    @property
    def name(self) -> str:
        """The published point that it is, else its label."""
        return self.origin if self.warm_start else self.label


class SelectionBias(Correction):
    """What choosing the best of many does to its score, estimated over subjects (BBC-CV).

    The candidates are the complete trials, among which the choice was made.
    """

    pruned: NonNegativeInt
    """Trials that were stopped early, and could not be among them."""
    protocol: str
    caveat: str = ""
    """Why the optimism is a lower bound; empty where it is an estimate."""


class Headline(Config):
    """What to expect of the winner on new subjects of the same kind."""

    uf1: Estimate
    """`mean` less `optimism`."""
    mean: Share
    """UF1 of the winner over all seeds."""
    seeds: PositiveInt
    optimism: NonNegativeFloat
    """Of the choice, at the fidelity of the search."""
    upper_bound: bool = False
    """Whether the optimism is a lower bound, so that less is to be expected."""


class Comparison(PairedComparison):
    """The winner, the first, against another candidate under one protocol."""

    label: str
    origin: str
    warm_start: bool
    protocol: str
    uf1: Share
    """Mean of the other candidate."""
    seeds: PositiveInt


class OuterGroup(Config):
    """Subjects that a search of its own never saw, and the winner that was asked about them."""

    name: str
    """"group 1 (3 subjects)"."""
    clips: PositiveInt
    """Number of clips that the winner was asked about."""
    winner: str
    """How people call it: "trial 17", of the search without these subjects."""
    origin: str
    """Name of the published point it is, or of the sampler that proposed it."""
    key: str
    chosen_by: Share
    """UF1 of the winner on the subjects of its search, by which it was chosen."""


class NestedEstimate(Config):
    """What the whole procedure, search and choice included, is worth on subjects it never saw."""

    groups: Annotated[tuple[OuterGroup, ...], Field(min_length=2)]
    inside: Share
    """Mean over the groups of `chosen_by`: what the searches themselves thought."""
    scores: Annotated[tuple[SeedScores, ...], Field(min_length=1)]
    """Of the answers about all groups, pooled; one a seed."""
    uf1: Estimate
    """Mean over the seeds, as are the next two."""
    uar: Estimate
    accuracy: Estimate
    seconds: NonNegativeFloat
    """Training time of it all, the searches included, summed over workers."""


class DataSummary(Config):
    """The clips that everything was measured on."""

    name: str
    fingerprint: str
    """Hash of arrays, labels, names and classes."""
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    """In the order of the confusion matrix."""
    counts: dict[str, NonNegativeInt]
    """What was found: clips, subjects and each class."""
    official: dict[str, NonNegativeInt] = Field(default_factory=dict)
    """The same of the full set, where it is known."""
    subjects: dict[str, PositiveInt] = Field(default_factory=dict)
    """Clips of each subject, by data-set-prefixed name."""
    inputs: dict[str, tuple[PositiveInt, ...]] = Field(default_factory=dict)
    """Shape of one clip of each input: channels, height, width."""

    def check(self, scores: Iterable[SeedScores]) -> None:
        """Refuse scores of other clips.

        Raises:
            ValueError: A confusion has other classes, or there is not one for each subject.
        """
        for score in scores:
            sizes = {len(confusion) for confusion in (score.confusion, *score.subjects)}
            if sizes != {len(self.classes)} or len(score.subjects) not in {0, len(self.subjects)}:
                raise ValueError(
                    f"scores are not of the {len(self.classes)} classes and the "
                    f"{len(self.subjects)} subjects of its data"
                )


class ComputeSummary(Config):
    """What the study cost, and what stopping trials early saved."""

    folds_run: NonNegativeInt
    folds_possible: NonNegativeInt
    """Folds that complete and pruned trials would have needed without pruning."""
    saved: Share
    """Share of the search's compute that pruning saved."""
    search_seconds: NonNegativeFloat
    """Training time of the search, summed over workers."""
    final_seconds: NonNegativeFloat = 0.0
    """Training time of the final stage, summed over workers."""
    wall_seconds: NonNegativeFloat
    """From the first start to the end, over all sessions."""
    workers: PositiveInt | None = None
    """The most that trained at a time; None where it is not known."""


class ExportFacts(Config):
    """The winner's export."""

    folder: str
    files: tuple[str, ...]
    max_difference: NonNegativeFloat
    """Largest absolute difference of logits between the exported and the trained network."""


def _rectangle(rows: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    if len({len(row) for row in rows}) != 1 or not rows[0]:
        raise ValueError("a map has rows of one length")
    return rows


Map = Annotated[tuple[tuple[float, ...], ...], AfterValidator(_rectangle)]
"""Rows of a small map, top to bottom; each from the left of the picture to its right."""


class ExpertAttribution(Config):
    """Which experts of a layer the winner uses, and where, by true class of the clips."""

    layer: str
    """Where in the network: "stage 2, layer 1"."""
    experts: PositiveInt
    chosen: PositiveInt
    """How many of them a position is sent to."""
    use: tuple[tuple[Share, ...], ...]
    """By class, then expert: its share of the say, over clips and positions; a row sums to 1."""
    maps: tuple[tuple[Map, ...], ...] = ()
    """By class, then expert: the same at each position; empty where a clip is sent as a whole."""


class GateAttribution(Config):
    """Where a progressive gate of the winner lets through, by true class of the clips."""

    layer: str
    maps: tuple[Map, ...]
    """By class: the mean of what features are multiplied with, in [0, 1]."""


class Attribution(Config):
    """What the exported winner looks at, over all clips, which it has learned from."""

    key: str
    """Of the candidate."""
    clips: PositiveInt
    input: str
    seen: tuple[Map, ...]
    """By class: how far that input is from its median at each position, to lay the maps upon."""
    experts: tuple[ExpertAttribution, ...] = ()
    """Layer by layer, input to output."""
    gates: tuple[GateAttribution, ...] = ()

    @property
    def classes(self) -> int:
        """For how many classes of clips it says so."""
        return len(self.seen)

    @model_validator(mode="after")
    def _of_all_classes(self) -> Self:
        for look in self.experts:
            for part in (look.use, look.maps):
                if part and {*map(len, part)} != {look.experts}:
                    raise ValueError(f"{look.layer} has {look.experts} experts")
        by_class = [part for look in self.experts for part in (look.use, look.maps or look.use)]
        if any(len(part) != self.classes for part in (*by_class, *(g.maps for g in self.gates))):
            raise ValueError(f"it shows clips of {self.classes} classes")
        return self


class NextStep(Config):
    """A command worth running after reading the report."""

    command: str
    purpose: str
    """What it does, in half a sentence."""


class StudySummary(Config):
    """All that is known about a study when its report is written."""

    name: str
    folder: str
    """Where the study lies, as the user wrote it."""
    space: str
    """Name of the search space."""
    command: str
    """The command line that made the study."""
    settings: Tree
    """The resolved configuration: space, trainer, data, study, ray."""
    seed: NonNegativeInt
    written: AwareDatetime
    """When these facts were gathered, in UTC; handed in, so that a report is reproducible."""
    code_version: str
    """Hash of the files that can change a score."""
    environment: Tree
    """Python, machine and package versions."""
    data: DataSummary
    search_protocol: str
    """"LOSO" or "4 subject groups"."""
    final_protocol: str | None = None
    """None where the study has no final stage."""
    sampler: str
    objectives: tuple[Objective, ...] = ("uf1",)
    """What the search looked for."""
    pruner: str
    """With its setting, as people should read it: "bootstrap, chance 0.05"."""
    timed_on: str = ""
    """Machine on which milliseconds were measured; empty where none were."""
    stopped: str = ""
    """Why the search ended: "60 trials are done"."""
    tables: tuple[PublishedTable, ...] = ()
    """Published tables whose rows are points of the space."""
    trials: tuple[TrialSummary, ...] = ()
    compute: ComputeSummary
    importance: dict[str, NonNegativeFloat] | None = None
    """Importance of each parameter; none where it cannot be estimated."""
    importance_note: str = ""
    """How importance was estimated, or why it is absent."""
    finalists: tuple[FinalistSummary, ...] = ()
    final_failures: dict[str, str] = Field(default_factory=dict)
    """Why repetitions of the final stage failed, by their label: "trial 17, seed 1 of 3"."""
    selection: SelectionBias | None = None
    selection_note: str = ""
    """Why nothing is known of it."""
    headline: Headline | None = None
    nested: NestedEstimate | None = None
    """None where it was not asked for (`study.outer`), or is not complete."""
    nested_note: str = ""
    """Why it is not complete."""
    comparisons: tuple[Comparison, ...] = ()
    """The winner against the runner-up and each warm start that was measured like it."""
    export: ExportFacts | None = None
    looks: Attribution | None = None
    """None where the winner was not exported, or has neither experts nor progressive gates."""
    next_steps: tuple[NextStep, ...] = ()

    @model_validator(mode="after")
    def _of_its_data(self) -> Self:
        self.data.check(self._scores())
        if self.looks is not None and self.looks.classes != len(self.data.classes):
            raise ValueError("looks are not of the classes of its data")
        return self

    def _scores(self) -> Iterator[SeedScores]:
        yield from (trial.scores for trial in self.trials if trial.scores is not None)
        yield from (score for finalist in self.finalists for score in finalist.scores)
        yield from self.nested.scores if self.nested is not None else ()
