"""Flow images that others have computed: a csv of clips and one small RGB image each.

This is the layout in which HTNet (github.com/wangzhifengharrison/HTNet) published the composite
set of the MEGC 2019 challenge. Red is the horizontal flow u, green the vertical flow v, blue the
optical strain, each stretched to 0..255 in every image, so that the size of a motion is lost and
127.5 is only near zero motion. File names have a space before their extension: "sub01_EP02_01f
.png".

Subjects are read as text: as numbers, CASME II's "sub06", SAMM's "006" and SMIC's "s06" are one.
Who is one person is for `identity` to say; an image has the name that its own line writes.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_nas.data.annotations import identity
from mer_nas.data.annotations.folders import composed, spelled
from mer_nas.data.annotations.sheets import Sheet
from mer_nas.data.clips import ClipSet
from mer_nas.data.config import PrecomputedFlow
from mer_nas.data.findings import Finding
from mer_nas.data.preprocess.images import decode
from mer_nas.data.records import Record
from mer_nas.errors import DataError
from mer_nas.inputs import FLOW
from mer_nas.wording import count, lines, some

_COLUMNS = ("dataset", "sub", "filename_o", "label")

_SHOWN = 80
"""Letters that a message shows of a cell."""

_NUMBER = re.compile(r"\d{1,9}")


_Flow = NDArray[np.float32]
"""(3, H, W)."""


@dataclass(frozen=True)
class _Line:
    """A line of the csv."""

    place: str
    """Where it stands: "line 2"."""
    dataset: str
    """As written, like the next three."""
    subject: str
    name: str
    label: str


@dataclass(frozen=True)
class _Row:
    """A clip and the image that belongs to it."""

    place: str
    record: Record
    image: Path


def load_precomputed(config: PrecomputedFlow) -> ClipSet:
    """Read the csv and every image it names.

    Raises:
        DataError: The folder, the csv or images are missing or not what they should be.
    """
    root = _root(config)
    table = _table(spelled(root / config.csv))
    folder = _folder(root, config.images)
    rows, findings = _rows(table, folder, config)
    _refuse_named_twice(rows, config)
    images, faults = _read(rows)
    kept = [row for row in rows if row.record.id in images]
    _refuse_faults(rows, kept, faults, config)
    flows = [images[row.record.id] for row in kept]
    _refuse_sizes(list(zip(kept, flows, strict=True)), config)
    return ClipSet(
        name=config.name,
        classes=config.classes,
        records=tuple(row.record for row in kept),
        inputs={FLOW: np.stack(flows)},
        official=config.official or None,
        scaling={FLOW: "2 x / 255 - 1 of the 8-bit image"},
        left_out=tuple(_left_out(row, faults) for row in rows if row.record.id in faults),
        findings=tuple(findings),
    )


def read_flow(path: Path) -> _Flow:
    """Return a flow image (H, W) of 0..255 as (3, H, W) of -1..1: u, v and strain.

    Raises:
        DataError: There is none, it cannot be decoded, or is not of three channels of 8 bits.
    """
    image = decode(path, rgb=True)
    return np.asarray(2 * image.astype(np.float32) / 255 - 1, np.float32).transpose(2, 0, 1)


def _file_name(subject: str, name: str) -> str:
    """Return the name of a clip's image.

    >>> _file_name("006", "006_1_2")
    '006_006_1_2 .png'
    """
    return f"{subject}_{name} .png"


def _read(rows: Sequence[_Row]) -> tuple[dict[str, _Flow], dict[str, str]]:
    """Return the images by their clips' ids, and of the others what is wrong."""
    images: dict[str, _Flow] = {}
    faults: dict[str, str] = {}
    for row in rows:
        try:
            images[row.record.id] = read_flow(row.image)
        except DataError as error:
            faults[row.record.id] = str(error).removeprefix(f"{row.image}: ")
    return images, faults


def _root(config: PrecomputedFlow) -> Path:
    if config.root is None:
        raise DataError(
            f"data.root: {config.name} needs the folder that holds {config.csv} and the image "
            f"folder {Path(config.images).name}; data.root=DIR names it"
        )
    root = spelled(config.root.expanduser())
    if not root.is_dir():
        raise DataError(f"data.root: there is no folder {root}")
    if not any(root.iterdir()):
        raise DataError(
            f"data.root: {root} is empty; it should hold {config.csv} and the image folder "
            f"{Path(config.images).name}"
        )
    return root


def _table(path: Path) -> list[_Line]:
    if not path.is_file():
        raise DataError(f"data.root: {path.parent} does not hold the table {path.name}")
    sheet = Sheet.read_csv(path)
    if not sheet.rows:
        raise DataError(f"{path}: the table is empty")
    columns = sheet.columns(path, 0, {name: (name,) for name in _COLUMNS})
    sheet.refuse_longer(path, 0)
    if len(sheet.rows) == 1:
        raise DataError(f"{path}: the table has a header but no clips")
    return [
        _Line(place, *(next(iter(row[at : at + 1]), "") for at in columns.values()))
        for row, place in zip(sheet.rows[1:], sheet.places[1:], strict=True)
    ]


