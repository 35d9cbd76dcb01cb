"""What a report says of the ensemble of a study, and of the best candidate beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from mer_nas.config.base import Config, Share
from mer_nas.report.scores import SeedScores
from mer_nas.statistics import Correction, PairedComparison, RuleName

HOW: Mapping[RuleName, str] = {
    "mean": "mean of probabilities",
    "weights": "weighted mean of probabilities",
    "greedy": "mean of probabilities, members selected with replacement",
}
"""How members become one answer, as people should read it."""


class MemberSummary(Config):
    """A member of an ensemble."""

    trial: NonNegativeInt
    """The trial that it is."""
    origin: str
    """Name of the published point, or of the sampler."""
    key: str
    weight: Annotated[float, Field(gt=0, le=1)]
    """Those of all members sum to 1."""
    deployed: NonNegativeInt
    """Weights without what only training uses."""
    macs: NonNegativeInt
    """Nominal multiply-accumulates for one clip."""
    clip_ms: NonNegativeFloat | None = None
    """Milliseconds of one clip at inference, measured; none where it was not."""
    search_score: Share | None = None
    """UF1 of its trial under the search protocol."""

    @property
    def label(self) -> str:
        """How people call it."""
        return f"trial {self.trial}"


class EnsembleSummary(Config):
    """Complete trials that answer together, and what that is worth."""

    rule: RuleName
    """mean, weights or greedy: how members and weights were chosen."""
    key: str
    members: Annotated[tuple[MemberSummary, ...], Field(min_length=2)]
    """The heaviest first."""
    handed_over: bool
    """Whether it is the answer of the study: it has scores of seeds that the best one has too."""
    stage: Literal["final", "search"]
    """Which stage the scores come from."""
    protocol: str
    together_ms: NonNegativeFloat | None = None
    """Milliseconds of one clip through all members, measured at the export; none before one."""
    scores: Annotated[tuple[SeedScores, ...], Field(min_length=1)]
    """One a seed that all members were trained with; nothing is averaged over seeds."""
    search_score: Share
    """UF1 of the ensemble in the search."""
    correction: Correction | None = None
    """What an ensemble chosen so is worth: its choice is repeated in every draw of subjects. None
    where there are too few subjects for it."""
    alone: Correction | None = None
    """The same of the best candidate alone."""
    against: PairedComparison | None = None
    """The ensemble, the first, compared with the best candidate alone, over the seeds that both
    have; none where there are too few subjects for it."""
    against_seeds: PositiveInt | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, tree: Any) -> Any:
        """Leave out what reports of before say of a choice that is made no longer."""
        if isinstance(tree, Mapping):
            return {key: value for key, value in tree.items() if key != "choice"}
        return tree

    @property
    def label(self) -> str:
        """How people call it."""
        return f"ensemble of {len(self.members)}"

    @property
    def how(self) -> str:
        """How its members answer together."""
        return HOW[self.rule]

    @property
    def deployed(self) -> int:
        """Weights of all members."""
        return sum(member.deployed for member in self.members)

    @property
    def macs(self) -> int:
        """Nominal multiply-accumulates of all members for one clip."""
        return sum(member.macs for member in self.members)

    @property
    def clip_ms(self) -> float | None:
        """Milliseconds of one clip: measured of all members together, else the sum of theirs."""
        if self.together_ms is not None:
            return self.together_ms
        known = [member.clip_ms for member in self.members if member.clip_ms is not None]
        return sum(known) if len(known) == len(self.members) else None

    @property
    def repetitions(self) -> tuple[SeedScores, ...]:
        """Its scores, one a seed."""
        return self.scores

    def shared_seeds(
        self, alone: Sequence[SeedScores]
    ) -> tuple[tuple[SeedScores, ...], tuple[SeedScores, ...]]:
        """Return the scores of the ensemble and of a candidate over the seeds that both have."""
        mine: Mapping[int, SeedScores] = {score.repetition: score for score in self.scores}
        theirs = {score.repetition: score for score in alone}
        both = [repetition for repetition in mine if repetition in theirs]
        return tuple(mine[each] for each in both), tuple(theirs[each] for each in both)
