"""Short formulas of timm that are written out here: its numbers, to the last bit."""

import torch
from timm.layers.drop import DropPath as TimmDropPath
from timm.layers.weight_init import trunc_normal_
from torch import nn

from mer_nas.architectures.layers.basic import init_, stochastic_depth


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
