"""What networks can read of a clip."""

from collections.abc import Mapping
from typing import NamedTuple


class Input(NamedTuple):
    """An array that a data set may give for every clip."""

    channels: int
    timed: bool
    """Whether it is a sequence of frames (B, T, C, H, W), or one image (B, C, H, W)."""
    about: str
    """What it shows."""


INPUTS: Mapping[str, Input] = {
    "flow_uvs": Input(3, False, "optical flow u, v and its strain, onset to apex"),
    "flow_rgb": Input(3, False, "the same flow as colour: hue is its angle, value its magnitude"),
    "difference": Input(3, False, "apex minus onset, in colour"),
    "dynamic_image": Input(1, False, "approximate rank pooling of the grey frames"),
    "keyframes": Input(1, True, "onset, apex and offset, grey"),
    "keyframes_rgb": Input(3, True, "onset, apex and offset, in colour"),
    "frames": Input(1, True, "evenly spaced grey frames, onset to apex"),
}
"""Every input by its name."""
