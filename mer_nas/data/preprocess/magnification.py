"""Small motions made larger, frame by frame: linear Eulerian video magnification.

Each frame is divided into a Laplacian pyramid; in every band but the finest and the coarsest, the
changes within a band of frequencies are multiplied and added back. The filter is the difference of
two first-order Butterworth low-passes, so a frame needs the frame before it and no other, and
memory does not grow with a clip.

Source: Wu et al. 2012, "Eulerian Video Magnification for Revealing Subtle Changes in the World",
section 4; the bound on the factor of short wavelengths is its equation 14.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_nas.data.preprocess.config import Magnification
from mer_nas.data.preprocess.images import Image
from mer_nas.errors import DataError

Band = NDArray[np.float32]


@dataclass
class _LowPass:
    """First-order Butterworth low-pass, by the bilinear transform with the cutoff kept."""

    decay: float
    """Weight of the last output."""
    last: Band | None = field(default=None, repr=False)
    """The last input; the filter begins as if the first had always been."""
    out: Band | None = field(default=None, repr=False)

    @classmethod
    def at(cls, cutoff: float, fps: float) -> "_LowPass":
        """Return a filter that lets half the power of `cutoff` Hz through."""
        k = math.tan(math.pi * cutoff / fps)
        return cls((1 - k) / (1 + k))

    def __call__(self, value: Band) -> Band:
        """Return the filtered value."""
        if self.last is None or self.out is None:
            self.out = value
        else:
            self.out = self.decay * self.out + (1 - self.decay) / 2 * (value + self.last)
        self.last = value
        return self.out


def magnified(
    frames: Iterable[Image], settings: Magnification, fps: float | None, place: str
) -> Iterator[Image]:
    """Yield `frames` (H, W, 3) with the motions of the band made larger.

    Args:
        frames: All of one size, in the order of time, none left out.
        settings: The band, the factor, the pyramid.
        fps: Frames per second.
        place: How people know the clip, for messages.

    Raises:
        DataError: The frame rate is unknown, or too low for the band.
    """
    if fps is None:
        raise DataError(
            f"{place}: magnification needs the frame rate, which is unknown; "
            "data.pipeline.magnify=none does without"
        )
    if settings.high >= fps / 2:
        raise DataError(
            f"{place}: {fps:g} frames per second hold no motion of {settings.high:g} Hz; "
            f"data.pipeline.magnify.high must be below {fps / 2:g}"
        )
    return _magnified(frames, settings, fps)


def _magnified(frames: Iterable[Image], settings: Magnification, fps: float) -> Iterator[Image]:
    filters: list[tuple[_LowPass, _LowPass]] = []
    gains: Sequence[float] = ()
    for frame in frames:
        bands = _pyramid(frame.astype(np.float32), settings.levels)
        if not filters:
            gains = settings.factors(frame.shape[0], frame.shape[1])
            filters = [
                (_LowPass.at(settings.high, fps), _LowPass.at(settings.low, fps)) for _ in bands
            ]
        louder = [
            band + gain * (fast(band) - slow(band))
            for band, gain, (fast, slow) in zip(bands, gains, filters, strict=True)
        ]
        yield np.clip(np.rint(_collapse(louder)), 0, 255).astype(np.uint8)


def _pyramid(image: Band, levels: int) -> list[Band]:
    """Return the Laplacian pyramid of an image: `levels` bands, finest first, the rest last."""
    bands: list[Band] = []
    for _ in range(levels - 1):
        smaller = np.asarray(cv2.pyrDown(image), dtype=np.float32)
        bands.append(image - _larger(smaller, image))
        image = smaller
    return [*bands, image]


def _collapse(bands: Sequence[Band]) -> Band:
    """Return the image of a pyramid; undoes `_pyramid`."""
    image = bands[-1]
    for band in reversed(bands[:-1]):
        image = band + _larger(image, band)
    return image


def _larger(image: Band, like: Band) -> Band:
    size = (like.shape[1], like.shape[0])
    return np.asarray(cv2.pyrUp(image, dstsize=size), dtype=np.float32)
