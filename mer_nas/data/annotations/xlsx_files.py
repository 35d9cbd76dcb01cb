"""Workbooks as rows of text, within limits that are looked at before anything is unpacked.

A workbook is a zip file of XML: one of a megabyte may unpack to gigabytes, and a single cell far
to the right makes every row as wide.
"""

import re
import warnings
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from mer_nas.data.annotations.grids import Grid
from mer_nas.errors import DataError

MOST_BYTES = 32 * 2**20
"""Of the XML in a workbook, unpacked; the official tables take less than 3 MiB."""
MOST_CELLS = 1_000_000
"""Of all sheets of a workbook, empty ones between others counted."""

_OLE = b"\xd0\xcf\x11\xe0"
"""How files of Excel before 2007 begin, and those that a password protects."""
_MERGED = re.compile(rb'<mergeCell ref="([A-Z]{1,3})([0-9]{1,7}):\1([0-9]{1,7})"')
"""Cells of one column that were made one."""


def read_xlsx(path: Path) -> dict[str, Grid]:
    """Return every sheet of a workbook by its name.

    A cell of a formula that no program has computed yet is the formula: "=A2+1". Where cells of a
    column are merged, each of them holds what is written there once.

    Raises:
        DataError: It cannot be read, or is larger than any annotation.
    """
    if path.suffix.lower() == ".xls":
        raise DataError(
            f"{path}: this is the format of Excel before 2007; save it as .xlsx beside it"
        )
    try:
        with path.open("rb") as file:
            if file.read(4) == _OLE:
                raise DataError(
                    f"{path}: this workbook is protected by a password, or in the format of Excel "
                    "before 2007; save it as .xlsx without a password"
                )
            with ZipFile(file) as archive:
                _refuse_large(path, archive)
                parts = _parts(archive)
            return _grids(path, parts)
    except PermissionError:
        raise DataError(
            f"{path}: the workbook cannot be opened; close it where it is open, in Excel for "
            "instance, and see that it may be read"
        ) from None
    except DataError:
        raise
    except Exception as error:  # openpyxl raises whatever its insides meet in a damaged file
        reason = "its contents are damaged" if isinstance(error, zlib.error | EOFError) else error
        if not isinstance(error, BadZipFile | zlib.error | EOFError | OSError | ValueError):
            reason = f"{type(error).__name__}: {error}"
        raise DataError(
            f"{path}: this is no workbook that can be read ({reason}); copy the official file "
            "again"
        ) from None


def _refuse_large(path: Path, archive: ZipFile) -> None:
    size = sum(p.file_size for p in archive.infolist() if not p.filename.startswith("xl/media/"))
    if size > MOST_BYTES:
        raise DataError(
            f"{path}: this workbook unpacks to {size / 2**20:,.0f} MiB, more than the "
            f"{MOST_BYTES >> 20} MiB that are read; an annotation is smaller. Delete the sheets, "
            "columns and formats that are not needed"
        )


class _Part(NamedTuple):
    """What openpyxl does not say of a sheet when it reads row by row."""

    merged: tuple[tuple[str, int, int], ...]
    """Merged cells of one column: its letters, the first and the last row."""
    formulas: bool


def _parts(archive: ZipFile) -> dict[str, _Part]:
    """Return the sheets by their name in the archive."""
    found = {}
    for name in archive.namelist():
        if name.startswith("xl/worksheets/") and name.endswith(".xml"):
            text = archive.read(name)
            merged = [(c.decode(), int(one), int(last)) for c, one, last in _MERGED.findall(text)]
            found[name] = _Part(tuple(merged), b"<f" in text)
    return found


def _grids(path: Path, parts: dict[str, _Part]) -> dict[str, Grid]:
    formulas = any(part.formulas for part in parts.values())
    values = _sheets(path, data_only=True)
    written = _sheets(path, data_only=not formulas)
    grids: dict[str, Grid] = {}
    left = MOST_CELLS
    for (title, name, rows), (_, _, texts) in zip(values, written, strict=True):
        found: list[list[str]] = []
        for row, text in zip(rows, texts, strict=True) if formulas else ((r, r) for r in rows):
            left -= len(row)
            if left < 0:
                raise DataError(
                    f"{path}: sheet {title!r} makes more than {MOST_CELLS:,} cells; an annotation "
                    "has fewer. Delete what stands far below or to the right of the table"
                )
            found.append(_trimmed(map(_cell, row, text)))
        for merged in parts[name].merged if name in parts else ():
            _fill(found, *merged)
        places = tuple(f"row {number}" for number in range(1, len(found) + 1))
        grids[title] = Grid(tuple(map(tuple, found)), places)
    return grids


def _sheets(path: Path, *, data_only: bool) -> Iterator[tuple[str, str, Iterable[Any]]]:
    """Yield the title, the part and the rows of each sheet."""
    from openpyxl import load_workbook

    with warnings.catch_warnings():
        # Styles and drop-down lists that openpyxl does not know hold no clips.
        warnings.simplefilter("ignore", UserWarning)
        book = load_workbook(path, read_only=True, data_only=data_only)
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # some programs note wrong ones
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            part = str(getattr(sheet, "_worksheet_path", "")).lstrip("/")
            yield sheet.title, part, sheet.iter_rows(values_only=True)
    book.close()


def _cell(value: object, written: object) -> str:
    """Return a cell as it would be typed.

    >>> _cell(46.0, 46.0), _cell("006 ", "006 "), _cell(None, None), _cell(None, "=A2+1")
    ('46', '006', '', '=A2+1')
    """
    if value is None:
        return written if isinstance(written, str) and written.startswith("=") else ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _trimmed(cells: Iterable[str]) -> list[str]:
    row = list(cells)
    while row and not row[-1]:
        row.pop()
    return row


def _fill(rows: list[list[str]], letters: str, first: int, last: int) -> None:
    """Write the first of some merged cells into all of them; rows are counted from 1."""
    from openpyxl.utils import column_index_from_string

    column = column_index_from_string(letters) - 1
    for row in rows[first:last]:
        row += [""] * (column + 1 - len(row))
        row[column] = next(iter(rows[first - 1][column : column + 1]), "")
