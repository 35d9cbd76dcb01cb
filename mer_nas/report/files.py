"""Writing a report into a study's folder."""

from pathlib import Path
from typing import NamedTuple

from mer_nas import files
from mer_nas.report.markdown import as_markdown
from mer_nas.report.page import render
from mer_nas.report.schema import Report

JSON, HTML, MARKDOWN = "report.json", "report.html", "report.md"
"""What the files are called."""


class Written(NamedTuple):
    """Where a report lies."""

    json: Path
    """For programs: every number of the other two, exactly."""
    html: Path
    """For people."""
    markdown: Path
    """For people where no page can be shown, and for comparing two reports line by line."""


def write(folder: Path, report: Report) -> Written:
    """Write `report.json`, `report.html` and `report.md` to `folder`, and return their paths.

    Each file is replaced in one step: whoever reads while it is written sees the earlier one.
    """
    texts = {
        JSON: report.to_json(),
        HTML: render(report),
        MARKDOWN: as_markdown(report),
    }
    for name, text in texts.items():
        files.write(folder / name, text)
    return Written(*(folder / name for name in texts))
