"""The drawings of a report, as SVG that stands inside its HTML."""

from mer_nas.report.charts.learning_curve import hindsight_chart, losses
from mer_nas.report.charts.parameters import parallel_chart, slice_chart
from mer_nas.report.charts.trials import cost_chart, curves, history

__all__ = [
    "cost_chart",
    "curves",
    "hindsight_chart",
    "history",
    "losses",
    "parallel_chart",
    "slice_chart",
]
