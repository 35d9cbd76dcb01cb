"""The page of a report: `report.html`, complete in one file.

Every number that comes from the report is written as `<data value="exact">rounded</data>`, so that
a program (and the tests) can check the page against `report.json`.
"""

from collections.abc import Callable

from markupsafe import Markup, escape

from mer_nas.architectures import parse
from mer_nas.config import presets
from mer_nas.diagram import as_svg, draw
from mer_nas.report import charts
from mer_nas.report.formats import FORMATS, NONE
from mer_nas.report.heatmap import heatmap, least, most
from mer_nas.report.schema import Report, Winner
from mer_nas.templates import templates
from mer_nas.wording import noun_of

_DATA = Markup('<data value="{}">{}</data>')
Number = float | int | None


def render(report: Report) -> str:
    """Return the page of `report`.

    Blocks of the user's own must be loaded: the winner's network is drawn.
    """
    environment = templates("mer_nas.report", html=True)
    environment.filters |= FILTERS
    drawings = {name: Markup(svg) for name, svg in _drawings(report).items()}
    slices = [(piece, Markup(charts.slice_(piece))) for piece in report.slices]
    template = environment.get_template("report.html.jinja")
    return template.render(report=report, study=report.study, drawings=drawings, slices=slices)


def _drawings(report: Report) -> dict[str, str]:
    if report.answer is None:
        return {}
    return {
        "history": charts.history(report),
        "curves": charts.curves(report) if any(t.curve for t in report.study.trials) else "",
        "parameters": charts.cost(report, "parameters"),
        "macs": charts.cost(report, "macs"),
        "clip_ms": charts.cost(report, "clip_ms"),
        "parallel": charts.parallel(report.parallel) if report.parallel else "",
        "losses": charts.losses(report),
        "hindsight": charts.hindsight(report),
        "network": _network(report.answer, len(report.study.data.classes)),
    }


def _network(answer: Winner, classes: int) -> str:
    if answer.architecture is None:
        return ""
    return as_svg(draw(parse(answer.architecture, "the winner's architecture"), classes))


def _written(format_: Callable[[float], str]) -> Callable[[Number], Markup]:
    def write(value: Number) -> Markup:
        return Markup(NONE) if value is None else _DATA.format(repr(value), format_(value))

    return write


def _soft(name: object) -> Markup:
    """Let a dotted name break behind its dots."""
    return escape(name).replace(".", Markup(".<wbr>"))


def _many(number: int, noun: str, several: str = "") -> Markup:
    counted = _DATA.format(repr(number), f"{number:,}")
    return Markup("{} {}").format(counted, noun_of(number, noun, several))


FILTERS: dict[str, Callable[..., object]] = {
    **{name: _written(format_) for name, format_ in FORMATS.items()},
    "many": _many,
    "heatmap": lambda rows, low, high, title: Markup(heatmap(rows, low, high, title)),
    "least": least,
    "most": most,
    "yaml": lambda tree: presets.dump(tree, compact=True).rstrip(),
    "soft": _soft,
}
