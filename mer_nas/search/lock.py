"""One driver for a study, and no process left of one that died.

The lock is a file in the study's folder that names the host and the process that drives the study,
and the processes it began. The system's own lock on that file decides where it works; where it
does not (some network file systems), host, process id and start of the process do. A lock whose
process is dead is taken over, and what is left of that process's workers is killed first, because
they would hold memory, GPUs and ports.
"""

import contextlib
import json
import shutil
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from mer_nas.errors import StudyError
from mer_nas.search.events import Listener, Note, ignore
from mer_nas.search.processes import Process, reap, this_process

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE = "driver.lock"
PATIENCE = 5.0
"""Seconds that a driver which is just dying is given to let go."""

_KEYS = {"host", "pid", "started", "since", "children", "scratch"}


class StudyLock:
    """Holds a study for this process; to be used in a `with` statement.

    Args:
        folder: The study's.
        on_event: Is told what had to be cleared away.

    Raises:
        StudyError: Another process drives the study.
    """

    def __init__(self, folder: Path, on_event: Listener = ignore) -> None:
        self.path = folder / FILE
        self._emit = on_event
        self._file: IO[str] | None = None
        self._children: dict[int, Process] = {}
        self._scratch: Path | None = None

    def __enter__(self) -> Self:
        """Take the lock."""
        try:
            self._file = self.path.open("a+", encoding="utf-8")
        except OSError as error:
            text = (error.strerror or str(error)).lower()
            raise StudyError(f"{self.path}: {text}; a study's folder must be writable") from error
        try:
            self._take(self._file)
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the lock; workers that have not ended by themselves are ended."""
        reap(self._children.values())
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()  # this also gives back the system's lock
            self._file = None

    def record(self, processes: Iterable[Process], scratch: Path | None = None) -> None:
        """Note processes, and a folder of theirs, that must not outlive this one."""
        new = {process.pid: process for process in processes}
        scratch = scratch or self._scratch
        if new.items() <= self._children.items() and scratch == self._scratch:
            return
        self._children |= new
        self._scratch = scratch
        self._write()

    def _take(self, file: IO[str]) -> None:
        free = _system_lock(file)
        owner = _read(file)
        if owner is None:
            if not free:
                raise StudyError(
                    f"{self.path}: another process is taking over the study; try again"
                )
        elif self._is_alive(owner, free=free):
            raise StudyError(_driven(self.path.parent, owner))
        elif owner["host"] == socket.gethostname():
            self._clear(owner)
        self._write()

    def _is_alive(self, owner: dict[str, Any], *, free: bool) -> bool:
        if not free:
            return True
        if owner["host"] != socket.gethostname():
            # The system's lock may not reach over the network, and that process cannot be seen.
            raise StudyError(
                f"{self.path.parent}: the study was last driven by process {owner['pid']} on host "
                f"{owner['host']}, and whether that one still runs cannot be seen from here; if "
                f"it does not, delete {self.path}"
            )
        return Process(owner["pid"], owner["started"]).alive()

    def _clear(self, owner: dict[str, Any]) -> None:
        killed = reap(Process(**child) for child in owner["children"])
        if owner["scratch"]:
            shutil.rmtree(owner["scratch"], ignore_errors=True)
        if killed:
            names = ", ".join(f"{process.name or '?'} ({process.pid})" for process in killed)
            self._emit(Note(f"ended {len(killed)} processes of a driver that had died: {names}"))

    def _write(self) -> None:
        assert self._file is not None
        me = this_process()
        tree = {
            "host": socket.gethostname(),
            "pid": me.pid,
            "started": me.started,
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
            "children": [process.dump() for process in self._children.values()],
            "scratch": "" if self._scratch is None else str(self._scratch),
        }
        self._file.write(json.dumps(tree) + "\n")
        self._file.flush()


def refuse_driven(folder: Path) -> None:
    """Refuse a study that another process drives right now; change nothing and take no lock.

    Raises:
        StudyError: Its driver is alive.
    """
    path = folder / FILE
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        owner = _read(file)
    here = owner is not None and owner["host"] == socket.gethostname()
    if owner is not None and here and Process(owner["pid"], owner["started"]).alive():
        raise StudyError(_driven(folder, owner))


def _driven(folder: Path, owner: dict[str, Any]) -> str:
    return (
        f"{folder}: the study is being driven by process {owner['pid']} on host "
        f"{owner['host']}, since {owner['since']}; stop that one first (Ctrl-C there), or "
        "wait for its end"
    )


def _system_lock(file: IO[str]) -> bool:
    """Try to take the system's lock; return False if somebody else has it."""
    if fcntl is None:
        return True
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _read(file)
            if (owner is not None and _seems_alive(owner)) or time.monotonic() > end:
                return False
            time.sleep(0.1)
        except OSError:  # this file system has no locks
            return True
        else:
            return True


def _seems_alive(owner: dict[str, Any]) -> bool:
    mine = owner["host"] == socket.gethostname()
    return not mine or Process(owner["pid"], owner["started"]).alive()


def _read(file: IO[str]) -> dict[str, Any] | None:
    file.seek(0)
    for line in reversed(file.readlines()):
        with contextlib.suppress(ValueError):
            tree = json.loads(line)
            if isinstance(tree, dict) and tree.keys() >= _KEYS:
                return tree
    return None
