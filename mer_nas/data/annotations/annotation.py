"""What an annotation says of each clip, put right and made whole, before frames are looked at.

An entry comes from a row of a table, or, where a data set has none, from a folder.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mer_nas.data.annotations.action_units import ActionUnit, has_alternatives, read_action_units
from mer_nas.data.annotations.annotation_tables import Row, read_rows
from mer_nas.data.annotations.identity import plain
from mer_nas.data.annotations.layouts import Layout, Quirk
from mer_nas.data.annotations.locate import Folders, Place, loose
from mer_nas.data.findings import Finding
from mer_nas.data.records import MAX_FPS

Cells = Mapping[str, str]
"""The texts of a row by our names of the columns."""


@dataclass(frozen=True)
class Entry:
    """One annotated clip."""

    subject: str
    """In the layout's normal form."""
    name: str
    spelling: str
    """The subject as it is written in the table or on disk."""
    values: Cells
    """What the patterns of a release may stand for: subject, clip, emotion, ..."""
    onset: int | None
    """None where it is not annotated or no number."""
    apexes: tuple[int, ...]
    """What stands in the columns for it, as far as these are numbers."""
    offset: int | None
    first: int | None
    """Number of the first frame of the long video, as the annotation counts."""
    emotion: str
    action_units: tuple[ActionUnit, ...] | None
    fps: float | None
    place: str
    """Where it is annotated: "coding.xlsx, row 15", or the name of its folder."""
    folder: Path | None = None
    """Where the frames lie, if the entry comes from there."""

    @property
    def id(self) -> str:
        """The clip within its data set."""
        return f"{self.subject}/{self.name}"


def entries_of(place: Place, findings: list[Finding]) -> list[Entry]:
    """Return the clips of a data set as they are annotated; oddities are added to `findings`."""
    if place.table is None:
        return list(_from_folders(place))
    rows, unusual = read_rows(place.table, place.layout)
    if unusual:
        findings.append(Finding("warning", "an unusual table", place.table.name, unusual))
    return [entry for row in rows for entry in _from_row(row, place.layout, findings)]


def _from_row(row: Row, layout: Layout, findings: list[Finding]) -> Iterator[Entry]:
    """Return the clips of a row; several where a long video holds several expressions."""
    # Names of files stay as they are; subjects are for `identity` to put right.
    kept = ("path", "clip", "subject")
    cells: Cells = {
        name: text if name in kept else plain(text) for name, text in row.cells.items()
    }
    text = cells.get("clip", cells.get("path", ""))
    subject = layout.subject_of(plain(cells.get("subject", "")))
    if subject is None or not text:
        findings.append(_no_clip(row, layout))
        return
    if (quirk := _quirk(layout, subject, text, cells)) is not None:
        cells = {**cells, **quirk.then}
        told = ", ".join(f"{name} {value}" for name, value in quirk.then.items())
        where, kind = f"{subject}/{text}", "a known fault is put right"
        findings.append(Finding("warning", kind, where, f"{told} ({quirk.source})"))
    for span in _spans(cells, layout):
        known = {**span, "onset_annotated": row.cells.get("onset", "")}
        entry = _entry(known, layout, subject, row.place)
        findings.extend(_oddities(entry))
        yield entry


def _no_clip(row: Row, layout: Layout) -> Finding:
    """Say that a row lacks subject or clip; below the clips of a table there may be remarks."""
    told = " | ".join(filter(None, row.cells.values()))[:80]
    counted = any(_number(row.cells.get(name, "")) for name in ("onset", "apex", "offset"))
    if not counted and not (layout.table and "onset" in layout.table.optional):
        return Finding("warning", "a row is no clip", row.place, f"passed over: {told}")
    right = f"such as {layout.subject.format(1)}" if layout.prefix else "in its column"
    text = f"a subject {right} and a clip are needed, not {told!r}"
    return Finding("error", "a row names no clip", row.place, text)


def _spans(cells: Cells, layout: Layout) -> Iterator[Cells]:
    """Return the cells of each expression of a row."""
    assert layout.table is not None
    yield {**cells, "count": ""}
    for count, (onset, offset) in enumerate(layout.table.more, start=2):
        if _number(cells.get(onset, "")):
            span = {"onset": cells[onset], "offset": cells.get(offset, ""), "apex": ""}
            yield {**cells, **span, "count": f"_{count}"}


