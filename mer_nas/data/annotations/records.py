"""From a data set on disk to its records, and to those that have a class.

A reader never stops at a fault: it goes on to the next clip and keeps a finding. Whoever trains
refuses a set with errors (`labelled`); whoever checks shows them all (`data.checks.check`).
"""

import errno
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from unicodedata import normalize

from mer_nas.data.annotations import identity
from mer_nas.data.annotations.annotation import Entry, entries_of, walk
from mer_nas.data.annotations.classes import without_class
from mer_nas.data.annotations.intervals import Fault, frames_of, span_of
from mer_nas.data.annotations.label_maps import LabelMap, read_label_map
from mer_nas.data.annotations.layouts import PLACEHOLDER, Layout, read_layout
from mer_nas.data.annotations.locate import Folders, Place, find_root, locate, readable, spelled
from mer_nas.data.config import RecordedData
from mer_nas.data.findings import Finding
from mer_nas.data.preprocess.frames import Listing, list_frames, list_video
from mer_nas.data.preprocess.images import ENDINGS
from mer_nas.data.records import Record, RecordSet
from mer_nas.errors import ConfigError, DataError, unknown
from mer_nas.wording import count, some


@dataclass(frozen=True)
class Reading:
    """One data set as it was read."""

    place: Place
    entries: tuple[Entry, ...]
    """What is annotated."""
    records: tuple[Record, ...]
    """What can be used."""
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that cost a clip, or leave it open who is one person."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def without_class(self, labels: LabelMap) -> list[Finding]:
        """Return what there is to say of the clips that a label map leaves out."""
        return [*without_class(self.place.layout, self.entries, self.records, labels)]


def labelled(config: RecordedData) -> RecordSet:
    """Return the records of all data sets that the configuration names, with their classes.

    Raises:
        DataError: A root or table is wrong, it cannot be told who is one person, or clips cannot
            be used and may not be left out.
        ConfigError: A layout or label map is unknown, or they do not go together.
    """
    readings = [read(place) for place in places(config)]
    found = classified(config, readings)
    errors = [error for reading in readings for error in reading.errors]
    people = [error for error in errors if error.people]
    unclassed = [error for error in found.left_out if error.severity == "error"]
    refused = people if config.skip_missing else list(dict.fromkeys([*errors, *unclassed]))
    if refused:
        shown = "\n  ".join([*map(str, refused[:10]), *["..."] * (len(refused) > 10)])
        hint = "" if people else ", data.skip_missing=true leaves these clips out"
        raise DataError(
            f"{config.name}: {count(len(refused), 'fault')}; `mer-nas data check` with the same "
            f"words shows everything{hint}:\n  {shown}"
        )
    if not found.records:
        raise DataError(f"{config.name}: data.labels={config.labels} gives no clip a class")
    return found


def places(config: RecordedData) -> list[Place]:
    """Return where each data set of the configuration lies."""
    return [place(config, layout) for layout in chosen(config)]


def chosen(config: RecordedData) -> list[Layout]:
    """Return the layouts of the configuration, each with people of its own.

    Raises:
        ConfigError: One is unknown, two have the same people, or a root names none of them.
    """
    found = [read_layout(name) for name in config.layouts]
    for group in ("roots", "annotations"):
        for name in getattr(config, group):
            if name not in config.layouts:
                raise ConfigError(f"data.{group}: {unknown('layout', name, config.layouts)}")
    people = Counter(layout.people for layout in found)
    for layout in found:
        if people[layout.people] > 1:
            same = [other.name for other in found if other.people == layout.people]
            raise ConfigError(
                f"data.layouts: {' and '.join(same)} show the same people, who would be learned "
                "from and held out at once; one of them would be right"
            )
    return found


def place(config: RecordedData, layout: Layout) -> Place:
    """Return where one data set of the configuration lies."""
    root = config.roots.get(layout.name)
    if root is None and config.root is not None and len(config.layouts) > 1:
        root = find_root(layout, config.root, config.frames)
    return locate(layout, root or config.root, config.frames, config.annotations.get(layout.name))


