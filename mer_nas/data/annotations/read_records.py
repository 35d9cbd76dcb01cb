"""From a data set on disk to its records, and to those that have a class.

A reader never stops at a fault: it goes on to the next clip and keeps a finding. Whoever trains
refuses a set with errors (`labelled`); whoever checks shows them all (`data.checks.check`).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from mer_nas.data.annotations import identity
from mer_nas.data.annotations.annotation import Annotation, read_annotations
from mer_nas.data.annotations.clip_frames import FrameFinder
from mer_nas.data.annotations.folders import readable
from mer_nas.data.annotations.label_maps import AS_ANNOTATED, LabelMap
from mer_nas.data.annotations.layouts import Layout
from mer_nas.data.annotations.locate import Location
from mer_nas.data.clips import ClipSet
from mer_nas.data.config import RecordedData
from mer_nas.data.findings import Finding, Severity
from mer_nas.data.records import Record
from mer_nas.errors import ConfigError, DataError, unknown
from mer_nas.wording import count, lines

UNKNOWN = ("no emotion", "an unknown emotion", "several emotions")
"""Kinds of findings about emotions that the data set's coders do not use."""

_AND = re.compile(r"\s*(?:[,;/+&|]|\band\b)\s*")
"""Between two emotions of one clip."""

_NEAR = 5
"""Of the clips of a data set, which are hundreds, those named where one is unknown."""


@dataclass(frozen=True)
class DataSet:
    """One data set as it was read."""

    location: Location
    annotations: tuple[Annotation, ...]
    records: tuple[Record, ...]
    """What can be used, not yet with a class."""
    findings: tuple[Finding, ...]

    @classmethod
    @readable()
    def read(cls, location: Location) -> "DataSet":
        """Return what a data set holds.

        Raises:
            DataError: Its table, or a folder, cannot be read.
        """
        findings: list[Finding] = [
            Finding(
                "warning",
                "a workbook is open in Excel",
                str(lock),
                "close it, so that it is saved",
            )
            for lock in location.locks
        ]
        annotations = _by_person(location, read_annotations(location, findings), findings)
        annotations = _single(_told_apart(location.layout, annotations), findings)
        finder = FrameFinder(location, findings)
        records = [found for each in annotations if (found := finder.record(each)) is not None]
        _report_strangers(location, finder, findings)
        if not annotations:
            where = str(location.folder)
            findings.append(Finding("error", "no clips", where, "nothing is annotated"))
        return cls(location, tuple(annotations), tuple(records), tuple(findings))

    @property
    def layout(self) -> Layout:
        """Its form."""
        return self.location.layout

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that cost a clip, or leave it open who is one person."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def without_class(self, labels: LabelMap) -> Iterator[Finding]:
        """Yield what there is to say of the clips that a label map leaves out.

        An error says that the emotion is none that its coders use; a warning, that the map leaves
        it out on purpose. Where every emotion that occurs is a class, an unknown one is a warning.
        """
        where = {annotation.id: annotation.where for annotation in self.annotations}
        classes = labels.classes([self.layout.name], self.records)
        for record in self.records:
            row = where[f"{record.subject}/{record.name}"]
            has = labels.label_of(record, classes) is not None
            if not has or labels.name == AS_ANNOTATED:
                yield from _unclassed(self.layout, record, row, labels, has)


def labelled(config: RecordedData) -> ClipSet:
    """Return the records of all data sets that the configuration names, with their classes.

    Nothing that networks see is there yet.

    Raises:
        DataError: A root or table is wrong, it cannot be told who is one person, or clips cannot
            be used and may not be left out.
        ConfigError: A layout or label map is unknown, or they do not go together.
    """
    locations = [Location.of(config, layout) for layout in chosen_layouts(config)]
    sets = [DataSet.read(location) for location in locations]
    found = classified(config, sets)
    errors = [error for one in sets for error in one.errors]
    people = [error for error in errors if error.people]
    unclassed = [error for error in found.left_out if error.severity == "error"]
    refused = people if config.skip_missing else list(dict.fromkeys([*errors, *unclassed]))
    if refused:
        hint = "" if people else ", data.skip_missing=true leaves these clips out"
        raise DataError(
            f"{config.name}: {count(len(refused), 'fault')}; `mer-nas data check` with the same "
            f"words shows everything{hint}:\n  {lines(map(str, refused))}"
        )
    if not found.records:
        raise DataError(f"{config.name}: data.labels={config.labels} gives no clip a class")
    return found


def chosen_layouts(config: RecordedData) -> list[Layout]:
    """Return the layouts of the configuration, each with people of its own.

    Raises:
        ConfigError: One is unknown, two have the same people, or a root names none of them.
    """
    found = [Layout.read(name) for name in config.layouts]
    for group in ("roots", "annotations"):
        for name in getattr(config, group):
            if name not in config.layouts:
                raise ConfigError(f"data.{group}: {unknown('layout', name, config.layouts)}")
    identity.refuse_shared(config.layouts, "data.layouts", ConfigError)
    return found


