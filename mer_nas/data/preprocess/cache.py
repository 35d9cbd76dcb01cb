"""What was prepared once, on disk.

    entries/ab/abcd....npy   one input of one clip
    sets/cdef....npy         one input of all clips of a set, which is mapped into memory

A name is the hash of all that the content follows from, so a file is never out of date and never
changed: it is written beside its place and then moved there, and several processes may do so at
once. Behind the array a file has the SHA-256 of everything before it; a file that does not agree
with its own is thrown away and made anew: a set from its entries, an entry from its frames.
"""

import hashlib
import mmap
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from mer_nas.errors import DataError, system_said

_Array = NDArray[Any]

DIGEST = 32
"""Bytes of the checksum at the end of a file."""

ABANDONED = 24 * 3600.0
"""Seconds after which an unfinished file is nobody's."""


@dataclass(frozen=True)
class Cache:
    """A folder of arrays by the hash of what they follow from."""

    folder: Path

    @classmethod
    def open(cls, folder: Path | None = None) -> "Cache":
        """Return the cache in a folder, which is made; clear away what was never finished.

        Args:
            folder: By default mer-nas where the system wants caches.

        Raises:
            DataError: The folder cannot be written to.
        """
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = folder or home / "mer-nas"
        cache = cls(folder)
        try:
            for part in (cache._unfinished, folder / "entries", folder / "sets"):
                part.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=cache._unfinished):
                pass
        except OSError as error:
            raise DataError(
                f"{folder}: prepared clips cannot be kept here: {system_said(error)}; "
                "data.cache=DIR names another folder"
            ) from None
        for file in cache._unfinished.iterdir():
            with suppress(OSError):  # another process may have finished it
                if time.time() - file.stat().st_mtime > ABANDONED:
                    file.unlink()
        return cache

    @staticmethod
    def key(parts: Iterable[str]) -> str:
        """Return 40 hexadecimal digits that change with any of `parts` or their order."""
        summed = hashlib.sha256()
        for part in parts:
            summed.update(f"{len(part)} {part}\n".encode())
        return summed.hexdigest()[:40]

    def entry(self, key: str) -> _Array | None:
        """Return an entry; None where there is none that is whole."""
        return _read(self._entry(key))

    def keep(self, key: str, array: _Array) -> None:
        """Keep an entry."""
        self._write(self._entry(key), lambda file: _write_array(file, array.shape, [array]))

    def set(self, keys: Sequence[str]) -> _Array | None:
        """Return the entries of `keys` as one array (N, ...), mapped into memory, read-only.

        None where they were never joined, or what was joined is damaged.
        """
        return _read(self._set(keys))

    def join(self, keys: Sequence[str]) -> tuple[str, ...]:
        """Join entries of one shape, so that `set` returns them; one is in memory at a time.

        Returns:
            The keys whose entry is missing or damaged; nothing is joined if there are any.
        """
        lost = tuple(key for key in keys if self.entry(key) is None)
        if not lost:
            first = self._whole(keys[0])
            shape = (len(keys), *first.shape)
            rows = (self._whole(key) for key in keys)
            self._write(self._set(keys), lambda file: _write_array(file, shape, rows))
        return lost

    @property
    def _unfinished(self) -> Path:
        return self.folder / "unfinished"

    def _entry(self, key: str) -> Path:
        return self.folder / "entries" / key[:2] / f"{key}.npy"

    def _set(self, keys: Sequence[str]) -> Path:
        return self.folder / "sets" / f"{self.key(keys)}.npy"

    def _whole(self, key: str) -> _Array:
        array = self.entry(key)
        if array is None:
            raise DataError(
                f"{self._entry(key)}: removed or damaged while it was read; the same command "
                "prepares it again"
            )
        return array

    def _write(self, path: Path, fill: Callable[["_Summed"], None]) -> None:
        """Write a file beside its place and move it there."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._unfinished)
            try:
                with os.fdopen(handle, "wb") as file:
                    summed = _Summed(file)
                    fill(summed)
                    file.write(summed.digest.digest())
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise DataError(
                f"{path}: a prepared clip cannot be kept: {system_said(error)}; "
                "data.cache=DIR names another folder"
            ) from None


class _Summed:
    """A file that is summed up as it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        """Write and sum up."""
        self.digest.update(data)
        self.file.write(data)


def _write_array(file: _Summed, shape: tuple[int, ...], rows: Iterable[_Array]) -> None:
    rows = iter(rows)
    first = np.ascontiguousarray(next(rows))
    header = {"descr": first.dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    file.write(first.data.cast("B"))
    for row in rows:
        file.write(np.ascontiguousarray(row).data.cast("B"))


def _read(path: Path) -> _Array | None:
    """Return the array in a file, mapped into memory; None where it is missing or damaged."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as all_:
            whole = memoryview(all_)
            with whole, whole[:-DIGEST] as body:
                sound = hashlib.sha256(body).digest() == bytes(whole[-DIGEST:])
        array = np.load(path, mmap_mode="r") if sound else None
    except (OSError, ValueError):  # gone, empty, or no array
        return None
    return None if array is None else np.asarray(array)
