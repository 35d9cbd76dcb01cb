import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Heard

from mer_nas.errors import StudyError
from mer_nas.search.events import Note
from mer_nas.search.lock import FILE, StudyLock
from mer_nas.search.processes import Process, descendants, reap, started, this_process

HOLD = """
import subprocess, sys, time
from pathlib import Path
from mer_nas.search.lock import StudyLock
from mer_nas.search.processes import descendants
import os
with StudyLock(Path(sys.argv[1])) as lock:
    child = subprocess.Popen(["sleep", "60"])
    (scratch := Path(sys.argv[1], "scratch")).mkdir()
    lock.record(descendants(os.getpid()), scratch)
    print(child.pid, flush=True)
    time.sleep(60)
"""


def hold(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """Let another process take the lock and begin a child; return both."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as output:
        return process, int(output.readline())


def test_a_second_driver_is_refused_naming_host_and_process(tmp_path: Path) -> None:
    process, child = hold(tmp_path)
    try:
        expected = f"driven by process {process.pid} on host {socket.gethostname()}, since 20"
        with pytest.raises(StudyError, match=expected), StudyLock(tmp_path):
            pass
        assert process.poll() is None
        assert started(child)
    finally:
        process.kill()
        process.wait()
        os.kill(child, signal.SIGKILL)


def test_the_lock_of_a_killed_driver_is_taken_over_and_its_children_are_ended(
    tmp_path: Path, heard: Heard
) -> None:
    process, child = hold(tmp_path)
    process.kill()
    process.wait()
    assert started(child)
    assert (tmp_path / "scratch").exists()
    with StudyLock(tmp_path, heard.append):
        assert not started(child)
        assert not (tmp_path / "scratch").exists()
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


def owner(host: str, pid: int, began: str, children: list[Process]) -> str:
    tree = {
        "host": host,
        "pid": pid,
        "started": began,
        "since": "2026-01-01 00:00:00",
        "children": [child.dump() for child in children],
        "scratch": "",
    }
    return json.dumps(tree) + "\n"


def test_a_process_of_the_same_number_that_began_later_is_another_one(tmp_path: Path) -> None:
    """Neither as the driver nor as one of its children: numbers are given out again."""
    with subprocess.Popen(["sleep", "60"]) as other:
        reused = Process(other.pid, "another boot/1")
        host = socket.gethostname()
        (tmp_path / FILE).write_text(owner(host, os.getppid(), "another boot/2", [reused]))
        with StudyLock(tmp_path):
            assert started(other.pid)
        other.kill()


def test_the_driver_of_another_host_is_not_judged_from_here(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(owner("elsewhere", 7, "x", []))
    with (
        pytest.raises(StudyError, match=r"process 7 on host elsewhere, .* delete .*driver\.lock"),
        StudyLock(tmp_path),
    ):
        pass


def test_a_line_that_was_torn_takes_nothing_back(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as orphan:
        child = Process(orphan.pid, started(orphan.pid), "sleep")
        text = owner(socket.gethostname(), 2**22 + 1, "dead", [child])
        (tmp_path / FILE).write_text(text + text[:50])
        with StudyLock(tmp_path):
            assert orphan.wait(5) == -signal.SIGKILL


def test_what_was_recorded_does_not_outlive_the_lock(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        with StudyLock(tmp_path) as lock:
            lock.record([Process(child.pid, started(child.pid))])
            assert child.poll() is None
        assert child.wait(5) == -signal.SIGKILL


def test_children_of_children_are_found(tmp_path: Path) -> None:
    script = "import subprocess; subprocess.run(['sleep', '60'])"
    with subprocess.Popen([sys.executable, "-c", script]) as child:
        end = time.monotonic() + 10
        while len(family := descendants(child.pid)) == 0 and time.monotonic() < end:
            time.sleep(0.05)
        assert [process.name for process in family] == ["sleep"]
        assert {p.pid for p in family} | {child.pid} <= {p.pid for p in descendants(os.getpid())}
        reap(family)
        child.wait(5)
    assert not any(process.alive() for process in family)
    assert this_process().alive()


def test_a_read_only_folder_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(StudyError, match="a study's folder must be writable"),
        StudyLock(tmp_path / "missing"),
    ):
        pass
