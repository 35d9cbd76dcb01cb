"""What a search looks for: UF1 alone, or UF1 and a small network, of which there is a front.

With several objectives no candidate is the best: one is on the front if no other is at least as
good in each of them and better in one.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator

Objective = Literal["uf1", "macs", "params"]

DIRECTIONS: Mapping[Objective, Literal["maximize", "minimize"]] = {
    "uf1": "maximize",
    "macs": "minimize",
    "params": "minimize",
}


def _in_order(objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
    """Refuse objectives of which the score is not the first, or one that stands there twice."""
    if objectives[:1] != ("uf1",) or len(set(objectives)) < len(objectives):
        found = ", ".join(objectives)
        raise ValueError(
            f"uf1 first, and behind it macs, params or both would be right, not [{found}]"
        )
    return objectives


Objectives = Annotated[tuple[Objective, ...], AfterValidator(_in_order)]
"""What a search looks for, the score first."""


def front(rows: Sequence[tuple[float, ...]]) -> list[int]:
    """Return the indices of the rows on the front, the best score first.

    Args:
        rows: A score, the higher the better, and then costs, the lower the better. Of equal rows
            the first counts.

    >>> front([(0.5, 20), (0.4, 10), (0.45, 30), (0.5, 20)])
    [0, 1]
    """
    found = [
        index
        for index, row in enumerate(rows)
        if row not in rows[:index] and not any(_betters(other, row) for other in rows)
    ]
    return sorted(found, key=lambda index: -rows[index][0])


def _betters(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    score = one[0] >= other[0]
    return one != other and score and all(a <= b for a, b in zip(one[1:], other[1:], strict=True))
