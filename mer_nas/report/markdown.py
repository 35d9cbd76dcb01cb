"""The text of a report: `report.md`, the tables of the page without its drawings."""

from collections.abc import Callable

from markupsafe import Markup

from mer_nas.report.formats import FORMATS, NONE
from mer_nas.report.schema import Report
from mer_nas.templates import templates
from mer_nas.wording import count


def as_markdown(report: Report) -> str:
    """Return the text of `report.md`."""
    environment = templates("mer_nas.report", html=False)
    environment.filters |= {name: _written(format_) for name, format_ in FORMATS.items()}
    environment.filters["many"] = count
    template = environment.get_template("report.md.jinja")
    return template.render(report=report, study=report.study)


def _written(format_: Callable[[float], str]) -> Callable[[float | None], Markup]:
    return lambda value: Markup(NONE if value is None else format_(value))
