"""Local relational aggregators by hand (FDP, arXiv:2509.06015, as its public code has them).

x = E(x);   x = x + f_3x3(x);   x = x + MLP(BN(x))
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mer_nas.architectures import Network, parse
from mer_nas.architectures.blocks.local import LRA
from mer_nas.architectures.layers.aggregators import LocalAggregator, patch_embedding, round_width
from mer_nas.architectures.walk import walk


def _layers(module: nn.Module) -> list[tuple[str, tuple[int, ...], bool]]:
    """Return the kind, the weight's shape and whether there is a bias, of every layer of weights."""
    return [
        (type(m).__name__, tuple(m.weight.shape), m.bias is not None)
        for m in module.modules()
        if isinstance(m, nn.Conv2d | nn.BatchNorm2d)
    ]


def _row(*numbers: float) -> Tensor:
    return torch.tensor(numbers).view(1, 1, 1, -1)


def test_an_aggregator_adds_a_convolution_and_then_a_feed_forward() -> None:
    layer = LRA(ffn_ratio=1, rounding=1).layer(1, 1, 1, 0.0).eval()
    three, grow, shrink = (m for m in layer.modules() if isinstance(m, nn.Conv2d))
    norm = next(m for m in layer.modules() if isinstance(m, nn.BatchNorm2d))
    assert norm.running_var is not None
    assert grow.bias is not None
    assert shrink.bias is not None
    with torch.no_grad():
        three.weight.zero_()
        three.weight[0, 0, 1, 2] = 1.0  # the right neighbour
        norm.running_var.fill_(1 - norm.eps)
        norm.weight.fill_(2.0)
        norm.bias.fill_(-1.0)
        grow.weight.fill_(-1.0)
        grow.bias.fill_(4.0)
        shrink.weight.fill_(3.0)
        shrink.bias.fill_(0.5)
    # With the neighbour (3, -3, -5, 0). Norm (5, -7, -11, -1), -x + 4 (-1, 11, 15, 5), above 0
    # (0, 11, 15, 5), 3 x + 0.5 (0.5, 33.5, 45.5, 15.5).
    expected = _row(3 + 0.5, -3 + 33.5, -5 + 45.5, 0 + 15.5)
    assert torch.allclose(layer(_row(1.0, 2.0, -5.0, 0.0)), expected)


def test_the_aggregator_of_the_code_is_dense_without_norm_or_bias() -> None:
    assert _layers(LRA().layer(64, 96, 1, 0.0)) == [
        ("Conv2d", (96, 64, 1, 1), False),  # embedding
        ("BatchNorm2d", (96,), True),
        ("Conv2d", (96, 96, 3, 3), False),
        ("BatchNorm2d", (96,), True),
        ("Conv2d", (288, 96, 1, 1), True),
        ("Conv2d", (96, 288, 1, 1), True),
    ]


def test_the_aggregator_of_the_text_splits_norms_and_mixes_by_points() -> None:
    mix = LocalAggregator(12, 8, heads=3, pointwise=True).mix
    assert _layers(mix) == [
        ("Conv2d", (12, 4, 3, 3), False),
        ("BatchNorm2d", (12,), True),
        ("Conv2d", (12, 12, 1, 1), False),
    ]
    assert [type(m) for m in mix] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Conv2d]


def test_heads_see_their_own_channels() -> None:
    split = LocalAggregator(4, 8, heads=2).mix
    x = torch.randn(1, 4, 5, 5)
    other = x.clone()
    other[:, 2:] += 1.0
    assert torch.equal(split(x)[:, :2], split(other)[:, :2])
    assert not torch.equal(split(x)[:, 2:], split(other)[:, 2:])


@pytest.mark.parametrize(
    ("row", "means"), [([1.0, 3.0, 5.0, 9.0], [2.0, 7.0]), ([1.0, 3.0, 5.0], [2.0, 5.0])]
)
def test_patches_merge_into_the_mean_of_what_is_there(
    row: list[float], means: list[float]
) -> None:
    merge = patch_embedding(1, 1, stride=2).eval()
    _, project, norm = merge.children()
    assert isinstance(project, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    with torch.no_grad():
        project.weight.fill_(2.0)
        norm.running_var.fill_(1 - norm.eps)
    assert torch.allclose(merge(_row(*row)), 2 * _row(*means))


def test_nothing_is_embedded_where_the_shape_stays() -> None:
    assert isinstance(patch_embedding(8, 8), nn.Identity)
    assert [name for name, *_ in _layers(patch_embedding(8, 16))] == ["Conv2d", "BatchNorm2d"]
    assert [name for name, *_ in _layers(patch_embedding(8, 8, stride=2))] == [
        "Conv2d",
        "BatchNorm2d",
    ]


@pytest.mark.parametrize(
    ("value", "step", "expected"),
    [
        (288, 32, 288),
        (72, 32, 96),  # 64 is below 0.9 of it
        (71, 32, 64),
        (48, 32, 64),  # halfway
        (3, 8, 8),
        (10, 8, 16),
        (36, 8, 40),
        (100, 1, 100),
    ],
)
def test_widths_are_rounded_but_never_below_nine_tenths(
    value: float, step: int, expected: int
) -> None:
    assert round_width(value, step) == expected


def test_roundings_to_one_width_are_one(small: Callable[..., dict[str, Any]]) -> None:
    def rounding(ffn_ratio: int) -> int:
        lra = {"kind": "lra", "ffn_ratio": ffn_ratio, "rounding": 16}
        block = parse(small({"local": lra})).paths[0].stages[0].local
        assert isinstance(block, LRA)
        return block.rounding

    assert rounding(2) == 32  # 32 either way
    assert rounding(3) == 16  # 48, or 64


def test_the_encoder_of_the_public_code_has_its_parameters() -> None:
    def stage(number: int, blocks: int) -> dict[str, Any]:
        down = {"kind": "patch_merge" if number else "none"}
        local = {"kind": "lra", "blocks": blocks}
        return {"growth": 2 if number else 1.5, "down": down, "local": local}

    stages = [stage(number, blocks) for number, blocks in enumerate([3, 4, 10, 3])]
    path = {"size": 64, "stem": {"kind": "conv4", "width": 64}, "stages": stages}
    architecture = parse({"paths": [path]})
    with torch.device("meta"):
        network = Network(architecture, classes=5)
    found = sum(parameter.numel() for parameter in network.paths.parameters())
    # 85,304,206 in all, less SegNet and the class head. The encoder has one input channel, where
    # flow has three, and ends in BatchNorm and Linear(768, 4096), here parts of the temporal pool.
    encoder = 85_304_206 - 29_446_465 - (8 * 72 + 8) - (3528 * 256 + 256) - (256 * 5 + 5)
    end = 2 * 768 + 768 * 4096 + 4096
    assert found - 2 * 9 * 64 + end == encoder
    gates = [visit.context for visit in walk(architecture) if visit.slot == "gate"]
    shapes = [(context.channels, *context.size) for context in gates]
    assert shapes == [(96, 16, 16), (192, 8, 8), (384, 4, 4), (768, 2, 2)]
