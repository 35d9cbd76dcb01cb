"""The picture of a comparison: each score with its interval, and each difference to the first."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mer_nas.report.charts.canvas import BLUE, GREY, INK, ORANGE, check_picture, save, style
from mer_nas.statistics import Estimate
from mer_nas.study.compare import ComparedCandidates
from mer_nas.wording import count

ROW_INCHES = 0.34
"""Inches of a candidate."""


def forest_plot(compared: ComparedCandidates, file: Path) -> None:
    """Write the picture of a comparison to `file`; its ending says as what.

    Raises:
        ConfigError: The ending names no kind of picture, or the folder is missing.
    """
    check_picture(file, "--picture ")
    rows = compared.rows
    with style("compare"):
        figure = Figure(figsize=(9.4, 1.35 + ROW_INCHES * len(rows)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        _intervals(left, [row.uf1 for row in rows])
        _intervals(right, [row.against.difference if row.against else None for row in rows])
        right.axvline(0, color=INK, linewidth=0.8, zorder=1)
        left.set_yticks(range(len(rows)), [row.name for row in rows])
        left.invert_yaxis()
        left.set_xlabel("UF1, 95 % interval over subjects")
        right.set_xlabel(f"UF1 above {rows[0].name}")
        for place, row in enumerate(rows):
            if row.against is not None:
                right.annotate(
                    f"p = {row.against.adjusted:.2g}",
                    (row.against.difference.value, place),
                    xytext=(0, 5),
                    textcoords="offset points",
                    ha="center",
                    fontsize=7,
                    color=INK,
                )
        figure.suptitle(
            f"{compared.data}: {count(compared.clips, 'clip')}, "
            f"{count(compared.subjects, 'subject')}, {compared.protocol}",
            fontsize=9,
        )
        save(figure, file)


def _intervals(axes: Axes, found: Sequence[Estimate | None]) -> None:
    """Draw an interval a row, from top to bottom; the first has a mark of its own."""
    for place, estimate in enumerate(found):
        if estimate is None:
            continue
        first = place == 0
        colour = ORANGE if first else BLUE
        axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=1.6)
        axes.plot([estimate.value], [place], "D" if first else "o", color=colour, markersize=5)
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", colors=INK)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.spines["bottom"].set_color(GREY)
