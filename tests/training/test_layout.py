"""Maps whose channels lie side by side are the maps that they were."""

import copy
import inspect

import pytest
import torch
from torch import Tensor, nn

from mer_nas.architectures import Network
from mer_nas.architectures.layers.routing import Router
from mer_nas.config import presets
from mer_nas.evaluation.candidate import Candidate
from mer_nas.inputs import ACTION_UNITS
from mer_nas.space import SearchSpace
from mer_nas.training.config import TrainerConfig
from mer_nas.training.fit import fit, predict_proba
from mer_nas.training.losses import Targets

SPACE = SearchSpace.read(presets.read("space", "hybrid"), "space=hybrid")
RECIPE = TrainerConfig.model_validate({"epochs": None, "steps": 4, "batch": 4, "lr": 1e-3})


@pytest.mark.parametrize("name", ["prog_s", "hyb_ms_prog_expert"])
def test_a_network_learns_the_same_whether_or_not_channels_lie_side_by_side(name: str) -> None:
    architecture = Candidate.parse(SPACE.point(name).values, name).architecture
    torch.manual_seed(0)
    ours = Network(architecture, classes=3).double()
    for module in ours.modules():  # what draws for numbers as they lie
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, Router):
            module.spread, module.noise_std = None, 0.0
    plain = copy.deepcopy(ours)
    clips = {
        name: torch.rand(8, *shape, dtype=torch.float64)
        for name, shape in architecture.shapes.items()
    }
    targets = Targets(torch.arange(8) % 3, torch.zeros(8, len(ACTION_UNITS)).double())
    lay: list[bool] = []

    def look(_: int, network: nn.Module) -> None:
        lay.extend(last(weight) for weight in kernels(network))

    losses = fit(ours, clips, targets, RECIPE, seed=1, on_epoch=look)
    contiguous = inspect.unwrap(fit)(plain, clips, targets, RECIPE, seed=1)
    assert lay
    assert all(lay)
    assert losses == pytest.approx(contiguous, rel=1e-9)
    for key, weight in ours.state_dict().items():
        assert weight.is_contiguous(), key
        torch.testing.assert_close(weight, plain.state_dict()[key], rtol=1e-6, atol=1e-8)
    found = predict_proba(ours, clips)
    assert found == pytest.approx(inspect.unwrap(predict_proba)(plain, clips), abs=1e-6)


def kernels(network: nn.Module) -> list[Tensor]:
    """Return those whose order in memory can be told apart."""
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d)]
    return [w for w in weights if w.shape[1] > 1 and w.shape[2] > 1]


def last(weight: Tensor) -> bool:
    """Whether the channels of a position lie side by side."""
    return weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
