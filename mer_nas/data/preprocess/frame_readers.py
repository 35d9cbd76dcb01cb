"""Frame readers: frames in files, in the order of time: a list of images, a folder, or a video.

Frames are counted by their place from 0; what an annotation or a file name calls them is another
number, and known where the frames are listed. A frame is (H, W, 3) uint8, red first; grey footage
repeats its channel.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from mer_nas.data.preprocess.images import (
    MAX_PIXELS,
    Image,
    bits_of,
    decode,
    in_eight,
    too_large,
)
from mer_nas.errors import DataError

MAX_FPS = 10_000
"""Frames a second below which every camera of the field stays."""
MAX_FRAMES = 10_000_000
"""More than a day of a fast camera."""


class FrameReader(Protocol):
    """Frames one after the other."""

    @property
    def name(self) -> str:
        """How people know it."""

    @property
    def fps(self) -> float | None:
        """Frames per second, where it is known."""

    def __len__(self) -> int:
        """Return the number of frames."""

    def read(self, places: Iterable[int]) -> Iterator[Image]:
        """Yield the frames at `places`, which ascend; one is in memory at a time."""


class _Form(NamedTuple):
    """What all frames of a clip have in common."""

    width: int
    height: int
    depth: int
    """Bits a value."""

    def unlike(self, other: "_Form") -> str:
        """Say in what it differs from another."""
        if self[:2] != other[:2]:
            return (
                f"{self.width} by {self.height} pixels, unlike the {other.width} by {other.height}"
            )
        return f"{self.depth} bits a value, unlike the {other.depth}"


@dataclass(frozen=True)
class Stills:
    """Frames that are image files."""

    name: str
    files: tuple[Path, ...]
    """In the order of time."""
    fps: float | None = None

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.files)

    def read(self, places: Iterable[int]) -> Iterator[Image]:
        """Yield the frames at `places`; no other file is opened, but for their depth.

        Raises:
            DataError: A file is missing or no whole image, or two differ in size or depth.
        """
        forms: list[tuple[_Form, str]] = []
        for place in places:
            yield self._frame(self.files[place], forms)  # and keeps nothing of the one before

    def _frame(self, file: Path, before: list[tuple[_Form, str]]) -> Image:
        samples = decode(file)
        form = _Form(samples.shape[1], samples.shape[0], 8 * samples.itemsize)
        before.append((form, file.name))
        if form != before[0][0]:
            unlike = f"{form.unlike(before[0][0])} of {before[0][1]}"
            raise DataError(f"{file}: {unlike}; a clip has one of each")
        return in_eight(samples, self.bits if form.depth == 16 else 8)

    @cached_property
    def bits(self) -> int:
        """How many bits the frames use, all of them looked at."""
        return max(bits_of(decode(file)) for file in self.files)


@dataclass(frozen=True)
class Video:
    """A video file, or some frames of it; they are decoded one after the other."""

    name: str
    file: Path
    length: int
    fps: float | None
    chosen: tuple[int, ...] | None = None
    """Which frames of the file, ascending; None: all."""

    @classmethod
    def open(cls, file: Path) -> "Video":
        """Return the video in `file`; its frames are counted, which reads it once.

        Raises:
            DataError: OpenCV cannot read it, it has no frame, or it is cut off: its header counts
                more frames than can be decoded.
        """
        told = cls._as_told(file)
        with _capture(file) as capture:
            length = 0
            while capture.grab():
                length += 1
        if not length:
            raise DataError(f"{file}: no frame of this video can be decoded")
        if told.length - length > max(2, told.length // 50):  # some containers only estimate
            raise DataError(
                f"{file}: only {length} of its {told.length} frames can be decoded; copy it again"
            )
        return replace(told, length=length)

    @classmethod
    def listed(cls, file: Path) -> "Video":
        """Return the video in `file` as its header describes it, if it ends where that says.

        Otherwise, where the header only estimates or the file is damaged, as `open` does.

        Raises:
            DataError: As for `open`.
        """
        told = cls._as_told(file)
        with _capture(file) as capture:
            capture.set(cv2.CAP_PROP_POS_FRAMES, told.length - 1)
            right = capture.grab() and not capture.grab()
        return told if right else cls.open(file)

    @classmethod
    def _as_told(cls, file: Path) -> "Video":
        with _capture(file) as capture:
            length = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            fps = _fps(capture)
        if not 1 <= length <= MAX_FRAMES:
            raise DataError(f"{file}: this video does not say how many frames it has")
        return cls(str(file), file, length, fps)

    def __len__(self) -> int:
        """Return the number of frames."""
        return self.length if self.chosen is None else len(self.chosen)

    def read(self, places: Iterable[int]) -> Iterator[Image]:
        """Yield the frames at `places`; those between are decoded and forgotten.

        Raises:
            DataError: The video can no longer be read that far.
        """
        with _capture(self.file) as capture:
            at = -1
            for place in places if self.chosen is None else map(self.chosen.__getitem__, places):
                while at < place:
                    if not capture.grab():
                        raise DataError(f"{self.file}: frame {at + 1} cannot be decoded")
                    at += 1
                whole, image = capture.retrieve()
                if not whole:
                    raise DataError(f"{self.file}: frame {at} cannot be decoded")
                yield np.ascontiguousarray(image[:, :, ::-1])


@contextmanager
def _capture(file: Path) -> Iterator[Any]:
    if not file.is_file():
        raise DataError(f"{file}: there is no such file")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what is wrong is said here
    capture = cv2.VideoCapture(str(file.absolute()))  # else the name may be taken for an address
    try:
        if not capture.isOpened():
            raise DataError(f"{file}: this is no video that OpenCV can read")
        size = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
        width, height = (int(capture.get(side)) for side in size)
        if width * height > MAX_PIXELS:
            raise DataError(f"{file}: {too_large(f'{width} by {height}')}")
        yield capture
    except cv2.error as error:
        raise DataError(f"{file}: this video cannot be decoded: {error.err}") from None
    finally:
        capture.release()


def _fps(capture: Any) -> float | None:
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if 0 < fps < MAX_FPS else None  # a clock without a rate gives what it likes


def grey(frame: Image) -> Image:
    """Return a frame (H, W, 3) in grey (H, W), by the weights of ITU-R BT.601."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
