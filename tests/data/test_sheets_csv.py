"""A table as people's programs save it, and what is no table."""

import codecs
from pathlib import Path

import pytest

from mer_nas.data.annotations.sheets import Sheet
from mer_nas.errors import DataError

ROWS = (("path", "subject", "label"), ("c0", "anna", "smile"), ("c1", "bo", "a, b"))


def grid(tmp_path: Path, data: bytes) -> tuple[tuple[str, ...], ...]:
    (tmp_path / "t.csv").write_bytes(data)
    return Sheet.read_csv(tmp_path / "t.csv").rows


def refused(tmp_path: Path, data: bytes) -> str:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(DataError) as error:
        Sheet.read_csv(tmp_path / "t.csv")
    return str(error.value).removeprefix(f"{tmp_path / 't.csv'}: ")


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_ends_of_lines_are_told(tmp_path: Path, mark: str, end: str) -> None:
    lines = [mark.join(('"a, b"' if cell == "a, b" else cell) for cell in row) for row in ROWS]
    assert grid(tmp_path, end.join(["", *lines, ""]).encode()) == ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_read_with_a_mark_or_without(tmp_path: Path, encoding: str) -> None:
    assert grid(tmp_path, "name,été\n".encode(encoding)) == (("name", "été"),)


def test_excel_may_say_its_separator(tmp_path: Path) -> None:
    assert grid(tmp_path, b"sep=;\na;b,c\n") == (("a", "b,c"),)


def test_a_cell_may_hold_a_new_line_and_places_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a,b\n"one\ntwo",c\n\nd,e\n')
    found = Sheet.read_csv(tmp_path / "t.csv")
    assert found.rows[1:] == (("one\ntwo", "c"), ("d", "e"))
    assert found.places == ("line 1", "line 2", "line 5")


def test_other_encodings_are_refused_with_the_line(tmp_path: Path) -> None:
    assert refused(tmp_path, "path,subject\nc0,André\n".encode("cp1252")) == (
        "this is no csv in UTF-8: line 2 cannot be read, in Windows-1252 it would be 'c0,André'; "
        "save it as 'CSV UTF-8', as Excel calls it"
    )
    assert "it holds zero bytes" in refused(tmp_path, "a,b\n".encode("utf-16-le"))
    half = codecs.BOM_UTF16_LE + "a,b".encode("utf-16-le")[:-1]
    assert refused(tmp_path, half).startswith("this is no csv in UTF-16: ")


def test_a_quotation_mark_that_is_never_closed_is_refused_with_its_line(tmp_path: Path) -> None:
    text = b'path,label\nc0,a\nc1,"smile\n' + b"c,d\n" * 40_000
    assert refused(tmp_path, text) == (
        "line 3: a cell of more than 131,072 characters begins here; is a quotation mark not "
        "closed?"
    )


@pytest.mark.parametrize(
    ("third", "line"),
    [
        (b'b,s2,sad,"4+7\nc,s3,happy,12\nd,s4,sad,4\n', 3),
        (b'b,s2,sad,"4+7\nc,s3,happy,"12"\nd,s4,sad,4\n', 3),
        (b'b,s2,sad,4\nc,s3,"happy\n', 4),
        (b'b,s2,sad,4\nc,s3,"happy', 4),
    ],
)
def test_a_quotation_mark_takes_no_rows_into_its_cell(
    tmp_path: Path, third: bytes, line: int
) -> None:
    told = "a quotation mark of the row that begins here is not closed at the end of its cell"
    head = b"path,subject,label,aus\na,s1,happy,12\n"
    assert refused(tmp_path, head + third) == f"line {line}: {told}"
    assert refused(tmp_path, b"sep=,\n" + head + third) == f"line {line + 1}: {told}"


def test_letters_behind_a_quotation_mark_belong_to_the_cell_of_its_line(tmp_path: Path) -> None:
    assert grid(tmp_path, b'a,b\n"x"y,"z" \n') == (("a", "b"), ("xy", "z"))
