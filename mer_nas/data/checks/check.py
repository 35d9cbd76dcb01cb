"""Everything that can be said of a data set without training: counts, clips, frames.

A check goes through to its end whatever it meets. Errors cost a clip; warnings say how something
was made good, or where a copy differs from the official release.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from mer_nas.data import load
from mer_nas.data.annotations.label_maps import LabelMap
from mer_nas.data.annotations.locate import Location
from mer_nas.data.annotations.read_records import (
    UNKNOWN,
    DataSet,
    chosen_layouts,
    classified,
    never_met,
)
from mer_nas.data.checks.duplicates import ClipView, shared_frames
from mer_nas.data.clips import ClipSet
from mer_nas.data.config import DataConfig, RecordedData
from mer_nas.data.findings import Finding, Severity, tally
from mer_nas.data.preprocess.config import Pipeline
from mer_nas.data.preprocess.frame_readers import Video
from mer_nas.data.preprocess.images import bits_of, decode
from mer_nas.data.protocols import Scheme, divide
from mer_nas.data.records import Frame, Record
from mer_nas.data.sources.recorded import UNPREPARED, frame_reader, unready
from mer_nas.errors import DataError, MerNasError
from mer_nas.wording import brief, some
from mer_nas.wording import count as counted

_See = Callable[[Frame, NDArray[Any]], None]
"""Is told what each frame holds."""

_Progress = Callable[[int, int], None]
"""Is told how many of how many clips are looked through."""


class Count(NamedTuple):
    """One line of the table."""

    dataset: str
    what: str
    found: int
    official: int | None = None
    """None where it is not known."""

    @property
    def differs(self) -> bool:
        """Whether the copy is not as the official release is."""
        return self.official is not None and self.official != self.found


@dataclass(frozen=True)
class CheckReport:
    """What a check found."""

    places: Mapping[str, str]
    """By data set, where it was read from."""
    counts: tuple[Count, ...]
    findings: tuple[Finding, ...]

    def __repr__(self) -> str:
        """Return of what it is, and what it comes to."""
        facts = [("data", tuple(self.places)), ("errors", self.errors)]
        return brief(self, [*facts, ("warnings", self.warnings), ("differing", self.differing)])

    @property
    def warnings(self) -> int:
        """How many findings are warnings."""
        return len(self.findings) - self.errors

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def tally(self) -> Mapping[tuple[Severity, str], int]:
        """How often each kind of finding occurs, errors first, the most frequent first."""
        return tally(self.findings)

    @property
    def differing(self) -> int:
        """How many counts are not those of the official release."""
        return sum(count.differs for count in self.counts)


def check_data(
    config: DataConfig,
    progress: _Progress = lambda done, of: None,
    folds: Scheme | None = None,
    seed: int = 0,
) -> CheckReport:
    """Return what there is to say of the data.

    Args:
        config: Which data.
        progress: Is told how many clips are looked through.
        folds: How a study would divide them, if one is meant.
        seed: Of that study.

    Raises:
        ConfigError: A layout or label map is unknown, or they do not go together.
    """
    if not isinstance(config, RecordedData):
        return _loaded(config, folds, seed)
    labels = LabelMap.read(config.labels)
    layouts = chosen_layouts(config)
    labels.classes(config.layouts)
    sets: list[DataSet] = []
    findings: list[Finding] = []
    for layout in layouts:
        try:
            sets.append(DataSet.read(Location.of(config, layout)))
        except DataError as error:
            kind = "a data set that cannot be read"
            findings.append(Finding("error", kind, layout.name, str(error)))
    findings += [
        finding._replace(where=f"{one.layout.name}:{finding.where}")
        for one in sets
        for finding in one.findings
    ]
    unmet = {one.layout.name: [*never_met(one, labels)] for one in sets}  # before all frames
    records = [record for one in sets for record in one.records]
    findings += _frames(records, config.pipeline, progress)
    for one in sets:
        findings += [f for f in one.without_class(labels) if f.kind in UNKNOWN]
        findings += unmet[one.layout.name]
    counts = [count for one in sets for count in _counts(one, labels)]
    if len(sets) == len(layouts):
        findings += _unfit(classified(config, sets), folds, seed)
        if len(sets) > 1:
            counts += _classes("all", config.layouts, records, labels)
    findings += [finding for one in sets for finding in _differing_subjects(one, labels)]
    places = {one.layout.name: _place(one.location) for one in sets}
    return CheckReport(places, tuple(counts), tuple(findings))


def _loaded(config: DataConfig, folds: Scheme | None, seed: int) -> CheckReport:
    """Return what there is to say of data that come as arrays."""
    try:
        clips = load(config)
    except MerNasError as error:
        fault = Finding(
            "error", "data that cannot be read", config.name, _after(config.name, str(error))
        )
        return CheckReport({}, (), (fault,))
    official = clips.official or {}
    counts = tuple(
        Count(config.name, name, number, official.get(name))
        for name, number in clips.counts().items()
    )
    findings = (*clips.left_out, *clips.findings, *_unfit(clips, folds, seed))
    return CheckReport({}, counts, findings)


def _unfit(clips: ClipSet, folds: Scheme | None, seed: int) -> Iterator[Finding]:
    """Yield why clips cannot be divided so, and which classes some folds cannot learn.

    Args:
        clips: What would be divided; their inputs are not looked at.
        folds: How; None: nobody asks.
        seed: Decides the groups.
    """
    if folds is None:
        return
    try:
        protocol = divide(clips, folds, seed)
    except DataError as error:
        yield Finding("error", "clips that cannot be divided", f"study.folds={folds}", str(error))
        return
    for index, name in enumerate(clips.classes):
        lacking = [
            f.name for f in protocol.folds if not (clips.labels[f.train(clips)] == index).any()
        ]
        if lacking:
            text = f"without {lacking[0]} nobody shows it, so that fold cannot learn it"
            yield Finding("warning", "a class of one fold", name, text)


def _after(where: str, text: str) -> str:
    """Return a text that stands after the name of what it is about, without that name."""
    return text.removeprefix(f"{where}: ")


def _place(location: Location) -> str:
    parts = [
        location.layout.title,
        f"{location.release.frames} frames in {location.folder}",
    ]
    if location.table is not None:
        names = some(path.name for path in location.others)
        parts.append(f"table {location.table}" + f" (there too: {names})" * bool(names))
    return ", ".join(parts)


def _counts(found: DataSet, labels: LabelMap) -> Iterator[Count]:
    """Return the counts of one data set: as annotated, and by class."""
    layout, official = found.layout, found.layout.official
    name = layout.name
    yield Count(name, "clips annotated", len(found.annotations), official.clips)
    if layout.table is not None and layout.table.more:
        videos = {(each.subject, each.values["clip"]) for each in found.annotations}
        yield Count(name, "long videos", len(videos), official.videos)
    yield Count(name, "clips usable", len(found.records))
    subjects = len({each.subject for each in found.annotations})
    yield Count(name, "subjects", subjects, official.subjects)
    yield Count(name, "subjects of one class", _of_one_class(found, labels))
    yield Count(name, "frames", sum(len(record.frames) for record in found.records))
    emotions = Counter(each.emotion for each in found.annotations)
    for emotion in dict.fromkeys([*official.emotions, *sorted(emotions)]):
        yield Count(name, emotion, emotions[emotion], official.emotions.get(emotion))
    yield from _classes(name, [name], found.records, labels)


def _classes(
    name: str, datasets: Sequence[str], records: Sequence[Record], labels: LabelMap
) -> Iterator[Count]:
    """Return the counts of the clips of some data sets that have a class."""
    classes = labels.classes(datasets, records)
    kept = labels.labelled(records, classes)
    known = labels.counts(datasets) or {}
    yield Count(name, f"{labels.name}: clips", len(kept), known.get("clips"))
    subjects = len({record.group for record in kept})
    yield Count(name, f"{labels.name}: subjects", subjects, known.get("subjects"))
    numbers = Counter(record.label for record in kept)
    for index, title in enumerate(classes):
        yield Count(name, f"{labels.name}: {title}", numbers[index], known.get(title))


def _labelled(found: DataSet, labels: LabelMap) -> tuple[Record, ...]:
    return labels.labelled(found.records, labels.classes([found.layout.name], found.records))


def _of_one_class(found: DataSet, labels: LabelMap) -> int:
    """Return how many subjects have several clips, and all of them of one class."""
    shown: dict[str, list[int]] = defaultdict(list)
    for record in _labelled(found, labels):
        shown[record.subject].append(record.label)
    return sum(len(each) > 1 and len(set(each)) == 1 for each in shown.values())


def _differing_subjects(found: DataSet, labels: LabelMap) -> Iterator[Finding]:
    """Return whose clips are more or fewer than the official release or the protocol has."""
    name = found.layout.name
    everyone = [(each.subject, each.name) for each in found.annotations]
    yield from _per_subject(name, "", everyone, found.layout.official.per_subject)
    mapped = [(record.subject, record.name) for record in _labelled(found, labels)]
    known = labels.per_subject.get(name, {})
    yield from _per_subject(name, f"{labels.name}: ", mapped, known)


def _per_subject(
    dataset: str, map_name: str, clips: Sequence[tuple[str, str]], official: Mapping[str, int]
) -> Iterator[Finding]:
    found = Counter(subject for subject, _ in clips)
    for subject in sorted({*official, *found}) if official else ():
        if found[subject] != official.get(subject, 0):
            names = ", ".join(name for owner, name in clips if owner == subject) or "none"
            clips_found = counted(found[subject], "clip")
            text = f"{map_name}{clips_found}, not {official.get(subject, 0)}: {names}"
            yield Finding("warning", "subjects that differ", f"{dataset}:{subject}", text)


def _frames(records: list[Record], pipeline: Pipeline, progress: _Progress) -> Iterator[Finding]:
    """Decode every frame of every clip, find its face, and compare it with the others."""
    views = []
    refused: set[str] = set()
    with ThreadPoolExecutor() as pool:
        looked_at = zip(records, pool.map(_looked_at, records), strict=True)
        for done, (record, (findings, view)) in enumerate(looked_at, start=1):
            views.append(view)
            yield from findings
            sound = all(finding.severity == "warning" for finding in findings)
            # One message where every clip lacks the same: a package, for instance.
            if sound and (reason := unready(record, pipeline)) and reason not in refused:
                refused.add(reason)
                yield Finding("error", UNPREPARED, record.id, _after(record.id, reason))
            progress(done, len(records))
    yield from shared_frames(views)


def _looked_at(record: Record) -> tuple[list[Finding], ClipView]:
    """Return what is to be said of the frames of a clip, and what tells it from others."""
    reader, view = frame_reader(record), ClipView(record.id, record.group, record.keyframes[:2])
    if isinstance(reader, Video):
        return _video(record, reader, view.see), view
    return _images(record, view.see), view


def _images(record: Record, see: _See) -> list[Finding]:
    sizes: Counter[tuple[int, ...]] = Counter()
    depths: Counter[int] = Counter()
    broken: list[str] = []
    bits = 0
    for frame in record.frames:
        try:
            samples = decode(frame.path)
        except DataError as error:
            broken.append(str(error))
        else:
            see(frame, samples)
            sizes[samples.shape[:2]] += 1
            depths[8 * samples.itemsize] += 1
            bits = max(bits, bits_of(samples))
    if broken:
        text = f"{len(broken)} of {len(record.frames)}: {some(broken, 3)}"
        return [Finding("error", "unreadable images", record.id, text)]
    folder = record.frames[0].path.parent
    if len(sizes) > 1:
        told = ", ".join(f"{n} of {h} by {w}" for (h, w), n in sizes.most_common())
        text = f"{told} pixels in {folder}; one size would be right"
        return [Finding("error", "images of several sizes", record.id, text)]
    if len(depths) > 1:
        told = ", ".join(f"{n} of {depth}" for depth, n in depths.most_common())
        text = f"{told} bits a value in {folder}; one depth would be right"
        return [Finding("error", "images of several depths", record.id, text)]
    if 16 in depths:
        text = f"taken as {bits} bits, which the largest value of the clip needs"
        return [Finding("warning", "images of 16 bits", record.id, text)]
    return []


def _video(record: Record, reader: Video, see: _See) -> list[Finding]:
    try:
        for frame, image in zip(record.frames, reader.read(range(len(reader))), strict=True):
            see(frame, image)
    except DataError as error:
        return [Finding("error", "an unreadable video", reader.name, f"{error}; copy it again")]
    return []
