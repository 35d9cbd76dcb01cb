"""Ray's own processes, one of which dies while it is at work."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mer_nas.errors import TrainingFailed
from mer_nas.search.processes import Process
from mer_nas.search.ray_watch import heard


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
        heard([process], lambda: None),
    ):
        asking_for_ever()
    assert threading.active_count() == threads


def test_a_ray_that_lives_is_not_heard_of() -> None:
    child, process = sleeper()
    with heard([process], lambda: None):
        pass
    with heard([], lambda: None):
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
        "with ray_watch.heard([Process.of(child.pid)], pathlib.Path(sys.argv[1]).touch):\n"
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
