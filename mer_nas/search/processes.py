"""What a driver begins on this machine: processes, and a folder of theirs; and how both end.

A study's folder may come from a stranger, so nothing in it names a process to end or a folder to
remove. What a driver begins is noted where this user alone can write (`files.own_folder`), and the
next session of any study ends what is left of drivers that have died: it would hold memory, GPUs
and ports. A folder is removed only if it is this user's, no link, and holds the token that was put
into it when it was made.

A process is known by its id and the moment it began, because ids are given out again.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import psutil

from mer_nas import files
from mer_nas.errors import StudyError, system_said
from mer_nas.search.events import Listener, Note, ignore
from mer_nas.wording import count

NOTES = "drivers"
"""Where drivers note what they begin, in the user's own folder; one file each."""
TOKEN = ".mer-nas-scratch"
"""File in a folder that was made here; it holds the folder's own token, and who made it."""
MAX_TOKEN = 1024
"""Bytes of such a file."""
PREFIX = "mer-nas-"
KILL_SECONDS = 5.0
"""How long a killed process may take to be gone."""


@dataclass(frozen=True)
class Process:
    """A process that cannot be taken for another one of the same number."""

    pid: int
    started: str
    """When it began; only good for comparing, and empty if it does not run."""
    name: str = ""

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return the process that has a number now."""
        with contextlib.suppress(psutil.Error):
            return cls(pid, _started(pid), psutil.Process(pid).name())
        return cls(pid, "")

    def alive(self) -> bool:
        """Whether it still runs; one that is dead but not yet collected does not."""
        return bool(self.started) and _started(self.pid) == self.started

    def descendants(self) -> "tuple[Process, ...]":
        """Return the processes that it began, and those that they began, as far as they run."""
        try:
            children = psutil.Process(self.pid).children(recursive=True)
        except psutil.Error:
            return ()
        return _running(child.pid for child in sorted(children, key=lambda child: child.pid))


def end(
    processes: Iterable[Process], folder: Path | None = None, grace: float = 0.0
) -> tuple[Process, ...]:
    """Kill processes and whatever works in a folder of theirs, wait for it, remove the folder.

    A raylet begins workers when it likes: one that came up while its parent was ended is nobody's
    child, and makes the folder anew that was removed under it. So whoever names the folder ends
    too. A folder that `make_folder` did not make stays as it is.

    Args:
        processes: Which are to end.
        folder: What `make_folder` gave; None: there is none.
        grace: Seconds in which they may end by themselves.

    Returns:
        Those that still ran, and were killed.
    """
    killed = _kill(processes, grace)
    if folder is not None:
        killed += _kill(_working_in(folder))
        if _made_here(folder):
            shutil.rmtree(folder, ignore_errors=True)
    return killed


@dataclass
class Belongings:
    """What one driver has begun, noted for whoever comes after it.

    Args:
        file: The note; None where it cannot be written.
    """

    file: Path | None
    processes: dict[int, Process] = field(default_factory=dict)
    folder: Path | None = None

    @classmethod
    def of_this_process(cls, on_event: Listener = ignore) -> Self:
        """Return the belongings of a driver that begins here; so far there are none."""
        try:
            own = files.own_folder(NOTES)
        except OSError as error:
            on_event(
                Note(
                    f"{error.filename}: cannot be written ({system_said(error)}), so what this "
                    "search begins is not noted; if it is killed, its workers have to be ended by "
                    "hand"
                )
            )
            return cls(None)
        return cls(own / f"{os.getpid()}-{secrets.token_hex(8)}.json")

    def record(self, processes: Iterable[Process], folder: Path | None = None) -> None:
        """Note processes, and a folder of theirs, that must not outlive the driver."""
        new = {process.pid: process for process in processes}
        folder = folder or self.folder
        if new.items() <= self.processes.items() and folder == self.folder:
            return
        self.processes |= new
        self.folder = folder
        if self.file is not None:
            files.write(self.file, json.dumps(self._dump()), mode=0o600)

    def end(self) -> tuple[Process, ...]:
        """End what still runs, remove the folder, and forget both; return whom that ended."""
        ended = end(self.processes.values(), self.folder)
        if self.file is not None:
            self.file.unlink(missing_ok=True)
        return ended

    def _dump(self) -> dict[str, object]:
        return {
            "host": socket.gethostname(),
            "driver": asdict(Process.of(os.getpid())),
            "processes": [asdict(process) for process in self.processes.values()],
            "folder": "" if self.folder is None else str(self.folder),
        }


def end_leftovers(on_event: Listener = ignore) -> None:
    """End what is left of this user's drivers on this machine that have died."""
    for left in (*_leftovers(), *_forgotten()):
        if ended := left.end():
            names = ", ".join(f"{process.name or '?'} ({process.pid})" for process in ended)
            many = count(len(ended), "process", "processes")
            on_event(Note(f"ended {many} of a driver that had died: {names}"))