def classified(config: RecordedData, readings: Sequence[Reading]) -> RecordSet:
    """Return the records that the label map gives a class."""
    labels = read_label_map(config.labels)
    records = [record for reading in readings for record in reading.records]
    names = [reading.place.layout.name for reading in readings]
    classes = labels.classes(names, records)
    found = [(record, labels.label_of(record, classes)) for record in records]
    kept = [(record, label) for record, label in found if label is not None]
    errors = [error for reading in readings for error in reading.errors]
    warnings = [f for reading in readings for f in reading.findings if f.severity == "warning"]
    without = [f for reading in readings for f in reading.without_class(labels)]
    used = {record.id for record, _ in kept}
    return RecordSet(
        config.name,
        classes,
        tuple(record for record, _ in kept),
        tuple(label for _, label in kept),
        official=labels.counts(names),
        left_out=(
            *(error for error in errors if not error.people),
            *(finding for finding in without if finding.where not in used),
        ),
        findings=(*warnings, *(finding for finding in without if finding.where in used)),
    )


@readable()
def read(place: Place) -> Reading:
    """Return what a data set holds.

    Raises:
        DataError: Its table, or a folder, cannot be read.
    """
    findings: list[Finding] = [
        Finding(
            "warning", "a workbook is open in Excel", str(lock), "close it, so that it is saved"
        )
        for lock in place.locks
    ]
    entries = _by_person(place, entries_of(place, findings), findings)
    entries = _single(_told_apart(place.layout, entries), findings)
    finder = _Finder(place, findings)
    records = [record for entry in entries if (record := finder.record(entry)) is not None]
    _report_strangers(place, finder, findings)
    if not entries:
        findings.append(Finding("error", "no clips", str(place.folder), "nothing is annotated"))
    return Reading(place, tuple(entries), tuple(records), tuple(findings))


def _by_person(place: Place, entries: Sequence[Entry], findings: list[Finding]) -> list[Entry]:
    """Return the entries with one name for each person; report what was joined, or left open."""
    layout = place.layout
    rule = None if layout.subject == "{}" else lambda text: layout.subject_of(identity.plain(text))
    writings = ((entry.spelling, entry.place) for entry in entries)
    names = identity.settled(writings, rule) if rule else identity.settled(writings)
    findings += [identity.joined("subjects", *each) for each in names.joined.items()]
    for text in names.unsure:
        kind = "subjects that may be one person"
        where = place.table.name if place.table else layout.name
        findings.append(Finding("error", kind, where, identity.unsure_text(text), True))
    return [replace(entry, subject=names.of[entry.spelling]) for entry in entries]


