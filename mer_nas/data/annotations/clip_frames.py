"""From an annotation to its record: where the frames of a clip lie, and which of them it is.

Coders left apexes out, typed them outside their clips, and marked an offset they did not see with
0; copies lack frames. What can be made good is made good and found; what cannot costs the clip.
"""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import NamedTuple
from unicodedata import normalize

from mer_nas.data.annotations.annotation import Annotation
from mer_nas.data.annotations.folders import Folders, spelled
from mer_nas.data.annotations.layouts import PLACEHOLDER, Layout
from mer_nas.data.annotations.locate import Location
from mer_nas.data.findings import Finding
from mer_nas.data.preprocess.frames import Listing
from mer_nas.data.preprocess.images import IMAGE_ENDINGS
from mer_nas.data.records import FRAME_TOLERANCE, Frame, Record, nearest
from mer_nas.errors import DataError
from mer_nas.wording import count, some

_SHOWN = 120
"""Letters that a message shows of a path that is too long for the disk."""


class _Fault(Exception):
    """Why a clip cannot be used."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class _Note(NamedTuple):
    """What was made good."""

    kind: str
    text: str


class FrameFinder:
    """Finds the frames of the clips of one data set."""

    def __init__(self, location: Location, findings: list[Finding]) -> None:
        self.location = location
        self.folders = Folders()
        self.used: set[Path] = set()
        self._findings = findings
        self._listings: dict[Path, Listing] = {}

    def record(self, annotation: Annotation) -> Record | None:
        """Return the record of a clip, or None where it cannot be used; say why."""
        try:
            return self._record(annotation)
        except _Fault as fault:
            kind, text = fault.kind, str(fault)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            kind = "a clip without frames"
            text = f"no disk holds a name as long as {str(error.filename)[:_SHOWN]}..."
        self._findings.append(Finding("error", kind, annotation.id, text))
        return None

    def _record(self, annotation: Annotation) -> Record:
        listing = self._listing(annotation.folder or self._folder(annotation))
        interval = _interval(annotation, self.location.layout, listing)
        frames, notes = _frames(interval, listing)
        self._findings += [
            Finding("warning", kind, annotation.id, text)
            for kind, text in (*interval.notes, *notes)
        ]
        return Record(
            self.location.layout.name,
            annotation.subject,
            annotation.name,
            onset=interval.onset,
            apex=interval.apex,
            offset=interval.offset,
            apex_source="annotated" if interval.annotated else "estimated",
            emotion=annotation.emotion,
            action_units=annotation.action_units,
            fps=annotation.fps or listing.fps,
            frames=frames,
            cropped=self.location.release.frames == "cropped",
        )

    def _listing(self, folder: Path) -> Listing:
        self.used.add(folder)
        if folder not in self._listings:
            self._listings[folder] = _listed(folder)
            if others := self._listings[folder].others:
                text = f"{some(others, 3)}: passed over"
                kind = "images that are no frames"
                self._findings.append(Finding("warning", kind, str(folder), text))
        listing = self._listings[folder]
        if listing.fault is not None:
            raise _Fault(*listing.fault)
        return listing

    def _folder(self, annotation: Annotation) -> Path:
        """Return the folder of a clip, looked up name by name, so that none leaves the root.

        Where the table says where each clip lies, it may be a video file.
        """
        tried = []
        for pattern in self.location.release.clips:
            names = [found[1] for found in PLACEHOLDER.finditer(pattern) if found[1]]
            for name in names:
                _refuse_escape(annotation.values.get(name, ""), self.location.root)
            path = pattern.format_map(annotation.values).replace("\\", "/").strip("/")
            found = self.folders.descend(self.location.folder, [p for p in path.split("/") if p])
            if found is not None:
                self._report_form(annotation, path, found)
                return found
            video = spelled(self.location.folder / path)
            if self.location.layout.explicit and video.is_file():
                self._report_form(annotation, path, video)
                return video
            tried.append(path)
        what = "folder or video" if self.location.layout.explicit else "folder"
        text = f"there is no {what} {' nor '.join(tried)} in {self.location.folder}"
        raise _Fault("a clip without frames", text)

    def _report_form(self, annotation: Annotation, path: str, found: Path) -> None:
        """Report a path of the user's own table that is spelled otherwise on disk."""
        there = found.relative_to(self.location.folder)
        if not self.location.layout.explicit or there == Path(path):
            return
        text = f"in the table {path!r}, on disk {str(there)!r}"
        if normalize("NFC", str(there)) == normalize("NFC", path):
            text = f"{path!r}: its letters are composed otherwise on disk, another form of Unicode"
        self._findings.append(Finding("warning", "a path spelled otherwise", annotation.id, text))


def _listed(path: Path) -> Listing:
    if path.suffix.lower() in IMAGE_ENDINGS and path.is_file():
        text = f"{path} is one image; a folder of frames or a video would be right"
        raise _Fault("no frames", text)
    try:
        return Listing.of(path)
    except DataError as error:
        raise _Fault("no frames", str(error)) from None


