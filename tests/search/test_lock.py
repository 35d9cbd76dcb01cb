import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from conftest import Heard

from mer_nas.errors import StudyError
from mer_nas.search.events import Note
from mer_nas.search.lock import FILE, StudyLock, refuse_driven
from mer_nas.search.processes import Process, end, end_leftovers

HOLD = """
import subprocess, sys, time
from pathlib import Path
from mer_nas.search.lock import StudyLock
from mer_nas.search.processes import Process, make_folder
import os
with StudyLock(Path(sys.argv[1])) as lock:
    child = subprocess.Popen(["sleep", "60"])
    scratch = make_folder()
    lock.record(Process.of(os.getpid()).descendants(), scratch)
    print(child.pid, scratch, flush=True)
    time.sleep(60)
"""


def hold(folder: Path) -> tuple[subprocess.Popen[str], int, Path]:
    """Let another process take the lock, begin a child and make a folder; return all three."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as output:
        pid, scratch = output.readline().split()
        return process, int(pid), Path(scratch)


def test_a_second_driver_is_refused_naming_host_and_process(tmp_path: Path) -> None:
    process, child, scratch = hold(tmp_path)
    try:
        expected = f"driven by process {process.pid} on host {socket.gethostname()}, since 20"
        with pytest.raises(StudyError, match=expected), StudyLock(tmp_path):
            pass
        assert process.poll() is None
        assert Process.of(child).alive()
    finally:
        process.kill()
        process.wait()
        end_leftovers()
    assert not Process.of(child).alive()
    assert not scratch.exists()


def test_the_lock_of_a_killed_driver_is_taken_over_and_its_children_are_ended(
    tmp_path: Path, heard: Heard
) -> None:
    process, child, scratch = hold(tmp_path)
    process.kill()
    process.wait()
    assert Process.of(child).alive()
    assert scratch.exists()
    with StudyLock(tmp_path, heard.append):
        assert not Process.of(child).alive()
        assert not scratch.exists()
    (note,) = heard
    assert isinstance(note, Note)
    assert f"sleep ({child})" in note.text


def test_one_process_cannot_drive_a_study_twice(tmp_path: Path) -> None:
    with (
        StudyLock(tmp_path),
        pytest.raises(StudyError, match=f"process {os.getpid()} on host"),
        StudyLock(tmp_path),
    ):
        pass


def test_a_lock_that_was_given_back_is_free(tmp_path: Path) -> None:
    for _ in range(3):
        with StudyLock(tmp_path):
            pass
    assert (tmp_path / FILE).read_text() == ""


def owner(host: str, pid: int, began: str, **more: object) -> str:
    tree = {"host": host, "pid": pid, "started": began, "since": "2026-01-01 00:00:00", **more}
    return json.dumps(tree) + "\n"


def test_a_process_of_the_same_number_that_began_later_is_no_driver(tmp_path: Path) -> None:
    text = owner(socket.gethostname(), os.getppid(), "another boot/2")
    (tmp_path / FILE).write_text(text)
    with StudyLock(tmp_path):
        assert Process.of(os.getppid()).alive()


def test_a_process_that_began_at_no_time_is_no_driver(tmp_path: Path, heard: Heard) -> None:
    (tmp_path / FILE).write_text(owner(socket.gethostname(), 2**31 - 1, ""))
    with StudyLock(tmp_path, heard.append):  # no process has this number
        pass


def test_nothing_ends_and_nothing_is_removed_because_a_lock_says_so(tmp_path: Path) -> None:
    """As a stranger could write it, who sees our processes and guesses our folders."""
    precious = tmp_path / "precious"
    precious.mkdir()
    with subprocess.Popen(["sleep", "60"]) as other:
        children = [asdict(Process.of(other.pid))]
        text = owner(
            socket.gethostname(), 2**22 + 1, "dead", children=children, scratch=str(precious)
        )
        (tmp_path / FILE).write_text(text)
        with StudyLock(tmp_path):
            assert precious.exists()
        assert Process.of(other.pid).alive()
        other.kill()


def test_the_driver_of_another_host_is_not_judged_from_here(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(owner("elsewhere", 7, "x"))
    with (
        pytest.raises(StudyError, match=r"process 7 on host elsewhere, .* delete .*driver\.lock"),
        StudyLock(tmp_path),
    ):
        pass


def test_a_line_that_was_torn_takes_nothing_back(tmp_path: Path) -> None:
    text = owner("elsewhere", 7, "x")
    (tmp_path / FILE).write_text(text + text[:50])
    with pytest.raises(StudyError, match="process 7 on host elsewhere"), StudyLock(tmp_path):
        pass


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00lock",
        b"[" * 100_000,
        b"7\n",
        owner("here", -1, "x").encode(),
        owner("here", 10**40, "x").encode() * 3,
        b'{"host": 1, "pid": "7", "started": null, "since": []}\n',
        b'{"host": "a\\nmer-nas: all is well", "pid": 7, "started": "x", "since": "now"}\n',
    ],
    ids=["not utf-8", "nested", "a number", "negative", "no process id", "other types", "lines"],
)
def test_a_lock_that_names_no_driver_is_said_and_taken_over(
    tmp_path: Path, heard: Heard, content: bytes
) -> None:
    (tmp_path / FILE).write_bytes(content)
    with StudyLock(tmp_path, heard.append):
        pass
    assert heard == [Note(f"{tmp_path / FILE}: holds nothing that names a driver; taken over")]


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    (tmp_path / FILE).symlink_to(elsewhere)
    with pytest.raises(StudyError, match="this is a link; a lock is a file"), StudyLock(tmp_path):
        pass
    assert elsewhere.read_text() == "precious"


def test_a_lock_that_is_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE)
    with pytest.raises(StudyError, match="this is no file"), StudyLock(tmp_path):
        pass
    with pytest.raises(StudyError, match="this is no file"):
        refuse_driven(tmp_path)


def test_what_was_recorded_does_not_outlive_the_lock(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        with StudyLock(tmp_path) as lock:
            lock.record([Process.of(child.pid)])
            assert child.poll() is None
        assert child.wait(5) == -signal.SIGKILL


def test_children_of_children_are_found(tmp_path: Path) -> None:
    script = "import subprocess; subprocess.run(['sleep', '60'])"
    with subprocess.Popen([sys.executable, "-c", script]) as child:
        until = time.monotonic() + 10
        # A process is its parent's copy until it becomes what it is called to be.
        while {process.name for process in Process.of(child.pid).descendants()} != {"sleep"}:
            assert time.monotonic() < until
            time.sleep(0.05)
        family = Process.of(child.pid).descendants()
        assert {p.pid for p in family} | {child.pid} <= {
            p.pid for p in Process.of(os.getpid()).descendants()
        }
        assert end(family) == family
        child.wait(5)
    assert not any(process.alive() for process in family)
    assert Process.of(os.getpid()).alive()


def test_a_read_only_folder_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(StudyError, match="a study's folder must be writable"),
        StudyLock(tmp_path / "missing"),
    ):
        pass
