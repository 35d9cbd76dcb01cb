"""Records: clips as a data set has them on disk, before anything is computed.

A record names the frames of one micro-expression and what its coders said of it. A label map gives
it a class, or leaves it out; `RecordSet` holds those that have one. What networks see is computed
from the frames elsewhere: nothing here opens an image.

Frames are known by the number at the end of their file name, which is how the coders counted them.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from mer_nas.data.annotations.action_units import ActionUnit
from mer_nas.data.clips import Clip
from mer_nas.data.findings import Finding
from mer_nas.errors import DataError

MAX_FPS = 10_000
"""Frames a second below which every camera of the field stays."""

TOLERANCE = 2
"""A frame that is missing may be stood in for by one this many frames away."""


class Frame(NamedTuple):
    """An image file and its place in time."""

    number: int
    path: Path


@dataclass(frozen=True)
class Record:
    """One recorded micro-expression."""

    dataset: str
    """The name of the data set: "casme2"."""
    subject: str
    """The subject in the data set's own form, as text: "sub06", "006", "s6"."""
    name: str
    """The clip, unique within its subject."""
    frames: tuple[Frame, ...]
    """Ascending; every file from onset to offset, and what stands in for one of these."""
    onset: int
    """Number of the frame where the motion begins."""
    apex: int
    """Number of the frame where it is largest; onset < apex <= offset."""
    offset: int
    """Number of the frame where it has ended, or of the last that there is."""
    apex_source: Literal["annotated", "estimated"]
    """Whether coders gave the apex, or the middle of onset and offset is taken."""
    emotion: str
    """The emotion as annotated, in lower case and one spelling, before it is mapped to a class."""
    action_units: tuple[ActionUnit, ...] | None
    """None where none were annotated."""
    fps: float | None
    """Frames a second; None where nobody says."""
    cropped: bool = False
    """Whether the files show the registered face only, so that no alignment is needed."""

    @property
    def group(self) -> str:
        """The subject, unique over all data sets."""
        return f"{self.dataset}:{self.subject}"

    @property
    def id(self) -> str:
        """The clip, unique over all data sets."""
        return f"{self.group}/{self.name}"

    def frame(self, number: int) -> Frame:
        """Return the frame of that number, or the nearest one within `TOLERANCE`.

        Raises:
            DataError: There is none so near.
        """
        found = nearest(self.frames, number)
        if found is None:
            raise DataError(
                f"{self.id}: there is no frame {number} nor one within {TOLERANCE} of it in "
                f"{self.frames[0].path.parent}"
            )
        return found

    @property
    def keyframes(self) -> tuple[Frame, Frame, Frame]:
        """The frames of onset, apex and offset."""
        return self.frame(self.onset), self.frame(self.apex), self.frame(self.offset)

    def clip(self, label: int) -> Clip:
        """Return what is known of the record once it has a class."""
        units = self.action_units
        return Clip(
            self.dataset,
            self.subject,
            self.name,
            label,
            onset=self.onset,
            apex=self.apex,
            offset=self.offset,
            apex_source=self.apex_source,
            emotion=self.emotion,
            action_units=None if units is None else tuple(str(unit.number) for unit in units),
        )


def nearest(frames: tuple[Frame, ...], number: int) -> Frame | None:
    """Return the frame nearest to `number` if it is within `TOLERANCE`; the later of two.

    >>> frames = (Frame(3, Path("3.png")), Frame(7, Path("7.png")))
    >>> nearest(frames, 5).number, nearest(frames, 10)
    (7, None)
    """
    at = bisect_left(frames, number, key=lambda frame: frame.number)
    near = frames[max(0, at - 1) : at + 1]
    found = min(near, key=lambda f: (abs(f.number - number), -f.number), default=None)
    return found if found and abs(found.number - number) <= TOLERANCE else None


@dataclass(frozen=True)
class RecordSet:
    """Records that have a class."""

    name: str
    classes: tuple[str, ...]
    records: tuple[Record, ...]
    labels: tuple[int, ...]
    """The class of each record, an index into `classes`."""
    official: Mapping[str, int] | None = None
    """Counts of the full set where they are known: clips, subjects and each class."""
    left_out: tuple[Finding, ...] = ()
    """Clips that are annotated and not here, and why."""
    findings: tuple[Finding, ...] = ()
    """Oddities that were made good or passed over; a check of the data lists them."""

    @cached_property
    def clips(self) -> tuple[Clip, ...]:
        """What is known of each record, with its class."""
        return tuple(
            record.clip(label) for record, label in zip(self.records, self.labels, strict=True)
        )
