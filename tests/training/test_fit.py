"""Training one network on the clips of one fold."""

import inspect
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mer_nas.architectures import ModelOutput
from mer_nas.config.base import validate
from mer_nas.errors import ConfigError
from mer_nas.inputs import FLOW
from mer_nas.training.config import Augmentation, TrainerConfig
from mer_nas.training.fit import TrainingDiverged, fit, pick_device, predict_proba
from mer_nas.training.losses import Targets
from mer_nas.training.optimizer import Optimizer
from mer_nas.training.weights import EpochWeights


class Linear(nn.Module):
    """The smallest network, with an auxiliary loss that pulls its bias."""

    def __init__(self, extra: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = nn.BatchNorm2d(3)
        self.last = nn.Linear(3 * 4 * 4, 2)
        self.position = nn.Parameter(torch.zeros(3, 4, 4))
        self.extra = extra

    def forward(self, clips: Tensor) -> ModelOutput | Tensor:
        logits = self.last((self.norm(clips) + self.position).flatten(1))
        if not self.training:
            return logits
        return ModelOutput(logits, {"pull": self.last.bias.square().sum()} if self.extra else {})


class Remembering(Linear):
    """Remembers the batches that it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Tensor] = []

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]

    def forward(self, clips: Tensor) -> ModelOutput | Tensor:
        self.batches.append(clips)
        return super().forward(clips)


class WithUnits(Linear):
    """Says something about action units as well."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.Linear(3 * 4 * 4, 12)

    def forward(self, clips: Tensor) -> ModelOutput | Tensor:
        said = super().forward(clips)
        if isinstance(said, Tensor):
            return said
        return said._replace(auxiliary_logits={"au": self.units(clips.flatten(1))})


Clips = tuple[dict[str, Tensor], Targets]


@pytest.fixture
def clips() -> Clips:
    """Twenty clips whose class is the sign of their vertical flow."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20) % 2
    flow = torch.randn(20, 3, 4, 4, generator=generator)
    flow[:, 1] += 2.0 * labels[:, None, None] - 1.0
    return {FLOW: flow}, Targets(labels)


RECIPE = TrainerConfig.model_validate(
    {"epochs": 20, "batch": 8, "lr": 0.02, "augment": {"shift": 1}}
)


def test_a_fold_is_learned(clips: Clips) -> None:
    network = Linear()
    losses = fit(network, *clips, RECIPE, seed=1)
    assert len(losses) == 20
    assert losses[-1] < losses[0] / 2
    assert predict_proba(network, clips[0]).argmax(1).tolist() == clips[1].labels.tolist()


def test_the_held_out_clips_are_no_argument_of_fit() -> None:
    assert list(inspect.signature(fit).parameters) == [
        "network", "inputs", "targets", "trainer", "seed", "auxiliary", "on_epoch",
    ]  # fmt: skip


def test_one_seed_gives_one_network(clips: Clips) -> None:
    found = []
    for seed in (1, 1, 2):
        network = Linear()
        fit(network, *clips, RECIPE, seed=seed)
        found.append(predict_proba(network, clips[0]).tolist())
    assert found[0] == found[1] != found[2]


def test_an_observer_is_shown_every_epoch_and_changes_nothing(clips: Clips) -> None:
    shown: list[tuple[int, float]] = []
    watched, alone = Linear(), Linear()
    weights = EpochWeights(20)

    def observe(epoch: int, network: nn.Module) -> None:
        assert network is watched
        shown.append((epoch, float(watched.last.bias[0].detach())))
        weights.keep(epoch, network)

    assert fit(watched, *clips, RECIPE, 1, on_epoch=observe) == fit(alone, *clips, RECIPE, 1)
    assert [epoch for epoch, _ in shown] == list(range(1, 21))
    assert len({bias for _, bias in shown}) == 20
    for one, other in zip(watched.parameters(), alone.parameters(), strict=True):
        assert torch.equal(one, other)


def test_an_auxiliary_loss_counts_with_its_weight(
    clips: Clips,
) -> None:
    heights = []
    for weight in (0.0, 100.0):
        network = Linear(extra=1.0)
        nn.init.ones_(network.last.bias)
        fit(network, *clips, RECIPE, seed=1, auxiliary={"pull": weight})
        heights.append(network.last.bias.abs().max().item())
    assert heights[1] < heights[0] / 2


def test_a_loss_that_is_no_number_is_a_failure_that_says_where(
    clips: Clips,
) -> None:
    inputs = {FLOW: clips[0][FLOW] * math.nan}
    with pytest.raises(TrainingDiverged) as failed:
        fit(Linear(), inputs, clips[1], RECIPE, seed=1)
    assert str(failed.value) == "the loss is nan in epoch 1 of 20 (trainer.lr=0.02)"


def test_probabilities_are_float64_and_sum_to_one(
    clips: Clips,
) -> None:
    found = predict_proba(Linear(), clips[0])
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-12)


def test_predictions_do_not_depend_on_the_other_clips(
    clips: Clips,
) -> None:
    network = Linear()
    alone = predict_proba(network, {FLOW: clips[0][FLOW][:1]})
    np.testing.assert_allclose(predict_proba(network, clips[0])[:1], alone, atol=1e-6)
    np.testing.assert_allclose(predict_proba(network, clips[0], batch=3)[:1], alone, atol=1e-6)


def batches(count: int, size: int, epochs: int = 1) -> list[list[int]]:
    """Return the clips of each batch that training meets, by their numbers."""
    trainer = TrainerConfig(batch=size, epochs=epochs, augment=Augmentation(flip=False, shift=0))
    clips = torch.arange(float(count)).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()
    network = Remembering()
    fit(network, {FLOW: clips}, Targets(torch.arange(count) % 2), trainer, seed=0)
    for batch in network.batches:
        assert torch.equal(batch.amin((1, 2, 3)), batch.amax((1, 2, 3)))  # nothing is changed
    return [batch[:, 0, 0, 0].int().tolist() for batch in network.batches]


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [(8, 4, [4, 4]), (9, 4, [4, 4]), (10, 4, [4, 4, 2]), (2, 1, [1, 1])],
)
def test_a_last_batch_of_one_clip_is_left_out(count: int, size: int, sizes: list[int]) -> None:
    found = batches(count, size)
    assert [len(batch) for batch in found] == sizes
    assert len({clip for batch in found for clip in batch}) == sum(sizes)


def test_every_epoch_is_shuffled_anew() -> None:
    found = batches(20, 5, epochs=2)
    assert len(found) == 8
    first, second = ([clip for batch in each for clip in batch] for each in (found[:4], found[4:]))
    assert first != second
    assert sorted(first) == sorted(second) == list(range(20))


def test_the_rate_rises_to_its_peak_and_falls_along_a_cosine() -> None:
    trainer = TrainerConfig(warmup=0.2, epochs=None, steps=100)
    rates = [trainer.lr_factor(step, clips=20) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 20)
    assert rates[19] == rates[20] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert 0 < rates[99] < 0.001
    constant = trainer.model_copy(update={"schedule": "constant"})
    assert constant.lr_factor(99, clips=20) == 1.0


def test_the_rate_falls_by_its_factor_after_every_so_many_epochs() -> None:
    # dual's recipe: 90 epochs, times 0.1 every 30; here with 2 steps an epoch.
    trainer = TrainerConfig(
        schedule="step", step_every=30, step_factor=0.1, warmup=0, epochs=90, batch=10
    )
    rates = [trainer.lr_factor(step, clips=20) for step in range(180)]
    assert rates == pytest.approx([1.0] * 60 + [0.1] * 60 + [0.01] * 60)


def test_training_can_be_as_long_as_a_number_of_steps(clips: Clips) -> None:
    # 20 clips in batches of 8 are 3 steps an epoch, the last of 4 clips; 7 steps are 2 1/3 epochs.
    trainer = RECIPE.model_copy(update={"epochs": None, "steps": 7})
    seen = Remembering()
    losses = fit(seen, *clips, trainer, seed=1)
    assert seen.sizes == [8, 8, 4, 8, 8, 4, 8]
    assert len(losses) == trainer.epochs_for(20) == 3
    assert RECIPE.epochs_for(20) == 20


def test_a_step_more_or_less_leaves_the_first_ones_as_they_are(clips: Clips) -> None:
    steady = {"schedule": "constant", "warmup": 0.0, "epochs": None}
    short, long = (
        fit(Linear(), *clips, RECIPE.model_copy(update={**steady, "steps": steps}), seed=1)
        for steps in (6, 7)
    )
    assert long[:2] == short


@pytest.mark.parametrize(
    ("epochs", "steps", "message"),
    [
        (8, 500, "epochs 8 and steps 500; a number for one of them and null for the other"),
        (None, None, "neither epochs nor steps; a number for one of them and null for the other"),
    ],
)
def test_a_recipe_has_one_length(epochs: int | None, steps: int | None, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        validate(TrainerConfig, {"epochs": epochs, "steps": steps}, "trainer")
    assert str(refused.value) == f"trainer: {message}"


def test_how_many_clips_training_goes_through_is_known_beforehand() -> None:
    assert TrainerConfig(epochs=20).visits(300, folds=4) == 6000
    assert TrainerConfig(epochs=None, steps=500, batch=36).visits(300, folds=4) == 4 * 500 * 36


def test_a_network_learns_action_units_besides_the_class(clips: Clips) -> None:
    inputs, known = clips
    units = torch.full((20, 12), math.nan)
    units[:15, 0] = (inputs[FLOW][:15, 0].mean((1, 2)) > 0).float()  # of what the class is not
    network = WithUnits()
    trainer = RECIPE.model_copy(update={"augment": Augmentation(flip=False, shift=0)})
    fit(network, inputs, Targets(known.labels, units), trainer, seed=1, auxiliary={"au": 1.0})
    found = network(inputs[FLOW]).auxiliary_logits["au"][:15, 0] > 0
    assert (found == (units[:15, 0] > 0.5)).float().mean() > 0.85


def test_blended_clips_are_learned_too(clips: Clips) -> None:
    trainer = RECIPE.model_copy(update={"augment": Augmentation(flip=False, shift=0, mixup=0.2)})
    network = Linear()
    losses = fit(network, *clips, trainer, seed=1)
    assert losses[-1] < losses[0]
    assert predict_proba(network, clips[0]).argmax(1).tolist() == clips[1].labels.tolist()


class Indifferent(nn.Module):
    """Answers the same whatever its weights are, so that nothing but decay changes them."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.last = nn.Linear(3, 2)
        for table in ("position", "time", "classes"):
            self.register_parameter(table, nn.Parameter(torch.ones(4, 5)))

    def forward(self, clips: Tensor) -> ModelOutput:
        every = sum(parameter.sum() for parameter in self.parameters())
        return ModelOutput(torch.zeros(len(clips), 2) + 0 * every)


def test_biases_norms_and_tables_are_not_decayed(clips: Clips) -> None:
    network = Indifferent()
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    recipe = {"epochs": 1, "batch": 10, "lr": 0.5, "weight_decay": 0.1, "warmup": 0.0}
    trainer = TrainerConfig.model_validate({**recipe, "schedule": "constant"})
    fit(network, *clips, trainer, seed=1)
    for name, weight in network.named_parameters():
        share = (1 - 0.5 * 0.1) ** 2 if name == "last.weight" else 1.0  # in each of two steps
        torch.testing.assert_close(weight, share * before[name])


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_every_optimizer_learns(name: str, clips: Clips) -> None:
    losses = fit(Linear(), *clips, RECIPE.model_copy(update={"optimizer": name}), seed=1)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_a_step_is_that_of_the_classes_of_torch(name: str) -> None:
    trainer = TrainerConfig.model_validate({"optimizer": name, "clip_norm": 0.5})
    ours, theirs = ([nn.Parameter(torch.linspace(-1, 1, n)) for n in (3, 4, 5)] for _ in range(2))
    optimizer = Optimizer(zip(ours, [True, False, True], strict=True), trainer)
    groups = [
        {"params": [theirs[0], theirs[2]], "weight_decay": trainer.weight_decay},
        {"params": [theirs[1]], "weight_decay": 0.0},
    ]
    more = {"momentum": 0.9, "nesterov": True} if name == "sgd" else {}
    known = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}[name]
    torchs = known(groups, lr=1.0, fused=True, **more)
    for step in range(1, 6):
        for weights in (ours, theirs):
            for weight in weights[: 2 if step == 3 else 3]:  # one is left out for once
                weight.grad = step * weight.detach() + 1
        optimizer.step(0.1 / step)
        for group in torchs.param_groups:
            group["lr"] = 0.1 / step
        nn.utils.clip_grad_norm_(theirs, 0.5)
        torchs.step()
        torchs.zero_grad()
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
        assert all(weight.grad is None for weight in ours)


def test_a_device_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.device: 'cuda:99' is no device .*auto, cpu"):
        pick_device("cuda:99")
    with pytest.raises(ConfigError, match=r"trainer\.device: 'gpu' is no device"):
        pick_device("gpu")
