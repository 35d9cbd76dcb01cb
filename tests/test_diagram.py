"""Drawings of architectures: what they show of one path and of two, in both renderings."""

import re
from typing import Any

import pytest

from mer_nas.architectures import Architecture, parse
from mer_nas.diagram import Diagram

RES = {"kind": "res_basic", "blocks": 1}
FIRST = {"down": {"kind": "none"}, "local": RES}
SECOND = {"growth": 2, "down": {"kind": "maxpool"}, "local": RES, "gate": {"kind": "prog"}}
STEM = {"kind": "conv", "kernel": 3, "stride": 1, "pool": False, "width": 16}


def path(*stages: Any, **settings: Any) -> dict[str, Any]:
    return {"input": "flow_uvs", "size": 28, "stem": STEM, "stages": list(stages), **settings}


@pytest.fixture(scope="module")
def two() -> Architecture:
    """A path over flow, and a longer one over 8 frames whose time ends behind its last stage."""
    frames = path(
        FIRST, SECOND, input="frames", frames=8, temporal={"kind": "arp", "where": "end"}
    )
    return parse(
        {
            "paths": [path(FIRST), frames],
            "fusion": {"kind": "sk", "width": 32},
            "losses": {"orth": {"kind": "cos2", "weight": 0.1}},
        }
    )


@pytest.fixture(scope="module")
def diagram(two: Architecture) -> Diagram:
    return Diagram.of(two, classes=3)


def shapes(diagram: Diagram) -> list[list[tuple[str, str]]]:
    """What each column, and then the trunk, says: title of the box and shape of each line."""
    parts = [*diagram.columns, diagram.trunk]
    return [[(box.title, line.shape) for box in part for line in box.lines] for part in parts]


def test_every_block_stands_in_its_box_with_the_shape_that_leaves_it(diagram: Diagram) -> None:
    flow, frames, trunk = shapes(diagram)
    assert flow == [
        ("input", "3 x 28 x 28"),
        ("stem", "16 x 28 x 28"),
        ("stage 1", "16 x 28 x 28"),
    ]
    assert frames == [
        ("input", "8 frames of 1 x 28 x 28"),
        ("stem", "8 frames of 16 x 28 x 28"),
        ("stage 1", "8 frames of 16 x 28 x 28"),
        ("stage 2", "8 frames of 16 x 14 x 14"),  # down
        ("stage 2", "8 frames of 32 x 14 x 14"),  # local
        ("stage 2", "8 frames of 32 x 14 x 14"),  # gate
        ("temporal pool", "32 x 14 x 14"),
    ]
    assert trunk == [("fusion", "32 x 14 x 14"), ("head", "3 classes")]
    assert diagram.aside == "in training also: orth (weight 0.1)"


def test_the_text_is_a_rectangle_that_fits_a_terminal(diagram: Diagram) -> None:
    lines = diagram.as_text().splitlines()
    assert max(map(len, lines)) == 94
    boxes = sum(len(part) for part in (*diagram.columns, diagram.trunk))
    text = "\n".join(lines)
    for corner in "┌┐└┘":
        # where two wires meet, one line turns up at either end
        assert text.count(corner) == boxes + (corner in "└┘")
    assert [line.count("┬") for line in lines if "┴" in line or "┬" in line] == [1]


@pytest.mark.parametrize(("width", "longest"), [(93, 72), (60, 60), (20, 46)])
def test_on_a_narrow_terminal_paths_stand_below_one_another(
    diagram: Diagram, width: int, longest: int
) -> None:
    lines = diagram.as_text(width).splitlines()
    assert max(len(line) for line in lines if line[:1] in "┌│└") == longest
    assert [line for line in lines if "path" in line] == [
        "path 1 of 2",
        "path 2 of 2",
        "all paths",
    ]
    boxes = sum(len(part) for part in (*diagram.columns, diagram.trunk))
    assert "\n".join(lines).count("┌") == boxes


def test_settings_that_are_too_long_for_a_line_are_broken_and_none_is_lost() -> None:
    expert = {"kind": "expert", "blocks": 2}
    tree = {"paths": [path({"down": {"kind": "none"}, "global": expert})]}
    drawn = Diagram.of(parse(tree), classes=5)
    (line,) = drawn.columns[0][2].lines
    rows = [row for row in drawn.as_text().splitlines() if row.startswith("│")]
    text = " ".join("".join(rows).replace("│", " ").replace(line.shape, "").split())
    assert line.text in text
    assert len(line.text) > 72
    assert len(drawn.columns[0][2].rows(72)) > 1


def test_the_drawing_says_what_the_text_says(two: Architecture, diagram: Diagram) -> None:
    svg = diagram.as_svg()
    words = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    boxes = [box for part in (*diagram.columns, diagram.trunk) for box in part]
    assert svg.count("<rect") == len(boxes)
    for box in boxes:
        assert box.title in words
        assert {line.shape for line in box.lines} <= set(words)
    assert diagram.aside in words
    # inside the page: every box lies within the drawing
    width, height = map(float, re.findall(r'viewBox="0 0 (\d+) (\d+)"', svg)[0])
    for x, y, w, h in re.findall(
        r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', svg
    ):
        assert float(x) + float(w) <= width
        assert float(y) + float(h) <= height
