"""True against chosen classes, as a reader wants them."""

from collections.abc import Sequence

from mer_nas.evaluation.metrics import Confusion
from mer_nas.report.schema import ConfusionMatrix


def matrix(
    counts: Confusion, classes: Sequence[str], seeds: int, protocol: str
) -> ConfusionMatrix:
    """Return counts with the shares and sums of their rows."""
    totals = tuple(sum(row) for row in counts)
    return ConfusionMatrix(
        classes=tuple(classes),
        counts=counts,
        shares=tuple(
            tuple(count / max(total, 1) for count in row)
            for row, total in zip(counts, totals, strict=True)
        ),
        totals=totals,
        seeds=seeds,
        protocol=protocol,
    )


def summed(matrices: Sequence[Confusion]) -> Confusion:
    """Return the sum of confusions.

    >>> summed([((1, 0), (0, 2)), ((0, 1), (1, 1))])
    ((1, 1), (1, 3))
    """
    return tuple(
        tuple(sum(counts) for counts in zip(*rows, strict=True))
        for rows in zip(*matrices, strict=True)
    )
