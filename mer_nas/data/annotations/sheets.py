"""Sheets of tables as rows of text, whatever file they are in, and where each row stands.

Every cell is text, as it would be typed: subjects such as "006" keep their zeros, a frame number
that Excel holds as 46.0 is "46", and an empty cell is "".

In text files cells are separated by commas, semicolons, tabs or bars, lines end as on any system,
and the text is UTF-8, or UTF-16 that says so. What is none of these is refused, not guessed. A
workbook is a zip file of XML: one of a megabyte may unpack to gigabytes, and a single cell far to
the right makes every row as wide. So limits are looked at before anything is unpacked.
"""

import codecs
import csv
import re
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from mer_nas import files
from mer_nas.data.annotations.identity import plain
from mer_nas.errors import DataError
from mer_nas.wording import count, some

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SEARCHED = 60
"""Lines at the top by which the separator of a file is told, and its header."""

_EXCELS = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
"""The first line by which Excel says what separates cells."""

MAX_WORKBOOK_BYTES = 32 * 2**20
"""Of the XML in a workbook, unpacked; the official tables take less than 3 MiB."""
MAX_CELLS = 1_000_000
"""Of all sheets of a workbook, empty ones between others counted."""

_OLE = b"\xd0\xcf\x11\xe0"
"""How files of Excel before 2007 begin, and those that a password protects."""
_MERGED = re.compile(rb'<mergeCell ref="([A-Z]{1,3})([0-9]{1,7}):\1([0-9]{1,7})"')
"""Cells of one column that were made one."""


