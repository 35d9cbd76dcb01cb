"""Workbooks that are damaged, hostile or only half computed."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook

from mer_nas.data.annotations import sheets
from mer_nas.data.annotations.sheets import Sheet
from mer_nas.errors import DataError

SHEET = "xl/worksheets/sheet1.xml"


@pytest.fixture
def book(tmp_path: Path) -> Path:
    made = Workbook()
    sheet = made.worksheets[0]
    for row in (("Subject", "Onset"), ("01", 46.0), (None, "=B2+1"), ("02", 3)):
        sheet.append(row)
    sheet.merge_cells("A2:A3")
    made.save(tmp_path / "t.xlsx")
    return tmp_path / "t.xlsx"


def changed(book: Path, change: Callable[[bytes], bytes]) -> None:
    with zipfile.ZipFile(book) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    parts[SHEET] = change(parts[SHEET])
    with zipfile.ZipFile(book, "w", zipfile.ZIP_DEFLATED) as new:
        for name, part in parts.items():
            new.writestr(name, part)


def refused(book: Path) -> str:
    with pytest.raises(DataError) as error:
        Sheet.read_all(book)
    return str(error.value).removeprefix(f"{book}: ")


def test_merged_cells_hold_their_text_each_and_a_formula_without_value_is_shown(
    book: Path,
) -> None:
    assert Sheet.read_all(book)["Sheet"].rows == (
        ("Subject", "Onset"),
        ("01", "46"),
        ("01", "=B2+1"),
        ("02", "3"),
    )


def test_a_computed_formula_is_its_value(book: Path) -> None:
    changed(book, lambda text: re.sub(rb"<v\s*/>|<v></v>", b"<v>47</v>", text))
    assert Sheet.read_all(book)["Sheet"].rows[2] == ("01", "47")


def test_what_would_unpack_to_too_much_is_not_unpacked(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "MAX_WORKBOOK_BYTES", 2**20)
    changed(book, lambda text: text + b" " * 2**21)
    assert book.stat().st_size < 2**16
    assert refused(book).startswith("this workbook unpacks to 2 MiB, more than the 1 MiB ")


def test_a_cell_far_away_makes_no_wide_rows(book: Path) -> None:
    far = b"".join(b'<row r="%d"><c r="XFD%d"><v>1</v></c></row>' % (n, n) for n in range(5, 99))
    changed(book, lambda text: text.replace(b"</sheetData>", far + b"</sheetData>"))
    assert refused(book).startswith("sheet 'Sheet' makes more than 1,000,000 cells; ")


def test_damaged_contents_are_told(book: Path) -> None:
    with zipfile.ZipFile(book) as parts:
        at = parts.getinfo(SHEET).header_offset + 60
    data = bytearray(book.read_bytes())
    data[at : at + 40] = b"\xff" * 40
    book.write_bytes(data)
    assert refused(book) == (
        "this is no workbook that can be read (its contents are damaged); copy the official file "
        "again"
    )


def test_a_password_is_named(book: Path) -> None:
    book.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512))
    assert refused(book).startswith("this workbook is protected by a password, or in the format")
