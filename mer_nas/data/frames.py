"""The frames of a clip: image files, by the number at the end of their names, or a video.

File names are never built: CASME II does not pad its numbers, SAMM pads some clips to four digits
and some to five, SMIC counts on from clip to clip. A folder is listed, and each file says its
number.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mer_nas.data.pipeline.reels import Video
from mer_nas.data.records import Frame

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})

_NUMBER = re.compile(r"([0-9]+)$")


@dataclass(frozen=True)
class Listing:
    """The frames of one folder, or of one video."""

    folder: Path
    """Or the video file."""
    frames: tuple[Frame, ...]
    """Ascending, one for each number."""
    twice: tuple[str, ...]
    """Files that claim the number of another."""
    suffixes: Mapping[str, int]
    """How many files there are of each kind: {".jpg": 67}."""
    fps: float | None = None
    """Frames a second, where the file says so."""


def list_frames(folder: Path) -> Listing:
    """Return the frames of a folder; other files are passed over."""
    found: dict[int, Path] = {}
    twice: list[str] = []
    suffixes: Counter[str] = Counter()
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        stem, dot, suffix = name.rpartition(".")
        number = _NUMBER.search(stem)
        if number is None or f"{dot}{suffix.lower()}" not in SUFFIXES or name.startswith("."):
            continue
        suffixes[f".{suffix.lower()}"] += 1
        if int(number[1]) in found:
            twice.append(name)
        else:
            found[int(number[1])] = folder / name
    frames = tuple(Frame(number, found[number]) for number in sorted(found))
    return Listing(folder, frames, tuple(twice), dict(suffixes))


def list_video(file: Path) -> Listing:
    """Return the frames of a video, which are numbered from 0.

    Raises:
        DataError: It cannot be read, or does not say how many frames it has.
    """
    video = Video.as_told(file)
    frames = tuple(Frame(number, file) for number in range(len(video)))
    return Listing(file, frames, (), {file.suffix.lower(): 1}, video.fps)
