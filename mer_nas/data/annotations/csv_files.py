"""Tables in text files, as people's programs save them.

Cells are separated by commas, semicolons, tabs or bars, lines end as on any system, and the text
is UTF-8, or UTF-16 that says so. What is none of these is refused, not guessed.
"""

import codecs
import csv
import re
from pathlib import Path

from mer_nas import files
from mer_nas.data.annotations.grids import Grid
from mer_nas.errors import DataError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SEARCHED = 60
"""Lines at the top of a file by which its separator is told."""

_EXCELS = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
"""The first line by which Excel says what separates cells."""


def read_csv(path: Path) -> Grid:
    """Return the rows of a table that hold something.

    Raises:
        DataError: It cannot be read, is no text, or its quotes are not closed.
    """
    text = _decoded(path, files.read_bytes(path, DataError))
    excels = _EXCELS.match(text)
    separator = excels[1] if excels else _separator(text)
    rows, places = [], []
    reader = csv.reader(_lines(text[excels.end() :] if excels else text), delimiter=separator)
    begun = before = 1 if excels else 0
    try:
        for row in reader:
            begun, before = before + 1, reader.line_num + (1 if excels else 0)
            if any(cell.strip() for cell in row):
                rows.append(tuple(cell.strip() for cell in row))
                places.append(f"line {begun}")
    except csv.Error as error:
        raise DataError(f"{path}: line {before + 1}: {_reason(error)}") from None
    said = "" if separator == "," else f"separated by {SEPARATORS.get(separator, separator)}"
    return Grid(tuple(rows), tuple(places), said, closed=True)


def _decoded(path: Path, data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding, name = "utf-16", "UTF-16"
    else:
        encoding, name = "utf-8-sig", "UTF-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        start = data.rfind(b"\n", 0, error.start) + 1
        told = data[start:].partition(b"\n")[0][:60].decode("cp1252", "replace").strip()
        raise DataError(
            f"{path}: this is no csv in {name}: line {line} cannot be read, in Windows-1252 it "
            f"would be {told!r}; save it as 'CSV UTF-8', as Excel calls it"
        ) from None
    if "\0" in text:
        raise DataError(
            f"{path}: this is no csv in {name}: it holds zero bytes, as workbooks and UTF-16 "
            "without a mark do; save it as 'CSV UTF-8', as Excel calls it"
        )
    return text


def _lines(text: str) -> list[str]:
    """Return the lines with their ends: those of Unix, Windows, and of old Macs; no others."""
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text)


def _separator(text: str) -> str:
    r"""Return what divides the first line that is divided, into the most cells.

    >>> _separator("path;subject;label\n"), _separator("one\n"), _separator("a title\na\tb\n")
    (';', ',', '\t')
    """
    for line in _lines(text[: 2**16])[:SEARCHED]:
        cells = {mark: len(next(csv.reader([line], delimiter=mark), [])) for mark in SEPARATORS}
        best = max(cells, key=lambda mark: cells[mark])
        if cells[best] > 1:
            return best
    return ","


def _reason(error: csv.Error) -> str:
    if "field limit" in str(error):
        return (
            f"a cell of more than {csv.field_size_limit():,} characters begins here; is a "
            "quotation mark not closed?"
        )
    return f"this is no row of a csv: {error}"
