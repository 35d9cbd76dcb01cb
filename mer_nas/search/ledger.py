"""The ledger: every finished fold with its out-of-fold predictions, and nothing ever taken back.

A file of JSON lines. The first names the format; each further one is a `FoldResult`. A line is on
the disk before anything else hears of its fold, so a driver that is killed loses at most the folds
in flight, and a fold that is in the ledger is never trained again: it is found by candidate, fold,
repetition, seed, data and version of the code.

A last line without its end is what a kill or a full disk leaves; opening the ledger cuts it off.
Any other damage is refused: nobody but this module writes here.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from mer_nas.errors import StudyError
from mer_nas.evaluation.evaluator import FoldKey, FoldResult
from mer_nas.search.events import Listener, Note, ignore

FORMAT = "mer-nas fold ledger"
VERSION = 1

_HEADER = json.dumps({"format": FORMAT, "version": VERSION}).encode() + b"\n"


class Ledger:
    """Finished folds on disk; to be opened by one process at a time (see `lock`).

    Args:
        path: The file; made if it does not exist.
        on_event: Is told when a torn line was cut off.

    Raises:
        StudyError: The file is no ledger, is damaged, or cannot be written.
    """

    def __init__(self, path: Path, on_event: Listener = ignore) -> None:
        self.path = path
        self._results: dict[FoldKey, FoldResult] = {}
        self._file = -1
        try:
            content = path.read_bytes() if path.exists() else b""
            whole = self._load(content)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            if whole < len(content):
                os.ftruncate(self._file, whole)
                os.fsync(self._file)
                on_event(Note(f"{path}: the last line was cut short; its fold runs again"))
            self._size = whole
            if not whole:
                self._write(_HEADER)
                _sync_folder(path.parent)
        except OSError as error:
            raise StudyError(f"{path}: {_said(error)}") from error

    def append(self, result: FoldResult) -> bool:
        """Bring a result to the disk; return False if it was there already.

        Raises:
            StudyError: The disk does not take it. The ledger is then as it was before.
        """
        if result.key in self._results:
            return False
        try:
            self._write(result.to_json().encode() + b"\n")
        except OSError as error:
            with contextlib.suppress(OSError):  # else before the next line, or at the next opening
                os.ftruncate(self._file, self._size)
            raise StudyError(
                f"{self.path}: {_said(error)}; the {len(self)} folds written before are safe, and "
                "`mer-nas resume` goes on from them"
            ) from error
        self._results[result.key] = result
        return True

    def find(
        self, candidate: str, fold: str, repetition: int, seed: int, data: str, code: str
    ) -> FoldResult | None:
        """Return the result of a fold if it was ever finished under just these conditions."""
        return self._results.get((candidate, fold, repetition, seed, data, code))

    def of(self, candidate: str) -> tuple[FoldResult, ...]:
        """Return all results of a candidate, in the order in which they were written."""
        return tuple(result for result in self if result.candidate == candidate)

    def __iter__(self) -> Iterator[FoldResult]:
        """Go through all results in the order in which they were written."""
        return iter(self._results.values())

    def __len__(self) -> int:
        """Return the number of results."""
        return len(self._results)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        """Return the ledger."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the file."""
        self.close()

    def _load(self, content: bytes) -> int:
        """Take in the lines of a file; return how many of its bytes are whole lines."""
        whole, size = _read(self.path, content)
        for result in whole:
            self._results.setdefault(result.key, result)
        return size

    def _write(self, data: bytes) -> None:
        if os.fstat(self._file).st_size != self._size:  # what an earlier failure left behind
            os.ftruncate(self._file, self._size)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fsync(self._file)
        self._size += len(data)


def read(path: Path) -> tuple[FoldResult, ...]:
    """Return the results in a ledger that another process may be writing to; change nothing.

    Raises:
        StudyError: The file is missing, no ledger, or damaged.
    """
    try:
        results, _ = _read(path, path.read_bytes())
    except OSError as error:
        raise StudyError(f"{path}: {_said(error)}") from error
    return tuple({result.key: result for result in reversed(results)}.values())[::-1]


def _read(path: Path, content: bytes) -> tuple[list[FoldResult], int]:
    """Return the results of all whole lines, and how many bytes those lines take."""
    lines = content.splitlines(keepends=True)
    if not lines or (_HEADER.startswith(lines[0]) and lines[0] != _HEADER):
        return [], 0  # a file that was killed at its very beginning
    _check_header(path, lines[0])
    results: list[FoldResult] = []
    size = len(lines[0])
    for number, line in enumerate(lines[1:], start=2):
        try:
            results.append(_result(line))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            raise StudyError(
                f"{path}: line {number} is damaged ({error}), and it is not the last; restore the "
                "file from a copy, or delete the line, and its fold runs again"
            ) from error
        size += len(line)
    return results, size


def _result(line: bytes) -> FoldResult:
    if not line.endswith(b"\n"):
        raise ValueError("it has no end")
    return FoldResult.from_json(line.decode())


def _check_header(path: Path, line: bytes) -> None:
    try:
        header = json.loads(line)
        found, version = header["format"], header["version"]
    except (ValueError, KeyError, TypeError):
        found, version = None, None
    if found != FORMAT:
        raise StudyError(f"{path}: this is no {FORMAT}: it begins with {line[:60]!r}")
    if version != VERSION:
        raise StudyError(
            f"{path}: the ledger has format version {version!r}; this mer-nas reads {VERSION}"
        )


def _sync_folder(folder: Path) -> None:
    """Bring a new file's name to the disk; not every system lets a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _said(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