def _rows(
    table: Sequence[_Line], folder: Path, config: PrecomputedFlow
) -> tuple[list[_Row], list[Finding]]:
    """Return the clips, by who they show, and what names were joined for it."""
    _refuse_wrong(table, config)
    sets = identity.Names.settled(
        ((line.dataset, line.place) for line in table), identity.data_set
    )
    subjects: dict[str, list[_Line]] = defaultdict(list)
    for line in table:
        subjects[sets.of[line.dataset]].append(line)
    identity.refuse_shared(subjects, str(config.csv))
    people = {
        dataset: identity.Names.settled(
            ((line.subject, line.place) for line in lines),
            partial(identity.subject_of, dataset),
        )
        for dataset, lines in subjects.items()
    }
    _refuse_unsure([sets, *people.values()], config)
    findings = sets.joined_findings("data sets")
    for dataset, names in people.items():
        findings += names.joined_findings("subjects", f"{dataset}:")
    listed = {composed(file.name): file for file in folder.iterdir()}
    rows = []
    for line in table:
        dataset = sets.of[line.dataset]
        subject, label = people[dataset].of[line.subject], int(line.label)
        record = Record(dataset, subject, line.name, label, emotion=config.classes[label])
        rows.append(_Row(line.place, record, _image(line, subject, folder, listed)))
    return rows, findings


def _image(line: _Line, subject: str, folder: Path, listed: Mapping[str, Path]) -> Path:
    """Return the image of a line: by the subject as written, else by its normal form."""
    names = [_file_name(written, line.name) for written in (line.subject, subject)]
    found = (listed.get(composed(name)) for name in names)
    return next(filter(None, found), folder / names[0])


def _refuse_wrong(table: Sequence[_Line], config: PrecomputedFlow) -> None:
    wrong = []
    for line in table:
        if not (identity.plain(line.dataset) and identity.plain(line.subject) and line.name):
            wrong.append(f"{line.place}: dataset, sub or filename_o is empty")
        elif {"/", "\\"} & {*line.subject, *line.name}:
            told = f"{line.subject!r}, {line.name!r}"
            wrong.append(f"{line.place}: {told[:_SHOWN]} is a path; a name would be right")
        elif not _NUMBER.fullmatch(line.label) or int(line.label) >= len(config.classes):
            wrong.append(f"{line.place}: {line.label[:_SHOWN]!r}")
    if wrong:
        known = ", ".join(f"{index} {name}" for index, name in enumerate(config.classes))
        raise DataError(
            f"{config.csv}: {len(wrong)} of {len(table)} rows are wrong; labels are {known}:\n  "
            + "\n  ".join(wrong[:10] + ["..."] * (len(wrong) > 10))
        )


def _refuse_unsure(names: Sequence[identity.Names], config: PrecomputedFlow) -> None:
    unsure = [text for found in names for text in found.unsure]
    if unsure:
        raise DataError(
            f"{config.csv}: it cannot be told who is one person:\n  "
            + "\n  ".join(unsure[:10] + ["..."] * (len(unsure) > 10))
        )


def _refuse_named_twice(rows: Sequence[_Row], config: PrecomputedFlow) -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        places[row.record.id].append(row.place)
    twice = [f"{clip} ({', '.join(at)})" for clip, at in places.items() if len(at) > 1]
    if twice:
        are = "is" if len(twice) == 1 else "are"
        raise DataError(
            f"{config.csv}: {count(len(twice), 'clip')} {are} named more than once: {some(twice)}"
        )


def _left_out(row: _Row, faults: Mapping[str, str]) -> Finding:
    text = f"{row.image.name!r}: {faults[row.record.id]}"
    return Finding("error", "no readable image", row.record.id, text)


def _folder(root: Path, images: str) -> Path:
    if spelled(root / images).is_dir():
        return spelled(root / images)
    name = Path(images).name
    found = sorted(path for path in root.rglob(name) if path.is_dir())
    if not found:
        raise DataError(f"data.root: there is no image folder {name} anywhere below {root}")
    if len(found) > 1:
        raise DataError(
            f"data.root: there are {len(found)} folders {name} below {root}: "
            f"{some(map(str, found))}; data.images=PATH chooses one, relative to the root"
        )
    return found[0]


def _refuse_faults(
    rows: Sequence[_Row], kept: Sequence[_Row], faults: Mapping[str, str], config: PrecomputedFlow
) -> None:
    if not faults or (config.skip_missing and kept):
        return
    shown = [
        f"{row.image.name!r}: {faults[row.record.id]}" for row in rows if row.record.id in faults
    ]
    hint = "" if config.skip_missing else "; data.skip_missing=true leaves them out"
    raise DataError(
        f"{config.name}: {len(shown)} of {len(rows)} clips have no readable image in "
        f"{rows[0].image.parent}{hint}:\n  " + lines(shown)
    )


def _refuse_sizes(flows: Sequence[tuple[_Row, _Flow]], config: PrecomputedFlow) -> None:
    size = config.size
    wrong = [
        f"{row.image.name!r} {flow.shape[1]} by {flow.shape[2]}"
        for row, flow in flows
        if flow.shape[1:] != (size, size)
    ]
    if wrong:
        raise DataError(
            f"{config.name}: {len(wrong)} of {len(flows)} images are not {size} by {size} pixels "
            f"(data.size): {some(wrong)}"
        )
