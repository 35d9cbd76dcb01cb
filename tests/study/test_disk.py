"""A disk that is full at any file of a study: one message, and what was finished is kept."""

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Call = Callable[..., Result]
FOLDER = Path("my runs/s")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the disk be full for files whose path holds a word."""
    room = os.fsync

    def fill(word: str) -> None:
        def fsync(handle: int) -> None:
            if word in str(Path(f"/proc/self/fd/{handle}").readlink()):
                raise OSError(errno.ENOSPC, "No space left on device")
            room(handle)

        monkeypatch.setattr(os, "fsync", fsync)

    return fill


pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")


@pytest.mark.parametrize("name", ["origin.json", "settings.yaml"])
def test_a_study_that_finds_no_room_is_not_begun(
    name: str, full: Callable[[str], None], tiny: list[str], call: Call
) -> None:
    full(name)
    done = call("search", *tiny, "study.folder=my runs/s")
    assert (done.exit_code, done.stdout) == (2, "")
    assert (
        done.stderr == f"mer-nas: {FOLDER}/{name}: no space left on device; no study was begun\n"
    )
    assert not FOLDER.exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ledger.jsonl", "the 2 folds written before are safe, and `mer-nas resume` goes on from"),
        (
            "best.yaml",
            "what was finished is kept, and `mer-nas resume 'my runs/s'` goes on from there",
        ),
        (
            "report.html",
            "what was finished is kept, and `mer-nas resume 'my runs/s'` goes on from",
        ),
    ],
)
def test_a_disk_that_fills_up_is_said_once_and_a_resumed_search_ends_as_if_it_had_not(
    name: str, said: str, full: Callable[[str], None], tiny: list[str], call: Call
) -> None:
    words = [*tiny, "study.folder=my runs/s", "study.final=none"]
    assert call("search", *words, "study.trials=1").exit_code == 0
    full(name)
    done = call("resume", "my runs/s", "study.trials=2")
    assert done.exit_code == 2
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("mer-nas: ")]
    assert message.startswith(f"mer-nas: {FOLDER}/{name}: no space left on device; ")
    assert said in message
    full("nothing that there is")
    assert call("resume", "my runs/s").exit_code == 0
    assert json.loads((FOLDER / "report.json").read_text())["outcomes"]["complete"] == 2


def test_a_full_disk_says_how_much_room_the_rest_of_the_study_takes(
    full: Callable[[str], None], tiny: list[str], call: Call
) -> None:
    words = [*tiny, "study.folder=my runs/s", "study.final=none"]
    assert call("search", *words, "study.trials=1").exit_code == 0
    with (FOLDER / "sessions.jsonl").open("ab") as file:
        file.write(b" " * 40 * 2**20 + b"\n")  # a blank line of 40 MiB, 20 for each of two folds
    full("ledger.jsonl")
    said = call("resume", "my runs/s", "study.trials=6").stderr
    (room,) = re.findall(r"; the rest of the study takes about (\d+) MiB\n", said)
    # Ten folds are to come, and 48 MiB are for reports and exports; the other files are kilobytes.
    assert 248 <= int(room) <= 250


def test_what_ends_a_session_is_said_and_not_that_it_cannot_be_noted(
    full: Callable[[str], None], tiny: list[str], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*tiny, "study.folder=my runs/s", "study.trials=1", "study.final=none"]
    assert call("search", *words).exit_code == 0
    opened = Path.open

    def without_room(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        device = path if (path.name, mode) != ("sessions.jsonl", "a") else Path("/dev/full")
        return opened(device, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", without_room)
    full("best.yaml")
    assert "mer-nas: my runs/s/best.yaml: no space" in call("resume", "my runs/s").stderr
    full("nothing that there is")
    assert "mer-nas: my runs/s/sessions.jsonl: no space" in call("resume", "my runs/s").stderr


def test_a_copy_that_finds_no_room_is_no_empty_file(
    full: Callable[[str], None], here: Path, call: Call
) -> None:
    full("moe.yaml")
    done = call("copy", "space=moe", "mine")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "mer-nas: mine/moe.yaml: no space left on device\n"
    assert list((here / "mine").iterdir()) == []
