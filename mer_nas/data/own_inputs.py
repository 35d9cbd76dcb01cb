"""Inputs of users: functions from the frames of a clip to what a network sees.

    @own_input("edges", channels=1)
    def edges(frames: np.ndarray, size: int) -> np.ndarray:
        onset, apex = frames[0], frames[len(frames) // 2]
        return laplacian(apex) - laplacian(onset)     # (1, size, size)

The frames are aligned faces, (T, H, W, 3) uint8, red first: evenly spaced from the onset to the
apex, which is the middle one, and as many on to the offset. YAML names the input where it names
ours.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mer_nas.errors import ConfigError, shown, told
from mer_nas.inputs import INPUTS, READABLE, Input
from mer_nas.registry import Functions, place_of
from mer_nas.sources import sources

F = TypeVar("F", bound=Callable[..., Any])

OWN_INPUTS = Functions("input", {"frames": np.ndarray, "size": int}, np.ndarray)
"""The inputs by their names."""


def own_input(name: str, channels: int = 1) -> Callable[[F], F]:
    """Return a decorator that makes a function an input, one image a clip.

    Args:
        name: What `input:` and `inputs:` call it.
        channels: Of the image.

    Raises:
        ConfigError: It takes or gives something else, or the name is taken.
    """

    def register(function: F) -> F:
        if name in READABLE and name not in OWN_INPUTS:
            raise ConfigError(f"{place_of(function)}: an input of ours is called {name!r}")
        OWN_INPUTS.named(name)(function)
        about = (function.__doc__ or "an input of the user's own").strip().splitlines()[0]
        INPUTS[name] = READABLE[name] = Input(channels, False, about)
        return function

    return register


def make_own(name: str, frames: np.ndarray, size: int) -> np.ndarray:
    """Return an input of the user's of one clip, (C, size, size) float32.

    Raises:
        ConfigError: It fails, or gives something else; with the line where it is.
    """
    function = OWN_INPUTS[name]
    where = f"{place_of(function)}: the input {name!r}"
    right = (INPUTS[name].channels, size, size)
    try:
        found = function(frames, size)
    except Exception as error:  # a user's function may fail of anything
        raise ConfigError(f"{where} fails: {told(error)}") from error
    if not isinstance(found, np.ndarray) or found.shape != right:
        gives = found.shape if isinstance(found, np.ndarray) else shown(found)
        raise ConfigError(f"{where} gives {gives}; an array {right} would be right")
    if not np.isfinite(found).all():
        raise ConfigError(f"{where} gives values that are no numbers")
    return np.asarray(found, dtype=np.float32)


def try_inputs(frames: int, face: int) -> None:
    """Make every input of the user's of a clip of noise.

    Args:
        frames: T.
        face: Height and width of its faces, in pixels.

    Raises:
        ConfigError: One fails, or gives something else; with the line where it is.
    """
    chance = np.random.default_rng(0)
    noise = chance.integers(0, 256, (frames, face, face, 3), dtype=np.uint8)
    for name in OWN_INPUTS:
        make_own(name, noise, 28)


def code_of(name: str) -> str:
    """Return what stands for the code that an input of the user's is made by."""
    code = OWN_INPUTS[name].__globals__
    return repr(sorted(sources(str(code["__name__"]), Path(str(code["__file__"]))).items()))
