"""Processes by more than their number, because numbers are given out again.

A process is known by its id and the moment it began, as the system tells it: on Linux from /proc,
with the id of the boot, elsewhere from `ps`. On systems with neither, no process is ever
recognised.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

PROC = Path("/proc")
KILL_SECONDS = 5.0
"""How long a killed process may take to be gone."""


@dataclass(frozen=True)
class Process:
    """A process that cannot be taken for another one of the same number."""

    pid: int
    started: str
    """When it began; only good for comparing."""
    name: str = ""

    def alive(self) -> bool:
        """Whether it still runs; one that is dead but not yet collected does not."""
        return bool(self.started) and started(self.pid) == self.started

    def dump(self) -> dict[str, object]:
        """Return the plain tree from which `Process(**tree)` makes an equal one."""
        return asdict(self)


def this_process() -> Process:
    """Return the process that runs this code."""
    return Process(os.getpid(), started(os.getpid()), "mer-nas")


def started(pid: int) -> str:
    """Return when a process began; empty if it does not run."""
    if not PROC.is_dir():
        return _ps("-o", "lstart=", "-p", str(pid)).strip()
    fields = _stat(pid)
    return "" if fields is None or fields[0] in "ZX" else f"{_boot()}/{fields[19]}"


def descendants(pid: int) -> tuple[Process, ...]:
    """Return the processes that `pid` began, and those that they began, as far as they run."""
    parents = _parents()
    family = {pid}
    while new := {child for child, parent in parents.items() if parent in family} - family:
        family |= new
    found = (Process(child, started(child), _name(child)) for child in sorted(family - {pid}))
    return tuple(process for process in found if process.started)


def working_in(folder: Path) -> tuple[Process, ...]:
    """Return this user's processes that were begun with an option that names a folder.

    A raylet begins workers when it likes: one that came up while its parent was ended is nobody's
    child, and makes the folder anew that was removed under it.
    """
    name = os.fsencode(folder)
    found = (
        Process(pid, started(pid), _name(pid))
        for pid, words in _commands()
        if any(word.startswith(b"--") and name in word for word in words)
    )
    return tuple(process for process in found if process.started)


def reap(processes: Iterable[Process], grace: float = 0.0) -> tuple[Process, ...]:
    """Kill those of `processes` that still run, and wait until they are gone; return them.

    Args:
        processes: Which are to end.
        grace: Seconds in which they may end by themselves.
    """
    left = _wait(tuple(processes), grace)
    for process in left:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, signal.SIGKILL)
    _wait(left, KILL_SECONDS)
    return left


def _wait(processes: tuple[Process, ...], seconds: float) -> tuple[Process, ...]:
    """Wait for processes to end, but not for ever; return those that have not."""
    end = time.monotonic() + seconds
    while (left := tuple(p for p in processes if p.alive())) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the third, the state, on."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()  # the second field, the name, may hold anything


def _parents() -> dict[int, int]:
    if not PROC.is_dir():
        rows = (line.split() for line in _ps("-A", "-o", "pid=,ppid=").splitlines())
        return {int(pid): int(parent) for pid, parent in rows}
    stats = {int(entry.name): _stat(int(entry.name)) for entry in PROC.glob("[0-9]*")}
    return {pid: int(fields[1]) for pid, fields in stats.items() if fields is not None}


def _commands() -> Iterator[tuple[int, list[bytes]]]:
    """Yield this user's processes, each with the words that began it."""
    if not PROC.is_dir():
        for line in _ps("-x", "-o", "pid=,command=").splitlines():
            number, *words = line.split()
            yield int(number), [os.fsencode(word) for word in words]
        return
    for entry in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry.stat().st_uid == os.getuid():
                yield int(entry.name), (entry / "cmdline").read_bytes().split(b"\0")


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "comm").read_text(errors="replace").strip()
    return ""


def _boot() -> str:
    with contextlib.suppress(OSError):
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return ""


def _ps(*words: str) -> str:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(
            ["ps", *words], capture_output=True, text=True, errors="replace", timeout=5
        ).stdout
    return ""
