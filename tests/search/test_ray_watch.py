"""Ray's own processes, one of which dies while it is at work."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mer_nas.errors import TrainingFailed
from mer_nas.search.processes import Process
from mer_nas.search.ray_watch import head, heard, own_core


def sleeper() -> tuple[Any, Process]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    return child, Process.of(child.pid)


def asking_for_ever() -> None:
    while True:
        try:
            time.sleep(0.01)
        except Exception:  # as Tune does with what a trial fails of
            continue


def test_whoever_works_with_ray_is_told_at_once_that_it_has_died() -> None:
    (child, process), threads = sleeper(), threading.active_count()
    child.send_signal(signal.SIGKILL)
    child.wait()
    with (
        pytest.raises(
            TrainingFailed, match=rf"has died: its \S+ \({child.pid}\) is gone.* resume"
        ),
        heard(own_core([process]), lambda: None),
    ):
        asking_for_ever()
    assert threading.active_count() == threads


def test_a_ray_that_lives_is_not_heard_of() -> None:
    child, process = sleeper()
    with heard(own_core([process]), lambda: None):
        pass
    with heard(own_core([]), lambda: None):
        pass
    child.kill()
    child.wait()


def test_who_does_not_come_back_is_ended_with_the_same_message(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal, subprocess, sys\n"
        "from mer_nas.search import ray_watch\n"
        "from mer_nas.search.processes import Process\n"
        "ray_watch.GRACE = 0.1\n"
        "ray_watch._raise_in = lambda *_: None\n"  # as where C++ never lets go
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "core = ray_watch.own_core([Process.of(child.pid)])\n"
        "with ray_watch.heard(core, pathlib.Path(sys.argv[1]).touch):\n"
        "    child.kill(); child.wait(); signal.pause()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "cleared")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("mer-nas: Ray, which the workers run on, has died: its ")
    assert (tmp_path / "cleared").exists()


def test_a_head_is_gone_once_it_has_not_answered_for_so_long() -> None:
    now = 0.0
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        missing = head(address, silent=40, clock=lambda: now)
        now = 100.0
        assert missing() == ""
    now = 139.0
    assert missing() == ""  # it may come back
    now = 140.0
    assert missing() == f"head at {address} has not answered for 40 s"