def _refuse_escape(text: str, root: Path) -> None:
    """Refuse a name out of which a path would lead away from the root."""
    path = PureWindowsPath(text)  # knows both slashes, and drives
    if ".." in path.parts or path.root or (path.drive and os.name == "nt"):
        text = f"{text!r} leads out of {root}; a path below it would be right"
        raise _Fault("a path that leaves the root", text)


@dataclass(frozen=True)
class _Interval:
    """When a clip begins, is strongest and ends, in numbers of frames."""

    onset: int
    apex: int
    offset: int
    annotated: bool
    """Whether the apex is the coders'."""
    notes: tuple[_Note, ...] = ()


def _interval(annotation: Annotation, layout: Layout, listing: Listing) -> _Interval:
    """Return when a clip takes place.

    Raises:
        _Fault: Onset and offset enclose no frames.
    """
    notes: list[_Note] = []
    first, last = listing.frames[0].number, listing.frames[-1].number
    whole = layout.table is None or "onset" in layout.table.optional
    onset = _bound(annotation, "onset", annotation.onset, first if whole else None)
    offset = _bound(annotation, "offset", annotation.offset, last if whole else None)
    if offset == 0 and annotation.apexes:
        offset = max(annotation.apexes)
        notes.append(_Note("no offset", f"offset 0: the apex {offset} ends the clip"))
    if offset <= onset:
        raise _Fault("no interval", f"onset {onset} is not before offset {offset}")
    inside = [apex for apex in annotation.apexes if onset < apex <= offset]
    apex = inside[0] if inside else onset + (offset - onset) // 2
    told = annotation.values.get("apex", "")
    if not inside and (layout.has_apex or told):
        text = (
            f"apex {told!r} is not between {onset} and {offset}: the middle frame {apex} is taken"
        )
        notes.append(_Note("an estimated apex", text))
    shift = _shift(annotation, listing)
    if shift:
        text = f"frames on disk are counted from {first}, in the table from {annotation.first}"
        notes.append(_Note("frames counted anew", text))
    onset, apex, offset = onset + shift, apex + shift, offset + shift
    if offset > last + FRAME_TOLERANCE and last >= apex:
        notes.append(_Note("a clip cut short", f"offset {offset}: the last frame is {last}"))
        offset = last
    return _Interval(onset, apex, offset, bool(inside), tuple(notes))


def _bound(annotation: Annotation, name: str, number: int | None, otherwise: int | None) -> int:
    text = annotation.values.get(name, "")
    if number is None and (text or otherwise is None):
        raise _Fault("no interval", f"{name} {text!r} is no number of a frame")
    return number if number is not None else otherwise or 0


def _shift(annotation: Annotation, listing: Listing) -> int:
    """Return how far the numbers on disk are from those of the table.

    SMIC-E's table counts on from video to video; some copies begin each folder anew.
    """
    first = listing.frames[0].number
    if annotation.first is None or nearest(listing.frames, annotation.first) is not None:
        return 0
    return first - annotation.first


def _frames(interval: _Interval, listing: Listing) -> tuple[tuple[Frame, ...], list[_Note]]:
    """Return the frames of a clip, and what stands in for missing ones.

    Raises:
        _Fault: Onset, apex or offset have no frame near them, or an image is empty or a link to
            nothing.
    """
    frames = listing.frames
    inside = {f for f in frames if interval.onset <= f.number <= interval.offset}
    keys = [_key(number, listing) for number in (interval.onset, interval.apex, interval.offset)]
    found = tuple(sorted({*inside, *keys}))
    sizes = {frame.path.name: _size(frame.path) for frame in found}
    if lost := [name for name, size in sizes.items() if size is None]:
        text = (
            f"in {listing.folder} there is nothing behind {some(lost, 3)}; copy what it links to"
        )
        raise _Fault("unreadable images", text)
    if empty := [name for name, size in sizes.items() if size == 0]:
        text = (
            f"{count(len(empty), 'image')} in {listing.folder} without content: {some(empty, 3)}"
        )
        raise _Fault("empty images", f"{text}; copy them again")
    return found, list(_lacks(interval, listing, len(inside)))


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
        raise _Fault(
            "frames are missing",
            f"there is no frame {number} nor one within {FRAME_TOLERANCE} of it in "
            f"{listing.folder}, which holds {first} to {last}",
        )
    return found


def _lacks(interval: _Interval, listing: Listing, inside: int) -> Iterator[_Note]:
    for name, number in (
        ("onset", interval.onset),
        ("apex", interval.apex),
        ("offset", interval.offset),
    ):
        found = _key(number, listing).number
        if found != number:
            text = f"{name} {number} is missing: frame {found} is taken"
            yield _Note("a frame that stands in", text)
    whole = interval.offset - interval.onset + 1
    if inside < whole:
        yield _Note("frames are missing", f"{whole - inside} of {whole} in {listing.folder}")
    if len(listing.suffixes) > 1:
        yield _Note("mixed kinds of image", f"{listing.kinds} in {listing.folder}")
