"""Fusions: two maps become one, on numbers that a hand can follow."""

from math import exp
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mer_nas.architectures import FUSIONS, BuildContext, Network, Shape, parse
from mer_nas.architectures.blocks.fusion import AlignAndFuse
from mer_nas.architectures.walk import walk

Tree = dict[str, Any]

ONE = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 2, 1, 2)
OTHER = torch.tensor([[5.0, 0.0], [1.0, 8.0]]).view(1, 2, 1, 2)
CONTEXT = BuildContext("here", 2, 2, (1, 2), ends=(Shape(2, (1, 2)),) * 2)


def module(kind: str, width: int) -> nn.Module:
    context = BuildContext("here", width, width, (1, 2), ends=(Shape(width, (1, 2)),) * 2)
    return FUSIONS[kind](kind=kind, width=width).build(context)


def parameters(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def zero(part: nn.Module) -> None:
    for parameter in part.parameters():
        nn.init.zeros_(parameter)


def test_a_sum_adds() -> None:
    assert torch.equal(module("sum", 2)(ONE, OTHER), ONE + OTHER)


def test_a_concatenation_is_projected_to_the_width() -> None:
    fusion = module("concat", 2).eval()
    assert parameters(fusion) == 4 * 2 + 2 * 2
    with torch.no_grad():
        fusion.get_parameter("0.0.weight").copy_(
            torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, -1]]).view(2, 4, 1, 1)
        )
        fused = fusion(ONE, OTHER)
    # First channel of both added, second ones subtracted and, where negative, cut off.
    assert torch.allclose(
        fused, torch.tensor([[6.0, 2.0], [2.0, 0.0]]).view(1, 2, 1, 2), rtol=1e-4
    )


def test_a_stack_is_the_maps_one_behind_the_other() -> None:
    fused = FUSIONS["stack"]().build(CONTEXT)(ONE, OTHER)
    assert fused.tolist() == [[[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 0.0]], [[1.0, 8.0]]]]
    assert FUSIONS["stack"]().shape(CONTEXT) == Shape(4, (1, 2))


def test_a_gate_weighs_every_number() -> None:
    fusion = module("gate", 2)
    assert parameters(fusion) == 4 * 2 + 2
    zero(fusion)
    assert torch.allclose(fusion(ONE, OTHER), (ONE + OTHER) / 2)
    with torch.no_grad():
        fusion.gate.weight[0, 2] = 1.0  # the first channel looks at that of the other map
    expected = [
        sigmoid(5.0) * 1 + (1 - sigmoid(5.0)) * 5,
        sigmoid(0.0) * 2 + (1 - sigmoid(0.0)) * 0,
    ]
    assert fusion(ONE, OTHER)[0, 0, 0].tolist() == pytest.approx(expected)


def test_selective_kernels_weigh_every_channel() -> None:
    fusion = module("sk", 2)
    # The paper's narrowest summary has 32 numbers.
    assert parameters(fusion) == (2 * 32 + 32) + (32 * 4 + 4)
    zero(fusion)
    assert torch.allclose(fusion(ONE, OTHER), (ONE + OTHER) / 2)
    with torch.no_grad():
        fusion.select.bias.copy_(torch.tensor([2.0, 0.0, 1.0, 0.0]))
    weight = exp(2) / (exp(2) + exp(1))
    expected = [[weight * 1 + (1 - weight) * 5, weight * 2], [2.0, 6.0]]
    for channel, row in enumerate(expected):
        assert fusion(ONE, OTHER)[0, channel, 0].tolist() == pytest.approx(row)


def test_a_wide_summary_of_selective_kernels_is_a_sixteenth() -> None:
    assert parameters(module("sk", 1024)) == (1024 * 64 + 64) + (64 * 2048 + 2048)


def test_attention_over_both_maps_stands_before_the_projection() -> None:
    fusion = module("cbam_concat", 32).eval()
    # CBAM of 64 channels: no biases, hidden width 4, a 7 x 7 kernel of two; then 1 x 1 and norm.
    assert parameters(fusion) == 2 * 64 * 4 + 2 * 49 + 64 * 32 + 2 * 32
    attention, projection = fusion.get_submodule("0"), fusion.get_submodule("1")
    one, other = torch.randn(2, 1, 32, 3, 3)
    weighed = attention(torch.cat([one, other], dim=1))
    assert torch.equal(fusion(one, other), projection(weighed))


