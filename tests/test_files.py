"""Files of others are read within limits; our own are written whole or not at all."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mer_nas import files
from mer_nas.errors import StudyError


def test_a_file_is_read_up_to_the_limit_and_not_a_byte_beyond(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"12345")
    assert files.read_bytes(file, StudyError, most=5) == b"12345"
    with pytest.raises(StudyError, match=r"a: the file is larger than the 4 bytes"):
        files.read_bytes(file, StudyError, most=4)


@pytest.mark.parametrize("name", ["nowhere", "folder", "x" * 5000, "nul\0"])
def test_what_cannot_be_read_is_said_with_its_place(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StudyError, match=r"cannot be read: "):
        files.read_text(tmp_path / name, StudyError)


def test_a_text_is_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes("Köln".encode("latin-1"))
    with pytest.raises(StudyError, match=r"a: this is no text in UTF-8: byte 1"):
        files.read_text(file, StudyError)


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "this is no JSON"),
        ("[NaN]", "NaN is no number"),
        (nested(files.MAX_DEPTH + 1), f"nested deeper than {files.MAX_DEPTH} levels"),
        (nested(200_000), "nested too deep"),
    ],
    ids=["torn", "nan", "deep", "very deep"],
)
def test_json_is_whole_finite_and_of_a_sane_depth(text: str, found: str, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(text)
    with pytest.raises(StudyError, match=f"^{file}: .*{found}"):
        files.read_json(file, StudyError)


def test_json_of_the_greatest_depth_is_read(tmp_path: Path) -> None:
    (tmp_path / "here").write_text(nested(files.MAX_DEPTH))
    assert files.read_json(tmp_path / "here", StudyError) is not None


def test_a_digest_is_sha_256(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")  # the example of FIPS 180-2, appendix B.1
    for content in (file, b"abc", "abc"):
        assert files.digest(content).startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_file_is_replaced_whole_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    files.write(tmp_path / "a", "first")
    files.write(tmp_path / "a", "second")
    assert (tmp_path / "a").read_text() == "second"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_process_left_of_a_folder_is_swept_and_nothing_else(tmp_path: Path) -> None:
    told = (
        "import os, sys; from pathlib import Path; from mer_nas import errors, files\n"
        "with files.whole_folder(Path(sys.argv[1]), (), errors.StudyError) as new:\n"
        "    (new / 'x').touch(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", told, str(tmp_path / "rank1")])
    (left,) = tmp_path.iterdir()
    elsewhere = tmp_path / re.sub(r"\.[^.]+-(\d+)\.", r".another-host-\1.", left.name)
    before = tmp_path / ".rank1.abcd1234.part"
    for path in (elsewhere, before, tmp_path / "rank2", tmp_path / ".hidden"):
        path.mkdir()
    with files.whole_folder(tmp_path / "rank3", (), StudyError) as new:
        gone = files.sweep(tmp_path)
        assert new.is_dir()
    assert {path.name for path in gone} == {left.name, before.name}
    names = {elsewhere.name, "rank2", "rank3", ".hidden"}
    assert {path.name for path in tmp_path.iterdir()} == names
