"""The storage of a study looked at: copied, so that nothing of it is touched.

To open a storage changes it: SQLite makes files beside a database and takes locks in them, Optuna
makes tables and journals. Whoever only looks, at a study that another process drives or that is
somebody else's, opens a copy.
"""

from pathlib import Path

from sqlalchemy import make_url

from mer_nas import files
from mer_nas.errors import StudyError
from mer_nas.search.config import JOURNAL
from mer_nas.search.storage import DATABASE, SQLITE, refuse_leads, refuse_lost, sqlite_url

_WAL = "-wal"
"""What ends the name of the file that holds the latest changes of a database."""
_ATTEMPTS = 5
MAX_STORAGE = 2**31
"""Bytes of the largest storage that is copied."""


def copied(storage: str, folder: Path) -> str:
    """Copy a storage to a folder; return the URL or the file of the copy.

    A storage that is no file, on a server, is not copied: reading it changes nothing.

    Args:
        storage: Its URL or file.
        folder: Is empty.

    Raises:
        StudyError: The storage is not there, or cannot be read.
    """
    refuse_lost(storage)
    if storage.startswith(SQLITE):
        _copy_database(Path(make_url(storage).database or ""), folder / DATABASE)
        return sqlite_url(folder)
    if storage.endswith(JOURNAL):
        copy = folder / f"copy{JOURNAL}"
        copy.write_bytes(_content(Path(storage)))
        return str(copy)
    return storage


def _copy_database(database: Path, copy: Path) -> None:
    """Copy a database and its latest changes as they were at one moment.

    Its driver adds changes to the second file, and now and then moves them to the first: where
    that happened meanwhile, both are read again.
    """
    refuse_leads(database)
    changes = database.with_name(database.name + _WAL)
    for _ in range(_ATTEMPTS):
        content = _content(database)
        latest = _content(changes) if changes.is_file() else b""
        if _content(database) == content:
            copy.write_bytes(content)
            if latest:
                copy.with_name(copy.name + _WAL).write_bytes(latest)
            return
    raise StudyError(f"{database}: is written all the time; try again")


def _content(file: Path) -> bytes:
    return files.read_bytes(file, StudyError, MAX_STORAGE)
