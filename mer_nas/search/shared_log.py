"""Optuna's journal as a storage: a file NAME.log, which may lie in a folder on a network.

Whoever writes there holds a lock, and a writer that is killed may leave it, and half a line behind
the last one. Optuna waits half a minute for such a lock and takes it; but it writes on behind half
a line, and a line of two halves can never be read again.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

_CHUNK = 2**16


def open_log(file: str) -> JournalStorage:
    """Open the journal of that name, or begin it."""
    return JournalStorage(JournalFileBackend(file, _Lock(file)))


def unreadable(file: Path) -> str:
    """Return which line of a journal cannot be read, and why; empty where every one can."""
    return next(_damaged(file), "")


class _Lock(JournalFileSymlinkLock):
    """Optuna's lock, whose holder finds only whole lines."""

    def acquire(self) -> bool:
        """Wait for the lock, then cut off what a killed writer left: nobody was told of it."""
        taken = super().acquire()
        if torn := _cut(Path(self._lock_target_file)):
            logging.getLogger(__name__).warning(
                f"{self._lock_target_file}: the last {torn} bytes are half a line, left by a "
                "writer that was killed; they are cut off"
            )
        return taken


def _cut(file: Path) -> int:
    """Cut off what stands behind the last whole line of a file; return how many bytes."""
    with file.open("r+b") as lines:
        size = whole = lines.seek(0, 2)
        while whole:
            start = max(0, whole - _CHUNK)
            lines.seek(start)
            end = lines.read(whole - start).rfind(b"\n")
            whole = start if end < 0 else start + end + 1
            if end >= 0:
                break
        if whole < size:
            lines.truncate(whole)
    return size - whole


def _damaged(file: Path) -> Iterator[str]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                json.loads(line)
            except ValueError as error:
                yield f"line {number} is damaged ({error})"
