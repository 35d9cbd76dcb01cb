"""Train one network on the clips of one fold, and ask it about others.

The manner is that of cifar10-airbench (github.com/KellerJordan/cifar10-airbench): the clips of a
fold are a few hundred small images, so they lie on the device as one tensor, a batch is an index
into it, and augmentation is a function of a batch. Nothing here can see the held-out clips: they
are no argument, the number of epochs is fixed beforehand, and no epoch is preferred to another.

Shapes speak of N clips, B of them in a batch, K classes.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mer_nas.errors import ConfigError
from mer_nas.training.augment import Changes, blend, change, draw_blend, draw_changes
from mer_nas.training.chance import Chance, stream
from mer_nas.training.config import TrainerConfig
from mer_nas.training.layout import channels_last
from mer_nas.training.losses import Targets, TrainingLoss
from mer_nas.training.memory import keep_freed
from mer_nas.training.optimizer import Optimizer
from mer_nas.training.own_augmentations import augment_own

InputTensors = Mapping[str, Tensor]
"""By name, in the order in which the network takes them, each (N, C, H, W) or (N, T, C, H, W)."""

Observer = Callable[[int, nn.Module], None]
"""Is shown the network after each epoch, counted from 1. It looks, and changes nothing."""


class TrainingDiverged(RuntimeError):
    """The loss is no longer a number; the candidate has failed, not the program."""


class _Batch(NamedTuple):
    """Clips to learn from at once."""

    inputs: tuple[Tensor, ...]
    """As the network takes them, (B, ...) each, augmented."""
    clips: Tensor
    """(B,), which clips of the fold they are."""
    other: Tensor | None
    """(B,), which clips they are blended with, if they are."""
    share: float
    """Share of the former."""
    step: int
    """How many batches were before it."""


class Drawn(NamedTuple):
    """What chance says of a batch; nothing of it is on a device."""

    places: Tensor
    """(B,), which clips of the fold it has."""
    changes: Changes
    order: Tensor | None
    """(B,), which of them they are blended with, if they are."""
    share: float
    """Share of the former."""


class Draws:
    """The random batches of a fold, one epoch every time it is gone through.

    A last batch of a single clip is left out, because BatchNorm has no variance there; so are
    batches past the last step of the recipe.

    Args:
        shapes: Of a clip by input.
        count: N.
        trainer: The recipe.
        seed: Decides order and augmentation, alike on every device.
    """

    def __init__(
        self, shapes: Mapping[str, Sequence[int]], count: int, trainer: TrainerConfig, seed: int
    ) -> None:
        self.shapes, self.count, self.trainer = shapes, count, trainer
        self.generator = torch.Generator().manual_seed(seed)
        self.left = trainer.steps_for(count)
        """Batches that are still to come."""

    def __iter__(self) -> Iterator[Drawn]:
        """Go through the batches of an epoch."""
        order = torch.randperm(self.count, generator=self.generator)
        batches = torch.split(order, self.trainer.batch)[: self.trainer.batches(self.count)]
        settings = self.trainer.augment
        for places in batches[: self.left]:
            self.left -= 1
            shapes = {name: (len(places), *shape) for name, shape in self.shapes.items()}
            changes = draw_changes(shapes, settings, self.generator)
            blended = draw_blend(len(places), settings.mixup, self.generator)
            yield Drawn(places, changes, *blended)


class _Loader:
    """The clips of a fold in random batches, one epoch every time it is gone through.

    Args:
        inputs: The clips, on the device where they are learned.
        trainer: The recipe.
        seed: Decides order and augmentation, alike on every device.
    """

    def __init__(self, inputs: InputTensors, trainer: TrainerConfig, seed: int) -> None:
        self.inputs = inputs
        (self.count,) = {len(clips) for clips in inputs.values()}
        self.device = next(iter(inputs.values())).device
        shapes = {name: clips.shape[1:] for name, clips in inputs.items()}
        self.own = trainer.augment.own
        self.draws = Draws(shapes, self.count, trainer, seed)
        self.step = 0

    def __iter__(self) -> Iterator[_Batch]:
        """Go through the batches of an epoch."""
        for step, (places, changes, order, share) in enumerate(self.draws, self.step):
            self.step = step + 1
            clips = places.to(self.device)
            inputs = {name: images.index_select(0, clips) for name, images in self.inputs.items()}
            inputs = change(inputs, changes)
            inputs = augment_own(inputs, self.own, self.draws.generator)
            inputs = blend(inputs, order, share)
            other = None if order is None else clips[order]
            yield _Batch(tuple(inputs.values()), clips, other, share, step)


@channels_last
def fit(
    network: nn.Module,
    inputs: InputTensors,
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
        seed: Decides batches and augmentation; dropout and router noise draw from where
            torch's own stream stands.
        auxiliary: Weight of each auxiliary loss of the network; one that is not named counts 1.
        on_epoch: Is shown the network as each epoch leaves it.

    Raises:
        TrainingDiverged: A loss is infinite or not a number.
    """
    keep_freed()
    loader = _Loader(inputs, trainer, seed)
    training_loss = TrainingLoss(targets, trainer, auxiliary or {})
    optimizer = Optimizer(((weight, decays) for _, weight, decays in trained(network)), trainer)
    epochs = trainer.epochs_for(loader.count)
    history: list[float] = []
    chance = Chance([stream(loader.device)])

    network.train()
    for epoch in range(1, epochs + 1):
        losses: list[Tensor] = []
        for batch in loader:
            # What asks nothing of chance in its first step never does; to listen takes time.
            with chance if chance.drawn or batch.step == 0 else nullcontext():
                output = network(*batch.inputs)
            loss = training_loss(output, batch.clips, batch.other, batch.share)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step(trainer.lr * trainer.lr_factor(batch.step, loader.count))
            losses.append(loss.detach())
        mean = float(torch.stack(losses).mean())  # the one wait for the device in an epoch
        if not math.isfinite(mean):
            raise diverged(mean, epoch, epochs, trainer)
        history.append(mean)
        if on_epoch is not None:
            on_epoch(epoch, network)
    return history