def make_folder(longest: int | None = None) -> Path:
    """Return a new folder for temporary files that this user alone can enter.

    Args:
        longest: Bytes that its path may have. Where those of the system's temporary place are
            longer, a place with a shorter one is taken.

    Raises:
        StudyError: There is no place for it.
    """
    for place in _places():
        if longest is None or len(os.fsencode(place)) + len(f"/{PREFIX}12345678") <= longest:
            with contextlib.suppress(OSError):
                folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))  # of mode 0700
                made = {"host": socket.gethostname(), "driver": asdict(Process.of(os.getpid()))}
                token = f"{folder.name}\n{json.dumps(made)}\n"
                (folder / TOKEN).write_text(token, encoding="ascii")
                return folder
    short = "" if longest is None else f", or their paths have more than {longest - 17} bytes"
    raise StudyError(
        f"{', '.join(map(str, _places()))}: temporary files find no place there: they cannot be "
        f"written or are full{short}; TMPDIR=FOLDER names another"
    )


def _places() -> list[str]:
    """Return where temporary files may lie, the best first."""
    with contextlib.suppress(FileNotFoundError):  # where nothing can be written anywhere
        return list(dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"]))
    return [os.environ.get("TMPDIR", "/tmp")]


def _made_here(folder: Path) -> bool:
    """Return whether `make_folder` made a folder, for this user, at this very place."""
    try:
        found = folder.lstat()
        token = files.read_text(folder / TOKEN, StudyError, most=MAX_TOKEN)
    except (OSError, StudyError):
        return False
    mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return mine and stat.S_ISDIR(found.st_mode) and token.split("\n")[0] == folder.name


def _forgotten() -> Iterator[Belongings]:
    """Yield folders whose maker died before it could note them; others are left as they are."""
    for place in _places():
        for folder in Path(place).glob(f"{PREFIX}*"):
            if _made_here(folder) and _maker_is_dead(folder):
                yield Belongings(None, folder=folder)


def _maker_is_dead(folder: Path) -> bool:
    """Whether it is known who made a folder, and that it is a process of this machine no more."""
    try:
        made = json.loads(files.read_text(folder / TOKEN, StudyError, MAX_TOKEN).split("\n")[1])
        return made["host"] == socket.gethostname() and not Process(**made["driver"]).alive()
    except (StudyError, ValueError, KeyError, TypeError, IndexError):  # of earlier versions
        return False


def _leftovers() -> Iterator[Belongings]:
    try:
        notes = sorted(files.own_folder(NOTES).glob("*.json"))
    except OSError:  # said where this driver notes its own
        return
    for file in notes:
        with contextlib.suppress(StudyError, KeyError, TypeError):  # one that is just written
            tree = files.read_json(file, StudyError)
            if tree["host"] == socket.gethostname() and not Process(**tree["driver"]).alive():
                processes = [Process(**process) for process in tree["processes"]]
                folder = Path(tree["folder"]) if tree["folder"] else None
                yield Belongings(file, {process.pid: process for process in processes}, folder)


def _started(pid: int) -> str:
    """Return when a process began; empty if it does not run.

    psutil gives it by the clock on the wall, which is set while a search runs: a living driver
    would then be taken for a dead one and lose its workers. Linux itself counts from the boot,
    which has an id.
    """
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return ""
        if not psutil.LINUX:
            return str(process.create_time())
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{fields[19]}"
    except (psutil.Error, OSError, ValueError, OverflowError):
        return ""


def _running(pids: Iterable[int]) -> tuple[Process, ...]:
    found = (Process.of(pid) for pid in pids)
    return tuple(process for process in found if process.started)


def _working_in(folder: Path) -> tuple[Process, ...]:
    """Return this user's processes that were begun with an option that names a folder."""
    me = psutil.Process().username()
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            options = [word for word in process.cmdline() if word.startswith("--")]
            if any(str(folder) in option for option in options) and process.username() == me:
                found.append(process.pid)
    return _running(found)


def _kill(processes: Iterable[Process], grace: float = 0.0) -> tuple[Process, ...]:
    """Kill those of `processes` that still run after `grace` seconds; return them, once gone."""
    left = _wait(tuple(processes), grace)
    for process in left:
        with contextlib.suppress(psutil.Error):
            psutil.Process(process.pid).kill()
    _wait(left, KILL_SECONDS)
    return left


def _wait(processes: tuple[Process, ...], seconds: float) -> tuple[Process, ...]:
    """Wait for processes to end, but not for ever; return those that have not.

    psutil would also collect how they ended, which is for whoever began them.
    """
    until = time.monotonic() + seconds
    while (left := tuple(p for p in processes if p.alive())) and time.monotonic() < until:
        time.sleep(0.02)
    return left
