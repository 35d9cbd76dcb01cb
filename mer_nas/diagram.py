"""Architectures as drawings: what stands where, as text for a terminal and as SVG for a page.

A drawing takes the walk along an architecture and keeps what a reader wants to see: the blocks in
the order in which a clip meets them, and the shape that leaves each.
"""

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape

from mer_nas.architectures import Architecture, Block, NetworkPath, Path, WholeNetwork
from mer_nas.architectures.blocks.network import parts_of
from mer_nas.architectures.walk import BEHIND, Visit, walk
from mer_nas.config.arguments import argument
from mer_nas.inputs import READABLE, whole_input

WIDTH = 94
"""Letters of a line of text at most: those of two columns and what is between them."""
_TEXT_ALONE, _TEXT_BESIDE, _TEXT_GAP = 72, 46, 2
"""Characters of a column that stands alone, of one beside another, and between two."""
_LETTER, _ROW, _PAD, _WIRE = 6.6, 17, 10, 18
"""Pixels: a letter's width, a row's height, the space inside a box, the wire between two."""
_SVG_ALONE, _SVG_BESIDE, _SVG_GAP = 72, 48, 24
"""Letters of a column that stands alone, of one beside another; pixels between two."""
_INK, _SOFT, _EDGE, _FILL = "#1f2328", "#59636e", "#0072b2", "#f6f8fa"


@dataclass(frozen=True)
class _Line:
    """One block."""

    text: str
    """Its slot, kind and settings."""
    shape: str
    """What leaves it: channels, height and width, behind the frames where there are several."""


@dataclass(frozen=True)
class _Box:
    """Blocks that belong together: a stem, a stage, a temporal pool, a fusion, a head."""

    title: str
    lines: tuple[_Line, ...]

    def rows(self, width: int) -> list[tuple[str, str]]:
        """Return the lines broken to `width` characters: what stands left, what right."""
        rows: list[tuple[str, str]] = []
        for line in self.lines:
            room = max(12, width - len(line.shape) - 2)
            first, *rest = textwrap.wrap(line.text, room, subsequent_indent="  ")
            rows += [(first, line.shape), *((text, "") for text in rest)]
        return rows


