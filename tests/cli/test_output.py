"""Nothing that is printed, and nothing it is printed to, ends in a traceback."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mer_nas.cli import output
from mer_nas.cli.console import Terminal
from mer_nas.search.events import Note, Started
from mer_nas.search.progress import Progress

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


HOSTILE = "\x1b]0;mine\x07 \x1b[2J\r\x9b31m a\u202eb\u2066c\u2028d\x00\x7f"


def test_no_name_steers_a_terminal(tmp_path: Path) -> None:
    status, err = said(r"mer-nas predict $'\x1b]0;mine\x07' clip", tmp_path)
    assert status == 2
    assert err.startswith(r"mer-nas: \u001b]0;mine\u0007: there is no such folder")
    assert all(letter.isprintable() or letter == "\n" for letter in err)


def test_what_is_printed_is_text_and_what_is_drawn_steers(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="utf-8") as file:
        stream = output._guarded(file, output._Results)
        print(f"é\t{HOSTILE}", file=stream)
        print("\x1b[1mbold\x1b[0m", file=output.drawn(stream), flush=True)
    plain, bold = (tmp_path / "out").read_text(encoding="utf-8").split("\n", 1)
    assert plain == (
        r"é	\u001b]0;mine\u0007 \u001b[2J\u000d\u009b31m a\u202eb\u2066c\u2028d\u0000\u007f"
    )
    assert bold == "\x1b[1mbold\x1b[0m\n"
    assert json.loads(f'"{plain[2:]}"') == HOSTILE


def test_the_live_view_shows_names_as_text() -> None:
    shown = StringIO()
    console = Console(file=shown, force_terminal=True, width=200)
    with Terminal(Progress(trials=1, final_jobs=0), console) as view:
        view(Note(HOSTILE))
        view(Started("search", "0", HOSTILE, "0123", 0, 4))
    assert "\x1b]0" not in shown.getvalue()
    assert "\x07" not in shown.getvalue()
    assert r"\u001b]0;mine\u0007" in shown.getvalue()
