"""The drawings of a report, as SVG that stands inside its HTML.

Text stays text (it can be selected and searched, and takes the page's font), nothing refers to
anything outside, and the same report always gives the same drawing. Colours are from Okabe and
Ito's palette, which people with any common colour blindness can tell apart; shapes repeat what
colours say.

Source: Okabe & Ito 2008, "Color Universal Design".
"""

import io
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from mer_nas.report.facts import TrialFacts
from mer_nas.report.schema import Report, Slice, SlicePoint
from mer_nas.search.objectives import front

BLUE, ORANGE, GREEN, INK, GREY, PALE = (
    "#0072b2", "#d55e00", "#009e73", "#24292f", "#8c959f", "#d8dee4",
)  # fmt: skip
WIDTH, HEIGHT = 4.7, 3.1
"""Inches of a drawing; two stand side by side on a wide screen, one on a telephone."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.titlesize": 8.5,
    "grid.color": "#eaeef2",
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "text.color": INK,
    "text.parse_math": False,  # names may hold dollars
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handletextpad": 0.3,
    "legend.columnspacing": 1.1,
}
SPREAD_ORDERS = 30
"""A parameter whose largest value is this many times its smallest gets a logarithmic axis."""
MANY = 8
"""More choices than this have their names turned."""

Value = str | int | float | bool | None


def history(report: Report) -> str:
    """Draw the score of each complete trial, the best so far, and where trials ended early."""

    def draw(figure: Figure) -> None:
        top, strip = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": [5, 1.1], "hspace": 0.12}
        )
        _scores(top, report)
        _early_ends(strip, report)
        figure.legend(
            *top.get_legend_handles_labels(),
            loc="upper center",
            ncol=3,
            bbox_to_anchor=(0.53, 1.0),
        )

    return _svg("history", "Search score of every trial", draw)


def curves(report: Report) -> str:
    """Draw pooled UF1 after each block of folds, for every trial that reached one."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for trial in sorted(report.study.trials, key=_drawing_order):
            _curve(axes, trial, best=_is_best(report, trial))
        axes.set_xlabel("share of the clips held out so far")
        axes.set_ylabel("partial UF1")
        axes.set_xlim(0, 1.03)
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        for colour, label in ((BLUE, "complete"), (ORANGE, "best"), (GREY, "pruned")):
            axes.plot([], [], color=colour, label=label, marker="x" if label == "pruned" else "")
        _legend(figure, axes)

    return _svg("curves", "Partial score by share of the clips", draw)


