"""What a report says of a candidate: as the search measured it, and as the final stage did."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from math import ceil
from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from mer_nas.config.base import Config, Share, Tree
from mer_nas.evaluation.hindsight import Pairs, best_of_each, learning_curve
from mer_nas.evaluation.results import FoldResult, pool
from mer_nas.report.scores import SeedScores
from mer_nas.search.events import Outcome
from mer_nas.space.search_space import FIDELITY, Fidelity


class CandidateSummary(Config):
    """What every table says of a candidate."""

    origin: str
    """Name of the published point, or of the sampler."""
    warm_start: bool = False
    """Whether the origin is a published point."""
    source: str = ""
    """Where the point was published; empty for a proposal of the search."""
    fidelity: Fidelity | None = None
    """How it stands to its source; none for a proposal of the search."""
    differs: str = ""
    """Where that does not hold."""
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

    @property
    def faithful(self) -> str:
        """Its source and how it stands to it, in words."""
        said = [self.source or "source not stated"] if self.fidelity != "own" else []
        said += [FIDELITY[self.fidelity]] if self.fidelity else []
        return ": ".join(said) + (f"; but {self.differs}" if self.differs else "")

    @property
    def point_kind(self) -> str:
        """What kind of point it is, in words."""
        if self.fidelity == "own":
            return "own point"
        return f"published point, {self.fidelity}" if self.fidelity else "published point"

    @property
    def shared(self) -> Tree:
        """What every other table says of it, too."""
        return {name: getattr(self, name) for name in CandidateSummary.model_fields}


class BlockPoint(Config):
    """The score of a trial after a block of folds."""

    clips: Share
    """Share of the clips that were held out so far."""
    uf1: Share
    """UF1 pooled over them; a class absent so far counts 0, so only the last is a score."""


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

    @property
    def label(self) -> str:
        """How people call it: "trial 17"."""
        return f"trial {self.number}"

    @property
    def name(self) -> str:
        """The published point that it is, else its label."""
        return self.origin if self.warm_start else self.label

    @property
    def search_score(self) -> float | None:
        """UF1 under the search protocol; none unless the trial is complete."""
        return self.value

    @property
    def repetitions(self) -> tuple[SeedScores, ...]:
        """Its scores: one repetition, or none where the ledger lacks a fold of it."""
        return () if self.scores is None else (self.scores,)


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

    @classmethod
    def of(cls, results: Iterable[FoldResult]) -> LossCurve | None:
        """Return how the loss fell over trainings, or none where no losses were kept."""
        kept = [result.losses for result in results if result.losses]
        if not kept:
            return None
        parts = max(map(len, kept))
        losses = np.array([_stretched(each, parts) for each in kept])
        low, high = np.quantile(losses, (0.1, 0.9), axis=0)
        return cls(
            folds=len(kept), mean=losses.mean(0).tolist(), low=low.tolist(), high=high.tolist()
        )


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

    @classmethod
    def looking_back(cls, repetitions: Sequence[Pairs]) -> HindsightSummary | None:
        """Return what the epoch that is best in hindsight would have given; none if none was seen.

        Args:
            repetitions: The folds of each whole repetition, with what was seen looking back.
        """
        seen = [folds for folds in repetitions if any(back is not None for _, back in folds)]
        backs = [back for folds in seen for _, back in folds if back is not None]
        if not backs:
            return None
        parts = max(len(back.epochs) for back in backs)
        curves = [[scores.uf1 for scores in learning_curve(folds, parts)] for folds in seen]
        return cls(
            seeds=len(seen),
            folds=len(backs),
            of=sum(map(len, seen)),
            epochs=parts,
            last=statistics.fmean(pool([result for result, _ in f]).uf1 for f in seen),
            best_of_each=statistics.fmean(best_of_each(folds).uf1 for folds in seen),
            best_of_all=statistics.fmean(map(max, curves)),
            course=np.mean(curves, axis=0).tolist(),
        )


class FinalistSummary(CandidateSummary):
    """A candidate that was retrained under the final protocol with several seeds."""

    rank: PositiveInt
    """1 is the winner: highest mean UF1 of those who stayed in the race."""
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
    left: str = ""
    """Why it left the race, and has fewer repetitions than the winner; empty where it did not."""
    learning: LossCurve | None = None
    """None where a version trained it that kept no losses."""
    hindsight: HindsightSummary | None = None
    """LEAKY; used for no choice. None where no fold was looked back at."""

    @property
    def name(self) -> str:
        """The published point that it is, else its label."""
        return self.origin if self.warm_start else self.label

    @property
    def outcome(self) -> Outcome:
        """A finalist has at least one whole repetition."""
        return "complete"

    @property
    def repetitions(self) -> tuple[SeedScores, ...]:
        """Its scores, one a repetition."""
        return self.scores


def _stretched(values: Sequence[float], parts: int) -> list[float]:
    """Return `parts` of the values, each once at least, in order; the last part is the last one.

    >>> _stretched([3.0, 2.0], 4)
    [3.0, 3.0, 2.0, 2.0]
    """
    return [values[ceil(part * len(values) / parts) - 1] for part in range(1, parts + 1)]
