"""What a network learns beside the classes, and that none of it is deployed."""

from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional

from mer_nas.architectures import (
    DYN_IMAGES,
    ORTHS,
    BuildContext,
    ModelOutput,
    Network,
    deployed,
    parse,
)
from mer_nas.architectures.state import PooledFrames

Tree = dict[str, Any]

RES = {"local": {"kind": "res_basic"}}
STEM = {"kind": "conv", "width": 8}
WEIGHTS = {
    "rank": 0.1,
    "au": 1.0,
    "branch_cls": 0.5,
    "dyn_image": {"kind": "small", "weight": 10.0},
    "orth": {"kind": "cos2", "weight": 0.1},
}


def timed(pool: Tree | None = None, **rest: Any) -> Tree:
    path = {"input": "frames", "frames": 3, "stem": STEM, "stages": [RES]}
    return path | {"temporal": pool or {"kind": "mean"}} | rest


def taught(losses: Tree, pool: Tree | None = None) -> Network:
    """Return a network that reads flow, and frames, and is taught more than the classes."""
    paths = [{"stem": STEM, "stages": [RES]}, timed(pool)]
    tree = {"paths": paths, "fusion": {"kind": "gate", "width": 16}, "losses": losses}
    return Network(parse(tree), classes=5)


def clips(count: int = 4) -> tuple[Tensor, Tensor]:
    return torch.randn(count, 3, 28, 28), torch.randn(count, 3, 1, 28, 28)


def orthogonality(kind: str) -> nn.Module:
    return ORTHS[kind](kind=kind).build(BuildContext("here", 2, 2, (1, 1)))


def test_features_that_have_nothing_in_common_are_orthogonal() -> None:
    one = torch.tensor([[1.0, 0, 2], [0, 3, 0]])
    other = torch.tensor([[-2.0, 5, 1], [4, 0, -1]])
    assert orthogonality("cos2")(one, other).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("factor", [3.0, -0.5])
def test_parallel_features_are_not(factor: float) -> None:
    one = torch.randn(4, 6)
    assert orthogonality("cos2")(one, factor * one).item() == pytest.approx(1, abs=1e-5)


def test_the_squared_cosine_is_averaged_over_clips() -> None:
    one, other = torch.tensor([[1.0, 0], [1, 0]]), torch.tensor([[1.0, 1], [0, 1]])
    assert orthogonality("cos2")(one, other).item() == pytest.approx((0.5 + 0) / 2)


def test_correlations_are_of_features_over_the_batch() -> None:
    # Each column has mean 0 and variance 1; the first of one is the first of the other, whatever
    # its scale, and has nothing to do with the second.
    one = torch.tensor([[1.0], [1], [-1], [-1]])
    other = torch.tensor([[7.0, 1], [7, -1], [5, 1], [5, -1]])
    assert orthogonality("frob")(one, other).item() == pytest.approx(1, abs=1e-4)
    assert orthogonality("frob")(one, other[:, 1:]).item() == pytest.approx(0, abs=1e-6)


def task_of(name: str, weight: object, frames: int = 3) -> Any:
    """Return a task of a network of so many frames, to be shown what the test makes up."""
    tree = {"paths": [timed({"kind": "scored"}, frames=frames)], "losses": {"rank": 1.0}}
    tree["losses"] |= {name: weight}  # type: ignore[call-overload]
    return Network(parse(tree), classes=2).get_submodule(f"auxiliary.tasks.{name}")


def rank_loss(scores: Tensor) -> Tensor:
    """Return what the rank task says of frames with these scores, (B, T)."""
    pooled = PooledFrames(torch.zeros(0), torch.zeros(0), scores)
    loss: Tensor = task_of("rank", 1.0, scores.shape[1])(SimpleNamespace(pools=[pooled]))
    return loss


def image_loss(frames: Tensor, shown: Tensor) -> float:
    """Return the squared error of images (B, H, W), shown for the frames (B, T, C, H, W)."""
    task = task_of("dyn_image", {"kind": "small"}, frames.shape[1])
    task.decoder = nn.Identity()
    pooled = PooledFrames(frames, shown)
    return float(task(SimpleNamespace(clips=[frames], pools=[pooled])))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        # Three frames, margin 1/3. Rises of 1/3 and more cost nothing.
        ([0.0, 1.0, 2.0], 0.0),
        ([0.0, 1 / 3, 2 / 3], 0.0),
        # None rises: each pair costs the margin.
        ([5.0, 5.0, 5.0], 1 / 3),
        # Pairs fall by 1, 3 and 2: each costs that and the margin.
        ([3.0, 2.0, 0.0], 1 / 3 + (1 + 3 + 2) / 3),
        # Rises of 0.1, 1.1 and 1.
        ([0.0, 0.1, 1.1], (1 / 3 - 0.1) / 3),
    ],
)
def test_scores_that_do_not_rise_with_time_cost(scores: list[float], expected: float) -> None:
    assert rank_loss(torch.tensor([scores])).item() == pytest.approx(expected, abs=1e-6)


