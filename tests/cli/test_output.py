"""Nothing that is printed, and nothing it is printed to, ends in a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mer_nas.cli import output

ROOT = Path(__file__).parents[2]
FULL = Path("/dev/full")

needs_full = pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")


def said(command: str, folder: Path, **environment: str) -> tuple[int, str]:
    """Run a line of the shell in which "mer-nas" is the program; return its status and stderr."""
    program = f'"{sys.executable}" -m mer_nas.cli'
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command.replace('mer-nas', program)}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
    )
    return done.returncode, done.stderr.decode()


@needs_full
def test_results_that_find_no_room_are_an_error_that_says_so(tmp_path: Path) -> None:
    assert said("mer-nas list trainer >/dev/full", tmp_path) == (
        1,
        "mer-nas: standard output: no space left on device\n",
    )


def test_results_that_find_no_output_are_an_error_that_says_so(tmp_path: Path) -> None:
    assert said("mer-nas list trainer >&-", tmp_path) == (
        1,
        "mer-nas: standard output: bad file descriptor\n",
    )


def test_whoever_stops_reading_hears_no_complaint(tmp_path: Path) -> None:
    assert said("mer-nas list trainer | true", tmp_path) == (output.READER_GONE, "")


@needs_full
@pytest.mark.parametrize("where", ["2>/dev/full", "0<&- 2>&-"])
def test_notes_that_cannot_be_written_change_nothing(where: str, tmp_path: Path) -> None:
    assert said(f"mer-nas list trainr {where}", tmp_path)[0] == 2
    assert said(f"mer-nas list trainer {where} >/dev/null", tmp_path)[0] == 0


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_letters_that_the_output_has_not_are_printed_in_some_form(
    encoding: str, tmp_path: Path
) -> None:
    folder = tmp_path / "数据-é-✓"
    status, told = said(f"mer-nas copy space=moe '{folder}'", tmp_path, PYTHONIOENCODING=encoding)
    assert (status, told) == (0, "")
    assert (folder / "moe.yaml").is_file()


def test_an_escape_is_one_that_json_reads() -> None:
    for letter in ("é", "数", "🙂", "\udcff"):
        text, end = output._escaped(UnicodeEncodeError("ascii", f"a{letter}b", 1, 2, ""))
        assert json.loads(f'"a{text}b"') == f"a{letter}b"
        assert end == 2
