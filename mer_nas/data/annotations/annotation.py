"""What an annotation says of each clip, put right and made whole, before frames are looked at.

An annotation comes from a row of a table, or, where a data set has none, from a folder. Its cells
were typed by people, those of facial action units like this:

    cell   := int | token (sep token)* | '?' | '' | '/'
    sep    := '+' | ',' | the fullwidth comma of CAS(ME)^2 and CAS(ME)^3
    token  := ('AU' | 'AD' | 'M')? side? number intensity? | 'ref(' … ')' | free text
    side   := L(eft) | R(ight) | A(symmetric) | T(op) | B(ottom), also combined

What holds no number is passed over, and nothing makes it fail. Sources: the columns of CASME II,
SAMM and CAS(ME)^3; Ekman et al. 2002, Facial Action Coding System, for sides and the intensities
A to E.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mer_nas.data.annotations.annotation_tables import Cells, read_rows
from mer_nas.data.annotations.folders import Folders
from mer_nas.data.annotations.identity import plain
from mer_nas.data.annotations.layouts import Layout
from mer_nas.data.annotations.locate import Location
from mer_nas.data.findings import Finding
from mer_nas.data.preprocess.frame_readers import MAX_FPS

_UNIT = re.compile(r"(?:AU|AD|M)?\s*[LRATB]*\s*(\d{1,2})")
_SEPARATORS = re.compile("[+,\uff0c]")
_THOUSAND = re.compile(r"[1-9][.,][0-9]{3}")
_OR = re.compile(r"\bor\b", re.IGNORECASE)


@dataclass(frozen=True)
class Annotation:
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
    action_units: tuple[str, ...] | None
    """Their numbers; None where the coder named none."""
    fps: float | None
    where: str
    """Where it is annotated: "coding.xlsx, row 15", or the name of its folder."""
    folder: Path | None = None
    """Where the frames lie, if the entry comes from there."""

    @property
    def id(self) -> str:
        """The clip within its data set."""
        return f"{self.subject}/{self.name}"


def read_annotations(location: Location, findings: list[Finding]) -> list[Annotation]:
    """Return the clips of a data set as they are annotated; oddities are added to `findings`."""
    if location.table is None:
        return list(_from_folders(location))
    rows, unusual = read_rows(location.table, location.layout)
    if unusual:
        findings.append(Finding("warning", "an unusual table", location.table.name, unusual))
    return [
        annotation
        for where, cells in rows
        for annotation in _from_row(where, cells, location.layout, findings)
    ]


def _from_row(
    where: str, written: Cells, layout: Layout, findings: list[Finding]
) -> Iterator[Annotation]:
    """Return the clips of a row; several where a long video holds several expressions."""
    # Names of files stay as they are; subjects are for `identity` to put right.
    kept = ("path", "clip", "subject")
    cells: Cells = {name: text if name in kept else plain(text) for name, text in written.items()}
    text = cells.get("clip", cells.get("path", ""))
    subject = layout.subject_of(plain(cells.get("subject", "")))
    if subject is None or not text:
        findings.append(_no_clip(where, written, layout))
        return
    if (quirk := layout.quirk(subject, text, cells)) is not None:
        cells = {**cells, **quirk.then}
        told = ", ".join(f"{name} {value}" for name, value in quirk.then.items())
        kind, clip = "a known fault is put right", f"{subject}/{text}"
        findings.append(Finding("warning", kind, clip, f"{told} ({quirk.source})"))
    for expression in _expressions(cells, layout):
        known = {**expression, "onset_annotated": written.get("onset", "")}
        annotation = _annotation(known, layout, subject, where)
        findings.extend(_oddities(annotation))
        yield annotation


def _no_clip(where: str, cells: Cells, layout: Layout) -> Finding:
    """Say that a row lacks subject or clip; below the clips of a table there may be remarks."""
    told = " | ".join(filter(None, cells.values()))[:80]
    counted = any(_number(cells.get(name, "")) for name in ("onset", "apex", "offset"))
    if not counted and not (layout.table and "onset" in layout.table.optional):
        return Finding("warning", "a row is no clip", where, f"passed over: {told}")
    right = f"such as {layout.subject.format(1)}" if layout.prefix else "in its column"
    text = f"a subject {right} and a clip are needed, not {told!r}"
    return Finding("error", "a row names no clip", where, text)


def _expressions(cells: Cells, layout: Layout) -> Iterator[Cells]:
    """Return the cells of each expression of a row."""
    assert layout.table is not None
    yield {**cells, "count": ""}
    for count, (onset, offset) in enumerate(layout.table.more, start=2):
        if _number(cells.get(onset, "")):
            expression = {"onset": cells[onset], "offset": cells.get(offset, ""), "apex": ""}
            yield {**cells, **expression, "count": f"_{count}"}


def _annotation(cells: Cells, layout: Layout, subject: str, where: str) -> Annotation:
    emotion = layout.emotion_of(cells.get("emotion", ""))
    digits = re.search("[0-9]*$", subject)
    values = {
        **cells,
        "subject": subject,
        "emotion": emotion,
        "number": str(int(digits[0])) if digits and digits[0] else "",
    }
    apexes = (_number(cells.get(key, "")) for key in ("apex", "apex_2"))
    return Annotation(
        subject,
        layout.clip.format_map(values).replace("\\", "/").strip("/"),
        cells.get("subject", ""),
        values,
        onset=_number(cells.get("onset", "")),
        apexes=tuple(apex for apex in apexes if apex is not None),
        offset=_number(cells.get("offset", "")),
        first=_number(cells.get("first", "")),
        emotion=emotion,
        action_units=_action_units(cells.get("action_units", "")),
        fps=_rate(cells.get("fps", "")) or layout.fps,
        where=where,
    )


def _oddities(annotation: Annotation) -> Iterator[Finding]:
    rate = annotation.values.get("fps", "")
    if rate and _rate(rate) is None:
        why = f"is no number above 0 and below {MAX_FPS:,}"
        if _THOUSAND.fullmatch(rate):
            why = "may be more than a thousand, or less than ten"
        text = f"fps {rate!r} {why}: it is taken for unknown"
        yield Finding("warning", "a frame rate that is none", annotation.id, text)
    units = annotation.values.get("action_units", "")
    if _has_alternatives(units):
        text = f"{units!r}: the first is taken"
        yield Finding("warning", "action units with an or", annotation.id, text)


def _number(text: str) -> int | None:
    """Return a whole number, or None where the text is none; "1.000" may be a thousand.

    >>> _number("46"), _number("46.0"), _number("46,0"), _number("1.000"), _number("/")
    (46, 46, 46, None, None)
    """
    found = re.fullmatch(r"([0-9]{1,9})([.,]0{0,2})?", text)
    return int(found[1]) if found else None


def _rate(text: str) -> float | None:
    """Return frames a second, or None where the text is no number that a camera has.

    "1,000" may be a thousand.

    >>> _rate("59.94"), _rate("59,94"), _rate("slow"), _rate("0"), _rate("9" * 400)
    (59.94, 59.94, None, None, None)
    >>> _rate("23.976"), _rate("1,000"), _rate("1.200")
    (23.976, None, None)
    """
    if _THOUSAND.fullmatch(text):
        return None
    text = text.replace(",", ".")
    known = re.fullmatch(r"[0-9]*\.?[0-9]+", text) and 0 < float(text) < MAX_FPS
    return float(text) if known else None


def _action_units(cell: str) -> tuple[str, ...] | None:
    """Return the numbers of a cell's action units, or None where the coder named none.

    Of alternatives ("R12 or R15") the first is taken; `_has_alternatives` tells.

    >>> _action_units("R14+17+soft focus"), _action_units("ref(7B)+43"), _action_units("?")
    (('14', '17'), ('7', '43'), None)
    """
    first = _OR.split(cell)[0]
    found = (_UNIT.search(part) for part in _SEPARATORS.split(first))
    units = tuple(str(int(unit[1])) for unit in found if unit)
    return units or None


def _has_alternatives(cell: str) -> bool:
    """Return whether the coder could not decide.

    >>> _has_alternatives("R14A or 17A or 24A"), _has_alternatives("4+L10")
    (True, False)
    """
    return bool(_OR.search(cell))


def _from_folders(location: Location) -> Iterator[Annotation]:
    """Return a clip for every folder that fits the layout."""
    layout = location.layout
    for values, folder in location.matching_folders(Folders()):
        spelling = values["subject"]
        subject = layout.subject_of(spelling)
        assert subject is not None  # it fits the pattern
        values = {**values, "subject": subject, "emotion": layout.emotion_of(values["emotion"])}
        yield Annotation(
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
            where=str(folder.relative_to(location.folder)),
            folder=folder,
        )
