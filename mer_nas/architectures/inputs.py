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
    length: int | None = None
    """Number of its frames, where the data do not decide it."""
    rising: int | None = None
    """How many of its first frames lie between onset and apex, where not all do."""

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


INPUTS: Mapping[str, Input] = {
    "flow_uvs": Input(3, False, "optical flow u, v and its strain, onset to apex"),
    "flow_rgb": Input(3, False, "the same flow as colour: hue is its angle, value its magnitude"),
    "difference": Input(3, False, "apex minus onset, in colour"),
    "dynamic_image": Input(1, False, "approximate rank pooling of the grey frames"),
    "keyframes": Input(1, True, "onset, apex and offset, grey", length=3, rising=2),
    "keyframes_rgb": Input(3, True, "onset, apex and offset, in colour", length=3, rising=2),
    "frames": Input(1, True, "evenly spaced grey frames, onset to apex"),
}
"""Every input by its name."""
