"""What all drawings of a report share: colours, type, axes, and the way into the page.

Text stays text (it can be selected and searched, and takes the page's font), nothing refers to
anything outside, and the same report always gives the same drawing. Colours are from Okabe and
Ito's palette, which people with any common colour blindness can tell apart; shapes repeat what
colours say.

Source: Okabe & Ito 2008, "Color Universal Design".
"""

import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from mer_nas.errors import ConfigError
from mer_nas.files import naming, place
from mer_nas.wording import metric

BLUE, ORANGE, GREEN, INK, GREY, PALE = (
    "#0072b2", "#d55e00", "#009e73", "#24292f", "#8c959f", "#d8dee4",
)  # fmt: skip
SIZE = (4.7, 3.1)
"""Inches of a drawing, width first; two stand side by side on a screen, one on a telephone."""
PICTURE_ENDINGS = (".svg", ".png", ".pdf")
"""Of pictures that are files of their own; the ending says as what."""
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


@contextmanager
def style(name: str, settings: Mapping[Any, Any] = STYLE) -> Iterator[None]:
    """Draw and save in a style; a letter that the font has not is a box, and nothing is said.

    The same drawing of one name gives the same file. In SVG text stays text, for the reader's
    fonts. The style begins from matplotlib's own, and not from the `matplotlibrc` of a user or of
    whoever made the working directory, which may have texts set by LaTeX.

    Args:
        name: Tells the drawings of a page apart.
        settings: Of matplotlib; by default those of the report.
    """
    with rc_context(), warnings.catch_warnings():
        rcdefaults()
        rcParams.update({**settings, "svg.hashsalt": name})
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        yield


def check_picture(given: str | PathLike[str], word: str, *, makes_folder: bool = False) -> Path:
    """Return the file of a picture; refuse what cannot be one before anything is computed.

    Args:
        given: Where the picture shall lie.
        word: What named it on the command line: "--picture ", "out=".
        makes_folder: Whether its folder is made where it is missing.

    Raises:
        ConfigError: It is no path, or a folder; its ending names no kind of picture, or its
            folder is missing.
    """
    file = place(given, word.rstrip(" ="), ConfigError)
    if file.is_dir():
        raise ConfigError(f"{word}{file}: this is a folder; a file in it would be right")
    if file.suffix.lower() not in PICTURE_ENDINGS:
        raise ConfigError(
            f"{word}{file}: ends in {file.suffix or 'nothing'}; "
            f"one of {', '.join(PICTURE_ENDINGS)} would be right"
        )
    if not makes_folder and not file.parent.is_dir():
        raise ConfigError(f"{word}{file}: there is no folder {file.parent}")
    return file


def save(figure: Figure, file: Path, dpi: int = 160) -> None:
    """Write a picture without its date, so that files can be compared; PNG has none anyway."""
    date = {".svg": "Date", ".pdf": "CreationDate"}.get(file.suffix.lower())
    with naming(file):
        figure.savefig(file, dpi=dpi, metadata={date: None} if date else None)


def svg(
    name: str, title: str, draw: Callable[[Figure], None], size: tuple[float, float] = SIZE
) -> str:
    """Return what `draw` draws, as an element of a page.

    Args:
        name: Tells the drawings of a page apart.
        title: What it shows, for those who do not see it.
        draw: Draws into an empty figure.
        size: Inches, width first.
    """
    with style(name):
        figure = Figure(figsize=size)
        figure.subplots_adjust(left=0.13, right=0.965, bottom=0.15, top=0.89)
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


def legend(figure: Figure, axes: Axes) -> None:
    """Say above the drawing what its marks are."""
    figure.legend(
        *axes.get_legend_handles_labels(), loc="upper center", ncol=3, bbox_to_anchor=(0.53, 1.0)
    )


def dots(axes: Axes, points: Sequence[tuple[float, float | None]], *, warm: bool) -> None:
    """Mark published points by diamonds, proposals of the search by dots."""
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


def log_axis(axes: Axes, values: Sequence[float]) -> None:
    """Let x be logarithmic, with few round ticks."""
    low, high = min(values), max(values)
    axes.set_xscale("log")
    axes.set_xlim(low / 1.35, high * 1.35)
    axes.set_xticks(_log_ticks(low / 1.35, high * 1.35), minor=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: metric(value)))
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
