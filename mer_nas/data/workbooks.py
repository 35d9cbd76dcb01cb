"""Annotation tables as rows of text: xlsx and csv, the header found by its content.

Every cell is read as text, as it would be typed: subjects such as "006" keep their zeros, a frame
number that Excel holds as 46.0 is "46", and an empty cell is "".
"""

import csv
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from mer_nas.data.clips import some
from mer_nas.data.layouts import Layout, Lookup, Table
from mer_nas.errors import DataError

SEARCHED = 60
"""Rows at the top of a sheet among which the header is looked for."""

Grid = list[tuple[str, ...]]


class Row(NamedTuple):
    """One line of a table."""

    place: str
    """Where it stands, for messages: "coding.xlsx, row 15"."""
    cells: Mapping[str, str]
    """By our names of the columns; only those that the table has."""


@dataclass(frozen=True)
class _Headed:
    """A sheet whose header was found."""

    sheet: str
    line: int
    """Of the header, counted from 0."""
    found: tuple[str, ...]


def read_rows(path: Path, layout: Layout) -> list[Row]:
    """Return the rows of a table that hold something, without its header.

    Raises:
        DataError: The file cannot be read, or is another table than the layout's.
    """
    assert layout.table is not None
    table = layout.table
    sheets = _sheets(path)
    if not table.headed:
        return list(_positioned(path, layout, sheets))
    chosen = _chosen(path, table, sheets)
    at = {name: grid for name, grid in sheets.items() if name in chosen}
    head = _header(path, layout, at)
    columns = _columns(path, layout, head)
    rows = at[head.sheet][head.line + 1 :]
    return [
        Row(
            f"{path.name}, row {number}",
            {name: _cell(row, column) for name, column in columns.items()},
        )
        for number, row in enumerate(rows, start=head.line + 2)
        if any(row)
    ]


def _sheets(path: Path) -> dict[str, Grid]:
    """Return every sheet of a file as rows of text."""
    if path.suffix.lower() == ".csv":
        return {path.stem: _csv(path)}
    if path.suffix.lower() == ".xls":
        raise DataError(
            f"{path}: this is the format of Excel before 2007; save it as .xlsx beside it"
        )
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        return _grids(path)
    except PermissionError:
        raise DataError(
            f"{path}: the workbook cannot be opened; close it where it is open, in Excel for "
            "instance, and see that it may be read"
        ) from None
    except (BadZipFile, InvalidFileException, ParseError, KeyError, ValueError, OSError) as error:
        raise DataError(
            f"{path}: this is no workbook that can be read ({error}); copy the official file again"
        ) from None


def _grids(path: Path) -> dict[str, Grid]:
    from openpyxl import load_workbook

    grids: dict[str, Grid] = {}
    with warnings.catch_warnings():
        # Styles and drop-down lists that openpyxl does not know hold no clips.
        warnings.simplefilter("ignore", UserWarning)
        book = load_workbook(path, read_only=True, data_only=True)
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # some programs note wrong ones
            rows = sheet.iter_rows(values_only=True)
            grids[sheet.title] = [tuple(map(_text, row)) for row in rows]
        book.close()
    return grids