def _entry(cells: Cells, layout: Layout, subject: str, place: str) -> Entry:
    emotion = layout.emotion_of(cells.get("emotion", ""))
    digits = re.search("[0-9]*$", subject)
    values = {
        **cells,
        "subject": subject,
        "emotion": emotion,
        "number": str(int(digits[0])) if digits and digits[0] else "",
    }
    apexes = (_number(cells.get(key, "")) for key in ("apex", "apex_2"))
    return Entry(
        subject,
        layout.clip.format_map(values).replace("\\", "/").strip("/"),
        cells.get("subject", ""),
        values,
        onset=_number(cells.get("onset", "")),
        apexes=tuple(apex for apex in apexes if apex is not None),
        offset=_number(cells.get("offset", "")),
        first=_number(cells.get("first", "")),
        emotion=emotion,
        action_units=read_action_units(cells.get("action_units", "")),
        fps=_rate(cells.get("fps", "")) or layout.fps,
        place=place,
    )


def _oddities(entry: Entry) -> Iterator[Finding]:
    rate = entry.values.get("fps", "")
    if rate and _rate(rate) is None:
        text = f"fps {rate!r} is no number above 0 and below {MAX_FPS:,}: it is taken for unknown"
        yield Finding("warning", "a frame rate that is none", entry.id, text)
    units = entry.values.get("action_units", "")
    if has_alternatives(units):
        text = f"{units!r}: the first is taken"
        yield Finding("warning", "action units with an or", entry.id, text)


def _number(text: str) -> int | None:
    """Return a whole number, or None where the text is none; "1.000" may be a thousand.

    >>> _number("46"), _number("46.0"), _number("46,0"), _number("1.000"), _number("/")
    (46, 46, 46, None, None)
    """
    found = re.fullmatch(r"([0-9]{1,9})([.,]0{0,2})?", text)
    return int(found[1]) if found else None


def _rate(text: str) -> float | None:
    """Return frames a second, or None where the text is no number that a camera has.

    >>> _rate("59.94"), _rate("59,94"), _rate("slow"), _rate("0"), _rate("9" * 400)
    (59.94, 59.94, None, None, None)
    """
    text = text.replace(",", ".")
    known = re.fullmatch(r"[0-9]*\.?[0-9]+", text) and 0 < float(text) < MAX_FPS
    return float(text) if known else None


def _quirk(layout: Layout, subject: str, clip: str, cells: Cells) -> Quirk | None:
    """Return the known fault that a row has."""
    for quirk in layout.quirks:
        same = (layout.subject_of(quirk.subject), loose(quirk.clip)) == (subject, loose(clip))
        faulty = all(cells.get(name) == value for name, value in quirk.when.items())
        done = all(cells.get(name) == value for name, value in quirk.then.items())
        if same and faulty and not done:
            return quirk
    return None


def _from_folders(place: Place) -> Iterator[Entry]:
    """Return a clip for every folder that fits the layout."""
    layout = place.layout
    for values, folder in walk(place, Folders()):
        spelling = values["subject"]
        subject = layout.subject_of(spelling)
        assert subject is not None  # it fits the pattern
        values = {**values, "subject": subject, "emotion": layout.emotion_of(values["emotion"])}
        yield Entry(
            subject,
            layout.clip.format_map(values),
            spelling,
            values,
            onset=None,
            apexes=(),
            offset=None,
            first=None,
            emotion=values["emotion"],
            action_units=None,
            fps=layout.fps,
            place=str(folder.relative_to(place.folder)),
            folder=folder,
        )


def walk(place: Place, folders: Folders) -> Iterator[tuple[dict[str, str], Path]]:
    """Return every folder that fits a pattern of the release, with what the pattern stood for."""
    for pattern in place.release.clips:
        yield from _walk(place, folders, place.folder, pattern.split("/"), {})


def _walk(
    place: Place, folders: Folders, folder: Path, parts: list[str], values: dict[str, str]
) -> Iterator[tuple[dict[str, str], Path]]:
    if not parts:
        yield values, folder
        return
    matcher = place.layout.matcher(parts[0])
    for name, path in folders.below(folder).items():
        if found := matcher.fullmatch(name):
            yield from _walk(place, folders, path, parts[1:], {**values, **found.groupdict()})
