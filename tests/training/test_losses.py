"""Losses, worked out by hand."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mer_nas.architectures import ModelOutput
from mer_nas.training.config import TrainerConfig
from mer_nas.training.losses import Targets, TrainingLoss


def class_loss(logits: Tensor, target: Tensor, labels: Tensor, trainer: TrainerConfig) -> Tensor:
    """Return the loss of clips that have these classes, in a fold whose clips have `labels`."""
    batch = torch.stack([(labels == wanted).nonzero()[0, 0] for wanted in target])
    return TrainingLoss(Targets(labels), trainer, {})(ModelOutput(logits), batch)


def action_unit_loss(answers: Tensor, fold: Tensor, batch: Tensor) -> Tensor:
    """Return what the answers about action units of a batch add to a class loss that is 0.

    The fold is known by its action units; its clips are all of the one class there is.
    """
    targets = Targets(torch.zeros(len(fold), dtype=torch.long), fold)
    said = ModelOutput(torch.zeros(len(batch), 1), {}, {"au": answers})
    return TrainingLoss(targets, TrainerConfig(loss="ce"), {})(said, batch)


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


def test_focal_loss_of_two_clips_by_hand() -> None:
    # Of probabilities 0.8 and 0.5 for the right class: (0.2^2 * -ln 0.8 + 0.5^2 * -ln 0.5) / 2.
    logits = torch.tensor([[math.log(4), 0.0], [0.0, 0.0]])
    expected = (0.04 * -math.log(0.8) + 0.25 * -math.log(0.5)) / 2
    target, trainer = torch.tensor([0, 1]), TrainerConfig(loss="focal", focal_power=2.0)
    found = class_loss(logits, target, target, trainer)
    assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_focal_loss_of_a_clip_that_is_surely_told_wrong_pulls_as_cross_entropy(
    power: float,
) -> None:
    # Of e^-18 for the right class: 1 - p is 1, and the slopes are p - 1 there and p elsewhere.
    # What is told instead has 1 - 2e-18 in truth, and 1 in float32.
    logits = torch.tensor([[18.0, 0.0, 0.0]], requires_grad=True)
    target, trainer = torch.tensor([1]), TrainerConfig(loss="focal", focal_power=power)
    class_loss(logits, target, target, trainer).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([1, -1, math.exp(-18)], rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_without_focus_or_adjustment_both_are_cross_entropy(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(9, 3, generator=generator)
    labels = torch.arange(9) % 3
    plain = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    for settings in (
        {"loss": "focal", "focal_power": 0},
        {"loss": "logit_adjusted", "prior_power": 0},
    ):
        trainer = TrainerConfig.model_validate({**settings, "label_smoothing": smoothing})
        torch.testing.assert_close(class_loss(logits, labels, labels, trainer), plain)


def test_logit_adjustment_of_one_clip_by_hand() -> None:
    # Shares 3/4 and 1/4; equal logits become ln 3/4 and ln 1/4, and so the probabilities.
    labels = torch.tensor([0, 0, 0, 1])
    trainer = TrainerConfig(loss="logit_adjusted")
    for target, share in ((0, 3 / 4), (1, 1 / 4)):
        found = class_loss(torch.zeros(1, 2), torch.tensor([target]), labels, trainer)
        assert found.item() == pytest.approx(-math.log(share), rel=1e-6)


def test_rare_action_units_weigh_more_but_at_most_ten_times() -> None:
    # Unit 0: 1 of 4 clips has it, weight 3. Unit 1: 1 of 40, weight 10, not 39.
    fold = torch.zeros(40, 2)
    fold[0] = 1
    fold[4:, 0] = math.nan
    both = action_unit_loss(torch.zeros(1, 2), fold, torch.tensor([0]))
    assert both.item() == pytest.approx((3 + 10) / 2 * math.log(2), rel=1e-6)
    neither = action_unit_loss(torch.zeros(1, 2), fold, torch.tensor([1]))
    assert neither.item() == pytest.approx(math.log(2), rel=1e-6)


def test_a_clip_that_nobody_annotated_gives_no_gradient() -> None:
    answers = torch.zeros(2, 12, requires_grad=True)
    fold = torch.stack([torch.ones(12), torch.full((12,), math.nan), torch.zeros(12)])
    fold[0, 3] = math.nan
    action_unit_loss(answers, fold, torch.tensor([0, 1])).backward()  # type: ignore[no-untyped-call]
    assert answers.grad is not None
    assert torch.equal(answers.grad[1], torch.zeros(12))
    assert answers.grad[0, 3] == 0
    assert (answers.grad[0, :3] < 0).all()


def test_a_batch_without_annotations_costs_nothing() -> None:
    answers = torch.randn(3, 12, requires_grad=True)
    fold = torch.cat([torch.full((3, 12), math.nan), torch.ones(5, 12)])
    loss = action_unit_loss(answers, fold, torch.arange(3))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert answers.grad is not None
    assert answers.grad.abs().max() == 0


def test_a_fold_that_lacks_a_unit_altogether_has_a_finite_loss() -> None:
    loss = action_unit_loss(torch.randn(6, 12), torch.zeros(6, 12), torch.arange(6))
    assert math.isfinite(loss.item())


def test_every_loss_counts_with_its_weight() -> None:
    said = ModelOutput(
        torch.zeros(2, 2),
        {"balance": torch.tensor(3.0), "rank": torch.tensor(5.0)},
        {"branch_cls": torch.zeros(2, 2), "au": torch.zeros(2, 12)},
    )
    targets = Targets(torch.tensor([0, 1]), torch.tensor([[0.0] * 12, [1.0] * 12]))
    weights = {"balance": 0.1, "rank": 0.0, "branch_cls": 0.5, "au": 2.0}
    objective = TrainingLoss(targets, TrainerConfig(loss="ce"), weights)
    expected = math.log(2) * (1 + 0.5 + 2.0) + 0.3
    assert objective(said, torch.tensor([0, 1])).item() == pytest.approx(expected, rel=1e-6)


def test_blended_clips_are_asked_for_both_classes_by_their_shares() -> None:
    logits = torch.tensor([[math.log(3), 0.0]])  # probabilities 3/4 and 1/4
    said = ModelOutput(logits, {"balance": torch.tensor(7.0)}, {})
    objective = TrainingLoss(Targets(torch.tensor([0, 1])), TrainerConfig(loss="ce"), {})
    found = objective(said, torch.tensor([0]), torch.tensor([1]), share=0.7)
    expected = -0.7 * math.log(3 / 4) - 0.3 * math.log(1 / 4) + 7.0
    assert found.item() == pytest.approx(expected, rel=1e-6)
