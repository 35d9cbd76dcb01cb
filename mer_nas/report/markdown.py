"""The text of a report: `report.md`, the tables of the page without its drawings."""

from collections.abc import Callable

from mer_nas.config import presets
from mer_nas.report.formats import FORMATS, NONE
from mer_nas.report.schema import Report
from mer_nas.templates import templates
from mer_nas.wording import count

_TROUBLE = str.maketrans({"|": r"\|", "<": "&lt;", ">": "&gt;", "*": r"\*", "`": r"\`", "\n": " "})


def as_markdown(report: Report) -> str:
    """Return the text of `report.md`."""
    environment = templates("mer_nas.report", html=False)
    environment.filters |= {name: _written(format_) for name, format_ in FORMATS.items()}
    environment.filters |= {
        "many": count,
        "text": _text,
        "yaml": lambda tree: presets.dump(tree, compact=True).rstrip(),
    }
    template = environment.get_template("report.md.jinja")
    return template.render(report=report, study=report.study)


def _text(text: str) -> str:
    r"""Let nothing that people write be taken for a mark.

    >>> _text("a | <b>")
    'a \\| &lt;b&gt;'
    """
    return text.translate(_TROUBLE)


def _written(format_: Callable[[float], str]) -> Callable[[float | None], str]:
    return lambda value: NONE if value is None else format_(value)
