"""Whether an image file is whole, told without a network ever seeing it.

A decoder makes a picture of half a JPEG without complaint, so the end of the file is looked at
first.
"""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}
"""By its first two bytes, what stands near the end of a whole file: JPEG, PNG."""

TAIL = 64
"""Bytes at the end among which that may stand; some cameras append a few."""


class Image(NamedTuple):
    """What is known of a file once it was decoded."""

    size: tuple[int, int]
    """Height and width in pixels; 0, 0 where it cannot be decoded."""
    fault: str = ""
    """Why it is no whole image; empty where it is one."""


def inspect(path: Path) -> Image:
    """Decode an image and say what is wrong with it, if anything."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return Image((0, 0), f"cannot be read: {error.strerror}")
    if not data:
        return Image((0, 0), "holds nothing")
    end = ENDS.get(data[:2])
    if end is not None and end not in data[-TAIL:]:
        return Image((0, 0), "is cut off")
    if data[:2] == b"BM" and int.from_bytes(data[2:6], "little") > len(data):
        return Image((0, 0), "is cut off")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        return Image((0, 0), "is no image")
    return Image((image.shape[0], image.shape[1]))
