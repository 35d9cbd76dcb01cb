"""What was searched: which parameters mattered, and every complete trial over them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from pydantic import NonNegativeFloat, NonNegativeInt

from mer_nas.config.base import Config, Share
from mer_nas.report.candidates import TrialSummary

MAX_AXES = 8
"""Parameters shown at most."""
MAX_LINES = 300
"""Trials drawn over them at most: thousands of lines are an area."""
MAX_COUNTS = 8
"""A count that takes no more values than this, some of them twice, is shown like a choice."""
MAX_SLICES = 2
ORDERS = 30
"""A parameter whose largest value is this many times its smallest gets a logarithmic axis."""

Value = str | int | float | bool | None


class Axis(Config):
    """The values of a parameter, as a drawing lays them out."""

    parameter: str
    choices: tuple[str, ...] = ()
    """Its values in order, evenly spaced; empty for a number."""
    low: float | None = None
    """The least value of a number, at place 0, and the largest, at place 1."""
    high: float | None = None
    log: bool = False
    """Whether a number's places are those of its logarithm."""

    @classmethod
    def of(cls, parameter: str, values: Sequence[Value]) -> Axis:
        """Return the axis that values of a parameter are shown on."""
        if _is_choice(values):
            return cls(parameter=parameter, choices=tuple(map(str, _in_order(values))))
        numbers = [float(value) for value in values if value is not None]
        low, high = min(numbers), max(numbers)
        log = low > 0 and high / low >= ORDERS
        return cls(parameter=parameter, low=low, high=high, log=log)

    @property
    def varies(self) -> bool:
        """Whether there is more than one value."""
        return len(self.choices) > 1 or self.low != self.high

    def place(self, value: Value) -> float:
        """Return where a value lies on the axis, in [0, 1].

        >>> round(Axis(parameter="lr", low=1e-4, high=1e-2, log=True).place(1e-3), 9)
        0.5
        >>> Axis(parameter="kind", choices=("none", "prog", "se")).place("prog")
        0.5
        """
        if self.choices:
            return self.choices.index(str(value)) / max(1, len(self.choices) - 1)
        assert self.low is not None
        assert self.high is not None
        assert isinstance(value, int | float)
        low, high, at = self.low, self.high, float(value)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return min(1.0, max(0.0, (at - low) / (high - low)))


class ImportantParameter(Config):
    """A parameter of the search and how far the best trials differ in it from all (PED-ANOVA)."""

    parameter: str
    importance: NonNegativeFloat
    relative: Share
    """Importance divided by the largest one."""
    tried: Axis | None = None
    """The values that complete trials took; none where no trial has the parameter."""

    @classmethod
    def ranked(
        cls, importance: dict[str, float], complete: Sequence[TrialSummary]
    ) -> tuple[ImportantParameter, ...]:
        """Return the parameters, most important first.

        Args:
            importance: Of each parameter.
            complete: The complete trials.
        """
        largest = max(importance.values(), default=0.0)
        ordered = sorted(importance.items(), key=lambda item: (-item[1], item[0]))
        tried = {
            name: [trial.params[name] for trial in complete if name in trial.params]
            for name in importance
        }
        return tuple(
            cls(
                parameter=name,
                importance=value,
                relative=value / largest if largest else 0.0,
                tried=Axis.of(name, tried[name]) if tried[name] else None,
            )
            for name, value in ordered
        )


class _SlicePoint(Config):
    """One complete trial in a slice."""

    value: str | int | float | bool | None
    uf1: Share


class Slice(Config):
    """Search score against one parameter, over the complete trials that have it."""

    parameter: str
    choice: bool
    """Whether it takes so few values that they are shown one by one."""
    points: tuple[_SlicePoint, ...]

    @property
    def values(self) -> list[Value]:
        """The different values, numbers first by size, then words."""
        return _in_order(point.value for point in self.points)

    @classmethod
    def of_most_important(
        cls, important: Sequence[ImportantParameter], complete: Sequence[TrialSummary]
    ) -> tuple[Slice, ...]:
        """Return the slices of the parameters that mattered most."""
        names = [entry.parameter for entry in important if entry.importance > 0][:MAX_SLICES]
        return tuple(
            cls._of(name, [trial for trial in complete if name in trial.params]) for name in names
        )

    @classmethod
    def _of(cls, name: str, trials: Sequence[TrialSummary]) -> Slice:
        points = [_SlicePoint(value=t.params[name], uf1=t.value or 0.0) for t in trials]
        choice = _is_choice([point.value for point in points])
        return cls(parameter=name, choice=choice, points=tuple(points))


class _TrialLine(Config):
    """A complete trial in the parallel coordinates."""

    number: NonNegativeInt
    uf1: Share
    places: tuple[Share | None, ...]
    """Where it crosses each axis; none where the trial does not have the parameter."""


class ParallelCoordinates(Config):
    """The complete trials over the parameters that mattered most, the best trial last."""

    axes: tuple[Axis, ...]
    lines: tuple[_TrialLine, ...]
    """Of more than `MAX_LINES` trials the best, and others at even steps of rank."""

    @classmethod
    def of(
        cls, important: Sequence[ImportantParameter], complete: Sequence[TrialSummary]
    ) -> ParallelCoordinates | None:
        """Return the complete trials over the most important parameters; none without any.

        A parameter with one value in all trials says nothing and is left out, as is one that fewer
        than half of them have.

        Args:
            important: The parameters, most important first.
            complete: The complete trials, best first.
        """
        axes = [
            entry.tried
            for entry in important
            if entry.importance > 0
            and entry.tried is not None
            and entry.tried.varies
            and 2 * sum(entry.parameter in trial.params for trial in complete) >= len(complete)
        ][:MAX_AXES]
        if not axes:
            return None
        lines = [
            _TrialLine(
                number=trial.number,
                uf1=trial.value or 0.0,
                places=tuple(
                    axis.place(trial.params[axis.parameter])
                    if axis.parameter in trial.params
                    else None
                    for axis in axes
                ),
            )
            for trial in reversed(complete[:: math.ceil(len(complete) / MAX_LINES)])
        ]
        return cls(axes=tuple(axes), lines=tuple(lines))


def _in_order(values: Iterable[Value]) -> list[Value]:
    """Return the different values, numbers first by size, then words.

    >>> _in_order(["b", 2, "a", 1, 2])
    [1, 2, 'a', 'b']
    """
    return sorted(set(values), key=_order)


def _is_choice(values: Sequence[Value]) -> bool:
    """Return whether values are so few, or of such a kind, that they are shown one by one."""
    different = set(values)
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in different)
    if not numbers:
        return True
    counts = all(float(v).is_integer() for v in different)  # type: ignore[arg-type]
    return counts and len(different) <= MAX_COUNTS and len(different) < len(values)


def _order(value: Value) -> tuple[bool, float, str]:
    number = isinstance(value, int | float)
    return (not number, float(value) if isinstance(value, int | float) else 0.0, str(value))
