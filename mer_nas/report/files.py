"""Writing a report into a study's folder."""

from pathlib import Path

from mer_nas.report.page import render
from mer_nas.report.schema import Report

JSON, HTML = "report.json", "report.html"


def write(folder: Path, report: Report) -> tuple[Path, Path]:
    """Write `report.json` and `report.html` to `folder`, and return their paths.

    Each file is replaced in one step: whoever reads while it is written sees the earlier one.
    """
    texts = {JSON: report.to_json(), HTML: render(report)}
    for name, text in texts.items():
        part = folder / f".{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(folder / name)
    return folder / JSON, folder / HTML
