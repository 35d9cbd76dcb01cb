"""The drawings of a report, as SVG that stands inside its HTML."""

from mer_nas.report.charts.cost import cost
from mer_nas.report.charts.learning_curve import hindsight, losses
from mer_nas.report.charts.parameters import parallel, slice_
from mer_nas.report.charts.trials import curves, history

__all__ = ["cost", "curves", "hindsight", "history", "losses", "parallel", "slice_"]
