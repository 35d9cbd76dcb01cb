"""Attention over channels and positions, computed by hand on maps of four numbers."""

from math import exp
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mer_nas.architectures import Cost, Network, parse
from mer_nas.architectures.layers.recalibration import (
    CBAM,
    CoordinateAttention,
    SqueezeExcite,
    efficient_channel_attention,
    max_pool_to,
)

# One clip of two channels, a row of two positions: means 2 and -1, maxima 3 and 0.
X = torch.tensor([[[[1.0, 3.0]], [[-2.0, 0.0]]]])


def _sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def _set(layer: nn.Module, rows: list[list[float]], bias: list[float] | None = None) -> None:
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows))
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias))


def _judging() -> nn.Module:
    """Return channel attention of two hidden numbers, s = a + b and d = -b; then (s, d - s)."""
    attention = CBAM(2).channels
    _set(attention.judge[0], [[1, 1], [0, -1], [0, 0], [0, 0]])
    _set(attention.judge[2], [[1, 0, 0, 0], [-1, 1, 0, 0]])
    return attention


# Means (2, -1): hidden (1, 1), judged (1, 0). Maxima (3, 0): hidden (3, 0), judged (3, -3).
CHANNELS = torch.tensor([_sigmoid(1 + 3), _sigmoid(0 - 3)]).view(1, 2, 1, 1)


def _looking() -> nn.Module:
    """Return spatial attention that says maximum - mean of the position to the left."""
    attention = CBAM(2).positions
    with torch.no_grad():
        attention.look.weight.zero_()
        attention.look.weight[0, :, 3, 2] = torch.tensor([1.0, -1.0])
    return attention


def _positions(left: float) -> Tensor:
    """Return the weights of a row whose left position has that much between maximum and mean."""
    return torch.tensor([0.5, _sigmoid(left)]).view(1, 1, 1, 2)


def test_channels_are_judged_by_mean_and_maximum_through_one_network() -> None:
    assert torch.allclose(_judging()(X), CHANNELS)


def test_positions_are_looked_at_by_maximum_and_mean() -> None:
    # On the left the channels are 1 and -2: maximum 1, mean -0.5.
    assert torch.allclose(_looking()(X), _positions(1.5))


@pytest.fixture
def cbam(request: pytest.FixtureRequest) -> CBAM:
    module = CBAM(2, parallel=request.param)
    module.channels, module.positions = _judging(), _looking()
    return module


@pytest.mark.parametrize("cbam", [True], indirect=True)
def test_parallel_attention_weighs_one_input_twice_and_adds(cbam: CBAM) -> None:
    assert torch.allclose(cbam(X), X * CHANNELS + X * _positions(1.5))


@pytest.mark.parametrize("cbam", [False], indirect=True)
def test_sequential_attention_looks_at_the_weighed_channels(cbam: CBAM) -> None:
    first, second = (X * CHANNELS)[0, :, 0, 0].tolist()
    maximum, mean = max(first, second), (first + second) / 2
    assert torch.allclose(cbam(X), X * CHANNELS * _positions(maximum - mean))


def test_squeeze_and_excitation_scales_channels_by_their_means() -> None:
    module = SqueezeExcite(2)
    _set(module.scale[0], [[1, 0], [0, 1], [0, 0], [0, 0]], [0, 2, 0, 0])
    _set(module.scale[2], [[1, 1, 0, 0], [-1, 0, 0, 0]], [0.5, 0])
    # Means 2 and -1: hidden 2 and 1.
    scales = torch.tensor([_sigmoid(2 + 1 + 0.5), _sigmoid(-2)]).view(1, 2, 1, 1)
    assert torch.allclose(module(X), X * scales)


def test_coordinate_attention_scales_by_rows_and_by_columns() -> None:
    module = CoordinateAttention(2)
    with torch.no_grad():
        for layer in (module.squeeze, module.rows, module.columns):
            layer.weight.zero_()
        module.squeeze.weight[0] = 1.0  # the only hidden number is the sum of both channels
        module.rows.weight[:, 0, 0, 0] = torch.tensor([3.0, -3.0])
        module.columns.weight[:, 0, 0, 0] = torch.tensor([3.0, 6.0])
    # Sums: 1 in the row, -1 and 3 in the columns; hard swish: 2 / 3, -1 / 3 and 3.
    rows = torch.tensor([2.0, -2.0]).view(1, 2, 1, 1)
    columns = torch.tensor([[-1.0, 9.0], [-2.0, 18.0]]).view(1, 2, 1, 2)
    assert torch.allclose(module(X), X * rows.sigmoid() * columns.sigmoid(), atol=1e-6)


def test_an_earlier_map_reaches_the_size_of_its_path_whatever_led_there() -> None:
    rows = torch.arange(36.0).view(1, 1, 6, 6)
    assert max_pool_to(rows, (3, 3))[0, 0, 0].tolist() == [7, 9, 11]  # halves
    # From 6 to 4 no halves lead: windows of 3, a step apart.
    assert max_pool_to(rows, (4, 4))[0, 0, :, 0].tolist() == [14, 20, 26, 32]
    assert max_pool_to(rows, (12, 12))[0, 0, 0, :4].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "narrowing", [{"pool": "max", "window": 3}, {"padding": 0}, {"padding": 2}]
)
def test_a_gate_sees_the_earlier_map_behind_a_layer_that_does_not_halve(
    narrowing: dict[str, Any],
) -> None:
    stages = [
        {"local": {"kind": "conv"}, "gate": {"kind": "prog"}},
        {"local": {"kind": "conv", **narrowing}, "gate": {"kind": "prog"}},
    ]
    path = {"size": 28, "stem": {"kind": "conv", "width": 8}, "stages": stages}
    architecture = parse({"paths": [path]})
    assert Cost.of(architecture, 3).deployed > 0
    clip = torch.rand(2, *architecture.shapes["flow_uvs"])
    assert Network(architecture, 3).eval()(clip).shape == (2, 3)


def test_efficient_channel_attention_mixes_the_means_of_neighbours() -> None:
    module = efficient_channel_attention(2)
    with torch.no_grad():
        module.conv.weight.copy_(torch.tensor([1.0, 2.0, 4.0]).view(1, 1, 3))
    # Means 2 and -1, with nothing beyond the first and the last channel.
    scales = [_sigmoid(2 * 2 + 4 * -1), _sigmoid(1 * 2 + 2 * -1)]
    assert torch.allclose(module(X), X * torch.tensor(scales).view(1, 2, 1, 1))


@pytest.mark.parametrize(("channels", "kernel"), [(8, 3), (64, 3), (128, 5), (512, 5)])
def test_the_kernel_of_efficient_channel_attention_follows_the_paper(
    channels: int, kernel: int
) -> None:
    # The odd number next to (log2 C + 1) / 2, of which the authors' code takes the whole part.
    assert efficient_channel_attention(channels).conv.kernel_size == (kernel,)


@pytest.mark.parametrize("channels", [24, 64, 512])
def test_attention_has_the_parameters_of_its_parts(channels: int) -> None:
    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    shared, excited = max(4, channels // 16), max(4, channels // 8)
    assert count(CBAM(channels)) == 2 * channels * shared + 2 * 7 * 7
    assert count(SqueezeExcite(channels)) == 2 * channels * excited + excited + channels
