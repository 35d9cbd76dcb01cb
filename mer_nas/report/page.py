"""The page of a report: `report.html`, complete in one file.

Every number that comes from the report is written as `<data value="exact">rounded</data>`, so that
a program (and the tests) can check the page against `report.json`.
"""

from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from markupsafe import Markup, escape

from mer_nas.architectures import parse
from mer_nas.config import presets
from mer_nas.diagram import Diagram
from mer_nas.report import charts
from mer_nas.report.formats import FORMATS, NONE
from mer_nas.report.live import Live
from mer_nas.report.schema import Report
from mer_nas.templates import templates
from mer_nas.wording import noun_of

SHADES = 12
DARKEST = 0.9
"""Opacity of the highest value, on white."""
FILL = "#0072b2"

_DATA = Markup('<data value="{}">{}</data>')
_Number = float | int | None


def render(report: Report, live: Live | None = None, version: str = "") -> str:
    """Return the page of `report`.

    Blocks of the user's own must be loaded: the winner's network is drawn.

    Args:
        report: What the page tells.
        live: How the study stands, for a page that is watched; such a page asks for newer ones.
        version: What stands for a page that is watched.
    """
    environment = templates("mer_nas.report", html=True)
    environment.filters |= FILTERS
    drawings = {name: Markup(svg) for name, svg in _drawings(report).items()}
    slices = [(piece, Markup(charts.slice_chart(piece))) for piece in report.slices]
    template = environment.get_template("report.html.jinja")
    return template.render(
        report=report,
        study=report.study,
        drawings=drawings,
        slices=slices,
        live=live,
        version=version,
    )


def render_brief(report: Report | None, folder: str) -> str:
    """Return what a notebook shows of a study: the answer, and the first of the ranking.

    Args:
        report: Of the study; None where there is none yet.
        folder: Where it lies.
    """
    environment = templates("mer_nas.report", html=True)
    environment.filters |= FILTERS
    template = environment.get_template("brief.html.jinja")
    study = None if report is None else report.study
    return template.render(report=report, study=study, folder=folder)


def render_waiting(name: str, why: str, version: str) -> str:
    """Return the page of a study that is watched while there is no report to show.

    Args:
        name: Of the study.
        why: What there is instead, as a sentence.
        version: What stands for this page.
    """
    template = templates("mer_nas.report", html=True).get_template("waiting.html.jinja")
    return template.render(name=name, why=why, version=version)


def watching_script() -> str:
    """Return the script of pages that are watched, which asks for newer ones."""
    environment = templates("mer_nas.report", html=True)
    assert environment.loader is not None
    return environment.loader.get_source(environment, "watch.js")[0]


def _drawings(report: Report) -> dict[str, str]:
    if report.answer is None:
        return {}
    return {
        "history": charts.history(report),
        "curves": charts.curves(report),
        "parameters": charts.cost_chart(report, "parameters"),
        "macs": charts.cost_chart(report, "macs"),
        "clip_ms": charts.cost_chart(report, "clip_ms"),
        "parallel": charts.parallel_chart(report.parallel) if report.parallel else "",
        "losses": charts.losses(report),
        "hindsight": charts.hindsight_chart(report),
        "network": _network(report),
    }


def _network(report: Report) -> str:
    best, classes = report.study.best, len(report.study.data.classes)
    if best is None or best.architecture is None:
        return ""
    return Diagram.of(parse(best.architecture, "the winner's architecture"), classes).as_svg()


def _written(format_: Callable[[float], str]) -> Callable[[_Number], Markup]:
    def write(value: _Number) -> Markup:
        return Markup(NONE) if value is None else _DATA.format(repr(value), format_(value))

    return write


def _soft(name: object) -> Markup:
    """Let a dotted name break behind its dots."""
    return escape(name).replace(".", Markup(".<wbr>"))


def _many(number: int, noun: str, several: str = "") -> Markup:
    counted = _DATA.format(repr(number), f"{number:,}")
    return Markup("{} {}").format(counted, noun_of(number, noun, several))


def _heatmap(rows: Sequence[Sequence[float]], low: float, high: float, title: str) -> str:
    """Return a map, its first row on top, as SVG; white at `low`, darkest at `high`.

    The charts' library would write a path of its own for every square, and a page has thousands;
    here the squares of a shade share one.

    >>> _heatmap([[0.0, 1.0]], 0.0, 1.0, "b").count("h1v1h-1z")
    1
    """
    squares: dict[int, list[str]] = defaultdict(list)
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            squares[_shade(value, low, high)].append(f"M{x} {y}h1v1h-1z")
    paths = "".join(
        f'<path opacity="{DARKEST * shade / (SHADES - 1):.2f}" d="{"".join(found)}"/>'
        for shade, found in sorted(squares.items())
        if shade
    )
    return (
        f'<svg class="heat" role="img" aria-label={quoteattr(title)} fill="{FILL}" '
        f'shape-rendering="crispEdges" viewBox="0 0 {len(rows[0])} {len(rows)}">{paths}</svg>'
    )


def _shade(value: float, low: float, high: float) -> int:
    share = (value - low) / (high - low) if high > low else 0.0
    return round(min(1.0, max(0.0, share)) * (SHADES - 1))


def _attachment(text: str) -> str:
    """Return the address under which a page that is one file holds a further one."""
    return "data:application/yaml;base64," + b64encode(f"{text}\n".encode()).decode()


def _numbers(values: Any) -> Iterator[float]:
    """Yield the numbers in lists of lists of any depth."""
    if isinstance(values, Iterable):
        for value in values:
            yield from _numbers(value)
    else:
        yield values


FILTERS: dict[str, Callable[..., object]] = {
    **{name: _written(format_) for name, format_ in FORMATS.items()},
    "many": _many,
    "heatmap": lambda rows, low, high, title: Markup(_heatmap(rows, low, high, title)),
    "least": lambda maps: min(_numbers(maps)),
    "most": lambda maps: max(_numbers(maps)),
    "yaml": lambda tree: presets.dump(tree, compact=True).rstrip(),
    "soft": _soft,
    "attachment": _attachment,
}
