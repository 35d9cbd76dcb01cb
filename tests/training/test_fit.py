"""Training one network on the clips of one fold."""

import inspect
import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mer_nas.data.clips import FLOW
from mer_nas.errors import ConfigError
from mer_nas.training.config import TrainerConfig
from mer_nas.training.device import pick_device
from mer_nas.training.fit import (
    TrainingDiverged,
    batches,
    build_optimizer,
    class_loss,
    course,
    fit,
    predict,
)


class Output(NamedTuple):
    logits: Tensor
    losses: dict[str, Tensor]


class Linear(nn.Module):
    """The smallest network, with an auxiliary loss that pulls its bias."""

    def __init__(self, extra: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = nn.BatchNorm2d(3)
        self.last = nn.Linear(3 * 4 * 4, 2)
        self.position = nn.Parameter(torch.zeros(3, 4, 4))
        self.extra = extra

    def forward(self, clips: Tensor) -> Output:
        logits = self.last((self.norm(clips) + self.position).flatten(1))
        return Output(logits, {"pull": self.last.bias.square().sum()} if self.extra else {})


@pytest.fixture
def clips() -> tuple[dict[str, Tensor], Tensor]:
    """Twenty clips whose class is the sign of their vertical flow."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20) % 2
    flow = torch.randn(20, 3, 4, 4, generator=generator)
    flow[:, 1] += 2.0 * labels[:, None, None] - 1.0
    return {FLOW: flow}, labels


RECIPE = TrainerConfig.model_validate(
    {"epochs": 20, "batch": 8, "lr": 0.02, "augment": {"shift": 1}}
)


def test_a_fold_is_learned(clips: tuple[dict[str, Tensor], Tensor]) -> None:
    network = Linear()
    losses = fit(network, *clips, RECIPE, seed=1)
    assert len(losses) == 20
    assert losses[-1] < losses[0] / 2
    assert predict(network, clips[0]).argmax(1).tolist() == clips[1].tolist()


def test_the_held_out_clips_are_no_argument_of_fit() -> None:
    assert list(inspect.signature(fit).parameters) == [
        "network", "inputs", "labels", "trainer", "seed", "auxiliary",
    ]  # fmt: skip


def test_one_seed_gives_one_network(clips: tuple[dict[str, Tensor], Tensor]) -> None:
    found = []
    for seed in (1, 1, 2):
        network = Linear()
        fit(network, *clips, RECIPE, seed=seed)
        found.append(predict(network, clips[0]).tolist())
    assert found[0] == found[1] != found[2]


def test_an_auxiliary_loss_counts_with_its_weight(
    clips: tuple[dict[str, Tensor], Tensor],
) -> None:
    heights = []
    for weight in (0.0, 100.0):
        network = Linear(extra=1.0)
        nn.init.ones_(network.last.bias)
        fit(network, *clips, RECIPE, seed=1, auxiliary={"pull": weight})
        heights.append(network.last.bias.abs().max().item())
    assert heights[1] < heights[0] / 2


def test_a_loss_that_is_no_number_is_a_failure_that_says_where(
    clips: tuple[dict[str, Tensor], Tensor],
) -> None:
    inputs = {FLOW: clips[0][FLOW] * math.nan}
    with pytest.raises(TrainingDiverged) as failed:
        fit(Linear(), inputs, clips[1], RECIPE, seed=1)
    assert str(failed.value) == "the loss is nan in epoch 1 of 20 (trainer.lr=0.02)"


def test_probabilities_are_float64_and_sum_to_one(
    clips: tuple[dict[str, Tensor], Tensor],
) -> None:
    found = predict(Linear(), clips[0])
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-12)


def test_predictions_do_not_depend_on_the_other_clips(
    clips: tuple[dict[str, Tensor], Tensor],
) -> None:
    network = Linear()
    alone = predict(network, {FLOW: clips[0][FLOW][:1]})
    np.testing.assert_allclose(predict(network, clips[0])[:1], alone, atol=1e-6)
    np.testing.assert_allclose(predict(network, clips[0], batch=3)[:1], alone, atol=1e-6)


@pytest.mark.parametrize(
    ("count", "size", "sizes"), [(8, 4, [4, 4]), (9, 4, [4, 4]), (10, 4, [4, 4, 2])]
)
def test_a_last_batch_of_one_clip_is_left_out(count: int, size: int, sizes: list[int]) -> None:
    found = batches(count, size, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in found] == sizes
    assert len(set(torch.cat(found).tolist())) == sum(sizes)


def test_every_epoch_is_shuffled_anew() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.cat(batches(20, 5, generator)).tolist() for _ in range(2))
    assert first != second
    assert sorted(first) == sorted(second) == list(range(20))


def test_the_rate_rises_to_its_peak_and_falls_along_a_cosine() -> None:
    trainer = TrainerConfig(warmup=0.2)
    rates = [course(step, 100, trainer) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 20)
    assert rates[19] == rates[20] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert 0 < rates[99] < 0.001
    assert course(99, 100, TrainerConfig(schedule="constant")) == 1.0


def test_a_rare_class_weighs_as_much_as_a_frequent_one() -> None:
    # Logits of zero: every clip loses log 2; the mean weighs a clip of the rare class three times.
    labels = torch.tensor([0, 0, 0, 1])
    logits = torch.tensor([[0.0, 0.0], [2.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    small = math.log(1 + math.exp(-2))
    weights = [4 / 3, 4 / 3, 4 / 3, 4.0]
    losses = [math.log(2), small, small, math.log(2)]
    expected = sum(w * x for w, x in zip(weights, losses, strict=True)) / sum(weights)
    found = class_loss(logits, labels, labels, TrainerConfig())
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_a_class_that_a_fold_lacks_does_not_disturb_the_others() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    assert class_loss(torch.zeros(4, 3), labels, labels, TrainerConfig()).item() == pytest.approx(
        math.log(3)
    )


def test_biases_norms_and_position_tables_are_not_decayed() -> None:
    network = Linear()
    decayed, others = build_optimizer(network, TrainerConfig(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert [id(p) for p in decayed["params"]] == [id(network.last.weight)]
    assert len(others["params"]) == 4


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_every_optimizer_learns(name: str, clips: tuple[dict[str, Tensor], Tensor]) -> None:
    losses = fit(Linear(), *clips, RECIPE.model_copy(update={"optimizer": name}), seed=1)
    assert losses[-1] < losses[0]


def test_a_device_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.device: 'cuda:99' is no device .*auto, cpu"):
        pick_device("cuda:99")
    with pytest.raises(ConfigError, match=r"trainer\.device: 'gpu' is no device"):
        pick_device("gpu")
