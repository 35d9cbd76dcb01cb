"""A study in the trackers of its users: TensorBoard, MLflow, Weights & Biases, Ray's metrics."""

from mer_nas.tracking.runs import StudyRuns
from mer_nas.tracking.tracking import Tracking, track

__all__ = ["StudyRuns", "Tracking", "track"]
