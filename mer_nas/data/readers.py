"""From a data set on disk to its records, and to those that have a class.

A reader never stops at a fault: it goes on to the next clip and keeps a finding. Whoever trains
refuses a set with errors (`labelled`); whoever checks shows them all (`mer_nas.data.check`).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

from mer_nas.data.clips import some
from mer_nas.data.config import RecordedData
from mer_nas.data.entries import Entry, entries_of, walk
from mer_nas.data.findings import Finding
from mer_nas.data.frames import Listing, list_frames, list_video
from mer_nas.data.images import ENDINGS
from mer_nas.data.label_maps import read_label_map
from mer_nas.data.layouts import PLACEHOLDER, Layout, read_layout
from mer_nas.data.places import Folders, Place, find_root, locate, readable
from mer_nas.data.records import Record, RecordSet
from mer_nas.data.spans import Fault, frames_of, span_of
from mer_nas.errors import ConfigError, DataError, unknown
from mer_nas.wording import count


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
        """The findings that cost a clip."""
        return tuple(finding for finding in self.findings if finding.severity == "error")


def labelled(config: RecordedData) -> RecordSet:
    """Return the records of all data sets that the configuration names, with their classes.

    Raises:
        DataError: A root or table is wrong, or clips cannot be used and may not be left out.
        ConfigError: A layout or label map is unknown, or they do not go together.
    """
    readings = [read(place) for place in places(config)]
    errors = [error for reading in readings for error in reading.errors]
    if errors and not config.skip_missing:
        shown = "\n  ".join([*map(str, errors[:10]), *["..."] * (len(errors) > 10)])
        raise DataError(
            f"{config.name}: {count(len(errors), 'fault')}; `mer-nas data check` with the same "
            f"words shows everything, data.skip_missing=true leaves these clips out:\n  {shown}"
        )
    return classified(config, readings)


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
    if not kept:
        raise DataError(f"{config.name}: data.labels={config.labels} gives no clip a class")
    return RecordSet(
        config.name,
        classes,
        tuple(record for record, _ in kept),
        tuple(label for _, label in kept),
        official=labels.counts(names),
        left_out=sum(len(reading.errors) for reading in readings),
        warnings=sum(len(reading.findings) - len(reading.errors) for reading in readings),
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
    entries = _single(_told_apart(place.layout, entries_of(place, findings)), findings)
    finder = _Finder(place, findings)
    records = [record for entry in entries if (record := finder.record(entry)) is not None]
    _report_spellings(entries, findings)
    _report_strangers(place, finder, findings)
    if not entries:
        findings.append(Finding("error", "no clips", str(place.folder), "nothing is annotated"))
    return Reading(place, tuple(entries), tuple(records), tuple(findings))


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


def _report_spellings(entries: Sequence[Entry], findings: list[Finding]) -> None:
    """Report subjects that are written in two ways and so are taken for one."""
    forms: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        forms[entry.subject].add(entry.spelling)
    findings.extend(
        Finding("warning", "subjects that collide", subject, f"written {', '.join(sorted(texts))}")
        for subject, texts in sorted(forms.items())
        if len(texts) > 1
    )


def _report_strangers(place: Place, finder: "_Finder", findings: list[Finding]) -> None:
    """Report folders of clips that the table does not name."""
    ends = [pattern.split("/")[-1] for pattern in place.release.clips]
    if place.table is None or not all("{clip}" in end and "*" not in end for end in ends):
        return
    for _, folder in walk(place, finder.folders):
        if folder not in finder.used:
            where = str(folder.relative_to(place.folder))
            findings.append(Finding("warning", "a clip without annotation", where, "passed over"))


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
            self._findings.append(Finding("error", fault.kind, entry.id, str(fault)))
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
        if listing.twice:
            text = f"in {folder}: {some(listing.twice, 3)}; keep one kind of image"
            raise Fault("two files for one frame", text)
        if not listing.frames:
            raise Fault("no frames", f"{folder} holds no image whose name ends in a number")
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
                return found
            video = self.place.folder / path
            if self.place.layout.explicit and video.is_file():
                return video
            tried.append(path)
        what = "folder or video" if self.place.layout.explicit else "folder"
        text = f"there is no {what} {' nor '.join(tried)} in {self.place.folder}"
        raise Fault("a clip without frames", text)


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
    parts = PureWindowsPath(text).parts  # knows both slashes, and drives
    if ".." in parts or PureWindowsPath(text).anchor:
        text = f"{text!r} leads out of {root}; a path below it would be right"
        raise Fault("a path that leaves the root", text)
