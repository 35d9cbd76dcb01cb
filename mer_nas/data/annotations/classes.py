"""Which clips have no class, and why: left out on purpose, or because nobody knows the emotion."""

import re
from collections.abc import Iterator, Sequence

from mer_nas.data.annotations.annotation import Entry
from mer_nas.data.annotations.label_maps import AS_ANNOTATED, LabelMap
from mer_nas.data.annotations.layouts import Layout
from mer_nas.data.findings import Finding, Severity
from mer_nas.data.records import Record

UNKNOWN = ("no emotion", "an unknown emotion", "several emotions")
"""Kinds of findings about emotions that the data set's coders do not use."""

_AND = re.compile(r"\s*(?:[,;/+&|]|\band\b)\s*")
"""Between two emotions of one clip."""


def without_class(
    layout: Layout, entries: Sequence[Entry], records: Sequence[Record], labels: LabelMap
) -> Iterator[Finding]:
    """Yield what there is to say of the clips of one data set that the label map leaves out.

    An error says that the emotion is none that its coders use; a warning, that the map leaves it
    out on purpose. Where every emotion that occurs is a class, an unknown one is a warning.
    """
    places = {entry.id: entry.place for entry in entries}
    classes = labels.classes([layout.name], records)
    for record in records:
        place = places[f"{record.subject}/{record.name}"]
        has = labels.label_of(record, classes) is not None
        if not has or labels.name == AS_ANNOTATED:
            yield from _said(layout, record, place, labels, has)


def _said(
    layout: Layout, record: Record, place: str, labels: LabelMap, has: bool
) -> Iterator[Finding]:
    emotion, known = record.emotion, layout.emotions
    where = f"data.labels={labels.name}"
    if not emotion:
        yield Finding("error", "no emotion", record.id, f"nothing is annotated ({place})")
    elif known and emotion not in known and set(_AND.split(emotion)) <= set(known):
        yield Finding("warning", "several emotions", record.id, f"{emotion!r} ({place})")
    elif known and emotion not in known:
        text = f"{emotion!r} ({place}); known: {', '.join(known)}"
        line = f"emotions: {{{layout.name}: {{CLASS: [{emotion}]}}}}"
        hint = "" if has else f"; a label map gives it a class by the line {line}"
        severity: Severity = "warning" if has else "error"
        yield Finding(severity, "an unknown emotion", record.id, text + hint)
    elif not has and labels.excludes(record):
        yield Finding("warning", f"excluded by {where}", record.id, place)
    elif not has:
        yield Finding("warning", f"{emotion!r} has no class in {where}", record.id, place)
