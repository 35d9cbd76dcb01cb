"""Train one network on the clips of one fold, and ask it about others.

The manner is that of cifar10-airbench (github.com/KellerJordan/cifar10-airbench): the clips of a
fold are a few hundred small images, so they lie on the device as one tensor, a batch is an index
into it, and augmentation is a function of a batch. Nothing here can see the held-out clips: they
are no argument, the number of epochs is fixed beforehand, and no epoch is preferred to another.

Shapes speak of N clips, B of them in a batch, K classes.
"""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mer_nas.training.augment import augment, blend
from mer_nas.training.config import TrainerConfig
from mer_nas.training.objectives import Objective, Targets

Inputs = Mapping[str, Tensor]
"""By name, in the order in which the network takes them, each (N, C, H, W) or (N, T, C, H, W)."""


Observer = Callable[[int, nn.Module], None]
"""Is shown the network after each epoch, counted from 1. It looks, and changes nothing."""


class TrainingDiverged(RuntimeError):
    """The loss is no longer a number; the candidate has failed, not the program."""


def fit(
    network: nn.Module,
    inputs: Inputs,
    targets: Targets,
    trainer: TrainerConfig,
    seed: int,
    auxiliary: Mapping[str, float] | None = None,
    on_epoch: Observer | None = None,
) -> list[float]:
    """Train `network` in place and return the mean loss of each epoch.

    Args:
        network: Gives a `ModelOutput` in training mode; on the device of `inputs`.
        inputs: The clips to learn from.
        targets: What is known of them.
        trainer: The recipe.
        seed: Decides batches and augmentation; dropout and router noise draw from torch itself.
        auxiliary: Weight of each auxiliary loss of the network; one that is not named counts 1.
        on_epoch: Is shown the network as each epoch leaves it.

    Raises:
        TrainingDiverged: A loss is infinite or not a number.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = build_optimizer(network, trainer)
    objective = Objective(targets, trainer, auxiliary or {})
    count = len(targets.labels)
    each = len(batches(count, trainer.batch, generator=None))
    steps, epochs = trainer.length(each), epochs_begun(trainer, count)
    step = 0
    history: list[float] = []

    network.train()
    for epoch in range(1, epochs + 1):
        losses: list[Tensor] = []
        for batch in batches(count, trainer.batch, generator)[: steps - step]:
            rate = trainer.lr * lr_factor(step, steps, trainer, each)
            for group in optimizer.param_groups:
                group["lr"] = rate
            index = batch.to(targets.labels.device)
            seen = {name: clips[index] for name, clips in inputs.items()}
            seen = augment(seen, trainer.augment, generator)
            seen, order, share = blend(seen, trainer.augment.mixup, generator)
            other = None if order is None else index[order]
            loss = objective(network(*seen.values()), index, other, share)
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
                f"the loss is {mean} in epoch {epoch} of {epochs} (trainer.lr={trainer.lr:g})"
            )
        history.append(mean)
        if on_epoch is not None:
            on_epoch(epoch, network)
    return history


def predict(network: nn.Module, inputs: Inputs, batch: int = 128) -> NDArray[np.float64]:
    """Return the probability that `network` gives each class, (N, K), in eval mode."""
    network.eval()
    (count,) = {len(clips) for clips in inputs.values()}
    with torch.inference_mode():
        logits = [
            network(*(clips[start : start + batch] for clips in inputs.values()))
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


def epochs_begun(trainer: TrainerConfig, count: int) -> int:
    """Return how many epochs of `count` clips training takes, the last perhaps not whole."""
    each = len(batches(count, trainer.batch, generator=None))
    return math.ceil(trainer.length(each) / each)


def lr_factor(step: int, steps: int, trainer: TrainerConfig, each: int = 1) -> float:
    """Return the learning rate of a step as a share of its peak, in (0, 1].

    Args:
        step: From 0.
        steps: How many there are.
        trainer: The recipe.
        each: Steps in an epoch.
    """
    rise = round(trainer.warmup * steps)
    if step < rise:
        return (step + 1) / rise
    match trainer.schedule:
        case "constant":
            return 1.0
        case "step":
            return float(trainer.step_factor ** (step // each // trainer.step_every))
        case "cosine":
            return (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise))) / 2


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
            return torch.optim.AdamW(groups, lr=trainer.lr, fused=True)
        case "adam":
            return torch.optim.Adam(groups, lr=trainer.lr, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr=trainer.lr, momentum=0.9, nesterov=True, fused=True)


def _parameters(network: nn.Module) -> Iterator[tuple[nn.Parameter, bool]]:
    """Yield each trained parameter and whether it is decayed.

    What a layer multiplies its input with is called `weight` and has two axes or more; biases and
    norms have one, and tables (positions, tokens, time) have a name of their own.
    """
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            yield parameter, parameter.ndim > 1 and name.rpartition(".")[2] == "weight"
