"""Reports: what a study found, as one HTML page for people and one JSON file for programs.

A `StudySummary` says what happened, `build_report` what it means, and `write_report` puts it where
it can be read.
"""

from mer_nas.report.attribution import Attribution, ExpertAttribution, GateAttribution
from mer_nas.report.candidates import (
    BlockPoint,
    CandidateSummary,
    FinalistSummary,
    HindsightSummary,
    LossCurve,
    TrialSummary,
)
from mer_nas.report.ensembles import EnsembleSummary, MemberSummary
from mer_nas.report.files import write_report
from mer_nas.report.ranking import CORRECTED, HONESTY, Winner
from mer_nas.report.schema import Report, build_report, read_document, read_report
from mer_nas.report.scores import DatasetScores, SeedScores, Spread
from mer_nas.report.summary import (
    Comparison,
    ComputeSummary,
    DataSummary,
    Headline,
    NestedEstimate,
    NextStep,
    OuterGroup,
    SelectionBias,
    StudySummary,
)

__all__ = [
    "CORRECTED",
    "HONESTY",
    "Attribution",
    "BlockPoint",
    "CandidateSummary",
    "Comparison",
    "ComputeSummary",
    "DataSummary",
    "DatasetScores",
    "EnsembleSummary",
    "ExpertAttribution",
    "FinalistSummary",
    "GateAttribution",
    "Headline",
    "HindsightSummary",
    "LossCurve",
    "MemberSummary",
    "NestedEstimate",
    "NextStep",
    "OuterGroup",
    "Report",
    "SeedScores",
    "SelectionBias",
    "Spread",
    "StudySummary",
    "TrialSummary",
    "Winner",
    "build_report",
    "read_document",
    "read_report",
    "write_report",
]