@dataclass(frozen=True)
class Sheet:
    """The rows of one sheet."""

    rows: tuple[tuple[str, ...], ...]
    places: tuple[str, ...]
    """Of each row, where it stands, for messages: "row 15", "line 16"."""
    said: str = ""
    """What is unusual about the file, though it can be read: "separated by semicolons"."""
    closed: bool = False
    """Whether no row may be longer than the header: in a csv a comma too many moves every cell."""

    @classmethod
    def read_all(cls, path: Path) -> dict[str, "Sheet"]:
        """Return every sheet of a csv or a workbook by its name.

        A cell of a formula that no program has computed yet is the formula: "=A2+1". Where cells
        of a column are merged, each of them holds what is written there once.

        Raises:
            DataError: It cannot be read, or is larger than any annotation.
        """
        if path.suffix.lower() == ".csv":
            return {path.stem: cls.read_csv(path)}
        return _read_xlsx(path)

    @classmethod
    def read_csv(cls, path: Path) -> "Sheet":
        """Return the rows of a table that hold something.

        Raises:
            DataError: It cannot be read, is no text, or its quotes are not closed.
        """
        text = _decoded(path, files.read_bytes(path, DataError))
        excels = _EXCELS.match(text)
        separator = excels[1] if excels else _separator(text)
        rows, places = [], []
        skipped = 1 if excels else 0
        lines = _lines(text[excels.end() :] if excels else text)
        # An empty line more, so that a cell still open at the end takes one that is not its own.
        reader = csv.reader([*lines, ""], delimiter=separator)
        before = 0
        try:
            for row in reader:
                if reader.line_num > before + 1:
                    # A stray quotation mark takes whole rows into its cell: nothing is lenient.
                    taken = lines[before : reader.line_num]
                    next(csv.reader(taken, delimiter=separator, strict=True))
                if any(cell.strip() for cell in row):
                    rows.append(tuple(cell.strip() for cell in row))
                    places.append(f"line {before + 1 + skipped}")
                before = reader.line_num
        except csv.Error as error:
            raise DataError(f"{path}: line {before + 1 + skipped}: {_reason(error)}") from None
        said = "" if separator == "," else f"separated by {_SEPARATORS.get(separator, separator)}"
        return cls(tuple(rows), tuple(places), said, closed=True)

    def best_header(self, names: Iterable[str]) -> tuple[int, int]:
        """Return how many of some headers a row at the top holds, and which row holds most.

        Args:
            names: The headers, in any case and with any blanks.
        """
        wanted = set(map(_header, names))
        found = [
            len(wanted & set(map(_header, filter(None, row)))) for row in self.rows[:_SEARCHED]
        ]
        most = max(found, default=0)
        return most, found.index(most) if most else 0

    def refuse_longer(self, path: Path, head: int) -> None:
        """Refuse rows with more cells than the header, where that moves what stands behind it.

        Args:
            path: The file.
            head: The row of the header, counted from 0.

        Raises:
            DataError: There are some.
        """
        width = len(self.rows[head])
        longer = [
            place
            for row, place in zip(self.rows, self.places, strict=True)
            if self.closed and any(row[width:])
        ]
        if longer:
            raise DataError(
                f"{path}: {count(len(longer), 'row')} with more cells than the header's {width}: "
                f"{some(longer)}; a cell that holds a comma, or what else separates cells, needs "
                "quotation marks"
            )

    def columns(
        self,
        path: Path,
        head: int,
        wanted: Mapping[str, Sequence[str]],
        optional: Sequence[str] = (),
    ) -> dict[str, int]:
        """Return where each column stands, whatever the case and the blanks of its header.

        Args:
            path: The file.
            head: The row of the header, counted from 0.
            wanted: By our name of a column, the headers it may have, the official one first.
            optional: Our names of those that may be missing.

        Raises:
            DataError: One is missing, or there twice.
        """
        found, place = self.rows[head], self.places[head]
        heads = [_header(cell) for cell in found]
        columns: dict[str, int] = {}
        for key, names in wanted.items():
            name = next((name for name in map(_header, names) if name in heads), None)
            if name is not None and heads.count(name) > 1:
                raise DataError(
                    f"{path}: the column {names[0]} stands {heads.count(name)} times in {place}; "
                    "one of them would be right"
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


def _header(text: str) -> str:
    """Return a header without what people type differently: case and blanks.

    >>> _header("Onset Frame "), _header("onsetframe")
    ('onsetframe', 'onsetframe')
    """
    return "".join(plain(text).split()).casefold()


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
    for line in _lines(text[: 2**16])[:_SEARCHED]:
        cells = {mark: len(next(csv.reader([line], delimiter=mark), [])) for mark in _SEPARATORS}
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
    if "end of data" in str(error) or "expected after" in str(error):
        return "a quotation mark of the row that begins here is not closed at the end of its cell"
    return f"this is no row of a csv: {error}"


def _guesses(lacking: Sequence[str], free: Sequence[str]) -> str:
    guesses = [
        f"{guess[0]!r} for {name!r}"
        for name in lacking
        if (guess := get_close_matches(name, free, n=1, cutoff=0.5))
    ]
    return f" Perhaps {', '.join(guesses)}?" if guesses else ""


def _read_xlsx(path: Path) -> dict[str, Sheet]:
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
            return _xlsx_sheets(path, parts)
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
    if size > MAX_WORKBOOK_BYTES:
        raise DataError(
            f"{path}: this workbook unpacks to {size / 2**20:,.0f} MiB, more than the "
            f"{MAX_WORKBOOK_BYTES >> 20} MiB that are read; an annotation is smaller. Delete "
            "the sheets, columns and formats that are not needed"
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


def _xlsx_sheets(path: Path, parts: dict[str, _Part]) -> dict[str, Sheet]:
    formulas = any(part.formulas for part in parts.values())
    values = _open(path, data_only=True)
    written = _open(path, data_only=not formulas)
    found_sheets: dict[str, Sheet] = {}
    left = MAX_CELLS
    for (title, name, rows), (_, _, texts) in zip(values, written, strict=True):
        found: list[list[str]] = []
        for row, text in zip(rows, texts, strict=True) if formulas else ((r, r) for r in rows):
            left -= len(row)
            if left < 0:
                raise DataError(
                    f"{path}: sheet {title!r} makes more than {MAX_CELLS:,} cells; an annotation "
                    "has fewer. Delete what stands far below or to the right of the table"
                )
            found.append(_trimmed(map(_cell, row, text)))
        for merged in parts[name].merged if name in parts else ():
            _fill(found, *merged)
        places = tuple(f"row {number}" for number in range(1, len(found) + 1))
        found_sheets[title] = Sheet(tuple(map(tuple, found)), places)
    return found_sheets


def _open(path: Path, *, data_only: bool) -> Iterator[tuple[str, str, Iterable[Any]]]:
    """Yield the title, the part and the rows of each sheet."""
    from openpyxl import load_workbook

    with warnings.catch_warnings():
        # Styles and drop-down lists that openpyxl does not know hold no clips.
        warnings.simplefilter("ignore", UserWarning)
        book = load_workbook(path, read_only=True, data_only=data_only)
    with closing(book):  # also where a sheet is refused
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # some programs note wrong ones
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                part = str(getattr(sheet, "_worksheet_path", "")).lstrip("/")
                yield sheet.title, part, sheet.iter_rows(values_only=True)


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
