"""Residual blocks; equation (8) of the progressive attention paper by hand.

F_conv,i = f_1x1(f_3x3(D_i)) + D_i        (DOI 10.3724/SP.J.1249.2024.06756)
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mer_nas.architectures.blocks.local import Res12, ResBasic, ResEq8


def _convolutions(module: nn.Module) -> Iterator[nn.Conv2d]:
    return (layer for layer in module.modules() if isinstance(layer, nn.Conv2d))


def _bare(module: nn.Module) -> nn.Module:
    """Return the module without its norms and activations."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d | nn.ReLU):
            setattr(module, name, nn.Identity())
        else:
            _bare(child)
    return module


def _row(*channels: list[float]) -> Tensor:
    """Return one clip with those channels on a row of positions."""
    return torch.tensor(channels)[None, :, None, :]


def test_equation_8_adds_a_map_to_its_two_convolutions() -> None:
    block = _bare(ResEq8().layer(2, 2, 1, 0.0))
    three, one = _convolutions(block)
    with torch.no_grad():
        # f_3x3: of the first channel a position and its right neighbour; the second as it is.
        three.weight.zero_()
        three.weight[0, 0, 1, 1] = three.weight[0, 0, 1, 2] = three.weight[1, 1, 1, 1] = 1.0
        # f_1x1: three times the first plus the second; the first.
        one.weight.copy_(torch.tensor([[3.0, 1.0], [1.0, 0.0]])[:, :, None, None])
    # f_3x3 gives (-1, 2, 4) and (0, 1, 0), f_1x1 then (-3, 7, 12) and (-1, 2, 4).
    expected = _row([-2, 5, 16], [-1, 3, 4])
    assert torch.equal(block(_row([1.0, -2.0, 4.0], [0.0, 1.0, 0.0])), expected)


def _set_norm(norm: nn.BatchNorm2d, scale: float, shift: float) -> None:
    with torch.no_grad():
        assert norm.running_var is not None
        norm.running_var.fill_(1 - norm.eps)
        norm.weight.fill_(scale)
        norm.bias.fill_(shift)


def test_equation_8_norms_each_convolution_and_activates_the_first_and_the_sum() -> None:
    block = ResEq8().layer(1, 1, 1, 0.0).eval()
    three, one = _convolutions(block)
    first, second = (m for m in block.modules() if isinstance(m, nn.BatchNorm2d))
    with torch.no_grad():
        three.weight.zero_()
        three.weight[0, 0, 1, 1] = three.weight[0, 0, 1, 2] = 1.0
        one.weight.fill_(3.0)
    _set_norm(first, 1.0, -1.0)
    _set_norm(second, 2.0, 1.0)
    # f_3x3 gives (5, -5, -9), less 1 and above 0 (4, 0, 0); f_1x1 (12, 0, 0), twice that and 1
    # (25, 1, 1); with the map itself (26, 5, -8), above 0 (26, 5, 0).
    assert torch.allclose(block(_row([1.0, 4.0, -9.0])), _row([26.0, 5.0, 0.0]))


def _shapes(module: nn.Module) -> list[tuple[tuple[int, ...], int]]:
    return [(tuple(layer.weight.shape), layer.stride[0]) for layer in _convolutions(module)]


CHANGING = [
    (ResBasic(), [((24, 16, 3, 3), 2), ((24, 24, 3, 3), 1), ((24, 16, 1, 1), 2)]),
    (ResEq8(), [((24, 16, 3, 3), 2), ((24, 24, 1, 1), 1), ((24, 16, 1, 1), 2)]),
    (
        Res12(),
        [((24, 16, 3, 3), 2), ((24, 24, 3, 3), 1), ((24, 24, 3, 3), 1), ((24, 16, 1, 1), 2)],
    ),
]


@pytest.mark.parametrize(("block", "expected"), CHANGING, ids=lambda value: str(value)[:12])
def test_a_block_that_changes_shape_strides_first_and_in_its_shortcut(
    block: Any, expected: list[tuple[tuple[int, ...], int]]
) -> None:
    layer = block.layer(16, 24, 2, 0.0)
    assert _shapes(layer) == expected
    assert sum(isinstance(m, nn.BatchNorm2d) for m in layer.modules()) == len(expected)
    assert all(c.bias is None for c in _convolutions(layer))
    assert layer(torch.randn(2, 16, 7, 7)).shape == (2, 24, 4, 4)


@pytest.mark.parametrize(("block", "convolutions"), [(ResBasic(), 2), (ResEq8(), 2), (Res12(), 4)])
def test_only_resnet_12_projects_at_equal_shapes(block: Any, convolutions: int) -> None:
    assert len(list(_convolutions(block.layer(16, 16, 1, 0.0)))) == convolutions


def test_resnet_12_activates_between_its_convolutions_and_the_sum() -> None:
    block = Res12().layer(1, 1, 1, 0.0).eval()
    for norm in (m for m in block.modules() if isinstance(m, nn.BatchNorm2d)):
        _set_norm(norm, 1.0, 0.0)
    *body, shortcut = _convolutions(block)
    with torch.no_grad():
        for layer, middle in zip(body, [1.0, -1.0, 1.0], strict=True):
            layer.weight.zero_()
            layer.weight[0, 0, 1, 1] = middle
        shortcut.weight.fill_(0.5)
    # Body: above 0 (2, 0); negative and above 0 (0, 0). Shortcut (1, -2), above 0 (1, 0).
    assert torch.allclose(block(_row([2.0, -4.0])), _row([1.0, 0.0]))
    body[0].weight.data.neg_()
    # Body: (-2, 4), above 0 (0, 4); (0, -4), above 0 (0, 0): still nothing.
    assert torch.allclose(block(_row([2.0, -4.0])), _row([1.0, 0.0]))
    body[1].weight.data.neg_()
    # Body: (0, 4) passes the second and the third. The sum (1, 4 - 2).
    assert torch.allclose(block(_row([2.0, -4.0])), _row([1.0, 2.0]))
    body[2].weight.data.neg_()
    # The third has no activation of its own: (0, -4), and the sum (1, -6), above 0 (1, 0).
    assert torch.allclose(block(_row([2.0, -4.0])), _row([1.0, 0.0]))


@pytest.mark.parametrize("block", [ResBasic(), ResEq8(), Res12()])
def test_a_clip_that_skips_a_block_takes_the_shortcut(block: Any) -> None:
    layer = block.layer(4, 8, 2, 1 - 1e-9)
    x = torch.randn(3, 4, 6, 6)
    assert torch.equal(layer(x), layer.shortcut(x).relu())
