"""Time: what frames become, on numbers that a hand can follow."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mer_nas.architectures import TEMPORALS, BuildContext, Network, State, parse
from mer_nas.architectures.blocks.temporal import FrameScore, Scored
from mer_nas.architectures.state import advance

Tree = dict[str, Any]

# Two clips of three frames, of one channel on a map of 1 x 2.
CLIPS = torch.tensor([[[1.0, 2.0], [4.0, 0.0], [7.0, 4.0]], [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]])
FRAMES = CLIPS.reshape(6, 1, 1, 2)


def pooled(kind: str, prepare: Callable[[nn.Module], None] = lambda _: None) -> list[list[float]]:
    """Return what a pool makes of the two clips."""
    context = BuildContext("here", 1, 1, (1, 2), frames=3)
    module = TEMPORALS[kind](kind=kind).build(context)
    prepare(module)
    with torch.no_grad():
        x, state = advance(module, FRAMES, State(attention=FRAMES))
    assert x.shape == (2, 1, 1, 2)
    assert state.attention is not None
    assert state.attention.flatten(1).tolist() == close_to([4, 2], [0, 1])
    assert state.pooled_frames is not None
    assert torch.equal(state.pooled_frames.frames.flatten(2), CLIPS)
    assert torch.equal(state.pooled_frames.pooled, x)
    return x.flatten(1).tolist()  # type: ignore[no-any-return]


def close_to(*rows: list[float]) -> list[object]:
    return [pytest.approx(row, rel=1e-5, abs=1e-6) for row in rows]


def weighing(value: float) -> Callable[[nn.Module], None]:
    """Return what gives the score of a frame's mean over positions a weight."""

    def prepare(module: nn.Module) -> None:
        (score,) = (part for part in module.modules() if isinstance(part, FrameScore))
        nn.init.constant_(score.score.weight, value)

    return prepare


def test_a_mean_is_over_frames() -> None:
    assert pooled("mean") == close_to([4, 2], [0, 1])


def test_a_maximum_is_over_frames() -> None:
    assert pooled("max") == close_to([7, 4], [0, 1])


def test_a_difference_is_of_the_mean_and_the_first_frame() -> None:
    assert pooled("diff") == close_to([3, 0], [0, 0])


@pytest.mark.parametrize("kind", ["arp", "learned"])
def test_rank_pooling_weighs_later_frames_up(kind: str) -> None:
    # Of three frames: -4/3, 2/3, 2/3, divided by 8/3: -1/2, 1/4, 1/4.
    assert pooled(kind) == close_to([2.25, 0], [0, 0])


def test_learned_weights_are_brought_to_a_total_size_of_one() -> None:
    def prepare(module: nn.Module) -> None:
        with torch.no_grad():
            next(module.parameters()).copy_(torch.tensor([1.0, -2.0, 5.0]))

    assert pooled("learned", prepare) == close_to([28 / 8, 22 / 8], [0, 0.5])


def test_scores_multiply_frames() -> None:
    # Means over positions: 1.5, 2, 5.5 and 0.5 three times; scores are twice that, over three.
    expected = [(1.5 + 8 + 38.5) * 2 / 3, (3 + 0 + 22) * 2 / 3]
    assert pooled("scored", weighing(2.0)) == close_to(expected, [0, 1.0])


def test_attention_over_frames_adds_up_to_one() -> None:
    weights = torch.tensor([1.5, 2.0, 5.5]).exp()
    weights = weights / weights.sum()
    expected = (weights @ CLIPS[0]).tolist()
    assert pooled("attn", weighing(1.0)) == close_to(expected, [0, 1])
    assert pooled("attn", weighing(0.0)) == close_to([4, 2], [0, 1])


