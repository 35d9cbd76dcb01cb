"""Inception blocks: the convolutions of every path, path by path."""

from typing import Any

import pytest
import torch
from torch import nn

from mer_nas.architectures.blocks.local import IncA, IncB, IncC

Shapes = list[tuple[int, ...]]

# C = 16 in, D = 32 out: a quarter is 8.
OPEN = (8, 16, 1, 1)
A = [
    [OPEN],
    [OPEN, (8, 8, 5, 5)],
    [OPEN, (8, 8, 3, 3), (8, 8, 3, 3)],
    [OPEN],
]
B = [
    [OPEN],
    [OPEN, (8, 8, 1, 7), (8, 8, 7, 1)],
    [OPEN, (8, 8, 7, 1), (8, 8, 1, 7), (8, 8, 7, 1), (8, 8, 1, 7)],
    [OPEN],
]
C = [
    [OPEN],
    [OPEN, (4, 8, 1, 3), (4, 8, 3, 1)],
    [OPEN, (8, 8, 3, 3), (4, 8, 1, 3), (4, 8, 3, 1)],
    [OPEN],
]
# D = 16 out: a quarter is 4, but a deep path starts from 8.
NARROW = [
    [(4, 16, 1, 1)],
    [(8, 16, 1, 1), (4, 8, 5, 5)],
    [(8, 16, 1, 1), (4, 8, 3, 3), (4, 4, 3, 3)],
    [(4, 16, 1, 1)],
]


def _shapes(module: nn.Module) -> Shapes:
    return [tuple(m.weight.shape) for m in module.modules() if isinstance(m, nn.Conv2d)]


@pytest.mark.parametrize(
    ("block", "width", "paths"),
    [(IncA(), 32, A), (IncB(), 32, B), (IncC(), 32, C), (IncA(), 16, NARROW)],
)
def test_every_path_has_its_convolutions(block: Any, width: int, paths: list[Shapes]) -> None:
    layer = block.layer(16, width, 1, 0.0)
    assert [_shapes(path) for path in layer.branches] == paths
    x = torch.randn(2, 16, 5, 5)
    assert [path(x).shape for path in layer.branches] == [(2, width // 4, 5, 5)] * 4
    assert torch.equal(layer.eval()(x), torch.cat([path(x) for path in layer.branches], 1))


@pytest.mark.parametrize("block", [IncA(), IncB(), IncC()])
def test_every_convolution_is_normed_and_activated(block: Any) -> None:
    layer = block.layer(16, 32, 1, 0.0)
    kinds = [type(m) for m in layer.modules() if not list(m.children())]
    convolved = [kind for kind in kinds if kind is not nn.AvgPool2d]
    assert convolved == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * (len(convolved) // 3)
    assert all(m.bias is None for m in layer.modules() if isinstance(m, nn.Conv2d))


def test_the_mean_at_the_rim_is_of_what_is_there() -> None:
    pool = next(m for m in IncA().layer(16, 32, 1, 0.0).modules() if isinstance(m, nn.AvgPool2d))
    assert torch.equal(pool(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))
