"""The sessions of a study: how long each took, and what it says when it can go on no longer.

`sessions.jsonl` has a line a session.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from annotated_types import Interval
from pydantic import TypeAdapter

from mer_nas.config.base import parse_line
from mer_nas.errors import MerNasError, StudyError, system_said
from mer_nas.files import naming, read_bytes, refused
from mer_nas.search.ledger import read
from mer_nas.search.storage import refusal
from mer_nas.study.folder import IN_PLACE, StudyFolder


@dataclass(frozen=True)
class _Session:
    """A line of the file."""

    seconds: Annotated[float, Interval(ge=0, le=1e10)]
    """Wall time."""
    workers: Annotated[int, Interval(ge=0, le=10**6)] = 0
    """How many trained at a time; 0 where none did, or it is not known."""
    command: str = ""
    note: str = ""
    """What a reader should know of it: that Ray did not start."""


AROUND = 48 * 2**20
"""Bytes that reports, exports and what Ray writes meanwhile take beside the folds, at most."""
_LINE = TypeAdapter(_Session)


class _Sessions(NamedTuple):
    """What the finished sessions of a study come to."""

    seconds: float
    """Wall time of all of them."""
    workers: int | None
    """The most that one of them had; None where none trained anything, or it is not known."""
    notes: tuple[str, ...] = ()
    """What a reader should know of them, and which lines are damaged."""


def sessions(folder: StudyFolder) -> _Sessions:
    """Return what the finished sessions of a study come to; one that was cut short counts nothing.

    A line that is damaged is left out: only the time of its session is lost with it.

    Raises:
        StudyError: The file cannot be read.
    """
    rows, notes = [], []
    for number, line in enumerate(_whole_lines(folder.sessions), start=1):
        try:
            rows.append(parse_line(_LINE, line.decode()))
        except ValueError as error:
            notes.append(
                f"{folder.sessions.name}: line {number} is damaged ({error}), so the time of its "
                "session is not counted"
            )
    most = max((row.workers for row in rows), default=0)
    said = tuple(dict.fromkeys([*(row.note for row in rows if row.note), *notes]))
    return _Sessions(sum(row.seconds for row in rows), most or None, said)


def add_session(
    folder: StudyFolder, seconds: float, command: str, workers: int, note: str = ""
) -> None:
    """Note that a session of the study lasted so long, and how many workers it had at a time.

    Args:
        folder: The study.
        seconds: Wall time.
        command: What started it.
        workers: How many trained at a time; 0 where none did.
        note: What a reader of the report should know of it.

    Raises:
        OSError: The disk does not take it.
        StudyError: The file cannot be read.
    """
    row, file = _Session(round(seconds, 1), workers, command, note), folder.sessions
    whole = sum(len(line) + 1 for line in _whole_lines(file))
    with naming(file), file.open("a", encoding="utf-8") as stream:
        if file.is_file() and whole < file.stat().st_size:
            stream.truncate(whole)  # a line that was cut short
        stream.write(json.dumps(asdict(row)) + "\n")


def _whole_lines(file: Path) -> list[bytes]:
    """Return the lines of a file but for a last one without its end."""
    return read_bytes(file, StudyError).split(b"\n")[:-1] if file.is_file() else []


@contextmanager
def saying_what_is_kept(folder: StudyFolder) -> Iterator[None]:
    """Make of a full disk or a locked database one message that says what is kept.

    Raises:
        StudyError: The disk or the database did not do what a `with` statement asked of it.
    """
    try:
        yield
    except MerNasError as error:
        if not _is_full(error.__cause__):
            raise
        raise StudyError(f"{error}{_room(folder)}") from error
    except Exception as error:
        if (said := _said(error, folder)) is None:
            raise
        said += _room(folder) if _is_full(error) else ""
        rest = f"what was finished is kept, and `{folder.resume}` goes on from there"
        begun = folder.ledger.is_file() and read(folder.ledger)
        raise StudyError(f"{said}; {rest if begun else 'no fold was finished yet'}") from error


def _said(error: Exception, folder: StudyFolder) -> str | None:
    if isinstance(error, OSError):
        said = refused(error)
        if said is None and isinstance(error, (IsADirectoryError, NotADirectoryError)):
            said = f"{error.filename}: {system_said(error)}; delete it"
        return said if said is None or error.filename else f"{folder.path}: {said}"
    said = refusal(error)
    return said and f"{folder.path}: the database of its trials: {said}"


def _is_full(error: BaseException | None) -> bool:
    """Return whether a disk had no room for what was to be written, or a database said so."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return error is not None and "disk is full" in (refusal(error) or "")


def _room(folder: StudyFolder) -> str:
    """Return about how much room the rest of a study takes; nothing where that is not known.

    What is there by fold, times the folds to come, and what the reports and exports take.
    """
    try:
        study, origin = folder.settings().study, folder.origin()
        done = len(read(folder.ledger))
    except (MerNasError, OSError):
        return ""
    if study.trials is None or not done:
        return ""
    folds = study.trials * len(origin.search.folds)
    if study.final is not None and origin.final is not None:
        folds += study.final_jobs(study.final.warm_starts) * len(origin.final.folds)
    growing = [path for path in folder.path.iterdir() if path.name.startswith(IN_PLACE)]
    each = sum(path.stat().st_size for path in growing) / done
    most = max(0, folds - done) * each + AROUND
    return f"; the rest of the study takes about {most / 2**20:.0f} MiB"
