"""How the finalists learned: their training loss, and what their epochs would have scored."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mer_nas.report.candidates import FinalistSummary
from mer_nas.report.charts.canvas import BLUE, GREEN, GREY, INK, ORANGE, legend, svg
from mer_nas.report.schema import Report

OTHERS = ((BLUE, "--"), (GREEN, "-."), (INK, ":"), (GREY, "-"))
"""Colours and dashes of those behind the winner, by rank."""


def losses(report: Report) -> str:
    """Draw the training loss of the finalists over their epochs; nothing where none is known."""
    known = [finalist for finalist in report.study.ranked if finalist.learning is not None]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        others = iter(OTHERS)
        for finalist in known[: 1 + len(OTHERS)]:
            first = finalist.rank == 1
            _loss(axes, finalist, *((ORANGE, "-") if first else next(others)), first=first)
        axes.set_ylabel("training loss, mean over folds")
        _epochs(axes)
        legend(figure, axes)

    return svg("losses", "Training loss over epochs", draw) if known else ""


def hindsight_chart(report: Report) -> str:
    """Draw what the winner would have scored after each epoch; nothing where that is unknown."""
    first = next((f for f in report.study.ranked if f.rank == 1), None)
    found = first.hindsight if first is not None else None

    def draw(figure: Figure) -> None:
        assert first is not None
        assert found is not None
        axes = figure.subplots()
        parts = len(found.course)
        last = len(first.learning.mean) if first.learning else parts  # not all epochs may be kept
        epochs = [part * last / parts for part in range(1, parts + 1)]
        axes.plot(epochs, found.course, color=GREY, linewidth=1.2, label="after each epoch, leaky")
        axes.plot(last, found.last, "o", color=BLUE, label="last epoch, reported")
        best = max(zip(epochs, found.course, strict=True), key=lambda point: point[1])
        axes.plot(*best, "^", color=ORANGE, label="best, leaky", zorder=3)
        axes.set_ylabel("UF1 on held-out clips")
        _epochs(axes)
        legend(figure, axes)

    return svg("hindsight", "Score after each epoch, leaky", draw) if found else ""


def _loss(axes: Axes, finalist: FinalistSummary, colour: str, dash: str, *, first: bool) -> None:
    found = finalist.learning
    assert found is not None
    epochs = range(1, len(found.mean) + 1)
    axes.plot(
        epochs, found.mean, dash, color=colour, linewidth=1.8 if first else 1, label=finalist.name
    )
    if first:
        axes.fill_between(epochs, found.low, found.high, color=colour, alpha=0.15, linewidth=0)


def _epochs(axes: Axes) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
