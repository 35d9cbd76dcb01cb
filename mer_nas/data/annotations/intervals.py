"""From onset to offset: which frames of a folder are the clip, and what to do where some lack.

Coders left apexes out, typed them outside their clips, and marked an offset they did not see with
0; copies lack frames. What can be made good is made good and noted; what cannot is a `Fault`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mer_nas.data.annotations.annotation import Entry
from mer_nas.data.annotations.layouts import Layout
from mer_nas.data.preprocess.frames import Listing
from mer_nas.data.records import TOLERANCE, Frame, nearest
from mer_nas.wording import count, some


class Fault(Exception):
    """Why a clip cannot be used."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Note(NamedTuple):
    """What was made good."""

    kind: str
    text: str


@dataclass(frozen=True)
class Span:
    """When a clip begins, is strongest and ends, in numbers of frames."""

    onset: int
    apex: int
    offset: int
    annotated: bool
    """Whether the apex is the coders'."""
    notes: tuple[Note, ...] = ()


def span_of(entry: Entry, layout: Layout, listing: Listing) -> Span:
    """Return when a clip takes place.

    Raises:
        Fault: Onset and offset enclose no frames.
    """
    notes: list[Note] = []
    first, last = listing.frames[0].number, listing.frames[-1].number
    whole = layout.table is None or "onset" in layout.table.optional
    onset = _bound(entry, "onset", entry.onset, first if whole else None)
    offset = _bound(entry, "offset", entry.offset, last if whole else None)
    if offset == 0 and entry.apexes:
        offset = max(entry.apexes)
        notes.append(Note("no offset", f"offset 0: the apex {offset} ends the clip"))
    if offset <= onset:
        raise Fault("no interval", f"onset {onset} is not before offset {offset}")
    inside = [apex for apex in entry.apexes if onset < apex <= offset]
    apex = inside[0] if inside else onset + (offset - onset) // 2
    told = entry.values.get("apex", "")
    if not inside and (layout.has_apex or told):
        text = (
            f"apex {told!r} is not between {onset} and {offset}: the middle frame {apex} is taken"
        )
        notes.append(Note("an estimated apex", text))
    shift = _shift(entry, listing)
    if shift:
        text = f"frames on disk are counted from {first}, in the table from {entry.first}"
        notes.append(Note("frames counted anew", text))
    onset, apex, offset = onset + shift, apex + shift, offset + shift
    if offset > last + TOLERANCE and last >= apex:
        notes.append(Note("a clip cut short", f"offset {offset}: the last frame is {last}"))
        offset = last
    return Span(onset, apex, offset, bool(inside), tuple(notes))


def _bound(entry: Entry, name: str, number: int | None, otherwise: int | None) -> int:
    text = entry.values.get(name, "")
    if number is None and (text or otherwise is None):
        raise Fault("no interval", f"{name} {text!r} is no number of a frame")
    return number if number is not None else otherwise or 0


def _shift(entry: Entry, listing: Listing) -> int:
    """Return how far the numbers on disk are from those of the table.

    SMIC-E's table counts on from video to video; some copies begin each folder anew.
    """
    first = listing.frames[0].number
    if entry.first is None or nearest(listing.frames, entry.first) is not None:
        return 0
    return first - entry.first


def frames_of(span: Span, listing: Listing) -> tuple[tuple[Frame, ...], list[Note]]:
    """Return the frames of a clip, and what stands in for missing ones.

    Raises:
        Fault: Onset, apex or offset have no frame near them, or an image is empty or a link to
            nothing.
    """
    frames = listing.frames
    inside = {f for f in frames if span.onset <= f.number <= span.offset}
    keys = [_key(number, listing) for number in (span.onset, span.apex, span.offset)]
    found = tuple(sorted({*inside, *keys}))
    sizes = {frame.path.name: _size(frame.path) for frame in found}
    if lost := [name for name, size in sizes.items() if size is None]:
        text = (
            f"in {listing.folder} there is nothing behind {some(lost, 3)}; copy what it links to"
        )
        raise Fault("unreadable images", text)
    if empty := [name for name, size in sizes.items() if size == 0]:
        text = (
            f"{count(len(empty), 'image')} in {listing.folder} without content: {some(empty, 3)}"
        )
        raise Fault("empty images", f"{text}; copy them again")
    return found, list(_lacks(span, listing, len(inside)))


def _size(path: Path) -> int | None:
    """Return how many bytes a file has; None where its name leads nowhere."""
    try:
        return path.stat().st_size
    except OSError:  # a link to nothing, or to itself
        return None


def _key(number: int, listing: Listing) -> Frame:
    found = nearest(listing.frames, number)
    if found is None:
        first, last = listing.frames[0].number, listing.frames[-1].number
        raise Fault(
            "frames are missing",
            f"there is no frame {number} nor one within {TOLERANCE} of it in {listing.folder}, "
            f"which holds {first} to {last}",
        )
    return found


def _lacks(span: Span, listing: Listing, inside: int) -> Iterator[Note]:
    for name, number in (("onset", span.onset), ("apex", span.apex), ("offset", span.offset)):
        found = _key(number, listing).number
        if found != number:
            text = f"{name} {number} is missing: frame {found} is taken"
            yield Note("a frame that stands in", text)
    whole = span.offset - span.onset + 1
    if inside < whole:
        yield Note("frames are missing", f"{whole - inside} of {whole} in {listing.folder}")
    if len(listing.suffixes) > 1:
        yield Note("mixed kinds of image", f"{listing.kinds} in {listing.folder}")
