"""Making what was measured of the order of 1, by what is known of the training clips alone.

A network learns best from values near 1, but a motion must keep its size: a clip stretched by
itself no longer tells a twitch from a grin. So every clip is divided by the same numbers, the root
mean squares over the training clips of the fold. No mean is taken off, so that stillness stays 0.

Shapes speak of N clips, C channels, H rows and W columns.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mer_nas.data.clips import Array, ClipSet
from mer_nas.inputs import FLOW

Divisors = tuple[float, ...]
"""(C,): what each channel of an input is divided by."""

TOGETHER: dict[str, Sequence[Sequence[int]]] = {FLOW: ((0, 1), (2,))}
"""By input, the channels of one unit, which share a divisor; of others, all do."""


def divisors(clips: ClipSet, name: str, train: NDArray[np.int64]) -> Divisors:
    """Return what each channel of an input is divided by, (C,).

    Those of one unit share a divisor, so that the direction of a motion stays. A channel that is 0
    in every training clip is divided by 1.

    Args:
        clips: The clips.
        name: An input of one image a clip, (N, C, H, W).
        train: The training clips, by index.
    """
    squares = _mean_squares(clips.inputs[name], train)
    found = np.ones(len(squares))
    for channels in TOGETHER.get(name, [range(len(squares))]):
        if power := squares[list(channels)].mean():
            found[list(channels)] = np.sqrt(power)
    return tuple(found.tolist())


def _mean_squares(images: Array, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean square of each channel of images (N, C, H, W) over those chosen, (C,)."""
    total = np.zeros(images.shape[1])
    for index in chosen:  # one at a time: the images may be larger than the memory
        total += np.square(images[index], dtype=np.float64).mean((1, 2))
    mean: NDArray[np.float64] = total / len(chosen)
    return mean


def divided(images: Array, by: Divisors | None) -> Array:
    """Return images (..., C, H, W) with each channel divided by its number; None: as they are."""
    if by is None:
        return images
    units = np.array(by, dtype=np.float32)[:, None, None]
    return np.asarray(images / units, dtype=np.float32)
