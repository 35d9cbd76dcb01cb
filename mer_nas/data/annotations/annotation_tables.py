"""Annotation tables: which sheet, which row is the header, and which column says what."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mer_nas.data.annotations.layouts import Layout
from mer_nas.data.annotations.sheets import Sheet
from mer_nas.errors import DataError
from mer_nas.wording import some

Cells = Mapping[str, str]
"""The texts of a row by our names of the columns; only those that the table has."""


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
    sheets = Sheet.read_all(path)
    if not table.headed:
        return list(_positioned(path, layout, sheets)), ""
    if table.sheet is not None and table.sheet not in sheets:
        raise DataError(
            f"{path}: there is no sheet {str(table.sheet)!r}; found: {', '.join(sheets)}"
        )
    at = {name: sheet for name, sheet in sheets.items() if table.sheet in (None, name)}
    name, head = _header(path, layout, at)
    sheet = at[name]
    wanted = {key: tuple(map(str, names)) for key, names in table.columns.items()}
    columns = sheet.columns(path, head, wanted, table.optional)
    sheet.refuse_longer(path, head)
    below = list(zip(sheet.rows, sheet.places, strict=True))[head + 1 :]
    rows: list[tuple[str, Cells]] = [
        (f"{path.name}, {place}", {name: _cell(row, at) for name, at in columns.items()})
        for row, place in below
        if any(row)
    ]
    return rows, sheet.said


def _header(path: Path, layout: Layout, sheets: Mapping[str, Sheet]) -> tuple[str, int]:
    """Return the sheet and the row that names most of the columns, three at least or all."""
    assert layout.table is not None
    columns = layout.table.columns
    wanted = {str(name) for names in columns.values() for name in names}
    found = {name: sheet.best_header(wanted) for name, sheet in sheets.items()}
    best = max(found, key=lambda name: found[name][0], default=None)
    if best is None or found[best][0] < min(3, len(wanted)):
        needed = [
            str(names[0]) for key, names in columns.items() if key not in layout.table.optional
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
    return best, found[best][1]


def _positioned(
    path: Path, layout: Layout, sheets: Mapping[str, Sheet]
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
    words = {
        name: {
            _cell(row, lookup.key).casefold(): _cell(row, lookup.value).zfill(lookup.digits)
            for row in grids[lookup.sheet].rows
            if _cell(row, lookup.key)
        }
        for name, lookup in table.lookups.items()
    }
    kept = 0
    for row, place in zip(grids[at].rows, grids[at].places, strict=True):
        cells = {name: _cell(row, column) for name, column in columns.items()}
        if any(cells.get(key, "").casefold() != text for key, text in table.keep.items()):
            continue
        kept += 1
        looked = {
            name: words[name].get(lookup.looked_up(cells), "")
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


def _cell(row: Sequence[str], column: int) -> str:
    return row[column] if column < len(row) else ""
