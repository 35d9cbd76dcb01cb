"""What a path sees of a face: the whole of it, or eyes and corners of the mouth side by side."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mer_nas.architectures import Cost, Network, parse, parse_drawn
from mer_nas.errors import Infeasible

Tree = dict[str, Any]
Make = Callable[..., Tree]

RES = {"local": {"kind": "res_basic"}}


@pytest.fixture
def laid(small: Make) -> Callable[..., Tree]:
    """Return a maker of networks of one path in that layout."""

    def make(layout: str, **path: Any) -> Tree:
        tree = small(RES)
        tree["paths"][0] |= {"layout": layout, **path}
        return tree

    return make


def test_tiles_are_squares_of_half_a_side_around_eyes_and_corners_of_the_mouth(
    laid: Callable[..., Tree],
) -> None:
    """Of 28 pixels the eye on the left is around (9.5, 10.6), the corner below at (10.4, 19.9)."""
    rows, columns = torch.meshgrid(torch.arange(28), torch.arange(28), indexing="ij")
    path = parse(laid("tiles4")).paths[0]
    seen = path.read([torch.stack([rows, columns])])[0]
    up, down = list(range(4, 18)), list(range(13, 27))
    left, right = list(range(3, 17)), list(range(11, 25))
    assert seen[0, :, 0].tolist() == seen[0, :, 27].tolist() == up + down
    assert seen[1, 0].tolist() == seen[1, 27].tolist() == left + right


@pytest.mark.parametrize("size", [2, 4, 28, 46, 224])
def test_a_mirrored_face_has_mirrored_tiles(size: int, laid: Callable[..., Tree]) -> None:
    path = parse(laid("tiles4", size=size)).paths[0]
    x = torch.rand(2, 3, size, size)
    assert path.read([x])[0].shape == x.shape
    assert torch.equal(path.read([x])[0].flip(-1), path.read([x.flip(-1)])[0])


@pytest.mark.parametrize(
    "path", [{}, {"input": "frames", "frames": 4, "temporal": {"kind": "arp"}}]
)
def test_a_path_of_tiles_sees_nothing_else_and_costs_the_same(
    path: Tree, laid: Callable[..., Tree]
) -> None:
    torch.manual_seed(0)
    architecture = parse(laid("tiles4", **path))
    network = Network(architecture, classes=3).eval()
    (shape,) = architecture.shapes.values()
    clip = torch.randn(1, *shape)
    hair, eye = clip.clone(), clip.clone()
    hair[..., :4, :] += 1
    eye[..., 10, 10] += 1
    with torch.no_grad():
        said = [network(x) for x in (clip, hair, eye)]
    assert torch.equal(said[0], said[1])
    assert not torch.equal(said[0], said[2])
    assert Cost.of(architecture, 3) == Cost.of(parse(laid("whole", **path)), 3)


def test_only_tiles_are_written_down(laid: Callable[..., Tree]) -> None:
    whole, tiled = (parse(laid(layout)) for layout in ("whole", "tiles4"))
    assert "layout" not in whole.model_dump(mode="json")["paths"][0]
    assert tiled.model_dump(mode="json")["paths"][0]["layout"] == "tiles4"
    assert parse(tiled.model_dump(mode="json")) == tiled != whole


def test_an_odd_image_has_no_tiles(laid: Callable[..., Tree]) -> None:
    with pytest.raises(Infeasible) as error:
        parse(laid("tiles4", size=27), "net")
    assert str(error.value) == (
        "net.paths.0: tiles of half a side of 27 pixels; right: an even size, or layout: whole"
    )
    assert parse_drawn(laid("tiles4", size=27)) == parse(laid("whole", size=27))