def test_two_tokens_attend_and_are_weighed_as_written() -> None:
    fusion = module("cofm", 2).eval()
    assert parameters(fusion) == 3 * (2 * 2 + 2) + 2 * 2 + (4 * 2 + 2)
    zero(fusion)
    with torch.no_grad():
        fusion.norm.weight.fill_(1.0)
        fusion.query_key_value.weight[4:] = torch.eye(2)  # values are the tokens themselves
        fused = fusion(ONE, OTHER)
    # Queries and keys are zero: each token gets half of each value. The gate is a half.
    first, second = torch.tensor([1.0, 3.0]), torch.tensor([5.0, 1.0])
    mean = (first + second) / 2
    norm = nn.LayerNorm(2)
    expected = (norm(first + mean) + norm(second + mean)) / 2
    assert fused[0, :, 0, 0].tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_attention_is_scaled_by_the_root_of_the_width() -> None:
    fusion = module("cofm", 4).eval()
    zero(fusion)
    with torch.no_grad():
        fusion.norm = nn.Identity()  # type: ignore[assignment]
        fusion.query_key_value.weight.copy_(torch.eye(4).repeat(3, 1))
        fusion.gate.bias.fill_(50.0)  # the first token alone
        one, other = torch.tensor([2.0, 0, 0, 0]), torch.tensor([1.0, 0, 0, 0])
        fused = fusion(one.view(1, 4, 1, 1), other.view(1, 4, 1, 1))
    # Scores 4 and 2, divided by sqrt(4).
    weight = exp(2) / (exp(2) + exp(1))
    assert fused.flatten().tolist() == pytest.approx([2 + weight * 2 + (1 - weight), 0, 0, 0])


@pytest.mark.parametrize(
    ("row", "size", "expected"),
    [
        ([1, 3, 5, 7], 2, [2, 6]),
        # No divisor: windows of 3 with stride 2 cover all seven.
        ([1, 2, 3, 4, 5, 6, 7], 3, [2, 4, 6]),
        # Windows of 4 with stride 1.
        ([1, 2, 3, 4, 5, 6, 7], 4, [2.5, 3.5, 4.5, 5.5]),
        ([1, 2, 6], 1, [3]),
        ([1, 2, 6], 3, [1, 2, 6]),
    ],
)
def test_a_map_is_averaged_over_even_windows(
    row: list[float], size: int, expected: list[float]
) -> None:
    x = torch.tensor(row, dtype=torch.float32).view(1, 1, 1, -1)
    together = AlignAndFuse([Shape(1, (1, len(row)))], 1, (1, size), nn.Identity)
    nn.init.ones_(next(together.parameters()))
    (aligned,), _ = together(x)
    assert aligned.flatten().tolist() == pytest.approx(expected)


def test_maps_meet_at_the_smaller_size() -> None:
    res = {"kind": "res_basic"}
    half = {"local": res, "down": {"kind": "in_block"}}
    paths = [
        {"stem": {"kind": "conv", "width": 8}, "stages": [{"local": res}, half]},
        {"stem": {"kind": "patch", "patch": 4, "width": 8}, "stages": [{"local": res}]},
    ]
    visits = walk(parse({"paths": paths, "fusion": {"kind": "sum"}}))
    (fusion,) = (visit for visit in visits if visit.slot == "fusion")
    assert [end.size for end in fusion.context.ends] == [(14, 14), (7, 7)]
    assert fusion.context.size == (7, 7)


def test_maps_are_aligned_without_bias_or_norm_even_at_equal_width() -> None:
    together = AlignAndFuse([Shape(6, (4, 4))], 6, (2, 2), nn.Identity)
    assert parameters(together) == 36
    (aligned,), _ = together(torch.zeros(1, 6, 4, 4))
    assert aligned.abs().sum() == 0
    assert together(torch.randn(1, 6, 4, 4))[0][0].shape == (1, 6, 2, 2)


@pytest.mark.parametrize("kind", sorted(set(FUSIONS) - {"none"}))
def test_every_fusion_brings_paths_of_any_shape_together_and_trains(kind: str) -> None:
    res = {"kind": "res_basic"}
    one = {"stem": {"kind": "conv", "width": 8}, "stages": [{"local": res}]}
    two = {
        "input": "keyframes",
        "frames": 2,
        "stem": {"kind": "patch", "patch": 4, "width": 16},
        "stages": [{"growth": 1, "down": {"kind": "maxpool"}, "local": res}],
        "temporal": {"kind": "mean"},
    }
    tree: Tree = {"paths": [one, two], "fusion": {"kind": kind, "width": 24}}
    if kind == "stack":  # of maps as they are: of one size, with no width of its own
        tree = {"paths": [one, {**two, **one}], "fusion": {"kind": kind}}
    network = Network(parse(tree), classes=3)
    logits: Tensor = network(torch.randn(4, 3, 28, 28), torch.randn(4, 3, 1, 28, 28)).logits
    logits.square().sum().backward()  # type: ignore[no-untyped-call]
    assert logits.shape == (4, 3)
    assert all(parameter.grad is not None for parameter in network.parameters())
