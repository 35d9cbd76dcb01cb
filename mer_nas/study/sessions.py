"""The sessions of a study: how long each took, and what it says when it can go on no longer.

`sessions.jsonl` has a line a session.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from annotated_types import Interval
from pydantic import TypeAdapter

from mer_nas.config.base import parse_line
from mer_nas.errors import MerNasError, StudyError
from mer_nas.files import naming, read_text, refused
from mer_nas.search.ledger import read
from mer_nas.search.storage import refusal
from mer_nas.study.folder import StudyFolder


@dataclass(frozen=True)
class _Session:
    """A line of the file."""

    seconds: Annotated[float, Interval(ge=0, le=1e10)]
    """Wall time."""
    workers: Annotated[int, Interval(ge=0, le=10**6)] = 0
    """How many trained at a time; 0 where none did, or it is not known."""
    command: str = ""


_LINE = TypeAdapter(_Session)


class _Sessions(NamedTuple):
    """What the finished sessions of a study come to."""

    seconds: float
    """Wall time of all of them."""
    workers: int | None
    """The most that one of them had; None where none trained anything, or it is not known."""


def sessions(folder: StudyFolder) -> _Sessions:
    """Return what the finished sessions of a study come to; one that was cut short counts nothing.

    Raises:
        StudyError: The file is damaged; the message names the line.
    """
    rows = []
    for number, line in enumerate(_whole_lines(folder.sessions), start=1):
        try:
            rows.append(parse_line(_LINE, line))
        except ValueError as error:
            raise StudyError(
                f"{folder.sessions}: line {number} is damaged: {error}; delete the line, and the "
                "time of its session is not counted"
            ) from None
    most = max((row.workers for row in rows), default=0)
    return _Sessions(sum(row.seconds for row in rows), most or None)


def add_session(folder: StudyFolder, seconds: float, command: str, workers: int) -> None:
    """Note that a session of the study lasted so long, and how many workers it had at a time.

    Raises:
        OSError: The disk does not take it.
        StudyError: The file is no text.
    """
    row, file = _Session(round(seconds, 1), workers, command), folder.sessions
    whole = sum(len(line.encode()) + 1 for line in _whole_lines(file))
    with naming(file), file.open("a", encoding="utf-8") as stream:
        if file.is_file() and whole < file.stat().st_size:
            stream.truncate(whole)  # a line that was cut short
        stream.write(json.dumps(asdict(row)) + "\n")


def _whole_lines(file: Path) -> list[str]:
    """Return the lines of a file but for a last one without its end."""
    return read_text(file, StudyError).split("\n")[:-1] if file.is_file() else []


@contextmanager
def saying_what_is_kept(folder: StudyFolder) -> Iterator[None]:
    """Make of a full disk or a locked database one message that says what is kept.

    Raises:
        StudyError: The disk or the database did not do what a `with` statement asked of it.
    """
    try:
        yield
    except MerNasError:
        raise
    except Exception as error:
        if (said := _said(error, folder)) is None:
            raise
        rest = f"what was finished is kept, and `{folder.resume}` goes on from there"
        begun = folder.ledger.is_file() and read(folder.ledger)
        raise StudyError(f"{said}; {rest if begun else 'no fold was finished yet'}") from error


def _said(error: Exception, folder: StudyFolder) -> str | None:
    if isinstance(error, OSError):
        said = refused(error)
        if said is None and isinstance(error, (IsADirectoryError, NotADirectoryError)):
            said = f"{error.filename}: {str(error.strerror).lower()}; delete it"
        return said if said is None or error.filename else f"{folder.path}: {said}"
    said = refusal(error)
    return said and f"{folder.path}: the database of its trials: {said}"
