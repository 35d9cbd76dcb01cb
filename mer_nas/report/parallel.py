"""Parallel coordinates: every complete trial as a line over the parameters that mattered."""

import math
from collections.abc import Iterable, Sequence

from mer_nas.report.facts import TrialSummary
from mer_nas.report.schema import Axis, Important, Line, ParallelCoordinates

AXES = 8
"""Parameters shown at most."""
FEW = 8
"""A count that takes no more values than this, some of them twice, is shown like a choice."""
ORDERS = 30
"""A parameter whose largest value is this many times its smallest gets a logarithmic axis."""

Value = str | int | float | bool | None


def parallel(
    important: Sequence[Important], best_first: Sequence[TrialSummary]
) -> ParallelCoordinates | None:
    """Return the complete trials over the most important parameters; none without any.

    A parameter with one value in all trials says nothing and is left out, as is one that fewer
    than half of them have.
    """
    axes = [
        entry.tried
        for entry in important
        if entry.importance > 0
        and entry.tried is not None
        and _varies(entry.tried)
        and 2 * sum(entry.parameter in trial.params for trial in best_first) >= len(best_first)
    ][:AXES]
    if not axes:
        return None
    return ParallelCoordinates(
        axes=tuple(axes),
        lines=tuple(
            Line(
                number=trial.number,
                uf1=trial.value or 0.0,
                places=tuple(
                    place(axis, trial.params[axis.parameter])
                    if axis.parameter in trial.params
                    else None
                    for axis in axes
                ),
            )
            for trial in reversed(best_first)
        ),
    )


def axis(parameter: str, values: Sequence[Value]) -> Axis:
    """Return the axis that values of a parameter are shown on."""
    if is_choice(values):
        choices = in_order(values)
        return Axis(parameter=parameter, choices=tuple(map(str, choices)))
    numbers = [float(value) for value in values if value is not None]
    low, high = min(numbers), max(numbers)
    return Axis(parameter=parameter, low=low, high=high, log=low > 0 and high / low >= ORDERS)


def place(axis: Axis, value: Value) -> float:
    """Return where a value lies on its axis, in [0, 1].

    >>> round(place(Axis(parameter="lr", low=1e-4, high=1e-2, log=True), 1e-3), 9)
    0.5
    >>> place(Axis(parameter="kind", choices=("none", "prog", "se")), "prog")
    0.5
    """
    if axis.choices:
        return axis.choices.index(str(value)) / max(1, len(axis.choices) - 1)
    assert axis.low is not None
    assert axis.high is not None
    assert isinstance(value, int | float)
    low, high, at = axis.low, axis.high, float(value)
    if axis.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return min(1.0, max(0.0, (at - low) / (high - low)))


def is_choice(values: Sequence[Value]) -> bool:
    """Return whether values are so few, or of such a kind, that they are shown one by one."""
    different = set(values)
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in different)
    if not numbers:
        return True
    counts = all(float(v).is_integer() for v in different)  # type: ignore[arg-type]
    return counts and len(different) <= FEW and len(different) < len(values)


def _varies(axis: Axis) -> bool:
    return len(axis.choices) > 1 or axis.low != axis.high


def in_order(values: Iterable[Value]) -> list[Value]:
    """Return the different values, numbers first by size, then words.

    >>> in_order(["b", 2, "a", 1, 2])
    [1, 2, 'a', 'b']
    """
    return sorted(set(values), key=_order)


def _order(value: Value) -> tuple[bool, float, str]:
    number = isinstance(value, int | float)
    return (not number, float(value) if isinstance(value, int | float) else 0.0, str(value))
