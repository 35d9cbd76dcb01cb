"""Reels: frames in files, in the order of time: a list of images, a folder, or a video.

Frames are counted by their place from 0; what an annotation or a file name calls them is another
number, and known where the frames are listed. A frame is (H, W, 3) uint8, red first; grey footage
repeats its channel.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_nas.data.records import Record
from mer_nas.errors import DataError

Image = NDArray[np.uint8]

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
"""Endings of files that are taken for frames."""
VIDEOS = frozenset({".avi", ".mp4", ".mov", ".mkv", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv"})
"""Endings of files that are taken for videos."""


class Reel(Protocol):
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
        """Yield the frames at `places`; no other file is opened.

        Raises:
            DataError: A file is missing or is no image.
        """
        return (read_image(self.files[place]) for place in places)


@dataclass(frozen=True)
class Video:
    """A video file; frames are decoded one after the other, however long it is."""

    name: str
    file: Path
    length: int
    fps: float | None

    @classmethod
    def open(cls, file: Path) -> "Video":
        """Return the video in `file`; its frames are counted, which reads it once.

        Raises:
            DataError: OpenCV cannot read it, or it has no frame.
        """
        with _capture(file) as capture:
            length = 0
            while capture.grab():
                length += 1
            fps = _fps(capture)
        if not length:
            raise DataError(f"{file}: no frame of this video can be decoded")
        return cls(str(file), file, length, fps)

    @classmethod
    def as_told(cls, file: Path) -> "Video":
        """Return the video in `file` as its header describes it; no frame is decoded.

        Raises:
            DataError: OpenCV cannot read it, or its header counts no frames.
        """
        with _capture(file) as capture:
            length = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            fps = _fps(capture)
        if length < 1:
            raise DataError(f"{file}: this video does not say how many frames it has")
        return cls(str(file), file, length, fps)

    def __len__(self) -> int:
        """Return the number of frames."""
        return self.length

    def read(self, places: Iterable[int]) -> Iterator[Image]:
        """Yield the frames at `places`; those between are decoded and forgotten.

        Raises:
            DataError: The video can no longer be read that far.
        """
        with _capture(self.file) as capture:
            at = -1
            for place in places:
                while at < place:
                    if not capture.grab():
                        raise DataError(f"{self.file}: frame {at + 1} cannot be decoded")
                    at += 1
                yield _red_first(capture.retrieve()[1])


@dataclass(frozen=True)
class Excerpt:
    """Some frames of a video."""

    video: Video
    places: tuple[int, ...]
    """Which, ascending."""

    @property
    def name(self) -> str:
        """How people know the video."""
        return self.video.name

    @property
    def fps(self) -> float | None:
        """Frames per second of the video, where it is known."""
        return self.video.fps

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.places)

    def read(self, places: Iterable[int]) -> Iterator[Image]:
        """Yield the frames at `places` of the excerpt.

        Raises:
            DataError: The video cannot be read that far.
        """
        return self.video.read(self.places[place] for place in places)


def footage(record: Record) -> Reel:
    """Return the frames of a record: image files, or some frames of a video."""
    file = record.frames[0].path
    if file.suffix.lower() in VIDEOS:
        numbers = tuple(frame.number for frame in record.frames)
        return Excerpt(Video(record.id, file, numbers[-1] + 1, record.fps), numbers)
    return Stills(record.id, tuple(frame.path for frame in record.frames), record.fps)


def folder(path: Path, fps: float | None = None) -> Stills:
    """Return the frames in a folder, in the order of the numbers in their names.

    Raises:
        DataError: The folder holds no image.
    """
    files = [file for file in path.iterdir() if file.suffix.lower() in IMAGES]
    if not files:
        raise DataError(
            f"{path}: this folder holds no frames; images ending in {', '.join(sorted(IMAGES))} "
            "would be right"
        )
    return Stills(str(path), tuple(sorted(files, key=by_number)), fps)


def by_number(file: Path) -> tuple[tuple[int, ...], str]:
    """Return what sorts frames by the numbers in their names: img2 before img10.

    >>> sorted(map(Path, ["img10.jpg", "img2.jpg", "img1.jpg"]), key=by_number)[1].name
    'img2.jpg'
    """
    return tuple(int(number) for number in re.findall(r"\d+", file.stem)), file.name


def read_image(file: Path) -> Image:
    """Return the image in `file`, (H, W, 3), red first.

    Raises:
        DataError: The file is missing, empty, or no image that OpenCV can decode.
    """
    try:
        data = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None
    if len(data) == 0:
        raise DataError(f"{file}: this image file is empty (0 bytes); unpack it again")
    image: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{file}: this is no image that can be decoded; unpack it again")
    return _red_first(image)


def _red_first(image: Any) -> Image:
    return np.ascontiguousarray(image[:, :, ::-1])


@contextmanager
def _capture(file: Path) -> Iterator[Any]:
    if not file.is_file():
        raise DataError(f"{file}: there is no such file")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what is wrong is said here
    capture = cv2.VideoCapture(str(file))
    try:
        if not capture.isOpened():
            raise DataError(f"{file}: this is no video that OpenCV can read")
        yield capture
    finally:
        capture.release()


def _fps(capture: Any) -> float | None:
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if fps > 0 else None


def grey(frame: Image) -> Image:
    """Return a frame (H, W, 3) in grey (H, W), by the weights of ITU-R BT.601."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
