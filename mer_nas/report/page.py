"""The page of a report: `report.html`, complete in one file.

Every number that comes from the report is written as `<data value="exact">rounded</data>`, so that
a program (and the tests) can check the page against `report.json`.
"""

from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from mer_nas.architectures import parse
from mer_nas.config import presets
from mer_nas.diagram import as_svg, draw
from mer_nas.report import charts
from mer_nas.report.schema import Answer, Report

NONE = "\N{EN DASH}"
_DATA = Markup('<data value="{}">{}</data>')
Number = float | int | None


def render(report: Report) -> str:
    """Return the page of `report`.

    Blocks of the user's own must be loaded: the winner's network is drawn.
    """
    environment = Environment(
        loader=PackageLoader("mer_nas.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
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
        "network": _network(report.answer, len(report.study.data.classes)),
    }


def _network(answer: Answer, classes: int) -> str:
    if answer.architecture is None:
        return ""
    return as_svg(draw(parse(answer.architecture, "the winner's architecture"), classes))


def _written(format_: Callable[[float], str]) -> Callable[[Number], Markup]:
    def write(value: Number) -> Markup:
        return Markup(NONE) if value is None else _DATA.format(repr(value), format_(value))

    return write


def _seconds(value: float) -> str:
    """Write a time as people say it.

    >>> _seconds(4.21), _seconds(90), _seconds(5400)
    ('4.2 s', '1 min 30 s', '1 h 30 min')
    """
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _percent(value: float) -> str:
    """Write a share; little is not nothing.

    >>> _percent(0.184), _percent(0.001), _percent(0)
    ('18 %', '< 1 %', '0 %')
    """
    return "< 1 %" if 0 < value < 0.005 else f"{100 * value:.0f} %"


def _metric(value: float) -> str:
    """Write a large number with its unit.

    >>> _metric(21_472_000), _metric(900)
    ('21.5 M', '900')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def _soft(name: object) -> Markup:
    """Let a dotted name break behind its dots."""
    return escape(name).replace(".", Markup(".<wbr>"))


FILTERS: dict[str, Callable[..., object]] = {
    "score": _written(lambda value: f"{value:.3f}"),
    "signed": _written(lambda value: f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")),
    "count": _written(lambda value: f"{value:,}"),
    "plain": _written(lambda value: f"{value:g}"),
    "percent": _written(_percent),
    "metric": _written(_metric),
    "ms": _written(lambda value: f"{value:.1f} ms"),
    "seconds": _written(_seconds),
    "tiny": _written(lambda value: f"{value:.1e}"),
    "yaml": lambda tree: presets.dump(tree, compact=True).rstrip(),
    "soft": _soft,
}
