"""What a drawing of an architecture shows."""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from mer_nas.architectures import Architecture, Block
from mer_nas.architectures.walk import BEHIND, Visit, walk


@dataclass(frozen=True)
class Line:
    """One block."""

    text: str
    """Its slot, kind and settings."""
    shape: str
    """What leaves it: channels, height and width, behind the frames where there are several."""


@dataclass(frozen=True)
class Box:
    """Blocks that belong together: a stem, a stage, a temporal pool, a fusion, a head."""

    title: str
    lines: tuple[Line, ...]

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
    """An architecture from its inputs, one beside the other, to its classes."""

    columns: tuple[tuple[Box, ...], ...]
    """One a path; the first box of each is its input."""
    trunk: tuple[Box, ...]
    """What follows all paths."""
    aside: str
    """What only training sees; empty where there is nothing."""


def draw(architecture: Architecture, classes: int) -> Diagram:
    """Return the drawing of an architecture for a number of classes."""
    visits = [
        visit
        for visit in walk(architecture, classes=classes)
        if isinstance(visit.part, Block) and visit.part.kind != "none"
    ]
    columns = []
    for index, path in enumerate(architecture.paths):
        own = [v for v in visits if v.path == index and v.slot not in BEHIND]
        start = own[0].context
        laid_out = "" if path.layout == "whole" else f" ({path.layout})"
        entry = Line(path.input + laid_out, _shape(start.frames, start.channels, start.size))
        columns.append((Box("input", (entry,)), *_boxes(own)))
    behind = [visit for visit in visits if visit.slot in BEHIND - {"dyn_image"}]
    weights = architecture.losses.weights
    losses = [f"{name} (weight {weight:g})" for name, weight in weights.items() if weight]
    return Diagram(
        tuple(columns),
        tuple(_boxes(behind)),
        f"in training also: {', '.join(losses)}" if losses else "",
    )


def describe(block: Block, *, whole: bool = False) -> str:
    """Return a block's kind and the settings in which it differs from its defaults, or all.

    >>> from mer_nas.architectures import LOCALS
    >>> describe(LOCALS["res_basic"](blocks=2)), describe(LOCALS["res_basic"]())
    ('res_basic (blocks 2)', 'res_basic')
    """
    said = [
        f"{name} {_text(value, whole=whole)}"
        for name, field in type(block).model_fields.items()
        if name != "kind"
        and (
            (value := getattr(block, name)) != field.get_default(call_default_factory=True)
            or whole
        )
    ]
    return f"{block.kind} ({', '.join(said)})" if said else block.kind


def _text(value: object, *, whole: bool) -> str:
    if isinstance(value, Block):
        return describe(value, whole=whole)
    if isinstance(value, tuple):
        return "+".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _boxes(visits: Iterable[Visit]) -> list[Box]:
    boxes: list[Box] = []
    for visit in visits:
        title, line = _title(visit), _line(visit)
        if boxes and boxes[-1].title == title:
            boxes[-1] = Box(title, (*boxes[-1].lines, line))
        else:
            boxes.append(Box(title, (line,)))
    return boxes


def _title(visit: Visit) -> str:
    if visit.slot == "temporal":
        return "temporal pool"
    if visit.slot == "stem" or visit.slot in BEHIND:
        return visit.slot
    return f"stage {visit.context.stage + 1}"


def _line(visit: Visit) -> Line:
    block, context = visit.part, visit.context
    assert isinstance(block, Block)
    inside = _title(visit).startswith("stage")
    text = describe(block, whole=True)
    if inside:
        text = f"{visit.slot.rstrip('_')} {text}"
    if visit.slot == "head":
        return Line(text, f"{context.width} classes")
    shape = block.shape(context)
    return Line(text, _shape(block.frames(context), shape.channels, shape.size))


def _shape(frames: int, channels: int, size: tuple[int, int]) -> str:
    """Return a shape as people write it.

    >>> _shape(1, 16, (28, 28)), _shape(8, 16, (28, 28))
    ('16 x 28 x 28', '8 frames of 16 x 28 x 28')
    """
    map_ = " x ".join(map(str, (channels, *size)))
    return f"{frames} frames of {map_}" if frames > 1 else map_
