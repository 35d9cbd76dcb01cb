"""What the word CLIP may name: a video, a folder of frames, two frames, or a flow image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mer_nas.data.clips import some
from mer_nas.data.frames import Listing, list_frames
from mer_nas.data.images import ENDINGS
from mer_nas.data.pipeline.reels import Reel, Stills, Video
from mer_nas.data.pipeline.steps import Marks
from mer_nas.data.places import readable
from mer_nas.errors import DataError
from mer_nas.files import place


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
    numbers: Sequence[int]
    """By place, what people call the frame."""
    marks: Marks
    cropped: bool = False
    """Whether its frames show nothing but the face."""
    pair: bool = False
    """Whether there are an onset and an apex and nothing else."""
    passed_over: tuple[str, ...] = ()
    """Images of its folder that are no frames of it."""


def shot(word: str, given: Given) -> Shot:
    """Return what `word` names.

    Args:
        word: A video, a folder, or "onset.png,apex.png".
        given: Where the expression is, and what the footage is like.

    Raises:
        DataError: It names nothing that can be looked at.
    """
    path = place(word, word, DataError)
    if path.is_dir():
        with readable():
            listing = list_frames(path)
        _refuse_unclear(word, listing)
        numbers = tuple(frame.number for frame in listing.frames)
        reel = Stills(str(path), tuple(frame.path for frame in listing.frames), given.fps)
        found = _whole(word, reel, numbers, given)
        return replace(found, passed_over=listing.others)
    if path.is_file() and path.suffix.lower() not in ENDINGS:
        video = Video.open(path)
        known = replace(video, fps=given.fps or video.fps)
        return _whole(word, known, range(len(video)), given)
    if path.is_file():
        raise DataError(
            f"{word}: one image shows no motion; a folder of frames, a video, or two images as "
            "ONSET,APEX would be right"
        )
    if "," in word:
        return _pair(word, given)
    raise DataError(
        f"{word}: there is no such file or folder; a video, a folder of frames, or two images as "
        "ONSET,APEX would be right"
    )


def _refuse_unclear(word: str, listing: Listing) -> None:
    if listing.twice:
        first = some(listing.twice, 3)
        raise DataError(
            f"{word}: two files for one frame: {first}, beside another of that number; keep one "
            "kind of image"
        )
    if not listing.frames:
        raise DataError(
            f"{word}: this folder holds no frames; images ending in "
            f"{', '.join(sorted(ENDINGS))}, with a number at the end of their names, would be "
            "right"
        )


def _pair(word: str, given: Given) -> Shot:
    if not given.onset is given.apex is given.offset is None:
        raise DataError(f"{word}: a pair is its onset and its apex; --onset and the like say more")
    onset, apex = _halves(word)
    for file in (onset, apex):
        if not file.is_file():
            raise DataError(f"{word}: there is no image {file}")
    reel = Stills(word, (onset, apex))
    return Shot(word, reel, range(2), Marks(0, 1, apex=1), given.cropped, pair=True)


def _halves(word: str) -> tuple[Path, Path]:
    """Return the two files of a pair: parted at the comma on both sides of which there is one."""
    parts = word.split(",")
    halves = [
        (Path(",".join(parts[:end])).expanduser(), Path(",".join(parts[end:])).expanduser())
        for end in range(1, len(parts))
    ]
    both = (pair for pair in halves if pair[0].is_file() and pair[1].is_file())
    return next(both, halves[0])


def _whole(word: str, reel: Reel, numbers: Sequence[int], given: Given) -> Shot:
    if len(reel) < 2:
        raise DataError(f"{word}: there is only one frame here; at least an onset and an apex")
    onset = numbers[0] if given.onset is None else given.onset
    offset = numbers[-1] if given.offset is None else given.offset
    for option, number in (("onset", onset), ("apex", given.apex), ("offset", offset)):
        if number is not None and number not in numbers:
            raise DataError(
                f"{word}: --{option} {number}: there is no such frame; they go from {numbers[0]} "
                f"to {numbers[-1]}{_gaps(numbers)}"
            )
    if onset >= offset:
        raise DataError(
            f"{word}: onset {onset} is not before offset {offset}; the onset comes first"
        )
    if given.apex is not None and not onset < given.apex <= offset:
        raise DataError(
            f"{word}: apex {given.apex} is not after onset {onset} and up to offset {offset}"
        )
    apex = None if given.apex is None else numbers.index(given.apex)
    marks = Marks(numbers.index(onset), numbers.index(offset), apex)
    return Shot(word, reel, tuple(numbers), marks, given.cropped)


def _gaps(numbers: Sequence[int]) -> str:
    lacking = numbers[-1] - numbers[0] + 1 - len(numbers)
    return f", {lacking} of them missing" if lacking else ""
