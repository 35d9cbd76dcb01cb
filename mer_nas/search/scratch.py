"""What a driver begins on this machine: processes, and a folder of theirs; and how both end.

A study's folder may come from a stranger, so nothing in it names a process to end or a folder to
remove. What a driver begins is noted where this user alone can write (`files.own_folder`), and the
next session of any study ends what is left of drivers that have died: it would hold memory, GPUs
and ports. A folder is removed only if it is this user's, no link, and holds the token that was put
into it when it was made.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from mer_nas import files
from mer_nas.errors import StudyError
from mer_nas.search.events import Listener, Note, ignore
from mer_nas.search.processes import Process, reap, this_process, working_in
from mer_nas.wording import count

NOTES = "drivers"
"""Where drivers note what they begin, in the user's own folder; one file each."""
TOKEN = ".mer-nas-scratch"
"""File in a folder that was made here; it holds the folder's own token."""
PREFIX = "mer-nas-"


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
                    f"{error.filename}: cannot be written ({error.strerror}), so what this search "
                    "begins is not noted; if it is killed, its workers have to be ended by hand"
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
        ended = reap(self.processes.values())
        if self.folder is not None:
            ended += reap(working_in(self.folder))
            remove_folder(self.folder)
        if self.file is not None:
            self.file.unlink(missing_ok=True)
        return ended

    def _dump(self) -> dict[str, object]:
        return {
            "host": socket.gethostname(),
            "driver": this_process().dump(),
            "processes": [process.dump() for process in self.processes.values()],
            "folder": "" if self.folder is None else str(self.folder),
        }


def end_leftovers(on_event: Listener = ignore) -> None:
    """End what is left of this user's drivers on this machine that have died."""
    for left in _leftovers():
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
                (folder / TOKEN).write_text(folder.name, encoding="ascii")
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


def remove_folder(folder: Path) -> bool:
    """Remove a folder that `make_folder` made; return False, and touch nothing, if it did not."""
    if not _made_here(folder):
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _made_here(folder: Path) -> bool:
    """Return whether `make_folder` made a folder, for this user, at this very place."""
    try:
        found = folder.lstat()
        token = files.read_text(folder / TOKEN, StudyError, most=256)
    except (OSError, StudyError):
        return False
    mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return mine and stat.S_ISDIR(found.st_mode) and token == folder.name


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