def test_the_rank_loss_is_a_mean_over_clips() -> None:
    both = rank_loss(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    assert both.item() == pytest.approx((0 + 1.5) / 2)


def test_key_frames_are_ranked_up_to_the_apex() -> None:
    tree = {"paths": [timed(input="keyframes")], "losses": {"rank": 1.0}}
    network = Network(parse(tree), classes=2)
    x = torch.randn(3, 3, 1, 28, 28)
    changed = torch.cat([x[:, :2], torch.randn(3, 1, 1, 28, 28)], dim=1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # whose statistics the offset frame would change
    assert network(x).losses["rank"].item() == network(changed).losses["rank"].item() > 0


def test_a_dynamic_image_is_the_weighted_sum_from_zero_to_one() -> None:
    # Three frames of four pixels; weights -4/3, 2/3, 2/3.
    frames = torch.tensor([[[0.0, 0, 3, 1], [0, 3, 0, 1], [0, 3, 0, 1]]]).view(1, 3, 1, 2, 2)
    # Sums: 0, 4, -4, 0.
    image = torch.tensor([[[0.5, 1.0], [0.0, 0.5]]])
    assert image_loss(frames, image) == pytest.approx(0, abs=1e-12)
    assert image_loss(frames, image + 0.1) == pytest.approx(0.01)


def test_a_dynamic_image_averages_colours() -> None:
    grey, shown = torch.rand(2, 4, 1, 3, 3), torch.zeros(2, 3, 3)
    shift = torch.tensor([0.3, -0.2, -0.1]).view(3, 1, 1)
    assert image_loss(grey + shift, shown) == pytest.approx(image_loss(grey, shown), abs=1e-4)


def test_a_clip_without_motion_has_no_dynamic_image() -> None:
    still = torch.rand(1, 1, 1, 9, 9).expand(1, 8, 1, 9, 9)
    assert image_loss(still, torch.zeros(1, 9, 9)) < 0.05**2


@pytest.mark.parametrize(
    ("size", "row"),
    [
        ((2, 3), [0, 1 / 2, 1]),
        ((1, 1), [1 / 2]),
        # Of three pixels, each of two covers one and a half.
        ((2, 2), [1 / 6, 5 / 6]),
        ((2, 6), [0, 0, 1 / 2, 1 / 2, 1, 1]),
    ],
)
def test_the_image_of_the_frames_is_resized_by_area(
    size: tuple[int, int], row: list[float]
) -> None:
    # Of two frames the second minus the first.
    frames = torch.tensor([[0.0, 0, 0], [0, 2, 4]]).view(1, 2, 1, 1, 3).expand(1, 2, 1, 2, 3)
    shown = torch.tensor([[row] * size[0]])
    assert image_loss(frames, shown) == pytest.approx(0, abs=1e-10)


def decoder(channels: int = 5) -> Any:
    small = DYN_IMAGES["small"](kind="small")
    return small.build(BuildContext("here", channels, channels, (8, 8)))


def test_maxima_go_back_to_their_places() -> None:
    x = torch.randn(2, 3, 8, 8)
    maxima, places = functional.max_pool2d(x, 2, return_indices=True)
    expected = functional.max_unpool2d(maxima, places, 2)
    assert torch.equal(decoder().unpool(maxima, places, (8, 8)), expected)


def test_maxima_of_an_odd_rim_go_back_too() -> None:
    x = torch.arange(15.0).view(1, 1, 3, 5)
    maxima, places = functional.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
    back = decoder().unpool(maxima, places, (3, 5))
    assert back[0, 0].tolist() == [[0] * 5, [0, 6, 0, 8, 9], [0, 11, 0, 13, 14]]


def test_a_decoder_is_a_mirror() -> None:
    # Down 2, 2 and 3 convolutions of 16, 32 and 64 channels, and up again.
    down = [(5, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 64)]
    up = [(64, 64), (64, 64), (64, 32), (32, 32), (32, 16), (16, 16)]
    weights = sum(9 * a * b + b + 2 * b for a, b in down + up) + 9 * 16 + 1
    mirror = decoder()
    assert sum(parameter.numel() for parameter in mirror.parameters()) == weights
    image = mirror(torch.randn(2, 5, 9, 10))
    assert image.shape == (2, 9, 10)
    assert 0 < image.min() < image.max() < 1


def test_the_decoder_is_compared_with_the_image_of_the_frames_the_path_took() -> None:
    network = Network(parse({"paths": [timed()], "losses": {"dyn_image": {"kind": "small"}}}), 2)
    shown = torch.rand(2, 28, 28)

    class Shown(nn.Module):
        def forward(self, pooled: Tensor) -> Tensor:
            assert pooled.shape == (2, 8, 28, 28)
            return shown

    task = network.get_submodule("auxiliary.tasks.dyn_image")
    task.decoder = Shown()  # type: ignore[assignment]
    given = torch.rand(2, 5, 1, 28, 28)
    expected = image_loss(given[:, [0, 2, 4]], shown)
    assert network(given).losses["dyn_image"].item() == pytest.approx(expected)


def test_action_units_come_from_the_first_path_and_classes_from_the_last() -> None:
    network = taught({"au": 1.0, "branch_cls": 0.5})
    flow, frames = clips()
    before = network(flow, frames).auxiliary_logits
    assert before["au"].shape == (4, 12)
    assert before["branch_cls"].shape == (4, 5)
    after = network(flow, frames.flip(1).roll(1, 0)).auxiliary_logits
    assert torch.equal(before["au"], after["au"])
    assert not torch.allclose(before["branch_cls"], after["branch_cls"])


def test_what_has_no_weight_is_not_built() -> None:
    assert taught({}).auxiliary is None
    only = taught({"orth": {"kind": "frob", "weight": 0.1}})
    assert sum(parameter.numel() for parameter in only.auxiliary.parameters()) == 0
    assert set(only(*clips()).losses) == {"orth"}


def test_every_task_teaches_every_part_it_has() -> None:
    network = taught(WEIGHTS)
    output: ModelOutput = network(*clips())
    assert set(output.losses) == {"rank", "dyn_image", "orth"}
    assert set(output.auxiliary_logits) == {"au", "branch_cls"}
    total = sum(output.losses.values()) + sum(
        a.square().mean() for a in output.auxiliary_logits.values()
    )
    (total + output.logits.square().mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name


def test_evaluation_asks_for_classes_only() -> None:
    network = taught(WEIGHTS).eval()
    inputs = clips()
    alone = deployed(network)
    assert torch.equal(alone(*inputs), network(*inputs))
    assert not [name for name in alone.state_dict() if "auxiliary" in name]
    assert network.auxiliary is not None


def test_a_deployed_network_takes_the_weights_of_one_built_without_tasks() -> None:
    network = taught(WEIGHTS).eval()
    paths = [{"stem": STEM, "stages": [RES]}, timed()]
    tree = {"paths": paths, "fusion": {"kind": "gate", "width": 16}, "losses": WEIGHTS}
    alone = Network(parse(tree), classes=5, auxiliary=False).eval()
    alone.load_state_dict(deployed(network).state_dict())
    inputs = clips()
    assert torch.equal(alone(*inputs), network(*inputs))


@pytest.mark.parametrize("pool", ["conv3d", "scored", "max"])
def test_stacked_copies_learn_what_each_learns_alone(pool: str) -> None:
    networks = [_small(pool) for _ in range(2)]
    parameters, buffers = stack_module_state(networks)
    frames = torch.randn(2, 3, 3, 1, 28, 28)

    def loss(parameters: Tree, buffers: Tree, x: Tensor) -> Tensor:
        output = functional_call(networks[0], (parameters, buffers), (x,))
        return _sum(output)

    found = vmap(torch.func.grad(loss))(parameters, deepcopy(buffers), frames)
    for index, network in enumerate(networks):
        _sum(network(frames[index])).backward()  # type: ignore[no-untyped-call]
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            scale = 1 + parameter.grad.abs().max()
            assert ((found[name][index] - parameter.grad).abs() / scale).max() < 1e-4, name


def _small(pool: str) -> Network:
    tree: Tree = {
        "paths": [timed({"kind": pool})],
        "losses": {"rank": 0.1, "au": 1.0, "dyn_image": {"kind": "small", "weight": 10.0}},
        "head": {"kind": "rank_fc", "hidden": 8},
    }
    return Network(parse(tree), classes=3)


def _sum(output: ModelOutput) -> Tensor:
    total: Tensor = output.logits.square().mean() + sum(output.losses.values())
    return total + output.auxiliary_logits["au"].square().mean()