def diverged(mean: float, epoch: int, epochs: int, trainer: TrainerConfig) -> TrainingDiverged:
    """Return what a mean loss that is no number is said to be."""
    return TrainingDiverged(
        f"the loss is {mean} in epoch {epoch} of {epochs} (trainer.lr={trainer.lr:g})"
    )


@channels_last
def predict_proba(
    network: nn.Module, inputs: InputTensors, batch: int = 128
) -> NDArray[np.float64]:
    """Return the probability that `network` gives each class, (N, K), in eval mode."""
    network.eval()
    (count,) = {len(clips) for clips in inputs.values()}
    with torch.inference_mode():
        logits = [
            network(*(clips[start : start + batch] for clips in inputs.values()))
            for start in range(0, count, batch)
        ]
        answers = torch.cat(logits)
        if answers.device.type == "mps":  # which has no double precision
            answers = answers.cpu()
        probabilities = answers.double().softmax(-1)
    result: NDArray[np.float64] = probabilities.cpu().numpy()
    return result


def trained(network: nn.Module) -> Iterator[tuple[str, nn.Parameter, bool]]:
    """Yield the name of each trained parameter, the parameter, and whether it is decayed.

    What a layer multiplies its input with is called `weight` and has two axes or more; biases and
    norms have one, and tables (positions, tokens, time) have a name of their own.
    """
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            yield name, parameter, parameter.ndim > 1 and name.rpartition(".")[2] == "weight"


def pick_device(name: str) -> torch.device:
    """Return the device that `trainer.device` names; auto is a GPU where this process has one.

    Raises:
        ConfigError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ConfigError(
            f"trainer.device: {name!r} is no device of this machine; it has: {', '.join(_found())}"
        ) from None
    return device


def _found() -> list[str]:
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return ["auto", "cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]
