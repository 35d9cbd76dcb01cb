"""One candidate in a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.results import FoldResult


@dataclass(frozen=True)
class Trial:
    """One candidate in the study, as the final stage would train it."""

    number: int
    origin: str
    """Name of the point it is, or of the sampler that proposed it."""
    warm_start: bool
    """Whether it is a point."""
    parsed: Callable[[], Candidate] = field(compare=False)
    """Gives its candidate: to read an architecture takes a millisecond, and few are asked for."""
    searched: str
    """Key of the candidate as the search trained it."""
    value: float | None
    """UF1 of its trial under the search protocol; none where that was stopped early."""

    @cached_property
    def candidate(self) -> Candidate:
        """With the trainer of the final stage."""
        return self.parsed()

    @property
    def label(self) -> str:
        """How people call it."""
        return f"trial {self.number}"

    @property
    def key(self) -> str:
        """Key of the candidate as the final stage trains it."""
        return self.candidate.key

    @property
    def members(self) -> tuple[Trial, ...]:
        """Itself alone: so it can stand where an ensemble can."""
        return (self,)

    @property
    def weights(self) -> tuple[float, ...]:
        """All of it."""
        return (1.0,)

    def combined(self, answers: Sequence[FoldResult]) -> FoldResult:
        """Return its own answers, the only ones."""
        (found,) = answers
        return found
