"""Networks that are trained side by side learn what each learns alone, with double precision."""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mer_nas.architectures import Architecture, ModelOutput, Network, parse
from mer_nas.config import presets
from mer_nas.inputs import ACTION_UNITS, FLOW
from mer_nas.space import SearchSpace
from mer_nas.training.chance import Chance, stream
from mer_nas.training.config import TrainerConfig
from mer_nas.training.fit import TrainingDiverged, fit
from mer_nas.training.losses import Targets
from mer_nas.training.stack import Learner, fit_together

CPU = torch.device("cpu")
POINTS = {
    point.name: point.values["architecture"]
    for point in SearchSpace.read(presets.read("space", "hybrid"), "space=hybrid").file.points
}
EVERYTHING = {"shift": 1, "rotate": 5, "scale": 0.2, "noise": 0.1, "mixup": 0.4}
SMALL = {
    "paths": [
        {
            "stem": {"kind": "patch", "patch": 7, "width": 16},
            "shared": {"expert": {"noise": "learned", "experts": 4, "top_k": 2}},
            "stages": [{"global": {"kind": "expert"}}],
        }
    ],
    "head": {"kind": "gap", "dropout": 0.3},
    "drop_path": 0.2,
}
"""With dropout, drop path and the noise of a router."""


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def some_clips(architecture: Architecture, count: int) -> tuple[dict[str, Tensor], Targets]:
    torch.manual_seed(1)
    inputs = {name: torch.rand(count, *shape) for name, shape in architecture.shapes.items()}
    units = (torch.rand(count, len(ACTION_UNITS)) > 0.5).double()
    return inputs, Targets(torch.arange(count) % 3, units)


def worst_difference(
    architecture: Architecture, trainer: TrainerConfig, folds: Sequence[list[int]]
) -> float:
    """Return how far losses and numbers lie apart, trained alone and together."""
    inputs, targets = some_clips(architecture, 1 + max(map(max, folds)))
    weights = architecture.losses.weights
    begun, learners, alone = [], [], []
    for seed, fold in enumerate(folds):
        torch.manual_seed(seed)
        network, clips = Network(architecture, 3).train(), torch.tensor(fold)
        learners.append(Learner(copy.deepcopy(network), clips, seed, stream(CPU), {}))
        begun.append(network)
        own = {name: images[clips] for name, images in inputs.items()}
        alone.append(fit(network, own, targets.at(clips), trainer, seed, weights))
    together = fit_together(learners, inputs, targets, 3, trainer, weights)
    apart = [
        abs(one - other)
        for losses, others in zip(together, alone, strict=True)
        if not isinstance(losses, TrainingDiverged)
        for one, other in zip(losses, others, strict=True)
    ]
    for learner, network in zip(learners, begun, strict=True):
        found = learner.network.state_dict()
        for name, value in network.state_dict().items():
            apart.append(float((found[name] - value).abs().max() / (1 + value.abs().max())))
    return max(apart)


@pytest.mark.parametrize("name", ["prog_s", "dre_s", "fdp_s", "dual_s", "medn_s"])
def test_every_network_learns_beside_another_what_it_learns_alone(name: str) -> None:
    # 20 steps: benchmarks/together.py. Batches of 2, 2 and 2 clips, and of 2 and 2.
    trainer = TrainerConfig(batch=2, epochs=None, steps=3, warmup=0)
    assert (
        worst_difference(parse(POINTS[name]), trainer, [[0, 1, 2, 3, 4, 5], [5, 4, 3, 1]]) < 1e-9
    )


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("loss", ["weighted_ce", "focal"])
def test_folds_of_unequal_size_learn_together_what_they_learn_alone(
    optimizer: str, loss: str
) -> None:
    recipe = {"optimizer": optimizer, "loss": loss, "batch": 4, "epochs": 5, "clip_norm": 0.5}
    trainer = TrainerConfig.model_validate({**recipe, "augment": EVERYTHING})
    # 3 + 1, 3, 2 + 1 and 2 batches, the last of 3, 4, 2 and 4 clips: 20 steps at most.
    folds = [[*range(15)], [*range(3, 15)], [*range(10)], [*range(8)], [*range(1, 9)]]
    assert worst_difference(parse(SMALL), trainer, folds) < 1e-9


