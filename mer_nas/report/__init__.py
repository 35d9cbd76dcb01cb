"""Reports: what a study found, as one HTML page for people and one JSON file for programs.

`StudySummary` say what happened, `build` says what it means, `write` puts it where it can be read.
"""

from mer_nas.report.build import build
from mer_nas.report.facts import (
    Attribution,
    BlockPoint,
    Comparison,
    ComputeSummary,
    DatasetScores,
    DataSummary,
    ExpertAttribution,
    ExportFacts,
    FinalistSummary,
    GateAttribution,
    Headline,
    HindsightSummary,
    LossCurve,
    NestedEstimate,
    NextStep,
    OuterGroup,
    SeedScores,
    SelectionBias,
    StudySummary,
    TrialSummary,
)
from mer_nas.report.files import write
from mer_nas.report.schema import CORRECTED, HONESTY, Report, read_report

__all__ = [
    "CORRECTED",
    "HONESTY",
    "Attribution",
    "BlockPoint",
    "Comparison",
    "ComputeSummary",
    "DataSummary",
    "DatasetScores",
    "ExpertAttribution",
    "ExportFacts",
    "FinalistSummary",
    "GateAttribution",
    "Headline",
    "HindsightSummary",
    "LossCurve",
    "NestedEstimate",
    "NextStep",
    "OuterGroup",
    "Report",
    "SeedScores",
    "SelectionBias",
    "StudySummary",
    "TrialSummary",
    "build",
    "read_report",
    "write",
]
