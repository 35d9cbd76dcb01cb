"""Score against what a network costs."""

from collections.abc import Sequence
from typing import Literal

from matplotlib.figure import Figure

from mer_nas.report.candidates import TrialSummary
from mer_nas.report.charts.canvas import GREEN, dots, legend, log_axis, svg
from mer_nas.report.schema import Report
from mer_nas.search.objectives import front

CostName = Literal["parameters", "macs", "clip_ms"]
LABELS: dict[CostName, str] = {
    "parameters": "parameters",
    "macs": "multiply-accumulates for a clip (nominal)",
    "clip_ms": "milliseconds of a clip at inference",
}


def cost_chart(report: Report, what: CostName) -> str:
    """Draw the search score of complete trials against a cost, and which no other betters.

    Nothing where the cost is not known of any.
    """
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
        log_axis(axes, [x for x, _ in points])
        axes.set_xlabel(LABELS[what])
        axes.set_ylabel("search UF1")
        legend(figure, axes)

    return svg(f"cost-{what}", f"Search score against {LABELS[what]}", draw) if points else ""


def _front(points: Sequence[tuple[float, TrialSummary]]) -> list[tuple[float, float]]:
    """Return cost and score of the trials that no other betters, cheapest first."""
    found = front([(trial.value or 0.0, cost) for cost, trial in points])
    return [(points[index][0], points[index][1].value or 0.0) for index in reversed(found)]
