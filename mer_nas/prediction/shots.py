"""What the word CLIP may name: a video, a folder of frames, two frames, or a flow image."""

import re
from dataclasses import dataclass
from pathlib import Path

from mer_nas.data.pipeline.reels import IMAGES, VIDEOS, Reel, Stills, Video, folder
from mer_nas.data.pipeline.steps import Marks
from mer_nas.errors import DataError


@dataclass(frozen=True)
class Given:
    """What the user says of a clip; None where nothing was said.

    In a folder frames are numbered as the ends of their file names are, in a video from 0.
    """

    onset: int | None = None
    apex: int | None = None
    offset: int | None = None

    fps: float | None = None
    """Frames per second of a folder, or instead of what a video says."""
    cropped: bool = False
    """Whether frames show nothing but the face, so that none has to be found."""


@dataclass(frozen=True)
class Shot:
    """A clip to be looked at."""

    name: str
    """As the user wrote it."""
    reel: Reel
    numbers: tuple[int, ...] | range
    """By place, what people call the frame."""
    marks: Marks
    cropped: bool = False
    """Whether its frames show nothing but the face."""
    pair: bool = False
    """Whether there are an onset and an apex and nothing else."""


def shot(word: str, given: Given) -> Shot:
    """Return what `word` names.

    Args:
        word: A video, a folder, or "onset.png,apex.png".
        given: Where the expression is, and what the footage is like.

    Raises:
        DataError: It names nothing that can be looked at.
    """
    path = Path(word).expanduser()
    if path.is_dir():
        found = folder(path, given.fps)
        return _whole(word, found, _numbers(found.files), given)
    if path.is_file() and path.suffix.lower() not in IMAGES:
        video = Video.open(path)
        known = Video(video.name, path, video.length, given.fps or video.fps)
        return _whole(word, known, range(len(video)), given)
    onset, comma, apex = word.partition(",")
    if comma and not path.exists():
        return _pair(word, Path(onset).expanduser(), Path(apex).expanduser(), given)
    if path.is_file():
        raise DataError(
            f"{word}: one image shows no motion; a folder of frames, a video, or two images as "
            "ONSET,APEX would be right"
        )
    raise DataError(
        f"{word}: there is no such file or folder; a video ({', '.join(sorted(VIDEOS))}), a "
        "folder of frames, or two images as ONSET,APEX would be right"
    )


def _pair(word: str, onset: Path, apex: Path, given: Given) -> Shot:
    if not given.onset is given.apex is given.offset is None:
        raise DataError(f"{word}: a pair is its onset and its apex; --onset and the like say more")
    for file in (onset, apex):
        if not file.is_file():
            raise DataError(f"{word}: there is no image {file}")
    reel = Stills(word, (onset, apex))
    return Shot(word, reel, range(2), Marks(0, 1, apex=1), given.cropped, pair=True)


def _whole(word: str, reel: Reel, numbers: tuple[int, ...] | range, given: Given) -> Shot:
    if len(reel) < 2:
        raise DataError(f"{word}: there is only one frame here; at least an onset and an apex")
    onset = 0 if given.onset is None else _place(word, numbers, given.onset, "--onset")
    last = len(reel) - 1
    offset = last if given.offset is None else _place(word, numbers, given.offset, "--offset")
    apex = None if given.apex is None else _place(word, numbers, given.apex, "--apex")
    return Shot(word, reel, numbers, Marks(onset, offset, apex), given.cropped)


def _place(word: str, numbers: tuple[int, ...] | range, number: int, option: str) -> int:
    if number not in numbers:
        raise DataError(
            f"{word}: {option} {number}: there is no such frame; they go from {numbers[0]} to "
            f"{numbers[-1]}"
        )
    return numbers.index(number)


def _numbers(files: tuple[Path, ...]) -> tuple[int, ...] | range:
    """Return the numbers at the end of file names; places where they tell no frame apart."""
    ends = [re.search(r"(\d+)$", file.stem) for file in files]
    numbers = tuple(int(end[1]) for end in ends if end)
    return numbers if len(set(numbers)) == len(files) else range(len(files))
