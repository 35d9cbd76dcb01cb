"""What is trained on a GPU, shown on one that is not there: its tensors have shapes, no numbers."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from mer_nas.architectures import Network
from mer_nas.config import presets
from mer_nas.evaluation.candidate import Candidate
from mer_nas.inputs import ACTION_UNITS
from mer_nas.space import SearchSpace
from mer_nas.training.augment import augment
from mer_nas.training.config import Augmentation, TrainerConfig
from mer_nas.training.losses import Targets, TrainingLoss

SPACE = SearchSpace.read(presets.read("space", "hybrid"), "space=hybrid")
POINTS = {point.name: Candidate.parse(point.values, point.name) for point in SPACE.file.points}
RECIPES = [TrainerConfig(loss=loss) for loss in ("ce", "weighted_ce", "focal", "logit_adjusted")]
EVERYTHING = Augmentation(flip=True, shift=2, rotate=5, scale=0.2, noise=0.1)


@pytest.mark.parametrize("name", POINTS)
def test_a_loss_is_made_where_the_clips_lie_and_nothing_waits_for_it(name: str) -> None:
    # A tensor made elsewhere, and a number or a size that the data decide, are errors here.
    architecture, generator = POINTS[name].architecture, torch.Generator()
    network = Network(architecture, classes=3)
    with FakeTensorMode():
        to_gpu(network)
        batch = torch.tensor([0, 2, 3]).to("cuda")
        clips = {
            name: torch.empty(len(batch), *shape, device="cuda")
            for name, shape in architecture.shapes.items()
        }
        labels = torch.empty(5, dtype=torch.long, device="cuda")
        targets = Targets(labels, torch.empty(5, len(ACTION_UNITS), device="cuda"))
        changed = augment(clips, EVERYTHING, generator).values()
        losses = [TrainingLoss(targets, recipe, architecture.losses.weights) for recipe in RECIPES]
        with Copies() as copies:
            output = network(*changed)
            found = [loss(output, batch, batch) for loss in losses]
        assert copies.made == []
        assert {(loss.device.type, loss.shape) for loss in found} == {("cuda", ())}


class Copies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers which operators brought something from the host to the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.made: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        given = [each for each in args if isinstance(each, Tensor) and each.ndim > 0]
        if isinstance(found, Tensor) and found.is_cuda and any(not x.is_cuda for x in given):
            self.made.append(str(func))
        return found


def test_a_tensor_that_a_step_brings_from_the_host_would_be_seen() -> None:
    with FakeTensorMode(), Copies() as copies:
        torch.empty(2, device="cuda").new_tensor([1.0, 2.0])
    assert copies.made


def to_gpu(network: Network) -> None:
    def moved(real: Tensor) -> Tensor:
        return torch.empty(real.shape, dtype=real.dtype, device="cuda")

    for module in network.modules():
        for name, weight in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(moved(weight)))
        for name, state in module.named_buffers(recurse=False):
            setattr(module, name, moved(state))


def test_a_tensor_that_is_made_elsewhere_would_be_seen() -> None:
    class Stray(nn.Module):
        def forward(self, clips: Tensor) -> Tensor:
            return clips + torch.ones(3)

    with FakeTensorMode(), pytest.raises(RuntimeError, match="cuda:0"):
        Stray()(torch.empty(2, 3, device="cuda"))