def test_a_parameter_without_axes_is_one_too() -> None:
    gate = {"gate": {"kind": "prog", "carry": "learned"}}
    stages = [{**gate, "local": {"kind": "res_basic"}, "growth": 1} for _ in range(2)]
    architecture = parse({"paths": [{**SMALL["paths"][0], "stages": stages}]})
    assert any(weight.ndim == 0 for weight in Network(architecture, 3).parameters())
    trainer = TrainerConfig(batch=4, epochs=None, steps=3)
    assert worst_difference(architecture, trainer, [[*range(8)], [*range(12)]]) < 1e-9


def test_as_many_steps_are_taken_as_were_asked_for() -> None:
    trainer = TrainerConfig(batch=4, epochs=None, steps=7)
    assert worst_difference(parse(SMALL), trainer, [[*range(14)], [*range(8)]]) < 1e-9


def test_a_fold_that_diverges_ends_no_other() -> None:
    architecture, trainer = parse(SMALL), TrainerConfig(batch=4, epochs=2)
    inputs, targets = some_clips(architecture, 12)
    inputs[FLOW][11] = math.nan
    folds = [torch.arange(11), torch.arange(1, 12), torch.arange(10)]

    def trained(*which: int) -> list[Any]:
        learners = []
        for fold in which:
            torch.manual_seed(fold)
            network = Network(architecture, 3).train()
            learners.append(Learner(network, folds[fold], fold, stream(CPU), {}))
        return list(fit_together(learners, inputs, targets, 3, trainer))

    found = trained(0, 1, 2)
    assert isinstance(found[1], TrainingDiverged)
    assert str(found[1]) == "the loss is nan in epoch 1 of 2 (trainer.lr=0.001)"
    assert found[0] == pytest.approx(trained(0)[0])
    assert found[2] == pytest.approx(trained(2)[0])


def test_each_fold_is_divided_by_its_own_numbers() -> None:
    architecture, trainer = parse(SMALL), TrainerConfig(batch=4, epochs=1)
    inputs, targets = some_clips(architecture, 8)
    divisors = torch.tensor([2.0, 3.0, 4.0])

    def trained(clips: Tensor, by: dict[str, Tensor]) -> Any:
        torch.manual_seed(0)
        learner = Learner(Network(architecture, 3).train(), torch.arange(8), 0, stream(CPU), by)
        return fit_together([learner], {FLOW: clips}, targets, 3, trainer)

    divided = inputs[FLOW] / divisors[:, None, None]
    assert trained(inputs[FLOW], {FLOW: divisors}) == trained(divided, {})


def test_what_is_dropped_does_not_depend_on_how_a_map_lies_in_memory() -> None:
    plain = torch.ones(2, 3, 4, 4)
    lying = plain.to(memory_format=torch.channels_last)
    dropped = []
    for maps in (plain, lying):
        with Chance([torch.Generator().manual_seed(0)]):
            dropped.append(nn.functional.dropout(maps, 0.5))
    assert torch.equal(*dropped)
    assert 0 < float(dropped[0].mean()) < 2


def test_what_networks_draw_is_what_torch_would_have_given_them() -> None:
    dropout, network = nn.Dropout(0.3), parse(SMALL)
    torch.manual_seed(5)
    chance, expected = Chance([stream(CPU)]), dropout(torch.ones(40))
    with chance:
        assert torch.equal(dropout(torch.ones(40)), expected)
    torch.manual_seed(5)
    inputs, _ = some_clips(network, 3)
    learner = Network(network, 3).train()
    torch.manual_seed(6)
    chance = Chance([stream(CPU)])
    alone: ModelOutput = learner(*inputs.values())
    with chance:
        assert torch.equal(learner(*inputs.values()).logits, alone.logits)