def _told_apart(layout: Layout, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries; of a recording that has several, all but the first named by onset.

    Only a table that says where each clip lies may name one recording again.
    """
    if not layout.explicit:
        return list(entries)
    onsets: dict[str, set[int | None]] = defaultdict(set)
    found = []
    for entry in entries:
        before = onsets[entry.id]
        again = bool(before) and entry.onset is not None and entry.onset not in before
        found.append(replace(entry, name=f"{entry.name}_{entry.onset}") if again else entry)
        before.add(entry.onset)
    return found


def _single(entries: Sequence[Entry], findings: list[Finding]) -> list[Entry]:
    """Return the entries without those whose clip another has named before."""
    kept: dict[str, Entry] = {}
    for entry in entries:
        if entry.id in kept:
            text = "named again; the first is taken"
            findings.append(Finding("error", "a clip is named twice", entry.id, text))
        else:
            kept[entry.id] = entry
    return list(kept.values())


def _report_strangers(place: Place, finder: "_Finder", findings: list[Finding]) -> None:
    """Report folders of clips that the table does not name."""
    ends = [pattern.split("/")[-1] for pattern in place.release.clips]
    if place.table is None or not all("{clip}" in end and "*" not in end for end in ends):
        return
    for _, folder in walk(place, finder.folders):
        if folder not in finder.used:
            where = str(folder.relative_to(place.folder))
            findings.append(Finding("warning", "a clip without annotation", where, "passed over"))


SHOWN = 120
"""Letters that a message shows of a path that is too long for the disk."""


class _Finder:
    """Finds the frames of the clips of one data set."""

    def __init__(self, place: Place, findings: list[Finding]) -> None:
        self.place = place
        self.folders = Folders()
        self.used: set[Path] = set()
        self._findings = findings
        self._listings: dict[Path, Listing] = {}

    def record(self, entry: Entry) -> Record | None:
        """Return the record of a clip, or None where it cannot be used; say why."""
        try:
            return self._record(entry)
        except Fault as fault:
            kind, text = fault.kind, str(fault)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            kind = "a clip without frames"
            text = f"no disk holds a name as long as {str(error.filename)[:SHOWN]}..."
        self._findings.append(Finding("error", kind, entry.id, text))
        return None

    def _record(self, entry: Entry) -> Record:
        listing = self._listing(entry.folder or self._folder(entry))
        span = span_of(entry, self.place.layout, listing)
        frames, notes = frames_of(span, listing)
        self._findings += [
            Finding("warning", kind, entry.id, text) for kind, text in (*span.notes, *notes)
        ]
        return Record(
            self.place.layout.name,
            entry.subject,
            entry.name,
            frames,
            span.onset,
            span.apex,
            span.offset,
            "annotated" if span.annotated else "estimated",
            entry.emotion,
            entry.action_units,
            entry.fps or listing.fps,
            cropped=self.place.release.frames == "cropped",
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
            raise Fault(*listing.fault)
        return listing

    def _folder(self, entry: Entry) -> Path:
        """Return the folder of a clip, looked up name by name, so that none leaves the root.

        Where the table says where each clip lies, it may be a video file.
        """
        tried = []
        for pattern in self.place.release.clips:
            names = [found[1] for found in PLACEHOLDER.finditer(pattern) if found[1]]
            for name in names:
                _refuse_escape(entry.values.get(name, ""), self.place.root)
            path = pattern.format_map(entry.values).replace("\\", "/").strip("/")
            found = self.folders.descend(self.place.folder, [p for p in path.split("/") if p])
            if found is not None:
                self._report_form(entry, path, found)
                return found
            video = spelled(self.place.folder / path)
            if self.place.layout.explicit and video.is_file():
                self._report_form(entry, path, video)
                return video
            tried.append(path)
        what = "folder or video" if self.place.layout.explicit else "folder"
        text = f"there is no {what} {' nor '.join(tried)} in {self.place.folder}"
        raise Fault("a clip without frames", text)

    def _report_form(self, entry: Entry, path: str, found: Path) -> None:
        """Report a path of the user's own table that is spelled otherwise on disk."""
        there = found.relative_to(self.place.folder)
        if not self.place.layout.explicit or there == Path(path):
            return
        text = f"in the table {path!r}, on disk {str(there)!r}"
        if normalize("NFC", str(there)) == normalize("NFC", path):
            text = f"{path!r}: its letters are composed otherwise on disk, another form of Unicode"
        self._findings.append(Finding("warning", "a path spelled otherwise", entry.id, text))


def _listed(path: Path) -> Listing:
    if path.suffix.lower() in ENDINGS and path.is_file():
        text = f"{path} is one image; a folder of frames or a video would be right"
        raise Fault("no frames", text)
    try:
        return list_frames(path) if path.is_dir() else list_video(path)
    except DataError as error:
        raise Fault("no frames", str(error)) from None


def _refuse_escape(text: str, root: Path) -> None:
    """Refuse a name out of which a path would lead away from the root."""
    path = PureWindowsPath(text)  # knows both slashes, and drives
    if ".." in path.parts or path.root or (path.drive and os.name == "nt"):
        text = f"{text!r} leads out of {root}; a path below it would be right"
        raise Fault("a path that leaves the root", text)
