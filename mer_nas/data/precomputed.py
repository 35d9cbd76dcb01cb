"""Flow images that others have computed: a csv of clips and one small RGB image each.

This is the layout in which HTNet (github.com/wangzhifengharrison/HTNet) published the composite
set of the MEGC 2019 challenge. Red is the horizontal flow u, green the vertical flow v, blue the
optical strain, each stretched to 0..255 in every image, so that the size of a motion is lost and
127.5 is only near zero motion. File names have a space before their extension: "sub01_EP02_01f
.png".

Subjects are read as text: as numbers, CASME II's "sub06", SAMM's "006" and SMIC's "s06" are one.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_nas.data.clips import FLOW, Clip, ClipSet, some
from mer_nas.data.config import PrecomputedFlow
from mer_nas.errors import DataError

COLUMNS = ("dataset", "sub", "filename_o", "label")


@dataclass(frozen=True)
class Row:
    """A line of the csv and the image that belongs to it."""

    clip: Clip
    image: Path


def load(config: PrecomputedFlow) -> ClipSet:
    """Read the csv and every image it names.

    Raises:
        DataError: The folder, the csv or images are missing or not what they should be.
    """
    root = _root(config)
    table = _table(root / config.csv)
    folder = _folder(root, config.images)
    rows = [Row(clip, folder / file_name(clip)) for clip in _clips(table, config)]
    images = {row.clip.id: read_image(row.image) for row in rows}
    kept = [row for row in rows if images[row.clip.id] is not None]
    _refuse_missing(rows, kept, config)
    flows = [images[row.clip.id] for row in kept]
    _refuse_sizes([(row, flow) for row, flow in zip(kept, flows, strict=True)], config)
    return ClipSet(
        name=config.name,
        classes=config.classes,
        clips=tuple(row.clip for row in kept),
        inputs={FLOW: scaled(np.stack([flow for flow in flows if flow is not None]))},
        official=config.official or None,
        scaling={FLOW: "2 x / 255 - 1 of the 8-bit image"},
        left_out=len(rows) - len(kept),
    )


def file_name(clip: Clip) -> str:
    """Return the name of a clip's image.

    >>> file_name(Clip("samm", "006", "006_1_2", 0))
    '006_006_1_2 .png'
    """
    return f"{clip.subject}_{clip.name} .png"


def read_image(path: Path) -> NDArray[np.uint8] | None:
    """Return an image as (H, W, 3), red first; None where none can be decoded."""
    if not path.is_file():
        return None
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if len(data) == 0:
        return None
    image: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return None if image is None else np.ascontiguousarray(image[:, :, ::-1])


def scaled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn images (N, H, W, 3) of 0..255 into inputs (N, 3, H, W) of -1..1."""
    return np.ascontiguousarray((2 * images.astype(np.float32) / 255 - 1).transpose(0, 3, 1, 2))


def _root(config: PrecomputedFlow) -> Path:
    if config.root is None:
        raise DataError(
            f"data.root: {config.name} needs the folder that holds {config.csv} and the image "
            f"folder {Path(config.images).name}; data.root=DIR names it"
        )
    root = config.root.expanduser()
    if not root.is_dir():
        raise DataError(f"data.root: there is no folder {root}")
    if not any(root.iterdir()):
        raise DataError(
            f"data.root: {root} is empty; it should hold {config.csv} and the image folder "
            f"{Path(config.images).name}"
        )
    return root


def _table(path: Path) -> list[Mapping[str, str | None]]:
    if not path.is_file():
        raise DataError(f"data.root: {path.parent} does not hold the table {path.name}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows: list[Mapping[str, str | None]] = list(reader)
            columns = reader.fieldnames or ()
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: this is no csv in UTF-8: {error}") from None
    lacking = [name for name in COLUMNS if name not in columns]
    if lacking:
        raise DataError(
            f"{path}: the columns {', '.join(lacking)} are missing; found: {', '.join(columns)}"
        )
    if not rows:
        raise DataError(f"{path}: the table has a header but no clips")
    return rows


def _clips(table: Sequence[Mapping[str, str | None]], config: PrecomputedFlow) -> list[Clip]:
    clips: list[Clip] = []
    wrong: list[str] = []
    for line, row in enumerate(table, start=2):
        dataset, subject, name, label = ((row[column] or "").strip() for column in COLUMNS)
        if not (dataset and subject and name):
            wrong.append(f"line {line}: dataset, sub or filename_o is empty")
        elif not label.isdecimal() or int(label) >= len(config.classes):
            wrong.append(f"line {line}: {label!r}")
        else:
            emotion = config.classes[int(label)]
            clips.append(Clip(dataset, subject, name, int(label), emotion=emotion))
    if wrong:
        known = ", ".join(f"{index} {name}" for index, name in enumerate(config.classes))
        raise DataError(
            f"{config.csv}: {len(wrong)} of {len(table)} rows are wrong; labels are {known}:\n  "
            + "\n  ".join(wrong[:10] + ["..."] * (len(wrong) > 10))
        )
    return clips


def _folder(root: Path, images: str) -> Path:
    if (root / images).is_dir():
        return root / images
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


def _refuse_missing(rows: Sequence[Row], kept: Sequence[Row], config: PrecomputedFlow) -> None:
    found = {row.clip.id for row in kept}
    lost = [row for row in rows if row.clip.id not in found]
    if not lost or (config.skip_missing and kept):
        return
    shown = [
        f"{row.image.name!r} {'cannot be read' if row.image.exists() else 'is missing'}"
        for row in lost[:10]
    ]
    hint = "" if config.skip_missing else "; data.skip_missing=true leaves them out"
    raise DataError(
        f"{config.name}: {len(lost)} of {len(rows)} clips have no readable image in "
        f"{rows[0].image.parent}{hint}:\n  " + "\n  ".join(shown + ["..."] * (len(lost) > 10))
    )


def _refuse_sizes(
    flows: Sequence[tuple[Row, NDArray[np.uint8] | None]], config: PrecomputedFlow
) -> None:
    size = config.size
    wrong = [
        f"{row.image.name!r} {flow.shape[0]} by {flow.shape[1]}"
        for row, flow in flows
        if flow is not None and flow.shape[:2] != (size, size)
    ]
    if wrong:
        raise DataError(
            f"{config.name}: {len(wrong)} of {len(flows)} images are not {size} by {size} pixels "
            f"(data.size): {some(wrong)}"
        )
