"""Small maps as shaded squares, a drawing each, that stand in the cells of a table.

The charts' library would write a path of its own for every square, and a page has thousands; here
the squares of a shade share one.
"""

from collections import defaultdict
from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

SHADES = 12
DARKEST = 0.9
"""Opacity of the highest value, on white."""
FILL = "#0072b2"


def heatmap(rows: Sequence[Sequence[float]], low: float, high: float, title: str) -> str:
    """Return a map, its first row on top, as SVG; white at `low`, darkest at `high`.

    >>> heatmap([[0.0, 1.0]], 0.0, 1.0, "b").count("h1v1h-1z")
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
