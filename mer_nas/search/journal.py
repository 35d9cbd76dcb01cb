"""Append-only files of JSON lines, from which no kill and no full disk takes what was written.

The first line names the format; each further one is an entry and ends in a checksum of its own. A
line is on the disk before anything else hears of it. A last line without its end is what a kill or
a full disk leaves; opening the file to write cuts it off. Any other damage is refused, be it a
digit: nobody else writes here.

Files of version 1 have no checksums. Their lines stay valid, the file keeps its first line, and
what is appended to it ends in a checksum nevertheless.
"""

import contextlib
import json
import os
import re
import sys
import zlib
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from mer_nas import files
from mer_nas.errors import StudyError, system_said
from mer_nas.search.events import Listener, Note, ignore


class _Entry(Protocol):
    """What a line holds."""

    @property
    def key(self) -> Hashable:
        """What identifies it: of equal keys, only the first is kept."""

    def to_json(self) -> str:
        """Return it as one line."""


E = TypeVar("E", bound=_Entry)

VERSION = 2
"""Of the form that all such files have."""
MAX_FILE = 2**32
"""Bytes of the largest such file that is read: a million folds."""
_CHECKSUM = re.compile(rb',"crc32":"([0-9a-f]{8})"}\Z')
"""How a line ends; it is the CRC-32 of the line without it, as it stands there."""


class _Torn(ValueError):
    """A line is such as a kill, a full disk or a loss of power may leave behind."""


class _Place(NamedTuple):
    """Where a line lies in its file, in bytes."""

    start: int
    end: int


@dataclass(frozen=True)
class JournalFormat(Generic[E]):
    """What such a file is about."""

    format: str
    """What the first line calls it: "mer-nas fold ledger"."""
    parse: Callable[[str], E]
    """Returns the entry that a line holds, or says in a `ValueError` why it holds none."""
    torn: str
    """What follows from a line that was cut short."""
    safe: str
    """What follows from a disk that takes no more, `{count}` entries being safe."""

    @property
    def header(self) -> bytes:
        """The first line."""
        return json.dumps({"format": self.format, "version": VERSION}).encode() + b"\n"

    @staticmethod
    def line(content: bytes) -> bytes:
        """Return the line that holds an entry, which is a JSON object, with its checksum."""
        return b'%s,"crc32":"%08x"}\n' % (content[:-1], zlib.crc32(content))

    def read(self, path: Path) -> tuple[E, ...]:
        """Return the entries of a file that another process may be writing to; change nothing.

        Raises:
            StudyError: The file is missing, of another kind, or damaged.
        """
        found, _ = self.entries(path, files.read_bytes(path, StudyError, MAX_FILE))
        return tuple({entry.key: entry for entry in reversed(found)}.values())[::-1]

    def since(self, path: Path, start: int) -> tuple[list[E], int]:
        """Return the entries of whole lines from byte `start` on, and where those lines end.

        The file may not be there yet, and another process may be writing to it.

        Args:
            path: The file.
            start: 0, or where the lines of an earlier call ended.

        Raises:
            StudyError: It is of another kind, or damaged.
        """
        if not path.is_file():
            return [], start
        if not start:
            return self.entries(path, files.read_bytes(path, StudyError, MAX_FILE))
        with path.open("rb") as file:
            file.seek(start)
            content = file.read()
        lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
        try:
            return [self.written(line) for line in lines], start + sum(map(len, lines))
        except ValueError as error:
            raise StudyError(f"{path}: damaged after byte {start}: {error}") from error

    def line_of(self, path: Path, entry: E) -> int:
        """Return the number of the line that holds an entry that was read from a file."""
        found, _ = self.entries(path, files.read_bytes(path, StudyError, MAX_FILE))
        return next(line for line, each in enumerate(found, start=2) if each.key == entry.key)

    def entries(self, path: Path, content: bytes) -> tuple[list[E], int]:
        """Return the entries of all whole lines, and how many bytes those lines take."""
        places: list[_Place] = []
        found = [entry for entry, _ in self.placed(path, content, places.append)]
        return found, places[-1].end if places else 0

    def placed(
        self, path: Path, content: bytes, seen: Callable[[_Place], object]
    ) -> Iterator[tuple[E, _Place]]:
        """Yield the entry of each whole line, and where the line lies.

        Args:
            path: The file.
            content: What it holds.
            seen: Is told where each whole line lies, the first one among them.
        """
        lines = content.splitlines(keepends=True)
        if not lines or (self.header.startswith(lines[0]) and lines[0] != self.header):
            return  # a file that was killed at its very beginning
        version = self._version(path, lines[0])
        size = len(lines[0])
        seen(_Place(0, size))
        for number, line in enumerate(lines[1:], start=2):
            try:
                entry = self._entry(line, version)
            except ValueError as error:
                if isinstance(error, _Torn) and number == len(lines):
                    break
                raise StudyError(
                    f"{path}: line {number} is damaged: {error}; restore the file from a copy, or "
                    f"delete the line, and {self.torn}"
                ) from error
            place = _Place(size, size := size + len(line))
            seen(place)
            yield entry, place

    def written(self, line: bytes) -> E:
        """Return the entry of a line that was read before."""
        return self._entry(line, version=1)

    def _entry(self, line: bytes, version: int) -> E:
        if not line.endswith(b"\n"):
            raise _Torn("it has no end")
        line = line.rstrip(b"\r\n")
        checksum = _CHECKSUM.search(line)
        if checksum is None or b"\0" in line:
            _whole(line)
            if version > 1:
                raise ValueError("it has no checksum")
            return self.parse(line.decode())
        content = line[: checksum.start()] + b"}"
        if zlib.crc32(content) != int(checksum[1], 16):
            raise ValueError("its checksum does not fit what it holds")
        return self.parse(content.decode())

    def _version(self, path: Path, line: bytes) -> int:
        try:
            header = json.loads(line)
            found, version = header["format"], header["version"]
        except (ValueError, KeyError, TypeError, RecursionError):
            found, version = None, None
        if found != self.format:
            raise StudyError(f"{path}: this is no {self.format}: it begins with {line[:60]!r}")
        if type(version) is not int or not 1 <= version <= VERSION:
            raise StudyError(
                f"{path}: the file is of another version: it begins with {line[:60]!r}; this "
                f"mer-nas reads 1 to {VERSION}"
            )
        return version


