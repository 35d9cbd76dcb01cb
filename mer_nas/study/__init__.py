"""A study from its first word to its report: search, final stage, export, report, resume.

Below this package nothing knows that a study has a folder; above it there is only the command
line. What happened is read back from the Optuna storage and the ledger alone.
"""

from mer_nas.study.clips import load_clips
from mer_nas.study.exports import export
from mer_nas.study.folder import StudyFolder, create, find_study, tentative
from mer_nas.study.resume import extended
from mer_nas.study.run import rewrite_report, run

__all__ = [
    "StudyFolder",
    "create",
    "export",
    "extended",
    "find_study",
    "load_clips",
    "rewrite_report",
    "run",
    "tentative",
]
