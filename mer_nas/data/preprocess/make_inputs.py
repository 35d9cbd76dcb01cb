"""What networks see, from the frames of a clip.

    flow_uvs        (3, H, W)     u, v and strain, onset to apex
    flow_rgb        (3, H, W)     the same flow as colours
    difference      (3, H, W)     apex minus onset
    dynamic_image   (1, H, W)     onset to offset, weighted by approximate rank pooling
    keyframes       (3, 1, H, W)  onset, apex, offset in grey
    keyframes_rgb   (3, 3, H, W)  the same in colour
    frames          (T, 1, H, W)  evenly spaced from onset to apex, in grey
    clip_frames     (T, 1, H, W)  evenly spaced from onset to offset, wherever the apex is, in grey

Functions of frames and nothing else. _Frames are (T, H, W) grey or (T, H, W, 3) colour, red first,
0..255; what is made of them is float32. A grey level x becomes 2 x / 255 - 1 everywhere, so that a
difference of key frames is the difference image. No input is stretched clip by clip: that would
erase the size of a motion.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_nas.data.own_inputs import OWN_INPUTS, make_own
from mer_nas.data.preprocess.flow import Dense, dense_flow, flow_uvs
from mer_nas.inputs import (
    CLIP_FRAMES,
    DIFFERENCE,
    DYNAMIC_IMAGE,
    FLOW,
    FLOW_RGB,
    FRAMES,
    KEYFRAMES,
    KEYFRAMES_RGB,
)
from mer_nas.rank_pooling import coefficients

MEASURED = (FLOW, DIFFERENCE, DYNAMIC_IMAGE)
"""Those whose values are sizes of a change; the others are pictures, with a range of their own."""

_KEYS = (0.0, 1.0, 2.0)
"""The moments onset, apex and offset; others lie between them."""

_FULL = 1 / 28
"""Motion that is shown in full colour, in widths of the frame: 4 pixels of 112."""

SCALING = {
    FLOW_RGB: f"hue: direction, value: length of u, v, 1 at {_FULL:.3f} of the frame's width",
    DIFFERENCE: "apex minus onset, each 2 x / 255 - 1",
    DYNAMIC_IMAGE: "rank-pooling weights, divided by the sum of their sizes; frames 2 x / 255 - 1",
    KEYFRAMES: "2 x / 255 - 1",
    KEYFRAMES_RGB: "2 x / 255 - 1",
    FRAMES: "2 x / 255 - 1",
    CLIP_FRAMES: "2 x / 255 - 1",
}
"""By input, how its values follow from frames; that of flow_uvs is its source's own."""

_Frames = NDArray[np.uint8]
Pixels = NDArray[np.float32]


class Share(NamedTuple):
    """A moment by its share of the whole clip, wherever the apex is: 0 the onset, 1 the offset."""

    of_clip: float


Moment = float | Share
"""A position in a clip: a number says it by its key frames, 0 being the onset, 1 the apex, 2 the
offset and 0.5 halfway from onset to apex."""


class _Footage(Protocol):
    """The frames of one clip, each made only when it is asked for."""

    def grey(self, moments: Sequence[Moment]) -> _Frames:
        """Return the frames at these moments, (T, H, W)."""

    def colour(self, moments: Sequence[Moment]) -> _Frames:
        """Return the frames at these moments, (T, H, W, 3), red first."""


def make_inputs(
    names: Sequence[str], footage: _Footage, size: int, frames: int, dense: Dense | None = None
) -> dict[str, Pixels]:
    """Return the inputs called `names` of one clip; what none of them needs is not computed.

    Args:
        names: Which inputs.
        footage: The clip.
        size: H and W of the inputs, in pixels.
        frames: Of a sequence, from onset to apex or offset, both counted; at least 2.
        dense: Computes the flow; by default Farnebäck's.
    """
    seen: dict[str, Pixels] = {}
    if {FLOW, FLOW_RGB} & set(names):
        onset, apex = footage.grey(_KEYS[:2])
        seen[FLOW] = flow_uvs(onset, apex, size, dense or dense_flow())
        if FLOW_RGB in names:
            seen[FLOW_RGB] = flow_rgb(seen[FLOW][:2], full=_FULL * onset.shape[1])
    if DIFFERENCE in names:
        seen[DIFFERENCE] = _difference(footage.colour(_KEYS[:2]), size)
    if KEYFRAMES in names:
        seen[KEYFRAMES] = _pictures(footage.grey(_KEYS), size)
    if KEYFRAMES_RGB in names:
        seen[KEYFRAMES_RGB] = _pictures(footage.colour(_KEYS), size)
    if FRAMES in names:
        seen[FRAMES] = _pictures(footage.grey(_moments(frames)), size)
    if CLIP_FRAMES in names:
        seen[CLIP_FRAMES] = _pictures(footage.grey(_shares(frames)), size)
    if DYNAMIC_IMAGE in names:
        seen[DYNAMIC_IMAGE] = _dynamic_image(footage.grey(_onset_apex_offset(frames)), size)
    for name in OWN_INPUTS.keys() & set(names):
        seen[name] = make_own(name, footage.colour(_onset_apex_offset(frames)), size)
    return {name: seen[name] for name in names}


