"""Numbers of a report, each beside what came out here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from mer_nas.config.base import Tree

Verdict = Literal["identical", "within tolerance", "different"]


@dataclass(frozen=True)
class Number:
    """A number of the report, and what came out here."""

    name: str
    """"UF1, seed 1"."""
    stored: float
    found: float | None
    """None where the report should not have it."""
    tolerance: float | None = 0.0
    """How far two seeds of the report lie apart; 0 where there is one seed, or no chance in it.
    None where it follows from numbers that have a tolerance of their own."""

    @property
    def difference(self) -> float | None:
        """Found less stored."""
        return None if self.found is None else self.found - self.stored

    @property
    def verdict(self) -> Verdict:
        """How the two compare."""
        if self.found == self.stored:
            return "identical"
        if self.difference is None:
            return "different"
        within = self.tolerance is None or abs(self.difference) <= self.tolerance
        return "within tolerance" if within else "different"

    def tree(self) -> Tree:
        """Return it as a plain tree."""
        return {**asdict(self), "difference": self.difference, "verdict": self.verdict}