class Journal(Generic[E]):
    """Such a file, opened to write; to be opened by one process at a time (see `lock`).

    Args:
        form: What it is about.
        path: The file; made if it does not exist.
        on_event: Is told when a torn line was cut off.

    Raises:
        StudyError: The file is of another kind, is damaged, or cannot be written.
    """

    def __init__(self, form: JournalFormat[E], path: Path, on_event: Listener = ignore) -> None:
        self.path = path
        self._format = form
        self._places: dict[Hashable, _Place] = {}
        """Where the line of each key lies: entries are read when they are asked for."""
        self._file = -1
        try:
            there = path.exists()
            content = files.read_bytes(path, StudyError, MAX_FILE) if there else b""
            whole = self._load(content)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            if whole < len(content):
                os.ftruncate(self._file, whole)
                os.fsync(self._file)
                on_event(Note(f"{path}: the last line was cut short; {form.torn}"))
            self._size = whole
            if not whole:
                self._write(form.header)
                _sync_folder(path.parent)
        except OSError as error:
            raise StudyError(f"{path}: {system_said(error)}") from error

    def append(self, entry: E) -> bool:
        """Bring an entry to the disk; return False if it was there already.

        Raises:
            StudyError: The disk does not take it, and the file is as it was before; or the file
                has been moved or deleted, and holds the entry where it is now.
        """
        if entry.key in self._places:
            return False
        start = self._size
        try:
            self._write(self._format.line(entry.to_json().encode()))
        except OSError as error:
            with contextlib.suppress(OSError):  # else before the next line, or at the next opening
                os.ftruncate(self._file, self._size)
            safe = self._format.safe.format(count=len(self))
            raise StudyError(f"{self.path}: {system_said(error)}; {safe}") from error
        self._places[_shared(entry.key)] = _Place(start, self._size)
        if not self.path.exists():  # then the next hours would be for nobody
            raise StudyError(
                f"{self.path}: is not there any more: the study was moved or deleted while it "
                "ran; `mer-nas resume` goes on where it lies now"
            )
        return True

    def at(self, key: Hashable) -> E | None:
        """Return the entry of a key if there is one."""
        place = self._places.get(key)
        return None if place is None else self._read(place)

    def __contains__(self, key: Hashable) -> bool:
        """Return whether there is an entry of a key."""
        return key in self._places

    def __iter__(self) -> Iterator[E]:
        """Go through all entries in the order in which they were written."""
        return map(self._read, list(self._places.values()))

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._places)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        """Return the file."""
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
        lines: list[_Place] = []
        for entry, place in self._format.placed(self.path, content, lines.append):
            self._places.setdefault(_shared(entry.key), place)
        return lines[-1].end if lines else 0

    def _read(self, place: _Place) -> E:
        os.lseek(self._file, place.start, os.SEEK_SET)  # what is written goes to the end anyway
        rest, found = place.end - place.start, b""
        while len(found) < rest and (more := os.read(self._file, rest - len(found))):
            found += more
        try:
            return self._format.written(found)
        except ValueError as error:
            raise StudyError(
                f"{self.path}: the file was changed by somebody else while this session used it, "
                f"at byte {place.start}: {error}"
            ) from error

    def _write(self, data: bytes) -> None:
        if os.fstat(self._file).st_size != self._size:  # what an earlier failure left behind
            os.ftruncate(self._file, self._size)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fsync(self._file)
        self._size += len(data)


def _shared(key: Hashable) -> Hashable:
    """Return a key whose texts are in memory once, however many keys have them."""
    if not isinstance(key, tuple):
        return key
    return tuple(sys.intern(each) if type(each) is str else each for each in key)


def _whole(line: bytes) -> None:
    """Refuse what is no JSON, as no program but only a kill or a loss of power leaves it."""
    try:
        json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Torn(f"it is no JSON: {error}") from error


def _sync_folder(folder: Path) -> None:
    """Bring a new file's name to the disk; not every system lets a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
