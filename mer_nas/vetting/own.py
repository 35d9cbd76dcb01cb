"""What a space has of the user's own: asked about noise before a search, and held to its files."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mer_nas.architectures import Architecture, Block, Cost, Network, parse_drawn
from mer_nas.architectures.extensions import counts_for
from mer_nas.architectures.user_blocks import describe, is_user_block, record_built
from mer_nas.config.base import Config
from mer_nas.data import number_of_classes
from mer_nas.data.config import DataConfig, OwnData, RecordedData
from mer_nas.data.own_inputs import OWN_INPUTS
from mer_nas.errors import ConfigError, MerNasError
from mer_nas.evaluation.deterministic import deterministic
from mer_nas.inputs import ACTION_UNITS
from mer_nas.space import SearchSpace
from mer_nas.systems import draws, parsed
from mer_nas.training.config import TrainerConfig
from mer_nas.training.fit import TrainingDiverged, fit, trained
from mer_nas.training.losses import Targets
from mer_nas.training.own_augmentations import AUGMENTATIONS, refuse_unknown
from mer_nas.training.own_losses import LOSSES, OWN, try_loss
from mer_nas.wording import some

_CLIPS = 4
"""Of the step that a network with blocks of the user's own is tried with."""
_DRAWS = 24
"""Draws among which networks with blocks of the user's own are looked for."""


class Noise(NamedTuple):
    """What parts of the user's own are asked about before a search, of the form of its data."""

    classes: int = 3
    frames: int = 15
    """From onset to offset, as an input of the user's own gets them."""
    face: int = 128
    """Height and width of a face in pixels."""

    @classmethod
    def like(cls, data: DataConfig, classes: int = 0) -> Noise:
        """Return noise of the form of some data.

        Args:
            data: Which.
            classes: How many they have, where that is known.
        """
        noise = cls(classes or number_of_classes(data))
        if isinstance(data, RecordedData | OwnData):
            return noise._replace(face=data.pipeline.face)
        return noise


NOISE = Noise()
"""For whoever knows nothing of the data."""


def try_recipe(space: SearchSpace, trainer: TrainerConfig, classes: int) -> None:
    """Ask what a recipe has of the user's own about a few clips.

    Raises:
        ConfigError: There is no such loss or augmentation, or the loss fails.
    """
    try_loss(trainer.loss, classes)
    refuse_unknown(trainer.augment.own)
    used: dict[str, Callable[..., object]] = {n: AUGMENTATIONS[n] for n in trainer.augment.own}
    if trainer.loss.startswith(OWN):
        used[trainer.loss] = LOSSES[trainer.loss.removeprefix(OWN)]
    refuse_unnamed(space, used)


def own_parts(network: Architecture) -> dict[str, Callable[..., object]]:
    """Return what a network has and reads of the user's own, by name."""
    inputs = {name: OWN_INPUTS[name] for name in network.inputs if name in OWN_INPUTS}
    return inputs | {block.kind: type(block) for block in _own_blocks(network)}


def _own_blocks(part: object) -> Iterator[Block]:
    """Yield the blocks of the user's own in a part of an architecture, wherever they stand."""
    if isinstance(part, Block) and is_user_block(part):
        yield part
    if isinstance(part, Config | tuple):
        for _, inner in part if isinstance(part, Config) else enumerate(part):
            yield from _own_blocks(inner)


def own_networks(space: SearchSpace, classes: int) -> dict[str, Architecture]:
    """Return a network of each choice of the user's own blocks, of points and of a few draws.

    They are named by these blocks.
    """
    place = f"{space.place}: architecture"
    points = (parsed(point, f"{space.place}: {point.name}") for point in space.file.points)
    drawn = (draw for draw in draws(space, _DRAWS, classes) if not draw.reason)
    networks = [*points, *(parse_drawn(draw.tree["architecture"], place) for draw in drawn)]
    found: dict[str, Architecture] = {}
    for network in networks:
        own = {block.kind for block in _own_blocks(network)}
        if own:
            found.setdefault(", ".join(sorted(own)), network)
    return found


