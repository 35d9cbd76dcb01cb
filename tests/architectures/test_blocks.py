from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from mer_nas.architectures import GLOBALS, LOCALS, SLOTS, BuildContext, Cost, Network, parse
from mer_nas.architectures.blocks.down import MAA, ConvMaxPool
from mer_nas.architectures.blocks.multi_scale import ParallelKernels
from mer_nas.architectures.blocks.stem import PatchStem
from mer_nas.architectures.layers.attention import OverTokens, SelfAttention
from mer_nas.architectures.layers.basic import Position
from mer_nas.architectures.state import State

Tree = dict[str, Any]
Make = Callable[..., Tree]


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("size", "half"), [(28, 14), (7, 4), (4, 2), (3, 2), (2, 1)])
@pytest.mark.parametrize("down", [MAA(), ConvMaxPool()])
def test_downs_halve_the_map_rounding_up(
    down: MAA | ConvMaxPool, size: int, half: int, context: Callable[..., BuildContext]
) -> None:
    module = down.build(context(8, 24, size))
    assert module(torch.randn(2, 8, size, size)).shape == (2, 24, half, half)
    assert down.shape(context(8, 24, size)) == (24, (half, half), 1)


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        # C = 8, D = 24. Oriented: 2 (3 C + C) a kernel of 3, 2 (5 C + C) a kernel of 5.
        # Orientation: 2 C + 2. Pointwise: K C D + D. Norm: 2 D. SE: 4 hidden, 4 D + 4 + 4 D + D.
        ({"kernels": [3]}, 64 + 18 + 216 + 48 + 220),
        ({"kernels": [3, 5]}, 64 + 96 + 18 + 408 + 48 + 220),
        ({"kernels": [3], "square": True}, 64 + 80 + 27 + 216 + 48 + 220),
        ({"kernels": [3], "attention": "none"}, 64 + 18 + 216 + 48),
        ({"kernels": [3], "attention": "eca"}, 64 + 18 + 216 + 48 + 3),
        # Coordinate attention: D to 8 hidden and twice back.
        ({"kernels": [3], "attention": "coord"}, 64 + 18 + 216 + 48 + 200 + 2 * 216),
        # Diagonals hold as many numbers as rows; their grains are weighed by C K + K.
        (
            {"kernels": [3, 5], "orientations": ["h", "v", "d1", "d2"], "grain_gate": "softmax"},
            2 * (64 + 96) + 36 + 18 + 408 + 48 + 220,
        ),
        # One orientation has nothing to be weighed against.
        ({"kernels": [3], "orientations": ["v"]}, 32 + 216 + 48 + 220),
    ],
)
def test_an_aggregation_has_the_parameters_of_its_parts(
    settings: Tree, parameters: int, context: Callable[..., BuildContext]
) -> None:
    assert _count(MAA(**settings).build(context(8, 24, 14))) == parameters


def _oriented(channels: int, kernels: tuple[int, ...], *orientations: str, gated: bool) -> Any:
    """Return the oriented convolutions that an aggregation begins with."""
    gate = "softmax" if gated else "none"
    settings = {"kernels": kernels, "orientations": orientations, "grain_gate": gate}
    where = BuildContext("here", channels, channels, (9, 9))
    return MAA.model_validate(settings).build(where).get_submodule("0")


@pytest.mark.parametrize(
    ("orientation", "steps"),
    [("h", (0, 1)), ("v", (1, 0)), ("d1", (1, 1)), ("d2", (1, -1))],
)
def test_an_aggregation_sees_along_its_orientation_only(
    orientation: str, steps: tuple[int, int]
) -> None:
    oriented = _oriented(1, (7,), orientation, gated=False)
    x = torch.zeros(1, 1, 9, 9)
    x[..., 4, 4] = 1.0
    seen = (oriented(x) - oriented(torch.zeros_like(x)))[0, 0]
    along = [(4 + way * steps[0], 4 + way * steps[1]) for way in range(-3, 4)]
    assert {tuple(place) for place in seen.nonzero().tolist()} == set(along)
    # Row by row, the kernel is met in the order in which its numbers stand.
    (view,) = (v for grain in oriented.grains for v in grain.children())
    assert torch.allclose(torch.stack([seen[at] for at in along]), view.weight.flatten().flip(0))


def test_only_the_diagonal_of_a_diagonal_kernel_costs(small: Make) -> None:
    def macs(*orientations: str) -> int:
        down = {"kind": "maa", "kernels": [5], "orientations": orientations, "attention": "none"}
        tree = small({"down": down, "local": {"kind": "res_basic"}})
        return Cost.of(parse(tree), classes=3).macs

    assert macs("h", "v") == macs("d1", "d2") == macs("h", "d1")


@pytest.mark.parametrize("orientations", [("h",), ("h", "v")])
def test_a_clip_weighs_its_grains_by_a_softmax(orientations: tuple[str, ...]) -> None:
    gated = _oriented(4, (3, 5), *orientations, gated=True)
    plain = _oriented(4, (3, 5), *orientations, gated=False)
    plain.load_state_dict(gated.state_dict(), strict=False)
    with torch.no_grad():
        # Odds of 3 : 1 for the finer grain, whatever the clip shows.
        gated.grain.weight.zero_()
        gated.grain.bias.copy_(torch.tensor([3.0, 1.0]).log())
    x = torch.randn(2, 4, 9, 9)
    fine, coarse = plain(x).split(4, 1)
    assert torch.allclose(gated(x), torch.cat([0.75 * fine, 0.25 * coarse], 1), atol=1e-6)