@dataclass(frozen=True)
class Diagram:
    """A drawing of an architecture from its inputs, one beside the other, to its classes."""

    columns: tuple[tuple[_Box, ...], ...]
    """One a path; the first box of each is its input."""
    trunk: tuple[_Box, ...]
    """What follows all paths."""
    aside: str
    """What only training sees; empty where there is nothing."""

    @classmethod
    def of(cls, architecture: Architecture, classes: int) -> "Diagram":
        """Return the drawing of an architecture for a number of classes."""
        visits = [
            visit
            for visit in walk(architecture, classes=classes)
            if isinstance(visit.part, Block) and visit.part.kind != "none"
        ]
        columns = []
        for index, way in enumerate(architecture.ways):
            own = [v for v in visits if v.path == index and v.slot not in BEHIND]
            boxes = _boxes(own) if isinstance(way, Path) else [_network_box(own[0])]
            columns.append((_input_box(architecture, way), *boxes))
        behind = [visit for visit in visits if visit.slot in BEHIND - {"dyn_image"}]
        answer = _Box("answer", (_Line("logits", f"{classes} classes"),))
        weights = architecture.losses.weights
        losses = [f"{name} (weight {weight:g})" for name, weight in weights.items() if weight]
        return cls(
            tuple(columns),
            tuple(_boxes(behind)) or (answer,),
            f"in training also: {', '.join(losses)}" if losses else "",
        )

    def as_text(self, width: int = WIDTH) -> str:
        """Return the drawing, its lines at most `width` characters long, or 46 if that is less.

        Paths stand beside one another where there is room, else below.

        Raises:
            ConfigError: The width is no whole number.
        """
        width = argument(int, width, "diagram.width")
        aside = [self.aside] * bool(self.aside)
        several = len(self.columns) > 1
        if several and width < WIDTH:
            return "\n".join([*self._stacked(max(_TEXT_BESIDE, min(_TEXT_ALONE, width))), *aside])
        width = _TEXT_BESIDE if several else max(_TEXT_BESIDE, min(_TEXT_ALONE, width))
        columns = [_text_column(boxes, width) for boxes in self.columns]
        height = max(map(len, columns))
        wire = "│".center(width)
        filled = [[*lines, *([wire] * (height - len(lines)))] for lines in columns]
        lines = [(" " * _TEXT_GAP).join(row) for row in zip(*filled, strict=True)]
        if several:
            lines.append(_text_joint(len(columns), width))
        total = len(columns) * width + (len(columns) - 1) * _TEXT_GAP
        lines += [line.center(total) for line in _text_column(self.trunk, width)[:-1]]
        return "\n".join(line.rstrip() for line in [*lines, *aside])

    def _stacked(self, width: int) -> Iterator[str]:
        """Yield the lines of one path after the other, and of what follows all."""
        of = len(self.columns)
        for number, boxes in enumerate(self.columns, start=1):
            yield f"path {number} of {of}"
            yield from (line.rstrip() for line in _text_column(boxes, width)[:-1])
            yield ""
        yield "all paths"
        yield from (line.rstrip() for line in _text_column(self.trunk, width)[:-1])

    def as_svg(self) -> str:
        """Return the drawing as an SVG element of a page; it takes the page's font."""
        letters = _SVG_ALONE if len(self.columns) == 1 else _SVG_BESIDE
        column = letters * _LETTER + 2 * _PAD
        width = len(self.columns) * column + (len(self.columns) - 1) * _SVG_GAP
        parts: list[str] = []
        lefts = [number * (column + _SVG_GAP) for number in range(len(self.columns))]
        ends = [
            _svg_column(parts, boxes, left, 1.0, letters)
            for left, boxes in zip(lefts, self.columns, strict=True)
        ]
        top, middle = max(ends) + _WIRE / 2, width / 2
        for left, end in zip(lefts, ends, strict=True):
            parts.append(
                _svg_wire((left + column / 2, end), (left + column / 2, top), (middle, top))
            )
        parts.append(_svg_wire((middle, top), (middle, top + _WIRE / 2)))
        height = _svg_column(parts, self.trunk, (width - column) / 2, top + _WIRE / 2, letters)
        if self.aside:
            height += _ROW
            parts.append(_svg_word(self.aside, middle, height - 4, _SOFT, "middle"))
        return (
            f'<svg role="img" aria-label="Diagram of the network" '
            f'viewBox="0 0 {width:.0f} {height + 2:.0f}" style="max-width: {width:.0f}px" '
            f'font-size="12">{"".join(parts)}</svg>'
        )


def _boxes(visits: Iterable[Visit]) -> list[_Box]:
    boxes: list[_Box] = []
    for visit in visits:
        title, line = _title(visit), _line(visit)
        if boxes and boxes[-1].title == title:
            boxes[-1] = _Box(title, (*boxes[-1].lines, line))
        else:
            boxes.append(_Box(title, (line,)))
    return boxes


def _title(visit: Visit) -> str:
    if visit.slot == "temporal":
        return "temporal pool"
    if visit.slot == "stem" or visit.slot in BEHIND:
        return visit.slot
    return f"stage {visit.context.stage + 1}"


def _input_box(architecture: Architecture, way: Path | NetworkPath) -> _Box:
    laid_out = "" if isinstance(way, NetworkPath) or way.layout == "whole" else f" ({way.layout})"
    lines = []
    for name in way.reads:
        *_, height, width = architecture.shapes[whole_input(name)]
        channels = READABLE[name].channels
        frames = way.frames if READABLE[name].timed else 1
        lines.append(_Line(name + laid_out, _shape(frames, channels, (height, width))))
    return _Box("input", tuple(lines))


