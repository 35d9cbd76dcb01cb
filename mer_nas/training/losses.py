"""What training minimises: the class loss, and losses of what auxiliary heads say.

Shapes speak of N clips of a fold, B of them in a batch, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from mer_nas.architectures import ModelOutput
from mer_nas.training.config import TrainerConfig

_MAX_UNIT_WEIGHT = 10.0
"""Most that a clip with an action unit may weigh, a clip without it weighing 1."""


@dataclass(frozen=True)
class Targets:
    """What is known of the clips of a fold, on the device where they are learned."""

    labels: Tensor
    """(N,), the class."""
    action_units: Tensor | None = None
    """(N, 12): 1 where the unit was seen, else 0, NaN where nobody looked; None: not learned."""


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
        loss = self._answers(output, batch)
        if other is not None:
            loss = share * loss + (1 - share) * self._answers(output, other)
        for name, value in output.losses.items():
            loss = loss + self.weights.get(name, 1.0) * value
        return loss

    def _answers(self, output: ModelOutput, batch: Tensor) -> Tensor:
        labels, units = self.targets.labels, self.targets.action_units
        loss = _class_loss(output.logits, labels[batch], labels, self.trainer)
        for name, answer in output.auxiliary_logits.items():
            if name == "au":
                assert units is not None, "action units are learned, but not loaded"
                own = _action_unit_loss(answer, units[batch], units)
            else:
                own = _class_loss(answer, labels[batch], labels, self.trainer)
            loss = loss + self.weights.get(name, 1.0) * own
        return loss


def _class_loss(logits: Tensor, target: Tensor, labels: Tensor, trainer: TrainerConfig) -> Tensor:
    """Return the loss of a batch's classes, a scalar.

    Args:
        logits: (B, K).
        target: (B,).
        labels: (N,), the classes of the fold, by whose shares classes are weighed.
        trainer: Which loss.
    """
    smoothing = trainer.label_smoothing
    match trainer.loss:
        case "ce":
            return functional.cross_entropy(logits, target, label_smoothing=smoothing)
        case "weighted_ce":
            weight = _rarity(labels, logits)
            return functional.cross_entropy(
                logits, target, weight=weight, label_smoothing=smoothing
            )
        case "focal":
            return _focal_loss(logits, target, trainer.focal_power, smoothing)
        case "logit_adjusted":
            # Menon et al. 2021 (arXiv:2007.07314), eq. 10.
            adjusted = logits - trainer.prior_power * _rarity(labels, logits).log()
            return functional.cross_entropy(adjusted, target, label_smoothing=smoothing)


def _focal_loss(logits: Tensor, target: Tensor, power: float, smoothing: float = 0.0) -> Tensor:
    """Return the mean of -(1 - p)^power log p over the clips, p being that of the target.

    With smoothing, the target is spread over the classes and the terms add up by its shares.

    Source: Lin et al. 2017 (arXiv:1708.02002), without class weights.
    """
    log = logits.log_softmax(-1)
    wanted = functional.one_hot(target, logits.shape[-1]).to(log)
    wanted = (1 - smoothing) * wanted + smoothing / logits.shape[-1]
    return -(wanted * (1 - log.exp()) ** power * log).sum(-1).mean()


def _action_unit_loss(answers: Tensor, wanted: Tensor, fold: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over what is annotated, 0 where nothing is.

    Each unit is weighed up where the fold has it rarely: a clip with it by the clips without over
    those with it, at most ten times.

    Args:
        answers: (B, 12), logits.
        wanted: (B, 12), 0, 1 or NaN.
        fold: (N, 12), of the whole fold.
    """
    known = ~wanted.isnan()
    seen = fold.nansum(0)
    absent = (~fold.isnan()).sum(0) - seen
    # Without a clip that has the unit, any weight does.
    weight = (absent / seen.clamp(min=0.5)).clamp(max=_MAX_UNIT_WEIGHT)
    losses = functional.binary_cross_entropy_with_logits(
        answers, wanted.nan_to_num(0.0), pos_weight=weight, reduction="none"
    )
    return (losses * known).sum() / known.sum().clamp(min=1)


def _rarity(labels: Tensor, like: Tensor) -> Tensor:
    """Return the inverse of each class's share of the fold, (K,), of the type of `like`."""
    # Not bincount, whose size the data decide: the GPU would be waited for in each step.
    count = functional.one_hot(labels, like.shape[-1]).sum(0)
    # A class that the fold lacks is never a target; its number only must not be infinite.
    return (len(labels) / count.clamp(min=1)).to(like.dtype)
