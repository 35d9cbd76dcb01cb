"""Image files: whether they are whole, how large they are, and what they show.

A decoder makes gigabytes of a few bytes, a picture of half a JPEG without complaint, and takes
room for whatever length a part of a PNG claims. So the size is read before anything is decoded,
and the parts of a file are walked through, by the lengths that they state themselves, up to the
mark that ends the image; what cameras append behind it does no harm. A picture is turned as its
camera says (EXIF). Cameras of 10, 12 or 14 bits keep their values in files of 16: how many they
use is told by the largest value of a whole clip, not of one frame, so that all frames of a clip
stay comparable.
"""

import io
import logging
import warnings
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Header

from mer_nas.errors import DataError
from mer_nas.files import read_bytes

Image = NDArray[np.uint8]
"""(H, W, 3), red first."""
Samples = NDArray[np.uint8] | NDArray[np.uint16]
"""An image as its file holds it, (H, W, 3), red first."""

IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
"""Endings of files that are taken for images."""
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
"""What such a file may really be."""
DEPTHS = (8, 10, 12, 14, 16)
"""Bits that cameras use for a value."""
MAX_PIXELS = 40_000_000
"""Of an image or a frame of a video: more than 8K footage has, and less than half a GB decoded."""
MAX_IMAGE_FILE = 8 * MAX_PIXELS
"""Bytes of the largest image file that is read."""

MAX_SCANS = 100
"""Passes over a JPEG's picture: encoders make about 10, and each takes as long as an image."""

_LONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Marks of a JPEG behind which no length stands."""

_header = Lock()  # warnings are switched off for all threads at once

# What is wrong with an image is said here, with the file's name.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
logging.getLogger("PIL").addHandler(logging.NullHandler())


def decode(file: Path, *, rgb: bool = False) -> Samples:
    """Return what an image file holds.

    Args:
        file: The file.
        rgb: Whether only red, green and blue of 8 bits each will do.

    Raises:
        DataError: It is missing, empty, cut off, larger than `MAX_PIXELS`, several images in one,
            of another kind than it should be, or no image that can be decoded.
    """
    content = read_bytes(file, DataError, MAX_IMAGE_FILE)
    if not content:
        raise DataError(f"{file}: this image file is empty (0 bytes); copy it again")
    if _is_cut(content):
        raise DataError(f"{file}: this image is cut off; copy it again")
    if _is_endless(content):
        raise DataError(f"{file}: this JPEG has more than {MAX_SCANS} scans; save it anew")
    mode = _refuse_header(file, content)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        image: Any = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{file}: this is no image that can be decoded; copy it again")
    if rgb and (mode != "RGB" or image.dtype != np.uint8):
        found = _MODES.get(mode, mode) if image.dtype == np.uint8 else "16 bits a value"
        raise DataError(
            f"{file}: an image of {found}; one of red, green and blue, 8 bits each, would be right"
        )
    red_first: Samples = cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
    return red_first


def bits_of(samples: Samples) -> int:
    """Return how many bits an image uses: the fewest of `DEPTHS` that its largest value needs."""
    if samples.dtype == np.uint8:
        return 8
    needed = int(samples.max()).bit_length()
    return next(bits for bits in DEPTHS if bits >= needed)


def in_eight(samples: Samples, bits: int) -> Image:
    """Return samples that use so many bits in 8; what 8 bits hold stays as it is."""
    if samples.dtype == np.uint8:
        return np.asarray(samples, dtype=np.uint8)
    image = np.empty(samples.shape, np.uint8)
    np.right_shift(samples, bits - 8, out=image, casting="unsafe")  # with no copy between
    return image


def too_large(size: str) -> str:
    """Return the words that refuse a picture of such a size: "9000 by 9000"."""
    return (
        f"a picture of {size} pixels is larger than the {MAX_PIXELS // 1_000_000} million that "
        "are read; is it a frame of a clip? Scale it down"
    )


_MODES = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey and alpha",
    "P": "a palette",
    "RGBA": "red, green, blue and alpha",
}
"""What an image holds, by what Pillow calls it."""


def _refuse_header(file: Path, content: bytes) -> str:
    """Refuse what would be too large, or more than one image, before it is decoded.

    Returns:
        What Pillow calls the kind of its values: "RGB".
    """
    try:
        with _header, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limit is lower
            image = Header.open(io.BytesIO(content), formats=_FORMATS)
    except Header.DecompressionBombError:  # which does not tell width and height
        raise DataError(f"{file}: {too_large('hundreds of millions of')}") from None
    except Exception:  # of a damaged header each format complains in its own way
        raise DataError(f"{file}: this is no image that can be decoded; copy it again") from None
    with image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            size = f"{width} by {height}"
            raise DataError(f"{file}: {too_large(size)}")
        if image.format in ("PNG", "TIFF", "WEBP") and (many := getattr(image, "n_frames", 1)) > 1:
            raise DataError(
                f"{file}: this file holds {many} images; one file for each frame would be right"
            )
        return image.mode


def _is_cut(content: bytes) -> bool:
    """Return whether an image is cut off, as far as its kind of file tells that by its bytes."""
    if content[:2] == b"\xff\xd8":
        return content.find(b"\xff\xd9", _picture(content)) < 0
    if content[:4] == b"\x89PNG":
        return _cut_png(content)
    return content[:2] == b"BM" and int.from_bytes(content[2:6], "little") > len(content)


def _is_endless(content: bytes) -> bool:
    """Return whether a JPEG goes over its picture again and again, to take time."""
    if content[:2] != b"\xff\xd8":
        return False
    return content.count(b"\xff\xda", _picture(content)) > MAX_SCANS


def _picture(content: bytes) -> int:
    """Return where in a JPEG the picture begins, behind its preview; the end where there is none.

    From there on two bytes that look like a mark are one.
    """
    at = 2
    while (at := content.find(b"\xff", at)) >= 0 and at + 4 <= len(content):
        mark = content[at + 1]
        if mark in (0xD9, 0xDA):  # its end, or the first pass over it
            return at
        if mark == 0xFF:
            at += 1
        elif mark in _LONE or mark == 0:
            at += 2
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return len(content)


def _cut_png(content: bytes) -> bool:
    at = 8
    while at + 12 <= len(content):
        kind = content[at + 4 : at + 8]
        at += 12 + int.from_bytes(content[at : at + 4], "big")
        if kind == b"IEND":
            return at > len(content)
    return True
