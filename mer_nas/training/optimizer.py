"""Steps of AdamW, Adam, or SGD with Nesterov momentum, by torch's own functions.

The classes that torch has around them import its compiler, which takes a process longer than its
first fold, and look at each weight anew in every step.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from mer_nas.training.config import TrainerConfig


class _Weight(NamedTuple):
    """A weight, and what the optimizer remembers of it."""

    value: Tensor
    mean: Tensor
    """Running mean of its gradients; with SGD, their momentum."""
    square: Tensor
    """Running mean of their squares."""
    steps: Tensor
    """How many steps it has taken."""


def lr_share(weight: Tensor) -> float:
    """Return the learning rate of a weight in those of the recipe; less for pretrained ones."""
    return float(getattr(weight, "lr_share", 1.0))


class Optimizer:
    """Follows gradients; a weight without one stays as it is.

    Args:
        weights: Each with whether it is decayed.
        trainer: The recipe.
    """

    def __init__(self, weights: Iterable[tuple[Tensor, bool]], trainer: TrainerConfig) -> None:
        self.trainer = trainer
        self.weights: list[Tensor] = []
        self.groups: dict[tuple[float, float], list[_Weight]] = {
            (trainer.weight_decay, 1.0): [],
            (0.0, 1.0): [],
        }
        """By decay, and by their share of the learning rate."""
        for value, decays in weights:
            self.weights.append(value)
            zeros = torch.zeros_like(value)
            weight = _Weight(value, zeros, zeros.clone(), zeros.new_zeros(()))
            group = (trainer.weight_decay if decays else 0.0, lr_share(value))
            self.groups.setdefault(group, []).append(weight)

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Clip the gradients, go a step along them, and let go of them.

        Args:
            lr: Learning rate of the step.
        """
        if self.trainer.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.weights, self.trainer.clip_norm)
        for (decay, share), group in self.groups.items():
            moved = [weight for weight in group if weight.value.grad is not None]
            self._advance(moved, lr * share, decay)
        for value in self.weights:
            value.grad = None

    def _advance(self, group: list[_Weight], lr: float, decay: float) -> None:
        values = [weight.value for weight in group]
        gradients = [value.grad for value in values if value.grad is not None]
        means = [weight.mean for weight in group]
        if self.trainer.optimizer == "sgd":
            sgd(
                values, gradients, [*means], fused=True, lr=lr, weight_decay=decay,
                momentum=0.9, nesterov=True, dampening=0.0, maximize=False,
            )  # fmt: skip
            return
        squares, steps = [weight.square for weight in group], [weight.steps for weight in group]
        adam(
            values, gradients, means, squares, [], steps, fused=True, lr=lr, weight_decay=decay,
            decoupled_weight_decay=self.trainer.optimizer == "adamw",
            beta1=0.9, beta2=0.999, eps=1e-8, amsgrad=False, maximize=False,
        )  # fmt: skip
