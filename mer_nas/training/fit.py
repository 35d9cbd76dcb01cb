"""Train one network on the clips of one fold, and ask it about others.

The manner is that of cifar10-airbench (github.com/KellerJordan/cifar10-airbench): the clips of a
fold are a few hundred small images, so they lie on the device as one tensor, a batch is an index
into it, and augmentation is a function of a batch. Nothing here can see the held-out clips: they
are no argument, the number of epochs is fixed beforehand, and no epoch is preferred to another.

Shapes speak of N clips, B of them in a batch, K classes.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.training.augment import augment
from mer_nas.training.config import TrainerConfig

Inputs = Mapping[str, Tensor]
"""By name, in the order in which the network takes them, each (N, C, H, W)."""


class TrainingDiverged(RuntimeError):
    """The loss is no longer a number; the candidate has failed, not the program."""


def fit(
    network: nn.Module,
    inputs: Inputs,
    labels: Tensor,
    trainer: TrainerConfig,
    seed: int,
    auxiliary: Mapping[str, float] | None = None,
) -> list[float]:
    """Train `network` in place and return the mean loss of each epoch.

    Args:
        network: Returns logits (B, K) and losses, by name; on the device of `inputs`.
        inputs: The clips to learn from.
        labels: (N,), their classes.
        trainer: The recipe.
        seed: Decides batches and augmentation; dropout and router noise draw from torch itself.
        auxiliary: Weight of each auxiliary loss of the network; one that is not named counts 1.

    Raises:
        TrainingDiverged: A loss is infinite or not a number.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = build_optimizer(network, trainer)
    weights = dict(auxiliary or {})
    steps = trainer.epochs * len(batches(len(labels), trainer.batch, generator=None))
    step = 0
    history: list[float] = []

    network.train()
    for epoch in range(1, trainer.epochs + 1):
        losses: list[Tensor] = []
        for batch in batches(len(labels), trainer.batch, generator):
            rate = trainer.lr * course(step, steps, trainer)
            for group in optimizer.param_groups:
                group["lr"] = rate
            index = batch.to(labels.device)
            seen = {name: clips[index] for name, clips in inputs.items()}
            output = network(*augment(seen, trainer.augment, generator).values())
            loss = class_loss(output.logits, labels[index], labels, trainer)
            for name, value in output.losses.items():
                loss = loss + weights.get(name, 1.0) * value
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if trainer.clip_norm is not None:
                nn.utils.clip_grad_norm_(network.parameters(), trainer.clip_norm)
            optimizer.step()
            losses.append(loss.detach())
            step += 1
        mean = float(torch.stack(losses).mean())  # the one wait for the device in an epoch
        if not math.isfinite(mean):
            raise TrainingDiverged(
                f"the loss is {mean} in epoch {epoch} of {trainer.epochs} "
                f"(trainer.lr={trainer.lr:g})"
            )
        history.append(mean)
    return history


def predict(network: nn.Module, inputs: Inputs, batch: int = 128) -> NDArray[np.float64]:
    """Return the probability that `network` gives each class, (N, K), in eval mode."""
    network.eval()
    (count,) = {len(clips) for clips in inputs.values()}
    with torch.inference_mode():
        logits = [
            network(*(clips[start : start + batch] for clips in inputs.values())).logits
            for start in range(0, count, batch)
        ]
        probabilities = torch.cat(logits).double().softmax(-1)
    result: NDArray[np.float64] = probabilities.cpu().numpy()
    return result


def batches(count: int, size: int, generator: torch.Generator | None) -> list[Tensor]:
    """Return the indices of one epoch's batches, shuffled where there is a generator.

    A last batch of a single clip is left out, because BatchNorm has no variance there.
    """
    order = (
        torch.arange(count) if generator is None else torch.randperm(count, generator=generator)
    )
    return [batch for batch in torch.split(order, size) if len(batch) > 1 or size == 1]


def course(step: int, steps: int, trainer: TrainerConfig) -> float:
    """Return the learning rate of `step` (from 0) as a share of its peak, in (0, 1]."""
    rise = round(trainer.warmup * steps)
    if step < rise:
        return (step + 1) / rise
    if trainer.schedule == "constant":
        return 1.0
    return (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise))) / 2


def class_loss(logits: Tensor, target: Tensor, labels: Tensor, trainer: TrainerConfig) -> Tensor:
    """Return the cross-entropy of a batch; the classes are weighed by the `labels` of the fold."""
    weight = None
    if trainer.loss == "weighted_ce":
        count = torch.bincount(labels, minlength=logits.shape[-1])
        # A class that the fold lacks is never a target; its weight only must not be infinite.
        weight = (len(labels) / count.clamp(min=1)).to(logits.dtype)
    return functional.cross_entropy(
        logits, target, weight=weight, label_smoothing=trainer.label_smoothing
    )


def build_optimizer(network: nn.Module, trainer: TrainerConfig) -> torch.optim.Optimizer:
    """Return the optimizer; only matrices and kernels are decayed."""
    decayed = [p for p, decay in _parameters(network) if decay]
    others = [p for p, decay in _parameters(network) if not decay]
    groups = [
        {"params": decayed, "weight_decay": trainer.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    match trainer.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, lr=trainer.lr)
        case "adam":
            return torch.optim.Adam(groups, lr=trainer.lr)
        case "sgd":
            return torch.optim.SGD(groups, lr=trainer.lr, momentum=0.9, nesterov=True)


def _parameters(network: nn.Module) -> Iterator[tuple[nn.Parameter, bool]]:
    """Yield each trained parameter and whether it is decayed.

    What a layer multiplies its input with is called `weight` and has two axes or more; biases and
    norms have one, and tables (positions, tokens, time) have a name of their own.
    """
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            yield parameter, parameter.ndim > 1 and name.rpartition(".")[2] != "position"