def test_a_pool_with_scores_lets_the_rank_loss_see_them() -> None:
    context = BuildContext("here", 1, 1, (1, 2), frames=3)
    module = Scored().build(context)
    weighing(2.0)(module)
    _, state = advance(module, FRAMES, State())
    assert state.pooled_frames is not None
    assert state.pooled_frames.scores is not None
    assert state.pooled_frames.scores.tolist() == close_to([3, 4, 11], [1, 1, 1])


def _rank_features(channels: int, frames: int, features: int, grid: int, axis: str) -> Any:
    """Return the module that the temporal pool `conv3d` makes of these settings."""
    pool = TEMPORALS["conv3d"](kind="conv3d", channels=features, grid=grid, axis=axis)
    built = pool.build(BuildContext("here", channels, 1, (4, 4), frames=frames))
    return built.get_submodule("pool")


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        # Two frames whose grids of 2 x 2 are 1 2 3 4 and 5 6 7 8. The filter subtracts what it
        # takes for the first frame from what it takes for the second, at every place.
        ("time", [[4, 4], [4, 4]]),
        # Read as they come: (1, 2), (3, 4), (5, 6), (7, 8) are taken for the places.
        ("code_reshape", [[1, 1], [1, 1]]),
    ],
)
def test_rank_features_are_filters_through_time_or_what_the_code_takes_for_it(
    axis: str, expected: list[list[float]]
) -> None:
    module = _rank_features(1, frames=2, features=1, grid=2, axis=axis).eval()
    grids = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]])

    class Grids(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            assert features.shape == (2, 1)
            return grids

    module.spread = Grids()
    with torch.no_grad():
        module.rank.weight.zero_()
        module.rank.weight[0, 0, 1, 1] = torch.tensor([-1.0, 1.0])
        features = module(torch.zeros(1, 2, 1, 4, 4))
    assert features.shape == (1, 1, 2, 2)
    assert features[0, 0].tolist() == expected


def test_rank_features_have_the_parameters_of_their_parts() -> None:
    module = _rank_features(6, frames=4, features=3, grid=5, axis="time")
    parts = 2 * 6 + (6 * 25 + 25) + (3 * 9 * 4 + 3)
    assert sum(parameter.numel() for parameter in module.parameters()) == parts


@pytest.mark.parametrize(
    ("where", "batches"), [("stem", [15, 5, 5]), (0, [15, 15, 5]), ("end", [15, 15, 15])]
)
def test_frames_are_folded_into_the_batch_up_to_their_pool(
    where: str | int, batches: list[int]
) -> None:
    stage = {"growth": 1, "down": {"kind": "conv_maxpool"}, "local": {"kind": "res_basic"}}
    path = {"input": "frames", "frames": 3, "stem": {"kind": "conv", "width": 8}}
    path |= {"stages": [stage, stage], "temporal": {"kind": "mean", "where": where}}
    network = Network(parse({"paths": [path]}), 2).eval()
    seen = [_batch(stage) for stage in network.paths[0].get_submodule("stages").children()]
    network(torch.randn(5, 3, 1, 28, 28))
    assert [size for sizes in seen for size in sizes] == batches  # the pool among the two stages


def _batch(module: nn.Module) -> list[int]:
    sizes: list[int] = []
    module.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    return sizes


@pytest.mark.parametrize("kind", ["mean", "max", "diff", "arp", "learned", "scored", "attn"])
def test_a_pool_and_its_gradient_are_the_same_however_frames_lie_in_memory(kind: str) -> None:
    pool = TEMPORALS[kind](kind=kind).build(BuildContext("here", 4, 4, (2, 3), frames=3))
    found = []
    for order in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        x = torch.randn(6, 4, 2, 3).to(memory_format=order).requires_grad_()
        y, _ = advance(pool, x, State())
        assert y.shape == (2, 4, 2, 3)
        (gradient,) = torch.autograd.grad(y.square().sum(), x)
        if kind != "max":
            assert y.is_contiguous(memory_format=order)
            assert gradient.is_contiguous(memory_format=order)
        found.append((y, gradient))
    torch.testing.assert_close(*found)
