"""Score against the parameters of the search."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mer_nas.report.charts.canvas import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SIZE,
    log_axis,
    svg,
)
from mer_nas.report.parameters import ORDERS, Axis, ParallelCoordinates, Slice
from mer_nas.wording import metric

MAX_LEVEL_NAMES = 8
"""More choices than this have their names turned."""
FAN = 0.05
"""Share of an axis over which lines fan out that cross it at one choice."""
FAINT = "#b6bec7"
ROW_INCHES = 0.46
"""Inches from one of the parallel axes to the next."""


def slice_chart(piece: Slice) -> str:
    """Draw search score against the values of one parameter."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        (_choice_slice if piece.choice else _number_slice)(axes, piece)
        axes.set_xlabel(_short(piece.parameter))
        axes.set_ylabel("search UF1")
        figure.subplots_adjust(top=0.96)

    title = f"Search score against {piece.parameter}"
    return svg(f"slice-{piece.parameter}", title, draw) if piece.points else ""


def parallel_chart(found: ParallelCoordinates) -> str:
    """Draw complete trials as lines from the most important parameter down to their scores.

    The axes lie below each other, so that their names have room and the drawing fits a telephone.
    """
    scores = [line.uf1 for line in found.lines]
    axes = [*found.axes, Axis(parameter="search UF1", low=min(scores), high=max(scores))]
    best = len(found.lines) - max(1, len(found.lines) // 4)

    def draw(figure: Figure) -> None:
        plane = figure.subplots()
        ways = []
        for rank, line in enumerate(found.lines):
            fan = FAN * ((rank + 0.5) / len(found.lines) - 0.5)
            ways.append([*_crossings(line.places, axes, fan), _share(axes[-1], line.uf1)])
        for some, colour, width in (
            (ways[:best], FAINT, 0.7),
            (ways[best:-1], BLUE, 0.9),
            (ways[-1:], ORANGE, 1.9),
        ):
            _trace(plane, some, color=colour, linewidth=width)
        for level, axis in enumerate(axes):
            _parallel_axis(plane, axis, level)
        for colour, width, label in (
            (ORANGE, 1.9, "best trial"),
            (BLUE, 0.9, "best quarter"),
            (FAINT, 0.7, "other complete trials"),
        ):
            plane.plot([], [], color=colour, linewidth=width, label=label)
        plane.set_xlim(-0.04, 1.04)
        plane.set_ylim(len(axes) - 0.45, -0.5)
        plane.set_axis_off()
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.0, top=1 - 0.28 / height)
        figure.legend(
            *plane.get_legend_handles_labels(), loc="upper left", ncol=3, bbox_to_anchor=(0, 1)
        )

    height = 0.3 + ROW_INCHES * (len(axes) + 0.1)
    return svg("parallel", "Complete trials over parameters", draw, (SIZE[0], height))


def _trace(plane: Axes, ways: Sequence[Sequence[float]], **style: Any) -> None:
    """Join the crossings of lines; dotted past an axis that a line does not cross."""
    parts: dict[str, list[tuple[float, float]]] = {"-": [], ":": []}
    gap = (math.nan, math.nan)
    for xs in ways:
        levels = [level for level, x in enumerate(xs) if not math.isnan(x)]
        for here, there in itertools.pairwise(levels):
            dash = "-" if there == here + 1 else ":"
            parts[dash] += [(xs[here], here), (xs[there], there), gap]
    for dash, ends in parts.items():  # thousands of lines, each by itself, take megabytes
        if ends:
            plane.plot(*zip(*ends, strict=True), dash, zorder=2, solid_capstyle="butt", **style)


def _crossings(
    places: Sequence[float | None], axes: Sequence[Axis], fan: float
) -> Iterator[float]:
    """Yield where a line crosses each axis, at choices a little beside; nan where it does not."""
    for place, axis in zip(places, axes[:-1], strict=True):
        yield math.nan if place is None else place + (fan if axis.choices else 0.0)


def _share(axis: Axis, value: float) -> float:
    """Return where a number lies on an axis; in its middle where there is only one."""
    assert axis.low is not None
    assert axis.high is not None
    return (value - axis.low) / (axis.high - axis.low) if axis.high > axis.low else 0.5


def _parallel_axis(plane: Axes, axis: Axis, level: int) -> None:
    plane.plot([-0.03, 1.03], [level, level], color=GREY, linewidth=0.7, zorder=4)
    halo = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.6}
    name = axis.parameter + (" (logarithmic)" if axis.log else "")
    plane.text(
        -0.03, level - 0.1, _short(name, 66), va="bottom", size=7.6, weight="bold", color=INK,
        bbox=halo, zorder=6,
    )  # fmt: skip
    last = max(1, len(axis.choices) - 1)
    ticks = (
        [(index / last, choice) for index, choice in enumerate(axis.choices)]
        if axis.choices
        else [(0.0, metric(axis.low or 0.0)), (1.0, metric(axis.high or 0.0))]
    )
    room = max(4, round(72 / len(ticks)))
    for place, text in ticks:
        side = "left" if place == 0 else "right" if place == 1 else "center"
        plane.plot([place], [level], "|", color=GREY, markersize=5, zorder=4)
        edge = {"left": -0.03, "right": 0.03}.get(side, 0.0)
        plane.text(
            place + edge, level + 0.12, _wrapped(text, room), ha=side, va="top", size=7,
            color=INK, bbox=halo, zorder=6,
        )  # fmt: skip


def _number_slice(axes: Axes, piece: Slice) -> None:
    xs = [float(point.value) for point in piece.points if point.value is not None]
    _plain_dots(axes, xs, [point.uf1 for point in piece.points])
    if min(xs) > 0 and max(xs) / min(xs) >= ORDERS:
        log_axis(axes, xs)


def _choice_slice(axes: Axes, piece: Slice) -> None:
    choices = piece.values
    for place, choice in enumerate(choices):
        scores = [point.uf1 for point in piece.points if point.value == choice]
        # Side by side in a fixed order: chance would draw each report differently.
        offsets = [0.22 * math.sin(2.4 * index) for index in range(len(scores))]
        _plain_dots(axes, [place + offset for offset in offsets], scores)
        mean = sum(scores) / len(scores)
        axes.plot([place - 0.3, place + 0.3], [mean, mean], color=ORANGE, linewidth=1.8, zorder=2)
    names = [_wrapped(str(choice)) for choice in choices]
    axes.set_xticks(
        range(len(choices)), names, rotation=0 if len(names) <= MAX_LEVEL_NAMES else 40
    )
    axes.set_xlim(-0.6, len(choices) - 0.4)
    axes.grid(visible=False, axis="x")


def _plain_dots(axes: Axes, xs: Sequence[float], ys: Sequence[float]) -> None:
    axes.scatter(xs, ys, s=20, color=BLUE, edgecolor="white", linewidth=0.5, alpha=0.85, zorder=3)


def _short(parameter: str, room: int = 48) -> str:
    """Return the end of a dotted name that fits under an axis."""
    return parameter if len(parameter) <= room else "…" + parameter[1 - room :]


def _wrapped(text: str, room: int = 12) -> str:
    """Return the beginning of a text that fits under a tick."""
    return text if len(text) <= room else text[: room - 1] + "…"