def refuse_unnamed(space: SearchSpace, used: Mapping[str, Callable[..., object]]) -> None:
    """Refuse what this process knows of another space, and no copy of this one would.

    Args:
        space: The space.
        used: What its candidates have of the user's own, by name.

    Raises:
        ConfigError: A file that it does not name defines it.
    """
    for name, defined in used.items():
        if not counts_for(defined, space.extensions):
            file = Path(inspect.getfile(defined))
            raise ConfigError(
                f"{space.place}: {name!r} is of {file.name}, which another space has loaded and "
                f"this one does not name; extensions: [{file.name}] would be right"
            )


def idle_note(place: str, weights: Sequence[str]) -> str:
    """Return what a reader should know of weights that `try_own` found."""
    names = some([name.removeprefix("whole.") for name in weights])
    return (
        f"{place}: in a step with noise no loss depended on these weights, which learn nothing "
        f"unless the network chooses by its input, or by chance, what it uses: {names}"
    )


def try_own(network: Architecture, trainer: TrainerConfig, classes: int) -> list[str]:
    """Count a network with blocks of the user's own, train it for a step and ask it, on the CPU.

    Args:
        network: Of whatever blocks.
        trainer: The recipe.
        classes: K.

    Returns:
        Names of its weights that no loss depended on.

    Raises:
        BlockError: One of the user's own fails, gives another shape than it says, or no numbers.
        ConfigError: The loss is none, the training step fails, or a network that is given the
            state of another does not answer as that one does.
    """
    own = {block.kind for block in _own_blocks(network)}
    kinds = ", ".join(sorted(own)) or "the network"
    try:
        Cost.of(network, classes)
        same, idle = _after_a_step(network, trainer, classes)
    except MerNasError:
        raise
    except (Exception, SystemExit) as error:  # code of the user's may fail of anything
        said = str(error) if isinstance(error, TrainingDiverged) else describe(error)
        raise ConfigError(f"a training step of {kinds} with noise: {said}") from error
    if not same:
        raise ConfigError(
            f"a network of {kinds} that is given the state of another answers otherwise, and so "
            "would its export: it holds numbers that its state_dict() has not; layers belong into "
            "a ModuleList, tables into register_buffer"
        )
    return idle


def _after_a_step(
    network: Architecture, trainer: TrainerConfig, classes: int
) -> tuple[bool, list[str]]:
    """Train a network for a step.

    Returns:
        Whether another with its state answers alike, and its weights that no loss depended on.
    """
    step = trainer.model_copy(update={"epochs": None, "steps": 1, "batch": _CLIPS})
    with deterministic(0, torch.device("cpu")), record_built() as own:
        built = Network(network, classes).train()
        clips = {name: torch.rand(_CLIPS, *network.shapes[name]) for name in network.inputs}
        targets = Targets(torch.arange(_CLIPS) % classes, torch.zeros(_CLIPS, len(ACTION_UNITS)))
        moved: set[Tensor] = set()  # by identity
        for _, weight, _ in trained(built):
            weight.register_post_accumulate_grad_hook(moved.add)  # type: ignore[no-untyped-call]
        with own.checked(_CLIPS):
            fit(built, clips, targets, step, seed=0, auxiliary=network.losses.weights)
            if not all(weight.isfinite().all() for weight in built.parameters()):
                raise TrainingDiverged(
                    f"with lr {trainer.lr:g} its weights are no numbers after it"
                )
            answers = built.eval()(*clips.values())
        idle = [name for name, weight, _ in trained(built) if weight not in moved]
        torch.manual_seed(1)
        other = Network(network, classes).eval()
        other.load_state_dict(built.state_dict())
        return torch.allclose(other(*clips.values()), answers, equal_nan=True), idle
