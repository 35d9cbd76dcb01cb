"""The Optuna study in its storage: SQLite in the study's folder, or any that Optuna knows.

A storage is named by its URL, or by a file name ending in .log: Optuna's journal, which can lie in
a folder on a network, where SQLite cannot lock.
"""

import contextlib
import sqlite3
from pathlib import Path

import optuna
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import event

from mer_nas.errors import StudyError
from mer_nas.search.config import StudyConfig
from mer_nas.search.objectives import DIRECTIONS
from mer_nas.search.samplers import RepeatableSampler

_SQLITE = "sqlite:///"
_JOURNAL = ".log"


def sqlite_url(folder: Path) -> str:
    """Return the URL of the default storage of a study in `folder`."""
    return f"sqlite:///{(folder / 'study.db').resolve().as_posix()}"


def open_study(
    storage: str, name: str, settings: StudyConfig
) -> tuple[optuna.Study, optuna.storages.BaseStorage]:
    """Open the Optuna study `name`, or make it.

    Raises:
        StudyError: The storage cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        backend = open_storage(storage)
        sampler = RepeatableSampler(settings.sampler, settings.startup, settings.seed)
        study = optuna.create_study(
            storage=backend,
            sampler=sampler,
            pruner=optuna.pruners.NopPruner(),  # pruners are asked by the driver
            study_name=name,
            directions=[DIRECTIONS[objective] for objective in settings.objectives],
            load_if_exists=True,
        )
    except Exception as error:  # each kind of storage has errors of its own
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StudyError(
            f"study.storage={storage}: the storage cannot be opened: {text}"
        ) from error
    return study, backend


def open_storage(storage: str) -> optuna.storages.BaseStorage:
    """Open the storage of that URL or file name; each kind has errors of its own."""
    if storage.startswith(_SQLITE):
        return optuna.storages.get_storage(_sqlite(storage))
    if storage.endswith(_JOURNAL):
        return optuna.storages.JournalStorage(JournalFileBackend(storage))
    return optuna.storages.get_storage(storage)


def _sqlite(url: str) -> optuna.storages.RDBStorage:
    """Open a database such that readers do not stop the search, nor does it wait for the disk.

    With write-ahead logging a killed process loses nothing. Should the machine lose its power, the
    last changes may be missing: then those trials are drawn again as they were, and find their
    folds in the ledger.
    """
    with contextlib.closing(sqlite3.connect(url.removeprefix(_SQLITE), timeout=60)) as database:
        database.execute("PRAGMA journal_mode=WAL")
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
    event.listen(storage.engine, "connect", _in_passing)
    storage.engine.dispose()  # its connections were opened before
    return storage


def _in_passing(connection: sqlite3.Connection, record: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")


def close_storage(storage: optuna.storages.BaseStorage) -> None:
    """Let go of a storage's connections."""
    storage.remove_session()
    engine = getattr(storage, "_backend", storage)
    if hasattr(engine, "engine"):
        engine.engine.dispose()