def _network_box(visit: Visit) -> _Box:
    """Return the modules of a network that is used whole."""
    block = visit.part
    assert isinstance(block, WholeNetwork)
    lines = [_Line(block.describe(whole=True), "")]
    for part in parts_of(block, visit.context):
        lines.append(_Line(f"{part.name} {part.kind}", " x ".join(map(str, part.shape))))
    return _Box("network", tuple(lines))


def _line(visit: Visit) -> _Line:
    block, context = visit.part, visit.context
    assert isinstance(block, Block)
    inside = _title(visit).startswith("stage")
    text = block.describe(whole=True)
    if inside:
        text = f"{visit.slot.rstrip('_')} {text}"
    if visit.slot == "head":
        return _Line(text, f"{context.width} classes")
    shape = block.shape(context)
    return _Line(text, _shape(block.frames(context), shape.channels, shape.size))


def _shape(frames: int, channels: int, size: tuple[int, int]) -> str:
    """Return a shape as people write it.

    >>> _shape(1, 16, (28, 28)), _shape(8, 16, (28, 28))
    ('16 x 28 x 28', '8 frames of 16 x 28 x 28')
    """
    map_ = " x ".join(map(str, (channels, *size)))
    return f"{frames} frames of {map_}" if frames > 1 else map_


def _text_column(boxes: tuple[_Box, ...], width: int) -> list[str]:
    """Return boxes below each other, each followed by the wire to the next."""
    lines: list[str] = []
    for box in boxes:
        lines.append(f"┌─ {box.title} ".ljust(width - 1, "─") + "┐")
        for left, right in box.rows(width - 4):
            room = width - 4 - len(right)
            lines.append(f"│ {left.ljust(room)}{right} │")
        lines += ["└" + "─" * (width - 2) + "┘", "│".center(width)]
    return lines


def _text_joint(count: int, width: int) -> str:
    """Return the line at which the wires of the columns meet."""
    places = [width // 2 - 1 + number * (width + _TEXT_GAP) for number in range(count)]
    middle = (places[0] + places[-1]) // 2
    line = [" "] * (count * width + (count - 1) * _TEXT_GAP)
    line[places[0] : places[-1] + 1] = "─" * (places[-1] + 1 - places[0])
    for place in places:
        line[place] = "┴"
    line[places[0]], line[places[-1]], line[middle] = "└", "┘", "┬"
    return "".join(line)


def _svg_column(
    parts: list[str], boxes: tuple[_Box, ...], left: float, top: float, letters: int
) -> float:
    """Draw boxes below each other from `top`; return where the last one ends."""
    width = letters * _LETTER + 2 * _PAD
    for number, box in enumerate(boxes):
        if number:
            middle = left + width / 2
            parts.append(_svg_wire((middle, top), (middle, top + _WIRE)))
            top += _WIRE
        rows = box.rows(letters)
        height = _ROW * (len(rows) + 1) + _PAD
        parts.append(
            f'<rect x="{left + 0.5:.1f}" y="{top:.1f}" width="{width - 1:.1f}" '
            f'height="{height:.1f}" rx="5" fill="{_FILL}" stroke="{_EDGE}"/>'
        )
        parts.append(_svg_word(box.title, left + _PAD, top + _ROW, _EDGE, weight=600))
        for row, (text, shape) in enumerate(rows, start=2):
            y = top + _ROW * row
            parts.append(_svg_word(text, left + _PAD, y, _INK))
            if shape:
                parts.append(_svg_word(shape, left + width - _PAD, y, _SOFT, "end"))
        top += height
    return top


def _svg_word(
    text: str, x: float, y: float, colour: str, anchor: str = "start", weight: int = 400
) -> str:
    space = len(text) - len(text.lstrip())  # SVG drops spaces at the beginning
    return (
        f'<text x="{x + space * _LETTER:.1f}" y="{y:.1f}" fill="{colour}" '
        f'text-anchor="{anchor}" font-weight="{weight}">{escape(text.strip())}</text>'
    )


def _svg_wire(*points: tuple[float, float]) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{_SOFT}"/>'
