"""Writes the files of a data set: images, and workbooks cell by cell."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from openpyxl import Workbook

IMAGE = {
    suffix: cv2.imencode(suffix, np.full((2, 2), 128, np.uint8))[1].tobytes()
    for suffix in (".jpg", ".bmp", ".png")
}

Rows = Sequence[Sequence[object]]


def images(root: Path, *names: str) -> None:
    """Write images: "sub01/EP1/img46.jpg", or "sub01/EP1/img46..48.jpg" for several."""
    for name in names:
        stem, _, suffix = name.rpartition(".")
        first, dots, last = stem.partition("..")
        folder, digits = first.rstrip("0123456789"), first[len(first.rstrip("0123456789")) :]
        for number in range(int(digits), int(last if dots else digits) + 1):
            path = root / f"{folder}{number:0{len(digits)}d}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(IMAGE[f".{suffix}"])


def workbook(path: Path, **sheets: Rows) -> None:
    book = Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name.replace("_", " "))
        for row in rows:
            sheet.append(list(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


CASME2_HEADER = (
    "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units", "Estimated Emotion",
)  # fmt: skip
