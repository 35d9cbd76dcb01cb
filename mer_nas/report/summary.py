"""All that is known of a study when its report is written, as its storage and ledger tell it.

`mer_nas.study.summary` computes it; `mer_nas.report.build_report` turns it into a `Report`, in
which it stands as it is.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from mer_nas.config.base import Config, Share, Tree
from mer_nas.data.clips import ClipSet
from mer_nas.evaluation.metrics import METRICS
from mer_nas.export.manifest import Exported
from mer_nas.report.attribution import Attribution
from mer_nas.report.candidates import FinalistSummary, TrialSummary
from mer_nas.report.ensembles import EnsembleSummary
from mer_nas.report.scores import SeedScores, counts_by_subject
from mer_nas.search.objectives import Objective, front
from mer_nas.space.published import PublishedTable
from mer_nas.statistics import Correction, Estimate, PairedComparison, estimate


class SelectionBias(Correction):
    """What choosing among many does to the score of what is chosen, over subjects (BBC-CV).

    The candidates are the complete trials, among which the best one was chosen, or the ensemble
    where that is handed over.
    """

    pruned: NonNegativeInt
    """Trials that were stopped early, and could not be among them."""
    protocol: str
    caveat: str = ""
    """Why the optimism is a lower bound; empty where it is an estimate."""


class Headline(Config):
    """What to expect of what the study hands over, on new subjects of the same kind."""

    uf1: Estimate
    """`mean` less `optimism`."""
    mean: Share
    """UF1 of the winner, or of the ensemble where that is handed over, over all its seeds."""
    seeds: PositiveInt
    optimism: NonNegativeFloat
    """Of the choice, at the fidelity of the search."""
    upper_bound: bool = False
    """Whether the optimism is a lower bound, so that less is to be expected."""


class Comparison(PairedComparison):
    """What is handed over, the first, against another candidate under one protocol."""

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
    """How people call it: "trial 17" or "ensemble of 5", of the search without these subjects."""
    origin: str
    """Name of the published point it is, of the sampler that proposed it, or of the rule that
    chose an ensemble."""
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

    @classmethod
    def of(
        cls, groups: Sequence[OuterGroup], scores: Sequence[SeedScores], seconds: float
    ) -> NestedEstimate:
        """Return what follows from the answers about all outer groups.

        Args:
            groups: Each with its winner.
            scores: Of the answers, pooled; one a seed.
            seconds: What it all took.
        """
        counts = counts_by_subject(scores)
        return cls(
            groups=tuple(groups),
            inside=statistics.fmean(group.chosen_by for group in groups),
            scores=tuple(scores),
            **{name: estimate(counts, metric) for name, metric in METRICS.items()},
            seconds=seconds,
        )


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

    @classmethod
    def of(cls, clips: ClipSet) -> DataSummary:
        """Return what a report says of clips."""
        return cls(
            name=clips.name,
            fingerprint=clips.fingerprint,
            classes=clips.classes,
            counts=clips.counts(),
            official=dict(clips.official or {}),
            subjects={group: int((clips.groups == group).sum()) for group in clips.subjects},
            inputs={name: array.shape[1:] for name, array in clips.inputs.items()},
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
    together: PositiveInt = 1
    """The most folds that a worker trained as one computation."""
    final_together: PositiveInt = 1
    """The same, of the final stage alone."""
    alone: tuple[str, ...] = ()
    """Why folds were trained one by one where several at a time would have paid."""
    notes: tuple[str, ...] = ()
    """What else is to be known of its sessions."""


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
    """When the last session of the study ended, in UTC."""
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
    ensemble: EnsembleSummary | None = None
    ensemble_note: str = ""
    """Why there is none; empty where none was asked for, as before there were any."""
    selection: SelectionBias | None = None
    selection_note: str = ""
    """Why nothing is known of it."""
    headline: Headline | None = None
    nested: NestedEstimate | None = None
    """None where it was not asked for (`study.outer`), or is not complete."""
    nested_note: str = ""
    """Why it is not complete."""
    comparisons: tuple[Comparison, ...] = ()
    """What is handed over against the next best (beside an ensemble, the best candidate alone) and
    each warm start that was measured like it."""
    export: Exported | None = None
    """Of the winner."""
    ensemble_export: Exported | None = None
    export_failures: dict[str, str] = Field(default_factory=dict)
    """Why what was to be exported is not, by what it is: "winner" or "ensemble"."""
    looks: Attribution | None = None
    """None where the winner was not exported, or has neither experts nor progressive gates."""
    next_steps: tuple[NextStep, ...] = ()

    @property
    def protocol(self) -> str:
        """Of the final stage, else of the search."""
        return self.final_protocol or self.search_protocol

    @property
    def ranked(self) -> list[FinalistSummary]:
        """The finalists, the winner first."""
        return sorted(self.finalists, key=lambda finalist: finalist.rank)

    @property
    def complete(self) -> list[TrialSummary]:
        """The complete trials, the best first and of equals the earliest."""
        complete = [trial for trial in self.trials if trial.outcome == "complete"]
        known = [(trial, trial.value) for trial in complete if trial.value is not None]
        return [trial for trial, _ in sorted(known, key=lambda pair: (-pair[1], pair[0].number))]

    @property
    def eligible(self) -> list[TrialSummary]:
        """Complete trials that may be handed over, best first: of several objectives the front."""
        return self.front if len(self.objectives) > 1 else self.complete

    @property
    def by_number(self) -> list[TrialSummary]:
        """The complete trials, the earliest first."""
        return sorted(self.complete, key=lambda trial: trial.number)

    @property
    def best(self) -> FinalistSummary | TrialSummary | None:
        """The best finalist, or else the best complete trial; none where none is complete."""
        finalists, eligible = self.ranked, self.eligible
        return finalists[0] if finalists else eligible[0] if eligible else None

    @property
    def handed_over(self) -> FinalistSummary | TrialSummary | EnsembleSummary | None:
        """What the study recommends: the ensemble, or else its best candidate."""
        if self.ensemble is not None and self.ensemble.handed_over:
            return self.ensemble
        return self.best

    @property
    def flattered(self) -> str:
        """What the comparisons of what was chosen leave out, in a sentence."""
        who = "the ensemble" if isinstance(self.handed_over, EnsembleSummary) else "the winner"
        found = self.selection
        least = "at least " if found is not None and found.caveat else ""
        by = f" by {least}{found.optimism:.3f} UF1 in the search" if found is not None else ""
        return (
            f"its choice on these subjects flatters {who}{by}; differences, intervals and p are "
            "not corrected for that"
        )

    def best_in(self, stage: Literal["final", "search"]) -> tuple[SeedScores, ...]:
        """Return the scores of the best candidate alone in a stage; empty where it has none."""
        best = self.best
        if isinstance(best, FinalistSummary) and stage == "search":
            best = next((trial for trial in self.trials if trial.number == best.trial), None)
        return () if best is None else best.repetitions

    @property
    def front(self) -> list[TrialSummary]:
        """The complete trials that no other betters in every objective, in their order."""
        costs = {"macs": "macs", "params": "deployed"}
        names = ["value", *(costs[name] for name in self.objectives[1:])]
        complete = self.complete
        points = [tuple(float(getattr(t, name) or 0) for name in names) for t in complete]
        return [complete[index] for index in sorted(front(points))]

    @model_validator(mode="after")
    def _of_its_data(self) -> Self:
        self.data.check(self._scores())
        if self.looks is not None and self.looks.classes != len(self.data.classes):
            raise ValueError("looks are not of the classes of its data")
        return self

    def _scores(self) -> Iterator[SeedScores]:
        yield from (trial.scores for trial in self.trials if trial.scores is not None)
        yield from (score for finalist in self.finalists for score in finalist.scores)
        yield from self.ensemble.scores if self.ensemble is not None else ()
        yield from self.nested.scores if self.nested is not None else ()