def moments_needed(names: Sequence[str], frames: int) -> tuple[Moment, ...]:
    """Return the moments that `make_inputs` asks for, those by key frames first, ascending."""
    found = set(_KEYS[:2] if needs_apex(names) else ())
    if {KEYFRAMES, KEYFRAMES_RGB} & set(names):
        found.update(_KEYS)
    if FRAMES in names:
        found.update(_moments(frames))
    if {DYNAMIC_IMAGE, *OWN_INPUTS} & set(names):
        found.update(_onset_apex_offset(frames))
    return (*sorted(found), *(_shares(frames) if CLIP_FRAMES in names else ()))


def needs_apex(names: Sequence[str]) -> bool:
    """Return whether one must know where the apex is to make the inputs called `names`."""
    return set(names) != {CLIP_FRAMES}


def _moments(count: int) -> list[float]:
    """Return `count` moments from onset to apex, evenly spaced.

    >>> _moments(5)
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    spaced: list[float] = np.linspace(0, 1, count).tolist()
    return spaced


def _shares(count: int) -> list[Share]:
    """Return `count` moments from onset to offset, evenly spaced.

    >>> [moment.of_clip for moment in _shares(3)]
    [0.0, 0.5, 1.0]
    """
    return [Share(index / (count - 1)) for index in range(count)]


def _onset_apex_offset(count: int) -> list[float]:
    """Return the moments from onset over apex to offset, `count` on either way.

    >>> _onset_apex_offset(3)
    [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    spaced: list[float] = np.linspace(0, 2, 2 * count - 1).tolist()
    return spaced


def _pictures(frames: _Frames, size: int) -> Pixels:
    """Return frames as (T, C, size, size) in [-1, 1]."""
    small = [_resized(frame, size) for frame in frames]
    return np.stack(small).astype(np.float32) * np.float32(2 / 255) - 1


def _difference(frames: _Frames, size: int) -> Pixels:
    """Return the last of two frames minus the first, (3, size, size) in [-2, 2]."""
    onset, apex = _pictures(frames, size)
    change: Pixels = apex - onset
    return change


def _dynamic_image(frames: _Frames, size: int) -> Pixels:
    """Return grey frames as one image (1, size, size) in [-1, 1]: what changed, and when.

    The sum of the frames, weighted by approximate rank pooling and divided by the sum of the
    weights' sizes. What stands still adds up to zero.
    """
    weights = np.array(coefficients(len(frames)))
    weights = (weights / np.abs(weights).sum()).astype(np.float32)
    pooled: Pixels = np.tensordot(weights, _pictures(frames, size), axes=1)
    return pooled


def flow_rgb(flow: Pixels, full: float) -> Pixels:
    """Return a flow (2, H, W) as colours (3, H, W) in [0, 1]: black where nothing moves.

    The hue is the direction, counted from downwards: down red, left yellow-green, up cyan, right
    violet. So a mirror, which turns left into right, exchanges green and blue and nothing else.

    Args:
        flow: u and v.
        full: The length that has value 1; longer ones have it too.
    """
    u, v = flow
    value = np.minimum(np.hypot(u, v) / full, 1)
    hue = np.arctan2(-u, v) * (3 / np.pi)  # in sixths of a turn
    channels = [value * (1 - _lacking(hue + offset)) for offset in (5, 3, 1)]
    return np.stack(channels).astype(np.float32)


def _lacking(position: Pixels) -> Pixels:
    """Return how much of a primary colour is lacking at a hue, in sixths of a turn from it."""
    turned = position % 6
    lacking: Pixels = np.clip(np.minimum(turned, 4 - turned), 0, 1)
    return lacking


def _resized(frame: NDArray[np.uint8], size: int) -> Pixels:
    """Return one frame as (C, size, size), still of 0..255."""
    way = cv2.INTER_AREA if size <= min(frame.shape[:2]) else cv2.INTER_CUBIC
    small: Any = cv2.resize(frame.astype(np.float32), (size, size), interpolation=way)
    result: Pixels = small[None] if small.ndim == 2 else small.transpose(2, 0, 1)
    return result
