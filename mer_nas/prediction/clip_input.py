"""What the word CLIP may name: a video, a folder of frames, two frames, or a flow image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, PositiveFloat

from mer_nas.config.arguments import scalar
from mer_nas.config.base import Config
from mer_nas.data.annotations.folders import readable
from mer_nas.data.preprocess.frame_readers import FrameReader, Stills, Video
from mer_nas.data.preprocess.frames import Listing
from mer_nas.data.preprocess.images import IMAGE_ENDINGS, decode
from mer_nas.data.preprocess.pipeline import Keyframes
from mer_nas.errors import DataError
from mer_nas.files import place
from mer_nas.wording import count, some

_RIGHT = "a video, a folder of frames, or two images as ONSET,APEX would be right"


Number = Annotated[int | None, BeforeValidator(scalar)]
"""Of a frame; a table of numpy or pandas gives its own kind."""


class Given(Config):
    """What the user says of a clip; None where nothing was said.

    In a folder frames are numbered as the ends of their file names are, in a video from 0.
    """

    onset: Number = None
    apex: Number = None
    offset: Number = None

    fps: Annotated[PositiveFloat | None, BeforeValidator(scalar)] = None
    """Frames per second of a folder, or instead of what a video says."""
    cropped: bool = False
    """Whether frames show nothing but the face, so that none has to be found."""


@dataclass(frozen=True)
class ClipInput:
    """A clip to be looked at."""

    name: str
    """As the user wrote it."""
    reader: FrameReader
    numbers: Sequence[int]
    """By place, what people call the frame."""
    keyframes: Keyframes
    cropped: bool = False
    """Whether its frames show nothing but the face."""
    pair: bool = False
    """Whether there are an onset and an apex and nothing else."""
    notes: tuple[str, ...] = ()
    """What was passed over, is missing, or was assumed of its frames."""


def clip_input(word: str, given: Given) -> ClipInput:
    """Return what `word` names.

    Args:
        word: A video, a folder, or "onset.png,apex.png".
        given: Where the expression is, and what the footage is like.

    Raises:
        DataError: It names nothing that can be looked at.
    """
    path = there(word)
    if path is None and "," in word:
        return _pair(word, given)
    if path is None:
        place(word, word, DataError)
        raise DataError(f"{word or repr(word)}: there is no such file or folder; {_RIGHT}")
    if path.is_dir():
        with readable():
            listing = Listing.of(path)
        if listing.fault is not None:
            raise DataError(": ".join(listing.fault))
        numbers = tuple(frame.number for frame in listing.frames)
        reader = Stills(str(path), tuple(frame.path for frame in listing.frames), given.fps)
        found = _whole(word, reader, numbers, given)
        return replace(found, notes=tuple(_notes(listing, found)))
    if path.is_file() and path.suffix.lower() not in IMAGE_ENDINGS:
        video = Video.open(path)
        known = replace(video, fps=given.fps or video.fps)
        return _whole(word, known, range(len(video)), given)
    if path.is_file():
        raise DataError(
            f"{word}: one image shows no motion; a folder of frames, a video, or two images as "
            "ONSET,APEX would be right"
        )
    raise DataError(f"{word}: this is no file that holds a clip; {_RIGHT}")


def there(word: str) -> Path | None:
    """Return the file or folder that a word names, or None."""
    try:
        path = place(word, word, DataError)
    except DataError:  # as of a long pair, which is no name
        return None
    return path if word and path.exists() else None


def _pair(word: str, given: Given) -> ClipInput:
    if not given.onset is given.apex is given.offset is None:
        raise DataError(f"{word}: a pair is its onset and its apex; --onset and the like say more")
    files = _halves(word)
    if files[0].samefile(files[1]):
        raise DataError(f"{word}: onset and apex are one image, which shows no motion")
    reader = Stills(word, files)
    found = ClipInput(word, reader, range(2), Keyframes(0, 1, apex=1), given.cropped, pair=True)
    return replace(found, notes=tuple(_depth(reader)))


def _halves(word: str) -> tuple[Path, Path]:
    """Return the two files of a pair: parted at the comma on both sides of which there is one."""
    parts = word.split(",")
    for end in range(1, len(parts)):
        onset, apex = there(",".join(parts[:end])), there(",".join(parts[end:]))
        if onset is not None and apex is not None:
            return onset, apex
    first, _, second = word.partition(",")
    lost = second if there(first) else first
    raise DataError(f"{word}: there is no image {lost or 'on one side of the comma'}; {_RIGHT}")


def _whole(word: str, reader: FrameReader, numbers: Sequence[int], given: Given) -> ClipInput:
    if len(reader) < 2:
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
    first, last = numbers.index(onset), numbers.index(offset)
    if isinstance(reader, Stills):  # what lies outside decides nothing, nor does it in training
        reader = replace(reader, files=reader.files[first : last + 1])
        numbers, first, last = numbers[first : last + 1], 0, last - first
    apex = None if given.apex is None else numbers.index(given.apex)
    return ClipInput(word, reader, tuple(numbers), Keyframes(first, last, apex), given.cropped)


def _gaps(numbers: Sequence[int]) -> str:
    lacking = _lacking(numbers)
    return f", {lacking} of them missing" if lacking else ""


def _lacking(numbers: Sequence[int]) -> int:
    return numbers[-1] - numbers[0] + 1 - len(numbers)


def _notes(listing: Listing, clip: ClipInput) -> Iterator[str]:
    """Say of a folder what people may not expect of it."""
    if listing.others:
        yield f"passed over {some(listing.others, 3)}"
    if lacking := _lacking(clip.numbers):
        first, last = clip.numbers[0], clip.numbers[-1]
        yield f"{count(lacking, 'frame')} from {first} to {last} missing; the others are taken"
    if len(listing.suffixes) > 1:
        yield f"mixed kinds of image: {listing.kinds}"
    if isinstance(clip.reader, Stills):
        yield from _depth(clip.reader)


def _depth(reader: Stills) -> Iterator[str]:
    if decode(reader.files[0]).dtype != np.uint8:
        bits = reader.bits
        yield f"images of 16 bits, taken as {bits}, which the largest value of the clip needs"