def _csv(path: Path) -> Grid:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [tuple(cell.strip() for cell in row) for row in csv.reader(file)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: this is no csv in UTF-8: {error}") from None


def _text(value: object) -> str:
    """Return a cell as it would be typed.

    >>> _text(46.0), _text("006 "), _text(None)
    ('46', '006', '')
    """
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _chosen(path: Path, table: Table, sheets: Mapping[str, Grid]) -> list[str]:
    if table.sheet is None:
        return list(sheets)
    found = [name for name in sheets if name == table.sheet]
    if not found:
        raise DataError(
            f"{path}: there is no sheet {str(table.sheet)!r}; found: {', '.join(sheets)}"
        )
    return found


def _header(path: Path, layout: Layout, sheets: Mapping[str, Grid]) -> _Headed:
    """Return the row that names most of the columns, three at least or all."""
    assert layout.table is not None
    wanted = {_plain(str(name)) for names in layout.table.columns.values() for name in names}
    best, most = None, 0
    for sheet, grid in sheets.items():
        for line, row in enumerate(grid[:SEARCHED]):
            known = len(wanted & {_plain(cell) for cell in row if cell})
            if known > most:
                best, most = _Headed(sheet, line, row), known
    if best is None or most < min(3, len(wanted)):
        needed = [
            str(names[0]) for key, names in layout.table.columns.items() if _due(layout, key)
        ]
        tops = "; ".join(
            f"{sheet}: {some(filter(None, next(filter(any, grid), ())), 6) or 'empty'}"
            for sheet, grid in sheets.items()
        )
        raise DataError(
            f"{path}: this is not the table of {layout.title}: no row holds the headers "
            f"{', '.join(needed)}; found in its first row: {tops}. "
            f"Put {layout.table.files[0]} there, or name it: data.annotations.{layout.name}=FILE"
        )
    return best


def _columns(path: Path, layout: Layout, head: _Headed) -> dict[str, int]:
    """Return where each column of the layout stands."""
    assert layout.table is not None
    places = {_plain(cell): index for index, cell in reversed(list(enumerate(head.found))) if cell}
    columns: dict[str, int] = {}
    lacking: list[str] = []
    for key, names in layout.table.columns.items():
        at = next((places[_plain(str(n))] for n in names if _plain(str(n)) in places), None)
        if at is not None:
            columns[key] = at
        elif _due(layout, key):
            lacking.append(str(names[0]))
    if lacking:
        there = [cell for cell in head.found if cell]
        free = [cell for index, cell in enumerate(head.found) if index not in columns.values()]
        guesses = [
            f"{guess[0]!r} for {name!r}"
            for name in lacking
            if (guess := get_close_matches(name, free, n=1, cutoff=0.5))
        ]
        hint = f" Perhaps {', '.join(guesses)}?" if guesses else ""
        raise DataError(
            f"{path}: the columns {', '.join(lacking)} are missing in row {head.line + 1}; found: "
            f"{', '.join(there)}. Give them their official names again.{hint}"
        )
    return columns


def _due(layout: Layout, key: str) -> bool:
    assert layout.table is not None
    return key not in layout.table.optional


def _plain(header: str) -> str:
    """Return a header without what people type differently: case and white space."""
    return "".join(header.split()).casefold()


def _positioned(path: Path, layout: Layout, sheets: Mapping[str, Grid]) -> Iterator[Row]:
    """Return the rows of a table without header, with the words of its other sheets."""
    table = layout.table
    assert table is not None
    grids = list(sheets.values())
    needed = 1 + max([0, *(lookup.sheet for lookup in table.lookups.values())])
    columns = {key: int(names[0]) for key, names in table.columns.items()}
    at = int(table.sheet or 0)
    if len(grids) < needed:
        raise DataError(
            f"{path}: this is not the table of {layout.title}: {needed} sheets are needed, "
            f"found {', '.join(sheets)}. Put {table.files[0]} there, or name it: "
            f"data.annotations.{layout.name}=FILE"
        )
    words = {name: _words(lookup, grids[lookup.sheet]) for name, lookup in table.lookups.items()}
    kept = 0
    for number, row in enumerate(grids[at], start=1):
        cells = {name: _cell(row, column) for name, column in columns.items()}
        if any(cells.get(key, "").casefold() != text for key, text in table.keep.items()):
            continue
        kept += 1
        looked = {
            name: words[name].get(_key(lookup, cells), "")
            for name, lookup in table.lookups.items()
        }
        yield Row(f"{path.name}, row {number}", {**cells, **looked})
    if not kept:
        kinds = ", ".join(
            f"{text!r} in column {columns[key] + 1}" for key, text in table.keep.items()
        )
        raise DataError(
            f"{path}: this is not the table of {layout.title}: no row of its first sheet has "
            f"{kinds}. Put {table.files[0]} there, or name it: data.annotations.{layout.name}=FILE"
        )


def _words(lookup: Lookup, grid: Grid) -> dict[str, str]:
    return {
        _cell(row, lookup.key).casefold(): _cell(row, lookup.value).zfill(lookup.digits)
        for row in grid
        if _cell(row, lookup.key)
    }


def _key(lookup: Lookup, cells: Mapping[str, str]) -> str:
    text = cells[lookup.cell]
    return (text.partition(lookup.before)[0] if lookup.before else text).casefold()


def _cell(row: Sequence[str], column: int) -> str:
    return row[column] if column < len(row) else ""
