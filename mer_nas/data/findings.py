"""What a reader met that a person should know of."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]


class Finding(NamedTuple):
    """One oddity of a data set."""

    severity: Severity
    """error: it has to be put right, or the clip left out; warning: it can be used as it is."""
    kind: str
    """What it is, so that like ones count together: "frames are missing"."""
    where: str
    """The clip, or the file and row."""
    text: str
    """What was found and what was done about it."""
    people: bool = False
    """Whether it is about who is one person."""

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.where}: {self.text}"


def tally(findings: Iterable[Finding]) -> dict[tuple[Severity, str], int]:
    """Return how often each kind occurs, errors first, the most frequent first."""
    counts = Counter((finding.severity, finding.kind) for finding in findings)
    return dict(sorted(counts.items(), key=lambda item: (item[0][0], -item[1], item[0][1])))
