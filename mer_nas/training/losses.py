"""What training minimises: the class loss, and losses of what auxiliary heads say.

Shapes speak of N clips of a fold, B of them in a batch, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from mer_nas.architectures import ModelOutput
from mer_nas.training.config import TrainerConfig
from mer_nas.training.own_losses import own_loss

_MAX_UNIT_WEIGHT = 10.0
"""Most that a clip with an action unit may weigh, a clip without it weighing 1."""


@dataclass(frozen=True)
class Targets:
    """What is known of the clips of a fold, on the device where they are learned."""

    labels: Tensor
    """(N,), the class."""
    action_units: Tensor | None = None
    """(N, 12): 1 where the unit was seen, else 0, NaN where nobody looked; None: not learned."""

    def at(self, clips: Tensor) -> "Targets":
        """Return what is known of some clips, by place."""
        units = self.action_units
        return Targets(self.labels[clips], None if units is None else units[clips])


class Rarity(NamedTuple):
    """By what the clips of a fold are weighed; the same in every step."""

    classes: Tensor
    """(K,), the inverse of each class's share of the fold."""
    units: Tensor | None = None
    """(12,), what a clip with an action unit weighs, a clip without it weighing 1."""

    @classmethod
    def of(cls, fold: Targets, classes: int) -> "Rarity":
        """Return that of a fold.

        A class that it lacks is never a target; its number only must not be infinite.
        """
        # Not bincount, whose size the data decide: a GPU would have to be waited for.
        count = functional.one_hot(fold.labels, classes).sum(0)
        rarity = len(fold.labels) / count.clamp(min=1)
        return cls(rarity, None if fold.action_units is None else _unit_weights(fold.action_units))


class TrainingLoss:
    """The loss of a batch.

    Args:
        targets: Of the whole fold, whose shares decide weights.
        trainer: The recipe.
        weights: Of the losses beside the class loss, by name; one that is not named counts 1.
    """

    def __init__(
        self, targets: Targets, trainer: TrainerConfig, weights: Mapping[str, float]
    ) -> None:
        self.targets, self.trainer, self.weights = targets, trainer, weights
        self._rarity: Rarity | None = None

    def __call__(
        self, output: ModelOutput, batch: Tensor, other: Tensor | None = None, share: float = 1.0
    ) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            output: What the network says of it.
            batch: (B,), places of its clips in the fold.
            other: (B,), places of the clips that they are blended with, if they are.
            share: Share of the former.
        """
        if self._rarity is None:
            self._rarity = Rarity.of(self.targets, output.logits.shape[-1])
        asked = self.targets.at(batch)
        blended = None if other is None else self.targets.at(other)
        return self.of(output, self._rarity, asked, blended, share)

    def of(
        self,
        output: ModelOutput,
        rarity: Rarity,
        asked: Targets,
        blended: Targets | None = None,
        share: float | Tensor = 1.0,
    ) -> Tensor:
        """Return the loss of a batch, a scalar, of values that are all passed in.

        Args:
            output: What the network says of it.
            rarity: Of the fold.
            asked: What is known of its clips.
            blended: And of those that they are blended with, if they are.
            share: Share of the former.
        """
        loss = self._answers(output, asked, rarity)
        if blended is not None:
            loss = share * loss + (1 - share) * self._answers(output, blended, rarity)
        for name, value in output.losses.items():
            loss = loss + self.weights.get(name, 1.0) * value
        return loss

    def _answers(self, output: ModelOutput, asked: Targets, rarity: Rarity) -> Tensor:
        loss = _class_loss(output.logits, asked.labels, rarity.classes, self.trainer)
        for name, answer in output.auxiliary_logits.items():
            if name == "au":
                assert asked.action_units is not None, "action units are learned, but not loaded"
                assert rarity.units is not None
                own = _action_unit_loss(answer, asked.action_units, rarity.units)
            else:
                own = _class_loss(answer, asked.labels, rarity.classes, self.trainer)
            loss = loss + self.weights.get(name, 1.0) * own
        return loss


def _class_loss(logits: Tensor, target: Tensor, rarity: Tensor, trainer: TrainerConfig) -> Tensor:
    """Return the loss of a batch's classes, a scalar.

    Args:
        logits: (B, K).
        target: (B,).
        rarity: (K,), of the classes in the fold, by which they are weighed.
        trainer: Which loss.
    """
    smoothing, rarity = trainer.label_smoothing, rarity.to(logits.dtype)
    match trainer.loss:
        case "ce":
            return functional.cross_entropy(logits, target, label_smoothing=smoothing)
        case "weighted_ce":
            return functional.cross_entropy(
                logits, target, weight=rarity, label_smoothing=smoothing
            )
        case "focal":
            return _focal_loss(logits, target, trainer.focal_power, smoothing)
        case "logit_adjusted":
            # Menon et al. 2021 (arXiv:2007.07314), eq. 10.
            adjusted = logits - trainer.prior_power * rarity.log()
            return functional.cross_entropy(adjusted, target, label_smoothing=smoothing)
        case name:
            return own_loss(name, logits, target, rarity)


def _focal_loss(logits: Tensor, target: Tensor, power: float, smoothing: float = 0.0) -> Tensor:
    """Return the mean of -(1 - p)^power log p over the clips, p being that of the target.

    With smoothing, the target is spread over the classes and the terms add up by its shares.

    Source: Lin et al. 2017 (arXiv:1708.02002), without class weights.
    """
    log = logits.log_softmax(-1)
    # A power below 1 has an infinite slope at 0, which is where p has been rounded to 1.
    unsure = (1 - log.exp()).clamp(min=torch.finfo(log.dtype).tiny)
    wanted = functional.one_hot(target, logits.shape[-1]).to(log)
    wanted = (1 - smoothing) * wanted + smoothing / logits.shape[-1]
    return -(wanted * unsure**power * log).sum(-1).mean()


def _action_unit_loss(answers: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over what is annotated, 0 where nothing is.

    Args:
        answers: (B, 12), logits.
        wanted: (B, 12), 0, 1 or NaN.
        weight: (12,), of a clip that has the unit.
    """
    known = ~wanted.isnan()
    losses = functional.binary_cross_entropy_with_logits(
        answers, wanted.nan_to_num(0.0), pos_weight=weight, reduction="none"
    )
    return (losses * known).sum() / known.sum().clamp(min=1)


def _unit_weights(fold: Tensor) -> Tensor:
    """Return what a clip with each action unit weighs, (12,).

    Each unit is weighed up where the fold has it rarely: a clip with it by the clips without over
    those with it, at most ten times.

    Args:
        fold: (N, 12), of the whole fold.
    """
    seen = fold.nansum(0)
    absent = (~fold.isnan()).sum(0) - seen
    # Without a clip that has the unit, any weight does.
    return (absent / seen.clamp(min=0.5)).clamp(max=_MAX_UNIT_WEIGHT)
