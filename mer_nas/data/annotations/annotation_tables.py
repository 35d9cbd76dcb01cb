"""Annotation tables: which sheet, which row is the header, and which column says what."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from mer_nas.data.annotations.csv_files import read_csv
from mer_nas.data.annotations.grids import Grid, header
from mer_nas.data.annotations.layouts import Layout, Lookup, Table
from mer_nas.data.annotations.xlsx_files import read_xlsx
from mer_nas.errors import DataError
from mer_nas.wording import count, some

SEARCHED = 60
"""Rows at the top of a sheet among which the header is looked for."""


Cells = Mapping[str, str]
"""The texts of a row by our names of the columns; only those that the table has."""


@dataclass(frozen=True)
class _Headed:
    """A sheet whose header was found."""

    sheet: str
    line: int
    """Of the header, counted from 0."""
    place: str
    found: tuple[str, ...]


def read_rows(path: Path, layout: Layout) -> tuple[list[tuple[str, Cells]], str]:
    """Return the rows of a table that hold something, without its header, and what is unusual.

    Returns:
        Of each row where it stands, for messages ("coding.xlsx, row 15"), and its cells; and what
        is unusual about the file.

    Raises:
        DataError: The file cannot be read, or is another table than the layout's.
    """
    assert layout.table is not None
    table = layout.table
    sheets = read_sheets(path)
    if not table.headed:
        return list(_positioned(path, layout, sheets)), ""
    chosen = _chosen(path, table, sheets)
    at = {name: grid for name, grid in sheets.items() if name in chosen}
    head = _header(path, layout, at)
    columns = _columns(path, layout, head)
    grid = at[head.sheet]
    refuse_longer(path, grid, head.line)
    below = list(zip(grid.rows, grid.places, strict=True))[head.line + 1 :]
    rows: list[tuple[str, Cells]] = [
        (f"{path.name}, {place}", {name: _cell(row, at) for name, at in columns.items()})
        for row, place in below
        if any(row)
    ]
    return rows, grid.said


def read_sheets(path: Path) -> dict[str, Grid]:
    """Return every sheet of a file as rows of text.

    Raises:
        DataError: The file cannot be read.
    """
    return {path.stem: read_csv(path)} if path.suffix.lower() == ".csv" else read_xlsx(path)


def refuse_longer(path: Path, grid: Grid, head: int) -> None:
    """Refuse rows with more cells than the header, where that moves what stands behind it.

    Raises:
        DataError: There are some.
    """
    width = len(grid.rows[head])
    longer = [
        place
        for row, place in zip(grid.rows, grid.places, strict=True)
        if grid.closed and any(row[width:])
    ]
    if longer:
        raise DataError(
            f"{path}: {count(len(longer), 'row')} with more cells than the header's {width}: "
            f"{some(longer)}; a cell that holds a comma, or what else separates cells, needs "
            "quotation marks"
        )


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
    wanted = {header(str(name)) for names in layout.table.columns.values() for name in names}
    best, most = None, 0
    for sheet, grid in sheets.items():
        for line, row in enumerate(grid.rows[:SEARCHED]):
            known = len(wanted & {header(cell) for cell in row if cell})
            if known > most:
                best, most = _Headed(sheet, line, grid.places[line], row), known
    if best is None or most < min(3, len(wanted)):
        needed = [
            str(names[0]) for key, names in layout.table.columns.items() if _due(layout, key)
        ]
        tops = "; ".join(
            f"{sheet}: {some(filter(None, next(filter(any, grid.rows), ())), 6) or 'empty'}"
            for sheet, grid in sheets.items()
        )
        if not any(any(row) for grid in sheets.values() for row in grid.rows):
            raise DataError(
                f"{path}: this table is empty; it needs the headers {', '.join(needed)} and a row "
                "for each clip"
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
    wanted = {key: tuple(map(str, names)) for key, names in layout.table.columns.items()}
    return columns_of(path, head.place, head.found, wanted, layout.table.optional)


def columns_of(
    path: Path,
    place: str,
    found: Sequence[str],
    wanted: Mapping[str, Sequence[str]],
    optional: Sequence[str] = (),
) -> dict[str, int]:
    """Return where each column stands, whatever the case and the blanks of its header.

    Args:
        path: The table.
        place: Where in it the header stands.
        found: The header.
        wanted: By our name of a column, the headers it may have, the official one first.
        optional: Our names of those that may be missing.

    Raises:
        DataError: One is missing, or there twice.
    """
    heads = [header(cell) for cell in found]
    columns: dict[str, int] = {}
    for key, names in wanted.items():
        name = next((name for name in map(header, names) if name in heads), None)
        if name is not None and heads.count(name) > 1:
            raise DataError(
                f"{path}: the column {names[0]} stands {heads.count(name)} times in {place}; one "
                "of them would be right"
            )
        if name is not None:
            columns[key] = heads.index(name)
    lacking = [names[0] for key, names in wanted.items() if key not in {*columns, *optional}]
    if lacking:
        free = [cell for index, cell in enumerate(found) if index not in columns.values()]
        raise DataError(
            f"{path}: the columns {', '.join(lacking)} are missing in {place}; found: "
            f"{', '.join(filter(None, found))}. Give them their official names again."
            f"{_guesses(lacking, free)}"
        )
    return columns


def _guesses(lacking: Sequence[str], free: Sequence[str]) -> str:
    guesses = [
        f"{guess[0]!r} for {name!r}"
        for name in lacking
        if (guess := get_close_matches(name, free, n=1, cutoff=0.5))
    ]
    return f" Perhaps {', '.join(guesses)}?" if guesses else ""


def _due(layout: Layout, key: str) -> bool:
    assert layout.table is not None
    return key not in layout.table.optional


def _positioned(
    path: Path, layout: Layout, sheets: Mapping[str, Grid]
) -> Iterator[tuple[str, Cells]]:
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
    for row, place in zip(grids[at].rows, grids[at].places, strict=True):
        cells = {name: _cell(row, column) for name, column in columns.items()}
        if any(cells.get(key, "").casefold() != text for key, text in table.keep.items()):
            continue
        kept += 1
        looked = {
            name: words[name].get(_key(lookup, cells), "")
            for name, lookup in table.lookups.items()
        }
        yield f"{path.name}, {place}", {**cells, **looked}
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
        for row in grid.rows
        if _cell(row, lookup.key)
    }


def _key(lookup: Lookup, cells: Mapping[str, str]) -> str:
    text = cells[lookup.cell]
    return (text.partition(lookup.before)[0] if lookup.before else text).casefold()


def _cell(row: Sequence[str], column: int) -> str:
    return row[column] if column < len(row) else ""
