"""One driver for a study, and no process left of one that died.

The lock is a file in the study's folder that names the host and the process that drives the study.
The system's own lock on that file decides where it works; where it does not (some network file
systems, Windows), host, process id and start of the process do. A lock whose process is dead is
taken over.

The file may come from a stranger with the rest of the folder: it is read as data, and nothing is
ended or removed because it says so (see `processes`).

The package filelock does not carry that. It opens the file itself and gives nobody its handle, so
whose name stands in the file and who holds its lock could be two; and where a file system knows no
locks it puts a mark of its own in place of that name, or gives up.
"""

import contextlib
import json
import os
import socket
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Annotated, NamedTuple, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from mer_nas.config.base import Config
from mer_nas.errors import StudyError, system_said
from mer_nas.files import naming
from mer_nas.search.events import Listener, Note, ignore
from mer_nas.search.processes import Belongings, Process, end_leftovers

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE = "driver.lock"
PATIENCE_SECONDS = 5.0
"""Seconds that a driver which is just dying is given to let go."""
MAX_TAIL = 64 * 1024
"""Bytes at the end of a lock that are looked at."""


def _in_a_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a message would have further lines of it")
    return text


class _Owner(Config):
    """The process that holds a lock."""

    model_config = ConfigDict(extra="ignore", strict=True)  # earlier versions wrote more

    host: Annotated[str, Field(max_length=255), AfterValidator(_in_a_line)]
    pid: Annotated[int, Field(gt=0, lt=2**31)]
    started: Annotated[str, Field(max_length=255)]
    since: Annotated[str, Field(max_length=32), AfterValidator(_in_a_line)]

    @property
    def here(self) -> bool:
        """Whether it would be on this machine."""
        return self.host == socket.gethostname()

    def alive(self) -> bool:
        """Whether it still runs, on this machine."""
        return self.here and Process(self.pid, self.started).alive()


class StudyLock:
    """Holds a study for this process; to be used in a `with` statement.

    Args:
        folder: The study's.
        on_event: Is told what had to be cleared away.

    Raises:
        StudyError: Another process drives the study, or the lock cannot be written.
    """

    def __init__(self, folder: Path, on_event: Listener = ignore) -> None:
        self.path = folder / FILE
        self._emit = on_event
        self._file: IO[str] | None = None
        self._begun: Belongings | None = None

    def __enter__(self) -> Self:
        """Take the lock."""
        self._file = _open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            self._take(self._file)
            end_leftovers(self._emit)
            self._begun = Belongings.of_this_process(self._emit)
        except BaseException:
            with contextlib.suppress(OSError):  # a full disk would not take the rest of a line
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
        if self._begun is not None:
            self._begun.end()
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()  # this also gives back the system's lock
            self._file = None

    def record(self, processes: Iterable[Process], scratch: Path | None = None) -> None:
        """Note processes, and a folder of theirs, that must not outlive this one."""
        assert self._begun is not None
        self._begun.record(processes, scratch)

    def _take(self, file: IO[str]) -> None:
        free = _system_lock(file)
        owner = _read(file)
        if owner is None:
            if not free:
                raise StudyError(
                    f"{self.path}: another process is taking over the study; try again"
                )
            if os.fstat(file.fileno()).st_size:
                self._emit(Note(f"{self.path}: holds nothing that names a driver; taken over"))
        elif not free or owner.alive():
            raise StudyError(_driven(self.path.parent, owner))
        elif not owner.here:
            # The system's lock may not reach over the network, and that process cannot be seen.
            raise StudyError(
                f"{self.path.parent}: the study was last driven by process {owner.pid} on host "
                f"{owner.host}, and whether that one still runs cannot be seen from here; if "
                f"it does not, delete {self.path}"
            )
        me = Process.of(os.getpid())
        mine = _Owner(
            host=socket.gethostname(),
            pid=me.pid,
            started=me.started,
            since=time.strftime("%Y-%m-%d %H:%M:%S"),
        )
        with naming(self.path):
            file.write(mine.model_dump_json() + "\n")
            file.flush()


class Driver(NamedTuple):
    """The process that last held a lock, and did not let go of it."""

    host: str
    pid: int
    since: str
    """When it began, by the clock of its host."""
    alive: bool | None
    """Whether it still runs; None where that cannot be seen, on another host."""


def driver_of(folder: Path) -> Driver | None:
    """Return who drives a study, or died while it did; None where nobody does.

    Changes nothing, and takes no lock.

    Raises:
        StudyError: The lock is no file.
    """
    if not (folder / FILE).exists():
        return None
    with _open(folder / FILE, os.O_RDONLY) as file:
        owner = _read(file)
    if owner is None:
        return None
    return Driver(owner.host, owner.pid, owner.since, owner.alive() if owner.here else None)


def refuse_driven(folder: Path) -> None:
    """Refuse a study that another process drives right now; change nothing and take no lock.

    Raises:
        StudyError: Its driver is alive, or its lock is no file.
    """
    driver = driver_of(folder)
    if driver is not None and driver.alive:
        raise StudyError(_driven(folder, driver))


def _open(path: Path, flags: int) -> IO[str]:
    """Open a lock, which is a file and no link to one.

    Raises:
        StudyError: It is something else, or the folder cannot be written.
    """
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags | careful, 0o644)
    except OSError as error:
        text = system_said(error)
        right = "a study's folder must be writable"
        if path.is_symlink():
            text, right = "this is a link", "a lock is a file; delete it"
        raise StudyError(f"{path}: {text}; {right}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise StudyError(f"{path}: this is no file; a lock is one; delete it")
    mode = "r" if flags == os.O_RDONLY else "a+"
    return os.fdopen(handle, mode, encoding="utf-8", errors="replace")


def _driven(folder: Path, owner: _Owner | Driver) -> str:
    return (
        f"{folder}: the study is being driven by process {owner.pid} on host "
        f"{owner.host}, since {owner.since}; stop that one first (Ctrl-C there), or "
        "wait for its end"
    )


def _system_lock(file: IO[str]) -> bool:
    """Try to take the system's lock; return False if somebody else has it."""
    if fcntl is None:
        return True
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _read(file)
            seems_alive = owner is not None and (not owner.here or owner.alive())
            if seems_alive or time.monotonic() > end:
                return False
            time.sleep(0.1)
        except OSError:  # this file system has no locks
            return True
        else:
            return True


def _read(file: IO[str]) -> _Owner | None:
    """Return who wrote the last whole line; None where nobody did."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - MAX_TAIL))
    for line in reversed(file.read(MAX_TAIL).splitlines()):
        with contextlib.suppress(ValueError, ValidationError, RecursionError):
            return _Owner.model_validate(json.loads(line))
    return None
