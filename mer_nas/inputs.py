"""What networks can read of a clip: the one table of inputs, and of action units."""

from typing import NamedTuple


class Input(NamedTuple):
    """An array that a data set may give for every clip."""

    channels: int
    timed: bool
    """Whether it is a sequence of frames (B, T, C, H, W), or one image (B, C, H, W)."""
    about: str
    """What it shows."""
    length: int | None = None
    """Number of its frames, where the data do not decide it."""
    rising: int | None = None
    """How many of its first frames lie between onset and apex, where not all do."""
    of: str = ""
    """The input of which it is a part; empty: it is one itself."""
    channel: int = 0
    """Of a part, its first channel there."""

    def chosen(self, count: int, given: int) -> list[int]:
        """Return which of the given frames a path takes that asks for `count`.

        >>> INPUTS["keyframes"].chosen(2, given=3)
        [0, 1]
        >>> INPUTS["frames"].chosen(3, given=8)
        [0, 4, 7]
        """
        if self.length is not None:
            return list(range(count))
        last = given - 1
        return [round(index * last / (count - 1)) for index in range(count)]


FLOW = "flow_uvs"
FLOW_RGB = "flow_rgb"
DIFFERENCE = "difference"
DYNAMIC_IMAGE = "dynamic_image"
KEYFRAMES = "keyframes"
KEYFRAMES_RGB = "keyframes_rgb"
FRAMES = "frames"
CLIP_FRAMES = "clip_frames"

INPUTS: dict[str, Input] = {
    FLOW: Input(3, False, "optical flow u, v and its strain, onset to apex"),
    FLOW_RGB: Input(3, False, "the same flow as colour: hue is its angle, value its magnitude"),
    DIFFERENCE: Input(3, False, "apex minus onset, in colour"),
    DYNAMIC_IMAGE: Input(1, False, "approximate rank pooling of the grey frames"),
    KEYFRAMES: Input(1, True, "onset, apex and offset, grey", length=3, rising=2),
    KEYFRAMES_RGB: Input(3, True, "onset, apex and offset, in colour", length=3, rising=2),
    FRAMES: Input(1, True, "evenly spaced grey frames, onset to apex"),
    CLIP_FRAMES: Input(1, True, "evenly spaced grey frames, onset to offset; no apex is needed"),
}
"""Every input by its name; those of users are added (see `mer_nas.data.own_inputs`)."""

READABLE: dict[str, Input] = {
    **INPUTS,
    "flow_uv": Input(2, False, "u and v of flow_uvs, without the strain", of=FLOW),
    "flow_u": Input(1, False, "u of flow_uvs, motion to the right", of=FLOW, channel=0),
    "flow_v": Input(1, False, "v of flow_uvs, motion down", of=FLOW, channel=1),
    "strain": Input(1, False, "strain of flow_uvs", of=FLOW, channel=2),
}
"""What a path can read: every input, and parts of them. Data give inputs, never parts."""


def whole_input(name: str) -> str:
    """Return the input that what a path reads is, or is a part of.

    >>> whole_input("strain"), whole_input("frames")
    ('flow_uvs', 'frames')
    """
    return READABLE[name].of or name


COUNTED = frozenset({FRAMES, CLIP_FRAMES})
"""Inputs of as many frames as are asked for."""

ACTION_UNITS = ("1", "2", "4", "5", "6", "7", "9", "10", "12", "14", "15", "17")
"""The facial action units that networks may learn to tell, by their number in FACS."""
