"""A drawing of an architecture in characters, for a terminal."""

from mer_nas.diagram.model import Box, Diagram

ALONE, BESIDE, GAP = 72, 46, 2
"""Characters of a column that stands alone, of one beside another, and between two."""


def as_text(diagram: Diagram) -> str:
    """Return the drawing, its lines at most 94 characters long."""
    several = len(diagram.columns) > 1
    width = BESIDE if several else ALONE
    columns = [_column(boxes, width) for boxes in diagram.columns]
    height = max(map(len, columns))
    wire = "│".center(width)
    filled = [[*lines, *([wire] * (height - len(lines)))] for lines in columns]
    lines = [(" " * GAP).join(row) for row in zip(*filled, strict=True)]
    if several:
        lines.append(_joined(len(columns), width))
    total = len(columns) * width + (len(columns) - 1) * GAP
    lines += [line.center(total) for line in _column(diagram.trunk, width)[:-1]]
    return "\n".join(line.rstrip() for line in [*lines, *([diagram.aside] * bool(diagram.aside))])


def _column(boxes: tuple[Box, ...], width: int) -> list[str]:
    """Return boxes below each other, each followed by the wire to the next."""
    lines: list[str] = []
    for box in boxes:
        lines.append(f"┌─ {box.title} ".ljust(width - 1, "─") + "┐")
        for left, right in box.rows(width - 4):
            room = width - 4 - len(right)
            lines.append(f"│ {left.ljust(room)}{right} │")
        lines += ["└" + "─" * (width - 2) + "┘", "│".center(width)]
    return lines


def _joined(count: int, width: int) -> str:
    """Return the line at which the wires of the columns meet."""
    places = [width // 2 - 1 + number * (width + GAP) for number in range(count)]
    middle = (places[0] + places[-1]) // 2
    line = [" "] * (count * width + (count - 1) * GAP)
    line[places[0] : places[-1] + 1] = "─" * (places[-1] + 1 - places[0])
    for place in places:
        line[place] = "┴"
    line[places[0]], line[places[-1]], line[middle] = "└", "┘", "┬"
    return "".join(line)
