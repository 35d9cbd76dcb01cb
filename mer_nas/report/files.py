"""Writing a report into a study's folder."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from mer_nas import files
from mer_nas.report.formats import FORMATS, NONE
from mer_nas.report.schema import Report
from mer_nas.templates import templates
from mer_nas.wording import count

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


def write_report(folder: Path, report: Report) -> Written:
    """Write `report.json`, `report.html` and `report.md` to `folder`, and return their paths.

    Each file is replaced in one step: whoever reads while it is written sees the earlier one.
    """
    from mer_nas.report.page import render  # draws charts, which takes long to import

    texts = {
        JSON: report.to_json(),
        HTML: render(report),
        MARKDOWN: as_markdown(report),
    }
    for name, text in texts.items():
        files.write(folder / name, text)
    return Written(*(folder / name for name in texts))


def as_markdown(report: Report) -> str:
    """Return the text of `report.md`: the tables of the page without its drawings."""
    environment = templates("mer_nas.report", html=False)
    environment.filters |= {name: _written(format_) for name, format_ in FORMATS.items()}
    environment.filters["many"] = count
    template = environment.get_template("report.md.jinja")
    return template.render(report=report, study=report.study)


def _written(format_: Callable[[float], str]) -> Callable[[float | None], Markup]:
    return lambda value: Markup(NONE if value is None else format_(value))