@pytest.mark.parametrize(
    ("kernels", "weights"),
    [
        # The table of kernel sets at width 64: C (C / 4) times the sum of squares, plus BatchNorm.
        ((1, 3, 5, 7), 64 * 16 * (1 + 9 + 25 + 49)),
        ((3, 5, 7, 9), 64 * 16 * (9 + 25 + 49 + 81)),
        ((3, 3, 3, 3), 64 * 16 * 36),
    ],
)
def test_a_multi_scale_module_shares_the_channels_among_its_kernels(
    kernels: tuple[int, ...], weights: int, context: Callable[..., BuildContext]
) -> None:
    module = ParallelKernels(kernels=kernels).build(context(64, 64, 12))
    assert _count(module) == weights + 2 * 64
    assert module(torch.randn(2, 64, 12, 12)).shape == (2, 64, 12, 12)


def test_patches_are_read_by_row_then_column_then_channel() -> None:
    where = BuildContext("here", 3, 12, (4, 4))
    patches = PatchStem(patch=2, width=12, position="none").build(where)
    (weight,) = (parameter for parameter in patches.parameters() if parameter.ndim == 2)
    with torch.no_grad():
        weight.copy_(torch.eye(12))
    x = torch.arange(3 * 4 * 4.0).view(1, 3, 4, 4)
    # The lower left patch: rows 2 and 3, columns 0 and 1; channels are 16 apart.
    expected = [8, 24, 40, 9, 25, 41, 12, 28, 44, 13, 29, 45]
    assert patches(x)[0, :, 1, 0].tolist() == expected


def test_attention_over_one_token_is_a_linear_map() -> None:
    # What makes HTNet's attention, in its published setting, none.
    attention = SelfAttention(20, heads=3)
    nn.init.normal_(attention.query_key_value.weight)
    x = torch.randn(4, 1, 20)
    before = attention(x)
    with torch.no_grad():
        attention.query_key_value.weight[: 2 * 18].normal_()  # queries and keys
    assert torch.equal(attention(x), before)


def test_attention_agrees_with_that_of_torch() -> None:
    ours = SelfAttention(16, heads=2)
    nn.init.normal_(ours.query_key_value.weight)
    theirs = nn.MultiheadAttention(16, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.query_key_value.weight)
        theirs.in_proj_bias.zero_()
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    x = torch.randn(3, 5, 16)
    assert torch.allclose(ours(x), theirs(x, x, x, need_weights=False)[0], atol=1e-5)


def test_windows_keep_their_tokens_apart() -> None:
    class MeanOfTokens(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(1, keepdim=True).expand_as(x)

    x = torch.arange(16.0).view(1, 1, 4, 4)
    y, _ = OverTokens(MeanOfTokens(), windows=2)(x, State())
    # The upper left quarter holds 0, 1, 4, 5; the lower right one 10, 11, 14, 15.
    expected = [[2.5, 2.5, 4.5, 4.5]] * 2 + [[10.5, 10.5, 12.5, 12.5]] * 2
    assert y[0, 0].tolist() == expected


def test_positions_are_tiled_over_windows_and_cut_to_the_map() -> None:
    position = Position(1, 2, 2, windows=2)
    with torch.no_grad():
        position.position.copy_(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    row, other = [1.0, 2.0, 1.0], [3.0, 4.0, 3.0]
    assert position(torch.zeros(1, 1, 3, 3))[0, 0].tolist() == [row, other, row]


def test_a_basic_block_that_changes_shape_has_a_shortcut_of_its_own(small: Make) -> None:
    def parameters(growth: int) -> int:
        tree = small({"growth": growth, "local": {"kind": "res_basic"}})
        network = Network(parse(tree), classes=3)
        return _count(network.paths) - 3 * 16 * 9 - 2 * 16

    assert parameters(1) == 2 * 9 * 16 * 16 + 2 * 2 * 16
    assert parameters(2) == 9 * 16 * 32 + 9 * 32 * 32 + 16 * 32 + 3 * 2 * 32


def test_stochastic_depth_rises_linearly(small: Make) -> None:
    tree = small(
        {"local": {"kind": "res_basic", "blocks": 2}},
        {"global": {"kind": "expert", "blocks": 2}},
        drop_path=0.3,
    )
    rates = [
        getattr(m.skip, "drop_prob", 0.0)
        for m in Network(parse(tree), 3).modules()
        if hasattr(m, "skip")
    ]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_shared_experts_are_added_with_weight_one(small: Make) -> None:
    def parameters(shared: int) -> int:
        tree = small({"global": {"kind": "expert", "experts": 2, "top_k": 1, "shared": shared}})
        return _count(Network(parse(tree), classes=3))

    # Width 16, hidden 8: 16 * 8 + 8 + 8 * 16 + 16.
    assert parameters(2) - parameters(0) == 2 * (16 * 8 + 8 + 8 * 16 + 16)


@pytest.mark.parametrize("collaboration", ["none", "mix", "xattn"])
@pytest.mark.parametrize("noise", ["off", "fixed", "learned"])
def test_every_kind_of_expert_layer_trains_all_its_parameters(
    noise: str, collaboration: str, small: Make
) -> None:
    block = {"kind": "expert", "noise": noise, "collaboration": collaboration, "shared": 1}
    network = Network(parse(small({"global": block})), classes=3)
    output = network(torch.randn(8, 3, 28, 28))
    (output.logits.square().sum() + output.losses["balance"]).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_every_slot_may_be_empty_but_head_and_network() -> None:
    for slot, registry in SLOTS.items():
        assert ("none" in set(registry)) == (slot not in {"head", "network"})
    assert {"res_basic"} < set(LOCALS)
    assert {"expert", "mhsa"} < set(GLOBALS)
