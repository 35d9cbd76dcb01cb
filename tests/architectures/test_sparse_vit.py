"""Sparse tokens: what is kept, by hand; what the layers see; where the block can stand."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from mer_nas.architectures import BuildContext, parse, parse_drawn
from mer_nas.architectures.blocks.global_ import SparseViT
from mer_nas.architectures.layers.attention import TokenLayer
from mer_nas.architectures.layers.sparse_vit import TokenSelection
from mer_nas.architectures.state import State, advance
from mer_nas.errors import Infeasible

Tree = dict[str, Any]
Make = Callable[..., Tree]


@pytest.fixture
def context(small: Make) -> Callable[..., BuildContext]:
    """Return a maker of contexts for blocks of two layers, at the end of a path."""
    path = parse(small({"local": {"kind": "res_basic"}})).paths[0]

    def make(channels: int, size: tuple[int, int], frames: int, layers: int = 2) -> BuildContext:
        rates = (0.0,) * layers
        stages = tuple(stage.blocks for stage in path.stages)
        return BuildContext(
            "net", channels, channels, size, stages, drop_path=rates, frames=frames
        )

    return make


@pytest.mark.parametrize(
    ("positions", "kept"),
    [
        # ceil of 3 / 4, 1 / 2, 3 / 10, 1 / 4 and 1 / 10 of the positions.
        (64, (48, 32, 20, 16, 7)),
        (49, (37, 25, 15, 13, 5)),
        (10, (8, 5, 3, 3, 1)),
        (1, (1, 1, 1, 1, 1)),
    ],
)
def test_a_rate_keeps_what_it_does_not_leave_out_rounded_up(
    positions: int, kept: tuple[int, ...]
) -> None:
    block = SparseViT(rates=(0.25, 0.5, 0.7, 0.75, 0.9))
    assert tuple(block.counts(BuildContext("here", 8, 8, (1, positions)))) == kept


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.7, 0.75, 0.9])
@pytest.mark.parametrize("drawn", [False, True])
def test_exactly_so_many_positions_are_kept_in_all_frames(rate: float, *, drawn: bool) -> None:
    clips = torch.randn(2, 3, 49, 8)
    (count,) = SparseViT(rates=(rate,)).counts(BuildContext("here", 8, 8, (7, 7)))
    select = TokenSelection(8, drawn=drawn)
    (kept,) = select(clips, count)
    assert kept.shape == (2, 3, count, 8)
    whole = clips * select.scores(clips).sigmoid()[:, None, :, None]
    # Which kept token is which of the clip: the same in all frames, and none of them twice.
    same = (kept[:, :, :, None] == whole[:, :, None]).all(4).all(1)  # (clip, kept, position)
    assert (same.sum(2) == 1).all()
    assert (same.sum(1) <= 1).all()


def test_the_score_is_a_linear_map_of_mean_and_change_and_the_size_of_the_change() -> None:
    select = TokenSelection(2)
    with torch.no_grad():
        select.score.weight.copy_(torch.tensor([[1.0, 2.0, 10.0, 20.0]]))
        select.score.bias.fill_(0.5)
    # One position in three frames: mean (2, 1); changes (3, 0) and (3, 8), in the mean (3, 4).
    clips = torch.tensor([[[[0.0, -5.0 / 3]], [[3.0, -5.0 / 3]], [[6.0, 19.0 / 3]]]])
    mean, change, size = 1 * 3.0 + 2 * 1.0, 10 * 3.0 + 20 * 4.0, 5.0
    assert select.scores(clips).item() == pytest.approx(mean + change + 0.5 + size, abs=1e-4)


def test_the_positions_that_change_most_are_kept_and_weighed_by_their_score() -> None:
    select = TokenSelection(2)
    nn.init.zeros_(select.score.weight)  # what is left of the score is the size of the change
    first = torch.ones(1, 1, 4, 2)
    change = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 1.0], [6.0, 8.0]])
    clips = torch.cat([first, first + change], dim=1)
    (kept,) = select(clips, 2)
    expected = torch.stack([clips[:, :, 3], clips[:, :, 0]], 2)
    weights = torch.tensor([10.0, 5.0]).sigmoid()[:, None]
    assert torch.allclose(kept, expected * weights)


def test_the_score_learns_even_from_clips_that_stand_still() -> None:
    select = TokenSelection(8)
    clips = torch.randn(2, 1, 9, 8).expand(2, 3, 9, 8).clone().requires_grad_()
    select(clips, 3)[0].square().sum().backward()
    for parameter in select.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().max() > 0
    assert clips.grad is not None
    assert clips.grad.isfinite().all()


def test_drawn_positions_come_by_the_odds_of_their_scores() -> None:
    select = TokenSelection(2, drawn=True)
    nn.init.zeros_(select.score.weight)
    # Two positions that change by log 3 and log 1: drawn at 3 : 1.
    change = torch.tensor([[3.0, 1.0], [1.0, 1.0]]).log()
    clips = torch.stack([torch.zeros(2, 2), change]).expand(20_000, 2, 2, 2)
    share = (select(clips, 1)[0][:, 1, 0, 0] > 0).float().mean()
    assert share.item() == pytest.approx(0.75, abs=0.015)
    assert (select.eval()(clips, 1)[0][:, 1, 0, 0] > 0).all()


@pytest.mark.parametrize(
    ("width", "layers", "ratio", "frames", "rates"),
    [
        (192, 4, 4, 2, (0.25, 0.5, 0.75)),
        (48, 2, 2, 2, (0.25, 0.5, 0.75)),
        (48, 2, 2, 3, (0.5, 0.75)),
    ],
)
def test_the_block_has_the_parameters_of_its_parts(
    width: int,
    layers: int,
    ratio: int,
    frames: int,
    rates: tuple[float, ...],
    context: Callable[..., BuildContext],
) -> None:
    block = SparseViT(blocks=layers, ffn_ratio=ratio, rates=rates)
    module = block.build(context(width, (7, 7), frames, layers))
    table, classes, score = frames * width, len(rates) * width, 2 * width + 1
    attention = 3 * width * width + width * width + width
    feed = 2 * ratio * width * width + ratio * width + width
    merge = len(rates) * width * width + width
    parts = table + classes + score + merge + layers * (2 * 2 * width + attention + feed)
    assert sum(parameter.numel() for parameter in module.parameters()) == parts


def _lengths(module: nn.Module) -> list[int]:
    """Return a list to which every layer adds the number of tokens that it gets."""
    lengths: list[int] = []
    for layer in module.modules():
        if isinstance(layer, TokenLayer):
            layer.register_forward_pre_hook(lambda _, args: lengths.append(args[0].shape[1]))
    return lengths


@pytest.mark.parametrize(
    ("mode", "layers", "tokens"),
    [
        # 64 positions in 2 frames, and a class token: 48, 32 and 16 positions, two layers each.
        ("parallel", 2, [97, 97, 65, 65, 33, 33]),
        # 48, half of those, a quarter of those; the first rate has two of four layers.
        ("progressive", 4, [97, 97, 49, 13]),
    ],
)
def test_layers_see_the_tokens_that_their_rate_leaves(
    mode: Any, layers: int, tokens: list[int], context: Callable[..., BuildContext]
) -> None:
    block = SparseViT(blocks=layers, rate_mode=mode)
    module = block.build(context(24, (8, 8), 2, layers))
    lengths = _lengths(module)
    y, _ = advance(module, torch.randn(10, 24, 8, 8), State())
    assert y.shape == (5, 24, 1, 1)
    assert block.shape(context(24, (8, 8), 2)) == (24, (1, 1), 1)
    assert block.frames(context(24, (8, 8), 2)) == 1
    assert lengths == tokens


@pytest.mark.parametrize("mode", ["parallel", "progressive"])
def test_positions_have_no_order_but_frames_do(
    mode: Any, context: Callable[..., BuildContext]
) -> None:
    module = SparseViT(blocks=3, rate_mode=mode).build(context(24, (4, 4), 2, 3))
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    clips = torch.randn(3, 2, 24, 16)
    shuffled = clips[..., torch.randperm(16)]

    def said(clips: Tensor) -> Tensor:
        return advance(module, clips.reshape(6, 24, 4, 4), State())[0]

    assert torch.allclose(said(clips), said(shuffled), atol=1e-4)
    assert not torch.allclose(said(clips), said(clips.flip(1)), atol=1e-2)


@pytest.mark.parametrize("mode", ["parallel", "progressive"])
def test_stacked_copies_of_sparse_layers_give_what_each_gives_alone(
    mode: Any, context: Callable[..., BuildContext]
) -> None:
    block = SparseViT(blocks=3, rate_mode=mode)
    modules = [block.build(context(24, (4, 4), 2, 3)) for _ in range(3)]
    for module in modules:
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.3)
    parameters, buffers = stack_module_state(modules)
    skeleton = deepcopy(modules[0]).to("meta")
    x = torch.randn(3, 4, 24, 4, 4)

    def one(parameters: Tree, buffers: Tree, x: Tensor) -> Tensor:
        y, _ = functional_call(skeleton, (parameters, buffers), (x, State()))
        assert isinstance(y, Tensor)
        return y

    together = vmap(one)(parameters, buffers, x)
    for index, module in enumerate(modules):
        assert torch.allclose(together[index], advance(module, x[index], State())[0], atol=1e-4)


def sparse(**settings: Any) -> Tree:
    return {"global": {"kind": "sparse_vit", **settings}}


@pytest.fixture
def clips(small: Make) -> Make:
    """Return a maker of paths that read two key frames, behind patches of 4 x 4 pixels."""

    def make(*stages: Tree, patch: int = 4, frames: int = 2) -> Tree:
        tree = small(*stages, stem={"kind": "patch", "patch": patch, "width": 48})
        tree["paths"][0] |= {"input": "keyframes", "frames": frames}
        return tree

    return make


def refused(tree: Tree) -> str:
    with pytest.raises(Infeasible) as error:
        parse(tree, "net")
    return str(error.value)


def test_a_single_frame_does_not_change(small: Make, clips: Make) -> None:
    parse(clips(sparse()))
    assert refused(small(sparse(heads=2))) == (
        "net.paths.0.stages.0.global: variation in time of a single frame; "
        "right: two frames or more"
    )
    attention = {"kind": "mhsa", "blocks": 4, "heads": 2}
    assert parse_drawn(small(sparse(heads=2))) == parse(small({"global": attention}))


def test_sparse_tokens_end_their_path(clips: Make) -> None:
    more = {"local": {"kind": "res_basic"}}
    parse(clips(more, sparse()))
    assert refused(clips(sparse(), more)).splitlines()[0] == (
        "net.paths.0.stages.0.global: 'sparse_vit' ends its path, with 1 stage to come; "
        "right: the last stage, or another global block"
    )


def test_heads_over_sparse_tokens_are_those_of_attention(clips: Make) -> None:
    parse(clips(sparse(heads=6)))
    assert refused(clips(sparse(heads=8))) == (
        "net.paths.0.stages.0.global: 8 heads share 48 channels, fewer than 8 each; "
        "right: at most 6 heads"
    )
    assert refused(clips(sparse(heads=5))) == (
        "net.paths.0.stages.0.global: 5 heads do not share 48 channels evenly; "
        "right: a divisor of 48"
    )
    assert parse_drawn(clips(sparse(heads=8))) == parse(clips(sparse(heads=6)))


def test_every_rate_leaves_four_tokens(clips: Make) -> None:
    parse(clips(sparse(rates=[0.5]), patch=14))
    message = refused(clips(sparse(rates=[0.5, 0.75]), patch=14))
    assert message == (
        "net.paths.0.stages.0.global: a rate of 0.75 leaves 2 tokens, fewer than 4; "
        "right: lower rates, or a larger map"
    )
    assert parse_drawn(clips(sparse(rates=[0.5, 0.75]), patch=14)) == parse(
        clips(sparse(rates=[0.5]), patch=14)
    )


def test_rates_one_after_another_part_the_layers(clips: Make) -> None:
    parse(clips(sparse(rate_mode="progressive", blocks=3)))
    assert refused(clips(sparse(rate_mode="progressive", blocks=2))) == (
        "net.paths.0.stages.0.global: 2 layers are parted among 3 rates; "
        "right: a layer or more for every rate, or rate_mode: parallel"
    )
    assert parse_drawn(clips(sparse(rate_mode="progressive", blocks=2))) == parse(
        clips(sparse(blocks=2))
    )


def test_rates_are_a_set_and_one_alone_has_no_order(clips: Make) -> None:
    assert parse(clips(sparse(rates=[0.75, 0.25, 0.75]))) == parse(
        clips(sparse(rates=[0.25, 0.75]))
    )
    assert parse(clips(sparse(rates=[0.5], rate_mode="progressive"))) == parse(
        clips(sparse(rates=[0.5]))
    )


def test_rates_one_after_another_keep_their_order_and_how_often(clips: Make) -> None:
    forms = [
        parse(clips(sparse(rates=rates, blocks=3, rate_mode="progressive"), patch=4))
        for rates in ([0.3, 0.3, 0.3], [0.3], [0.25, 0.5], [0.5, 0.25])
    ]
    said = [
        (f.paths[0].stages[0].global_.rates, f.paths[0].stages[0].global_.rate_mode) for f in forms
    ]  # type: ignore[attr-defined]
    assert said == [
        ((0.3, 0.3, 0.3), "progressive"),
        ((0.3,), "parallel"),
        ((0.25, 0.5), "progressive"),
        ((0.5, 0.25), "progressive"),
    ]
