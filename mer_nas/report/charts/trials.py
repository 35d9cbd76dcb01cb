"""The trials of a search: as they ended, on their way there, and what they cost."""

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mer_nas.report.candidates import TrialSummary
from mer_nas.report.charts.canvas import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    dots,
    legend,
    log_axis,
    svg,
)
from mer_nas.report.schema import Report
from mer_nas.search.objectives import front

CostName = Literal["parameters", "macs", "clip_ms"]
LABELS: dict[CostName, str] = {
    "parameters": "parameters",
    "macs": "multiply-accumulates for a clip (nominal)",
    "clip_ms": "milliseconds of a clip at inference",
}


def history(report: Report) -> str:
    """Draw the score of each complete trial, the best so far, and where trials ended early.

    Nothing of a single trial, which is no course.
    """
    if len(report.study.trials) < 2:
        return ""

    def draw(figure: Figure) -> None:
        top, strip = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": [5, 1.1], "hspace": 0.12}
        )
        _scores(top, report)
        _early_ends(strip, report)
        figure.legend(
            *top.get_legend_handles_labels(),
            loc="upper center",
            ncol=3,
            bbox_to_anchor=(0.53, 1.0),
        )

    return svg("history", "Search score of every trial", draw)


def curves(report: Report) -> str:
    """Draw pooled UF1 after each block of folds, for every trial that reached one.

    Nothing of a single trial, or where none has.
    """
    if len(report.study.trials) < 2 or not any(t.curve for t in report.study.trials):
        return ""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        pruned = [trial for trial in report.study.trials if trial.outcome == "pruned"]
        complete = [trial for trial in report.study.trials if trial.outcome == "complete"]
        complete.sort(key=lambda trial: trial.value or 0.0)  # so that the better lie on top
        best = _best(report)
        for some, colour, width, alpha, mark in (
            (pruned, GREY, 0.8, 0.55, "x"),
            ([t for t in complete if t.number != best], BLUE, 0.8, 0.55, "o"),
            ([t for t in complete if t.number == best], ORANGE, 1.8, 1.0, "o"),
        ):
            lines = [[(p.clips, p.uf1) for p in trial.curve] for trial in some]
            axes.add_collection(
                LineCollection(lines, color=colour, linewidth=width, alpha=alpha, zorder=2)
            )
            ends = [line[-1] for line in lines if line and (mark == "x" or len(line) == 1)]
            xs, ys = zip(*ends, strict=True) if ends else ((), ())
            axes.plot(xs, ys, mark, color=colour, markersize=4 if mark == "x" else 3)
        axes.set_xlabel("share of the clips held out so far")
        axes.set_ylabel("partial UF1")
        axes.set_xlim(0, 1.03)
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        for colour, label in ((BLUE, "complete"), (ORANGE, "best"), (GREY, "pruned")):
            axes.plot([], [], color=colour, label=label, marker="x" if label == "pruned" else "")
        legend(figure, axes)

    return svg("curves", "Partial score by share of the clips", draw)


def _scores(axes: Axes, report: Report) -> None:
    ended = report.study.by_number
    for warm in (False, True):
        dots(axes, [(t.number, t.value) for t in ended if t.warm_start == warm], warm=warm)
    if report.course:
        last = max(trial.number for trial in report.study.trials)
        xs = [*(step.number for step in report.course), last]
        ys = [*(step.uf1 for step in report.course), report.course[-1].uf1]
        axes.plot(xs, ys, color=ORANGE, linewidth=1.3, drawstyle="steps-post", zorder=1,
                  label="best so far")  # fmt: skip
    axes.set_ylabel("search UF1")
    axes.margins(y=0.12)


def _early_ends(axes: Axes, report: Report) -> None:
    marks = {"pruned": ("x", GREY), "failed": ("^", INK)}
    for level, (outcome, (marker, colour)) in enumerate(reversed(marks.items())):
        numbers = [trial.number for trial in report.study.trials if trial.outcome == outcome]
        axes.plot(numbers, [level] * len(numbers), marker, color=colour, markersize=4)
    axes.set_yticks(range(len(marks)), list(reversed(marks)))
    axes.set_ylim(-0.6, len(marks) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("trial")


def _best(report: Report) -> int | None:
    """Return the number of the first trial that reached the best score, if one did."""
    reached = (step.number for step in report.course if step.uf1 == report.course[-1].uf1)
    return next(reached, None)


def cost_chart(report: Report, what: CostName) -> str:
    """Draw the search score of complete trials against a cost, and which no other betters.

    An ensemble is a mark of its own, and takes no part in the front. Nothing where the cost is
    known of fewer than two.
    """
    together = report.ensemble
    spent = getattr(together, what, None)
    points = [
        (float(getattr(trial, what)), trial)
        for trial in report.study.by_number
        if getattr(trial, what)
    ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for warm in (False, True):
            some = [(x, t.value) for x, t in points if t.warm_start == warm]
            dots(axes, some, warm=warm)
        steps = zip(*_front(points), strict=True)
        axes.plot(*steps, color=GREEN, linewidth=1, drawstyle="steps-post", zorder=1,
                  label="Pareto front")  # fmt: skip
        if together is not None and spent:
            axes.plot([spent], [together.search_score or 0.0], "*", color=ORANGE, markersize=9,
                      label="ensemble")  # fmt: skip
        log_axis(axes, [*(x for x, _ in points), *([float(spent)] if spent else [])])
        axes.set_xlabel(LABELS[what])
        axes.set_ylabel("search UF1")
        legend(figure, axes)

    return (
        svg(f"cost-{what}", f"Search score against {LABELS[what]}", draw)
        if len(points) > 1
        else ""
    )


def _front(points: Sequence[tuple[float, TrialSummary]]) -> list[tuple[float, float]]:
    """Return cost and score of the trials that no other betters, cheapest first."""
    found = front([(trial.value or 0.0, cost) for cost, trial in points])
    return [(points[index][0], points[index][1].value or 0.0) for index in reversed(found)]
