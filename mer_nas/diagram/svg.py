"""A drawing of an architecture as SVG that stands inside an HTML page."""

from html import escape

from mer_nas.diagram.model import Box, Diagram

LETTER, ROW, PAD, WIRE = 6.6, 17, 10, 18
"""Pixels: a letter's width, a row's height, the space inside a box, the wire between two."""
ALONE, BESIDE, GAP = 72, 48, 24
"""Letters of a column that stands alone, of one beside another; pixels between two."""
INK, SOFT, EDGE, FILL = "#1f2328", "#59636e", "#0072b2", "#f6f8fa"


def as_svg(diagram: Diagram) -> str:
    """Return the drawing as an element of a page; it takes the page's font."""
    letters = ALONE if len(diagram.columns) == 1 else BESIDE
    column = letters * LETTER + 2 * PAD
    width = len(diagram.columns) * column + (len(diagram.columns) - 1) * GAP
    parts: list[str] = []
    lefts = [number * (column + GAP) for number in range(len(diagram.columns))]
    ends = [
        _column(parts, boxes, left, 1.0, letters)
        for left, boxes in zip(lefts, diagram.columns, strict=True)
    ]
    top, middle = max(ends) + WIRE / 2, width / 2
    for left, end in zip(lefts, ends, strict=True):
        parts.append(_wire((left + column / 2, end), (left + column / 2, top), (middle, top)))
    parts.append(_wire((middle, top), (middle, top + WIRE / 2)))
    height = _column(parts, diagram.trunk, (width - column) / 2, top + WIRE / 2, letters)
    if diagram.aside:
        height += ROW
        parts.append(_word(diagram.aside, middle, height - 4, SOFT, "middle"))
    return (
        f'<svg role="img" aria-label="Diagram of the network" '
        f'viewBox="0 0 {width:.0f} {height + 2:.0f}" style="max-width: {width:.0f}px" '
        f'font-size="12">{"".join(parts)}</svg>'
    )


def _column(
    parts: list[str], boxes: tuple[Box, ...], left: float, top: float, letters: int
) -> float:
    """Draw boxes below each other from `top`; return where the last one ends."""
    width = letters * LETTER + 2 * PAD
    for number, box in enumerate(boxes):
        if number:
            middle = left + width / 2
            parts.append(_wire((middle, top), (middle, top + WIRE)))
            top += WIRE
        rows = box.rows(letters)
        height = ROW * (len(rows) + 1) + PAD
        parts.append(
            f'<rect x="{left + 0.5:.1f}" y="{top:.1f}" width="{width - 1:.1f}" '
            f'height="{height:.1f}" rx="5" fill="{FILL}" stroke="{EDGE}"/>'
        )
        parts.append(_word(box.title, left + PAD, top + ROW, EDGE, weight=600))
        for row, (text, shape) in enumerate(rows, start=2):
            y = top + ROW * row
            parts.append(_word(text, left + PAD, y, INK))
            if shape:
                parts.append(_word(shape, left + width - PAD, y, SOFT, "end"))
        top += height
    return top


def _word(
    text: str, x: float, y: float, colour: str, anchor: str = "start", weight: int = 400
) -> str:
    space = len(text) - len(text.lstrip())  # SVG drops spaces at the beginning
    return (
        f'<text x="{x + space * LETTER:.1f}" y="{y:.1f}" fill="{colour}" '
        f'text-anchor="{anchor}" font-weight="{weight}">{escape(text.strip())}</text>'
    )


def _wire(*points: tuple[float, float]) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{SOFT}"/>'
