"""Reports: what a study found, as one HTML page for people and one JSON file for programs.

`StudyFacts` say what happened, `build` says what it means, `write` puts it where it can be read.
"""

from mer_nas.report.build import build
from mer_nas.report.facts import (
    BlockPoint,
    Comparison,
    ComputeFacts,
    DataFacts,
    DatasetScores,
    ExpertLook,
    ExportFacts,
    FinalistFacts,
    GateLook,
    HeadlineFacts,
    HindsightFacts,
    LearningFacts,
    LooksFacts,
    NestedFacts,
    NextStep,
    OuterGroup,
    SeedScores,
    SelectionBias,
    StudyFacts,
    TrialFacts,
)
from mer_nas.report.files import write
from mer_nas.report.schema import CORRECTED, HONESTY, Report, read_report

__all__ = [
    "CORRECTED",
    "HONESTY",
    "BlockPoint",
    "Comparison",
    "ComputeFacts",
    "DataFacts",
    "DatasetScores",
    "ExpertLook",
    "ExportFacts",
    "FinalistFacts",
    "GateLook",
    "HeadlineFacts",
    "HindsightFacts",
    "LearningFacts",
    "LooksFacts",
    "NestedFacts",
    "NextStep",
    "OuterGroup",
    "Report",
    "SeedScores",
    "SelectionBias",
    "StudyFacts",
    "TrialFacts",
    "build",
    "read_report",
    "write",
]
