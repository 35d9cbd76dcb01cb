"""A record: one clip as the product knows it, its subject, its class and where its frames are.

Subjects carry the name of their data set ("casme2:sub06"), because the sets number their subjects
alike and a protocol must never take two people for one. Frames are known by the number at the end
of their file name, which is how the coders counted them. Nothing here opens an image.
"""

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mer_nas.errors import DataError

FRAME_TOLERANCE = 2
"""A frame that is missing may be stood in for by one this many frames away."""

UNLABELLED = -1
"""The label of a record that has no class yet."""


class Frame(NamedTuple):
    """An image file and its place in time."""

    number: int
    path: Path


@dataclass(frozen=True)
class Record:
    """What is known of one recorded micro-expression."""

    dataset: str
    """The name of the data set: "casme2"."""
    subject: str
    """The subject's name within the data set, as text: "006" and "6" are two names."""
    name: str
    """The clip, unique within its subject."""
    label: int = UNLABELLED
    """Index into the classes of the set."""
    onset: int | None = None
    """Number of the frame where the motion begins, as the annotation counts; so the next two."""
    apex: int | None = None
    """Number of the frame where it is largest; onset < apex <= offset."""
    offset: int | None = None
    """Number of the frame where it has ended, or of the last that there is."""
    apex_source: str | None = None
    """Where the apex comes from: "annotated", "estimated", or a way of `preprocess.config`."""
    emotion: str | None = None
    """The emotion as annotated, in lower case and one spelling, before it is mapped to a class."""
    action_units: tuple[str, ...] | None = None
    """Numbers of those seen, without side and intensity, also of units not in `ACTION_UNITS`;
    None: not annotated, or not asked for."""
    fps: float | None = None
    """Frames a second; None where nobody says."""
    frames: tuple[Frame, ...] = ()
    """Ascending; every file from onset to offset, and what stands in for one of these."""
    cropped: bool = False
    """Whether the files show the registered face only, so that no alignment is needed."""

    @property
    def group(self) -> str:
        """The subject, unique over all data sets.

        >>> Record("samm", "006", "006_1_2").group
        'samm:006'
        """
        return f"{self.dataset}:{self.subject}"

    @property
    def id(self) -> str:
        """The clip, unique over all data sets."""
        return f"{self.group}/{self.name}"

    def frame(self, number: int) -> Frame:
        """Return the frame of that number, or the nearest one within `FRAME_TOLERANCE`.

        Raises:
            DataError: There is none so near.
        """
        found = nearest(self.frames, number)
        if found is None:
            there = f" in {self.frames[0].path.parent}" if self.frames else ""
            raise DataError(
                f"{self.id}: there is no frame {number} nor one within {FRAME_TOLERANCE} of it"
                f"{there}"
            )
        return found

    @property
    def keyframes(self) -> tuple[Frame, Frame, Frame]:
        """The frames of onset, apex and offset, or what stands in for them.

        Raises:
            DataError: There are none, or none so near.
        """
        if self.onset is None or self.apex is None or self.offset is None:
            raise DataError(f"{self.id}: nobody says when it begins, is strongest and ends")
        return self.frame(self.onset), self.frame(self.apex), self.frame(self.offset)


def nearest(frames: tuple[Frame, ...], number: int) -> Frame | None:
    """Return the frame nearest to `number` if it is within `FRAME_TOLERANCE`; the later of two.

    >>> frames = (Frame(3, Path("3.png")), Frame(7, Path("7.png")))
    >>> nearest(frames, 5).number, nearest(frames, 10)
    (7, None)
    """
    at = bisect_left(frames, number, key=lambda frame: frame.number)
    near = frames[max(0, at - 1) : at + 1]
    found = min(near, key=lambda f: (abs(f.number - number), -f.number), default=None)
    return found if found and abs(found.number - number) <= FRAME_TOLERANCE else None


def dataset_of(clip: str) -> str:
    """Return the data set of a clip by its id.

    >>> dataset_of("samm:006/006_1_2")
    'samm'
    """
    return clip.partition(":")[0]
