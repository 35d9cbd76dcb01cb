"""Equations (5) and (6) of the progressive attention paper (DOI 10.3724/SP.J.1249.2024.06756).

F_i = f_{k_i x k_i}(X), i = 1..4      every kernel gives a quarter of the channels
F_cat = cat(F_1, ..., F_4)
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mer_nas.architectures import BuildContext, Network, parse
from mer_nas.architectures.blocks.multi_scale import ParallelKernels
from mer_nas.architectures.blocks.stem import ConvStem

# One clip of two channels on 3 x 3 positions.
X = torch.tensor([[[[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[0, 0, 0], [0, 10, 0], [0, 0, 0]]]]).float()
# The kernel of 1 takes twice the first channel and once the second.
F_1 = torch.tensor([[2, 4, 6], [8, 20, 12], [14, 16, 18]]).float()
# The kernel of 3 sums the first channel over its square, and adds what the second has on the left.
F_2 = torch.tensor([[12, 21, 16], [27, 45, 43], [24, 39, 28]]).float()


@pytest.fixture
def scales(context: Callable[..., BuildContext]) -> nn.Module:
    """Return a module with kernels of 1 and 3, two channels wide."""
    module = ParallelKernels(kernels=(1, 3)).build(context(2, 2, 3))
    one, three = module[0].branches
    with torch.no_grad():
        one.weight.copy_(torch.tensor([2.0, 1.0]).view(1, 2, 1, 1))
        three.weight.zero_()
        three.weight[0, 0] = 1.0
        three.weight[0, 1, 1, 0] = 1.0
    return module


def test_equations_5_and_6_concatenate_what_every_kernel_sees(scales: nn.Sequential) -> None:
    branches, *_ = scales
    assert torch.equal(branches(X)[0], torch.stack([F_1, F_2]))


def test_norm_and_activation_come_after_the_concatenation(scales: nn.Sequential) -> None:
    _, norm, _ = scales.eval()
    with torch.no_grad():
        norm.running_var.fill_(1 - norm.eps)
        norm.running_mean.copy_(torch.tensor([8.0, 20.0]))
        norm.weight.copy_(torch.tensor([1.0, 2.0]))
    expected = torch.stack([F_1 - 8, 2 * (F_2 - 20)]).relu()
    assert torch.allclose(scales(X)[0], expected)
    assert scales(X).count_nonzero() < 18


def _weights(module: nn.Module) -> list[tuple[int, ...]]:
    return [
        tuple(layer.weight.shape) for layer in module.modules() if isinstance(layer, nn.Conv2d)
    ]


@pytest.mark.parametrize(
    "kernels",
    # The kernel sets of table 4, E to I, and the smaller ones.
    [(1, 3, 5, 7), (3, 5, 7, 9), (5, 7, 9, 11), (3, 3, 3, 3), (9, 9, 9, 9), (3, 5, 7), (3, 5)],
)
def test_every_kernel_gives_an_equal_share(
    kernels: tuple[int, ...], context: Callable[..., BuildContext]
) -> None:
    module = ParallelKernels(kernels=kernels).build(context(24, 24, 14))
    assert _weights(module) == [(24 // len(kernels), 24, k, k) for k in kernels]
    assert module(torch.randn(2, 24, 14, 14)).shape == (2, 24, 14, 14)


def test_depthwise_kernels_see_their_share_channel_by_channel(
    context: Callable[..., BuildContext],
) -> None:
    module = ParallelKernels(kernels=(3, 5), depthwise=True).build(context(8, 8, 14))
    assert _weights(module) == [(4, 8, 1, 1), (4, 1, 3, 3), (4, 8, 1, 1), (4, 1, 5, 5)]
    assert all(layer.bias is None for layer in module.modules() if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize(("place", "size"), [("before", 14), ("after", 7)])
def test_the_scales_stand_before_or_after_the_pool(place: str, size: int) -> None:
    scales = {"kind": "parallel", "kernels": [3, 5], "place": place}
    stem = {"kind": "conv", "width": 8, "stride": 2, "pool": True, "multi_scale": scales}
    stages = [{"local": {"kind": "res_basic"}}]
    network = Network(parse({"paths": [{"stem": stem, "stages": stages}]}), classes=3)
    seen: list[Tensor] = []
    branches = next(m for name, m in network.named_modules() if name.endswith("branches"))
    branches[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    network(torch.randn(2, 3, 28, 28))
    assert [x.shape for x in seen] == [(2, 8, size, size)]


def test_without_a_pool_the_scales_have_one_place() -> None:
    scales = {"kind": "parallel", "kernels": [3, 5], "place": "after"}
    stem = {"kind": "conv", "width": 8, "multi_scale": scales}
    path = parse({"paths": [{"stem": stem, "stages": [{"local": {"kind": "res_basic"}}]}]}).paths[
        0
    ]
    assert isinstance(path.stem, ConvStem)
    assert path.stem.multi_scale == ParallelKernels(kernels=(3, 5))