def classified(config: RecordedData, sets: Sequence[DataSet]) -> ClipSet:
    """Return the records that the label map gives a class.

    Raises:
        ConfigError: The map is none for these data sets, or names an emotion that one lacks.
    """
    labels = LabelMap.read(config.labels)
    names = [one.layout.name for one in sets]
    every = [record for one in sets for record in one.records]
    classes = labels.classes(names, every)
    kept = labels.labelled(every, classes)
    used = {record.id for record in kept}
    without = [finding for one in sets for finding in one.without_class(labels)]
    errors = [error for one in sets for error in one.errors]
    warnings = [f for one in sets for f in one.findings if f.severity == "warning"]
    warnings += [finding for one in sets for finding in never_met(one, labels)]
    return ClipSet(
        config.name,
        classes,
        kept,
        {},
        official=labels.counts(names),
        left_out=(
            *(error for error in errors if not error.people),
            *(finding for finding in without if finding.where not in used),
        ),
        findings=(*warnings, *(finding for finding in without if finding.where in used)),
    )


def never_met(one: DataSet, labels: LabelMap) -> Iterator[Finding]:
    """Yield the emotions and the clips that a label map names and a data set may lack, and does.

    Raises:
        ConfigError: Its coders use no such emotion, nor does any clip have it, or a map of the
            user's excludes a clip that is not annotated.
    """
    name, met = one.layout.name, {record.emotion for record in one.records if record.emotion}
    where = f"data.labels={labels.name}"
    for emotions in labels.emotions.get(name, {}).values():
        for emotion in set(emotions) - met - set(one.layout.emotions):
            known = unknown("emotion", emotion, one.layout.emotions or met)
            if one.layout.emotions:
                raise ConfigError(f"{where}: {name}: {known}")
            yield Finding("warning", "an emotion that no clip has", where, f"{name}: {known}")
    clips = [annotation.id for annotation in one.annotations]
    excluded = labels.exclude.get(name, {}) if clips else {}
    for clip in sorted(excluded.keys() - set(clips)):
        near = get_close_matches(clip, clips, n=_NEAR, cutoff=0)
        known = unknown("annotated clip", clip, near)
        if labels.name not in LabelMap.names():
            raise ConfigError(f"{where}: exclude: {name}: {known}")
        # Maps of ours are about whole releases, and a copy may hold a part.
        yield Finding("warning", "an exclusion of no clip", where, f"{name}: {known}")


def _by_person(
    location: Location, annotations: Sequence[Annotation], findings: list[Finding]
) -> list[Annotation]:
    """Return the annotations, one name for each person; report what was joined, or left open."""
    layout = location.layout
    rule = None if layout.subject == "{}" else lambda text: layout.subject_of(identity.plain(text))
    writings = ((each.spelling, each.where) for each in annotations)
    names = identity.Names.settled(writings, rule) if rule else identity.Names.settled(writings)
    findings += names.joined_findings("subjects")
    for text in names.unsure:
        kind = "subjects that may be one person"
        where = location.table.name if location.table else layout.name
        findings.append(Finding("error", kind, where, text, True))
    return [replace(each, subject=names.of[each.spelling]) for each in annotations]


def _told_apart(layout: Layout, annotations: Sequence[Annotation]) -> list[Annotation]:
    """Return the annotations; of a recording that has several, all but the first named by onset.

    Only a table that says where each clip lies may name one recording again.
    """
    if not layout.explicit:
        return list(annotations)
    onsets: dict[str, set[int | None]] = defaultdict(set)
    found = []
    for each in annotations:
        before = onsets[each.id]
        again = bool(before) and each.onset is not None and each.onset not in before
        found.append(replace(each, name=f"{each.name}_{each.onset}") if again else each)
        before.add(each.onset)
    return found


def _single(annotations: Sequence[Annotation], findings: list[Finding]) -> list[Annotation]:
    """Return the annotations without those whose clip another has named before."""
    kept: dict[str, Annotation] = {}
    for each in annotations:
        if each.id in kept:
            text = "named again; the first is taken"
            findings.append(Finding("error", "a clip is named twice", each.id, text))
        else:
            kept[each.id] = each
    return list(kept.values())


def _report_strangers(location: Location, finder: FrameFinder, findings: list[Finding]) -> None:
    """Report folders of clips that the table does not name."""
    ends = [pattern.split("/")[-1] for pattern in location.release.clips]
    if location.table is None or not all("{clip}" in end and "*" not in end for end in ends):
        return
    for _, folder in location.matching_folders(finder.folders):
        if folder not in finder.used:
            where = str(folder.relative_to(location.folder))
            findings.append(Finding("warning", "a clip without annotation", where, "passed over"))


def _unclassed(
    layout: Layout, record: Record, row: str, labels: LabelMap, has: bool
) -> Iterator[Finding]:
    emotion, known = record.emotion, layout.emotions
    where = f"data.labels={labels.name}"
    if not emotion:
        yield Finding("error", "no emotion", record.id, f"nothing is annotated ({row})")
    elif known and emotion not in known and set(_AND.split(emotion)) <= set(known):
        yield Finding("warning", "several emotions", record.id, f"{emotion!r} ({row})")
    elif known and emotion not in known:
        text = f"{emotion!r} ({row}); known: {', '.join(known)}"
        line = f"emotions: {{{layout.name}: {{CLASS: [{emotion}]}}}}"
        hint = "" if has else f"; a label map gives it a class by the line {line}"
        severity: Severity = "warning" if has else "error"
        yield Finding(severity, "an unknown emotion", record.id, text + hint)
    elif not has and labels.excludes(record):
        yield Finding("warning", f"excluded by {where}", record.id, row)
    elif not has:
        yield Finding("warning", f"{emotion!r} has no class in {where}", record.id, row)
