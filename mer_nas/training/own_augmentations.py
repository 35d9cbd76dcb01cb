"""Augmentations of users: functions of a batch, named in `trainer.augment.own` with an amount.

    @augmentation("dim")
    def dim(
        inputs: dict[str, Tensor], amount: float, chance: torch.Generator
    ) -> dict[str, Tensor]:
        factor = 1 - amount * torch.rand((), generator=chance)
        return {name: clips * factor for name, clips in inputs.items()}

They come after ours, in the order of YAML, and draw from `chance`, a generator of the CPU, and
from nothing else. Inputs are (B, C, H, W), or (B, T, C, H, W) where they are sequences.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mer_nas.errors import ConfigError, shown, told
from mer_nas.registry import Functions, place_of

Inputs = dict[str, Tensor]

AUGMENTATIONS = Functions(
    "augmentation", {"inputs": Inputs, "amount": float, "chance": torch.Generator}, Inputs
)
"""The augmentations by their names. They give the inputs again, each of the same shape."""
augmentation = AUGMENTATIONS.named
"""Makes a function an augmentation: `@augmentation("dim")`."""


def refuse_unknown(own: Mapping[str, float]) -> None:
    """Refuse names that no augmentation has.

    Raises:
        ConfigError: With what there is.
    """
    for name in own:
        try:
            AUGMENTATIONS[name]
        except ConfigError as error:
            raise ConfigError(
                f"trainer.augment.own: {error}; the space's `extensions` name the file of one"
            ) from None


def augment_own(inputs: Inputs, own: Mapping[str, float], chance: torch.Generator) -> Inputs:
    """Return a batch as the user's augmentations leave it.

    Args:
        inputs: By name.
        own: How much of which; 0: it is not asked.
        chance: A generator of the CPU.

    Raises:
        ConfigError: One fails, or gives other inputs or shapes; with the line where it is.
    """
    for name, amount in own.items():
        if amount:
            inputs = _asked(name, inputs, amount, chance)
    return inputs


def _asked(name: str, inputs: Inputs, amount: float, chance: torch.Generator) -> Inputs:
    function = AUGMENTATIONS[name]
    where = f"{place_of(function)}: the augmentation {name!r}"
    try:
        found = function(dict(inputs), amount, chance)
    except Exception as error:  # a user's function may fail of anything
        raise ConfigError(f"{where} fails: {told(error)}") from error
    right = {each: tuple(clips.shape) for each, clips in inputs.items()}
    if not isinstance(found, dict) or not all(isinstance(x, Tensor) for x in found.values()):
        raise ConfigError(f"{where} gives {shown(found)}; a dict of tensors would be right")
    shapes = {each: tuple(clips.shape) for each, clips in found.items()}
    if shapes != right:
        raise ConfigError(f"{where} gives {shapes}; {right} would be right")
    return {each: found[each] for each in inputs}
