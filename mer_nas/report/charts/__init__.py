"""The drawings of a report, as SVG that stands inside its HTML."""

from mer_nas.report.charts.cost import cost
from mer_nas.report.charts.course import curves, history
from mer_nas.report.charts.learning import hindsight, losses
from mer_nas.report.charts.parameters import parallel, slice_

__all__ = ["cost", "curves", "hindsight", "history", "losses", "parallel", "slice_"]