def cost(report: Report, what: str) -> str:
    """Draw the search score of complete trials against `what`: "parameters" or "macs"."""
    labels = {"parameters": "parameters", "macs": "multiply-accumulates for a clip (nominal)"}
    points = [
        (float(getattr(trial, what)), trial) for trial in _complete(report) if getattr(trial, what)
    ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for warm in (False, True):
            some = [(x, t.value) for x, t in points if t.warm_start == warm]
            _dots(axes, some, warm=warm)
        steps = zip(*_front(points), strict=True)
        axes.plot(*steps, color=GREEN, linewidth=1, drawstyle="steps-post", zorder=1,
                  label="best at this cost")  # fmt: skip
        _log_axis(axes, [x for x, _ in points])
        axes.set_xlabel(labels[what])
        axes.set_ylabel("search UF1")
        _legend(figure, axes)

    return _svg(f"cost-{what}", f"Search score against {what}", draw) if points else ""


def slice_(piece: Slice) -> str:
    """Draw search score against the values of one parameter."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        (_choice_slice if piece.choice else _number_slice)(axes, piece.points)
        axes.set_xlabel(_short(piece.parameter))
        axes.set_ylabel("search UF1")
        figure.subplots_adjust(top=0.96)

    title = f"Search score against {piece.parameter}"
    return _svg(f"slice-{piece.parameter}", title, draw) if piece.points else ""


def _scores(axes: Axes, report: Report) -> None:
    complete = _complete(report)
    for warm in (False, True):
        _dots(axes, [(t.number, t.value) for t in complete if t.warm_start == warm], warm=warm)
    if report.course:
        last = max(trial.number for trial in report.study.trials)
        xs = [*(step.number for step in report.course), last]
        ys = [*(step.uf1 for step in report.course), report.course[-1].uf1]
        axes.plot(xs, ys, color=ORANGE, linewidth=1.3, drawstyle="steps-post", zorder=1,
                  label="best so far")  # fmt: skip
    axes.set_ylabel("search UF1")
    axes.margins(y=0.12)


def _early_ends(axes: Axes, report: Report) -> None:
    marks = {"pruned": ("x", GREY), "failed": ("^", INK)}
    for level, (outcome, (marker, colour)) in enumerate(reversed(marks.items())):
        numbers = [trial.number for trial in report.study.trials if trial.outcome == outcome]
        axes.plot(numbers, [level] * len(numbers), marker, color=colour, markersize=4)
    axes.set_yticks(range(len(marks)), list(reversed(marks)))
    axes.set_ylim(-0.6, len(marks) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("trial")


def _curve(axes: Axes, trial: TrialFacts, *, best: bool) -> None:
    if not trial.curve or trial.outcome not in ("complete", "pruned"):
        return
    xs, ys = [p.clips for p in trial.curve], [p.uf1 for p in trial.curve]
    pruned = trial.outcome == "pruned"
    colour = ORANGE if best else GREY if pruned else BLUE
    axes.plot(xs, ys, color=colour, linewidth=1.8 if best else 0.8, alpha=1 if best else 0.55)
    if pruned:
        axes.plot(xs[-1:], ys[-1:], "x", color=colour, markersize=4)
    elif len(xs) == 1:
        axes.plot(xs, ys, "o", color=colour, markersize=3)


def _dots(axes: Axes, points: Sequence[tuple[float, float | None]], *, warm: bool) -> None:
    if points:
        xs, ys = zip(*points, strict=True)
        axes.scatter(
            xs,
            ys,
            s=34 if warm else 20,
            marker="D" if warm else "o",
            facecolor="white" if warm else BLUE,
            edgecolor=ORANGE if warm else "white",
            linewidth=1.3 if warm else 0.5,
            zorder=3,
            label="published point" if warm else "proposed by the search",
        )


def _number_slice(axes: Axes, points: Sequence[SlicePoint]) -> None:
    xs = [float(point.value) for point in points if point.value is not None]
    _plain_dots(axes, xs, [point.uf1 for point in points])
    if min(xs) > 0 and max(xs) / min(xs) >= SPREAD_ORDERS:
        _log_axis(axes, xs)


def _choice_slice(axes: Axes, points: Sequence[SlicePoint]) -> None:
    choices = sorted({point.value for point in points}, key=_choice_order)
    for place, choice in enumerate(choices):
        scores = [point.uf1 for point in points if point.value == choice]
        # Side by side in a fixed order: chance would draw each report differently.
        offsets = [0.22 * math.sin(2.4 * index) for index in range(len(scores))]
        _plain_dots(axes, [place + offset for offset in offsets], scores)
        mean = sum(scores) / len(scores)
        axes.plot([place - 0.3, place + 0.3], [mean, mean], color=ORANGE, linewidth=1.8, zorder=2)
    names = [_wrapped(str(choice)) for choice in choices]
    axes.set_xticks(range(len(choices)), names, rotation=0 if len(names) <= MANY else 40)
    axes.set_xlim(-0.6, len(choices) - 0.4)
    axes.grid(visible=False, axis="x")


def _plain_dots(axes: Axes, xs: Sequence[float], ys: Sequence[float]) -> None:
    axes.scatter(xs, ys, s=20, color=BLUE, edgecolor="white", linewidth=0.5, alpha=0.85, zorder=3)


def _choice_order(value: Value) -> tuple[bool, float, str]:
    number = isinstance(value, int | float)
    return (not number, float(value) if isinstance(value, int | float) else 0.0, str(value))


def _complete(report: Report) -> list[TrialFacts]:
    return [trial for trial in report.study.trials if trial.outcome == "complete"]


def _is_best(report: Report, trial: TrialFacts) -> bool:
    if not report.course or trial.outcome != "complete":
        return False
    best = next(step for step in report.course if step.uf1 == report.course[-1].uf1)
    return trial.number == best.number


def _drawing_order(trial: TrialFacts) -> tuple[bool, float]:
    """Order lines so that the better lie on top."""
    return (trial.outcome == "complete", trial.value or 0.0)


def _front(points: Sequence[tuple[float, TrialFacts]]) -> list[tuple[float, float]]:
    """Return cost and score of the trials that no other betters, cheapest first."""
    found = front([(trial.value or 0.0, cost) for cost, trial in points])
    return [(points[index][0], points[index][1].value or 0.0) for index in reversed(found)]


def _log_axis(axes: Axes, values: Sequence[float]) -> None:
    low, high = min(values), max(values)
    axes.set_xscale("log")
    axes.set_xlim(low / 1.35, high * 1.35)
    axes.set_xticks(_log_ticks(low / 1.35, high * 1.35), minor=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _metric(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers between `low` and `high`, few enough to stand side by side.

    >>> _log_ticks(900, 60_000)
    [1000.0, 3000.0, 10000.0, 30000.0]
    """
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{s}e{e}") for e in exponents for s in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= 5:
            return ticks
    return ticks[:: math.ceil(len(ticks) / 5)]


def _metric(value: float) -> str:
    """Write a number as people say it.

    >>> _metric(318_463), _metric(2e7), _metric(0.003), _metric(5)
    ('318 k', '20 M', '0.003', '5')
    """
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:g}"


def _short(parameter: str) -> str:
    """Return the end of a dotted name that fits under an axis."""
    return parameter if len(parameter) <= 48 else "…" + parameter[-47:]


def _wrapped(text: str) -> str:
    return text if len(text) <= 12 else text[:11] + "…"


def _legend(figure: Figure, axes: Axes) -> None:
    figure.legend(
        *axes.get_legend_handles_labels(), loc="upper center", ncol=3, bbox_to_anchor=(0.53, 1.0)
    )


def _svg(name: str, title: str, draw: Callable[[Figure], None]) -> str:
    with rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(WIDTH, HEIGHT))
        figure.subplots_adjust(left=0.13, right=0.985, bottom=0.15, top=0.89)
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return _inline(text.getvalue(), name, title)


def _inline(document: str, name: str, title: str) -> str:
    """Return an SVG document as an element of an HTML page, with nothing that leads outside."""
    svg = document[document.index("<svg") :]
    # Addresses of standards, notes, and a style sheet that would rule the whole page.
    for part in (r"<metadata>.*?</metadata>", r"<!--.*?-->", r"<style.*?</style>"):
        svg = re.sub(part, "", svg, flags=re.DOTALL)
    opening, rest = svg.split(">", 1)
    opening = re.sub(r'\s(xmlns(:xlink)?|version|width|height)="[^"]*"', "", opening)
    svg = f"{opening}>{rest}".replace("xlink:href", "href")
    # Several drawings share a page: their names must differ.
    prefix = re.sub(r"\W+", "-", name)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
