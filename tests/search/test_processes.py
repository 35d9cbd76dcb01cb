"""Folders and processes of a driver are ended by its successors, and nobody else's are."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import Heard

from mer_nas import files
from mer_nas.search.events import Note
from mer_nas.search.processes import TOKEN, Belongings, Process, end, end_leftovers, make_folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("MER_NAS_CONFIG", str(tmp_path / "own"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_is_for_its_user_alone_and_can_be_removed() -> None:
    folder = make_folder()
    assert mode(folder) == 0o700
    assert len(str(folder.relative_to(folder.parent))) < 20  # paths of sockets must be short
    assert end((), folder) == ()
    assert not folder.exists()


def test_a_folder_without_its_token_stays(tmp_path: Path) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    end((), folder)
    (folder / TOKEN).write_text(make_folder().name)  # the token of another one
    end((), folder)
    assert folder.exists()


def test_a_link_to_a_folder_of_ours_stays(tmp_path: Path) -> None:
    folder, link = make_folder(), tmp_path / "link"
    link.symlink_to(folder)
    end((), link)
    assert folder.exists()


def test_a_folder_of_somebody_else_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    end((), folder)
    assert folder.exists()


def test_what_a_driver_begins_is_noted_for_its_user_alone(tmp_path: Path) -> None:
    begun = Belongings.of_this_process()
    begun.record([Process.of(os.getpid())], make_folder())
    (note,) = (tmp_path / "own" / "drivers").iterdir()
    assert (mode(note), mode(note.parent), mode(note.parent.parent)) == (0o600, 0o700, 0o700)


def test_where_nothing_can_be_noted_it_is_said_and_the_driver_goes_on(
    tmp_path: Path, heard: Heard
) -> None:
    (tmp_path / "own").write_text("no folder")
    begun = Belongings.of_this_process(heard.append)
    folder = make_folder()
    begun.record((), folder)
    assert begun.end() == ()
    assert not folder.exists()
    (note,) = heard
    assert isinstance(note, Note)
    assert "workers have to be ended by hand" in note.text


def test_the_own_folder_of_somebody_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    files.own_folder("drivers")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(PermissionError, match="belongs to somebody else"):
        files.own_folder("drivers")


def test_a_worker_that_nobody_has_noted_ends_with_its_folder() -> None:
    begun, folder = Belongings.of_this_process(), make_folder()
    begun.record((), folder)
    script = "import time; time.sleep(60)"
    with (
        subprocess.Popen([sys.executable, "-c", script, f"--temp-dir={folder}/ray"]) as worker,
        subprocess.Popen([sys.executable, "-c", script, str(folder)]) as reader,
    ):
        assert [process.pid for process in begun.end()] == [worker.pid]
        assert worker.wait(5) == -signal.SIGKILL
        assert reader.poll() is None
        reader.kill()


def test_a_folder_whose_maker_was_killed_before_it_was_noted_is_swept() -> None:
    told = "from mer_nas.search.processes import make_folder; import os; print(make_folder()); os.kill(os.getpid(), 9)"
    maker = subprocess.run(
        [sys.executable, "-uc", told],
        env={**os.environ, "TMPDIR": tempfile.gettempdir()},
        capture_output=True,
        text=True,
    )
    left, mine, before = Path(maker.stdout.strip()), make_folder(), make_folder()
    (before / TOKEN).write_text(before.name)  # by an earlier version, which did not say who
    assert left.is_dir()
    end_leftovers()
    assert not left.exists()
    assert mine.is_dir()
    assert before.is_dir()
