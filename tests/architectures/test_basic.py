"""Short formulas of timm that are written out here, to the last bit; and means over maps."""

import pytest
import torch
from timm.layers.drop import DropPath as TimmDropPath
from timm.layers.weight_init import trunc_normal_
from torch import nn

from mer_nas.architectures.layers.basic import init_, mean_over_map, stochastic_depth


def test_matrices_start_as_those_of_timm() -> None:
    ours, theirs = nn.Parameter(torch.empty(64, 48)), torch.empty(64, 48)
    torch.manual_seed(1)
    init_(ours)
    torch.manual_seed(1)
    trunc_normal_(theirs, std=0.02)
    assert torch.equal(ours, theirs)


def test_branches_are_dropped_for_the_clips_for_which_timm_drops_them() -> None:
    maps = torch.randn(32, 3, 4, 4)
    seen = []
    for layer in (stochastic_depth(0.3), TimmDropPath(0.3)):
        torch.manual_seed(1)
        seen.append(layer(maps))
        assert torch.equal(layer.eval()(maps), maps)
    assert torch.equal(*seen)
    assert 0 < (seen[0].flatten(1) == 0).all(1).sum() < 32
    assert isinstance(stochastic_depth(0.0), nn.Identity)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_a_mean_lies_in_memory_as_the_map_does(order: torch.memory_format) -> None:
    x = torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=order).requires_grad_()
    mean = mean_over_map(x)
    assert mean.tolist() == [[5.5, 17.5]]
    (gradient,) = torch.autograd.grad(mean @ torch.tensor([12.0, 24.0]), x)
    assert torch.equal(gradient[0, :, 0, 0], torch.tensor([1.0, 2.0]))
    assert gradient.is_contiguous(memory_format=order)
