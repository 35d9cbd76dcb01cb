"""The Optuna study in its storage: SQLite in the study's folder, or any that Optuna knows.

A storage is named by its URL, or by a file name ending in .log: Optuna's journal, which can lie in
a folder on a network, where SQLite cannot lock.
"""

import os
import sqlite3
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from mer_nas.errors import StudyError
from mer_nas.search.config import JOURNAL, PROXY, StudyConfig
from mer_nas.search.objectives import DIRECTIONS
from mer_nas.search.samplers import RepeatableSampler
from mer_nas.search.shared_log import open_log, unreadable
from mer_nas.search.trials import drawn_by

DATABASE = "study.db"
"""File of the default storage in a study's folder."""
SQLITE = "sqlite:///"
"""How the URL of a database that is a file begins."""
PATIENCE = 60
"""Seconds that a database is waited for which another program has locked."""

PROXY_SECONDS = 10.0
"""How long a proxy is given to answer."""

_shared: ContextVar[dict[str, optuna.storages.BaseStorage] | None] = ContextVar(
    "shared", default=None
)
"""Storages by their names, that are open for all who open them in this context; None: for each."""
_MAGIC = bytes.fromhex("d9d505f920a163d7")
"""How a journal of SQLite ends that names a further file; see its format, section 3."""

_REBUILT = (
    "`mer-nas resume` then rebuilds it from trials.jsonl, or, for a study that has none, draws "
    "its trials again"
)
_ADVICE = {
    "locked": "another program holds it (one that browses or copies it?); close that one",
    "full": "make room on that disk",
    "readonly": "it must be writable",
    "unable to open": "its folder must be there, and writable",
    "malformed": f"restore it from a copy, or delete it: {_REBUILT}",
    "not a database": f"restore it from a copy, or delete it: {_REBUILT}",
}
"""What to do, by a word of what SQLite says."""


def sqlite_url(folder: Path) -> str:
    """Return the URL of the default storage of a study in `folder`, whatever the folder is called.

    Raises:
        StudyError: The path is no Unicode, which a URL would have to be.
    """
    file = (folder / DATABASE).resolve().as_posix()
    try:
        return str(URL.create("sqlite", database=file).render_as_string())
    except UnicodeEncodeError:
        raise StudyError(
            f"{os.fsencode(folder.resolve())!r}: a study cannot lie in a folder whose name is no "
            "UTF-8; rename it, or name another with study.folder="
        ) from None


def dashboard(storage: str) -> tuple[str | Path, ...]:
    """Return the command that shows what is in a storage; none for what lies behind a proxy."""
    if storage.startswith(PROXY):
        return ()
    return ("optuna-dashboard", Path(storage) if storage.endswith(JOURNAL) else storage)


@contextmanager
def sharing() -> Iterator[None]:
    """Open a storage once for all who open it in a `with` statement.

    Optuna takes 2 ms to read a trial, so whoever opens a long search again and again waits long.
    """
    opened: dict[str, optuna.storages.BaseStorage] = {}
    token = _shared.set(opened)
    try:
        yield
    finally:
        _shared.reset(token)
        for storage in opened.values():
            close_storage(storage)


def is_lost(storage: str) -> bool:
    """Whether a storage is a file that is not there, or has nothing in it.

    Args:
        storage: Its URL or file.
    """
    file = Path(storage)
    if storage.startswith(SQLITE):
        url = make_url(storage)
        if url.query:  # then it need not be the path of a file
            return False
        file = Path(url.database or "")
    elif not storage.endswith(JOURNAL):
        return False
    try:
        return not file.stat().st_size
    except OSError as error:
        return isinstance(error, FileNotFoundError)  # of others, opening it says more


def refuse_lost(storage: str) -> None:
    """Refuse a storage that is lost: to open it would make an empty one in its place.

    Raises:
        StudyError: It is.
    """
    if is_lost(storage):
        raise StudyError(
            f"study.storage={storage}: the storage cannot be opened: its file is not there, or "
            f"empty; restore it from a copy, or do without: {_REBUILT}"
        )


def open_study(
    storage: str, name: str, settings: StudyConfig | None = None
) -> tuple[optuna.Study, optuna.storages.BaseStorage]:
    """Open an Optuna study.

    Args:
        storage: Its URL or file.
        name: Of the study within the storage.
        settings: What it is made with if it is not there; without them it must be.

    Returns:
        The study, and its storage; `close_storage` lets go of that.

    Raises:
        StudyError: The storage cannot be opened, or does not hold the study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if settings is None:
        refuse_lost(storage)
    with _opening(storage):
        backend = _open_storage(storage)
        if settings is None:
            try:
                return optuna.load_study(study_name=name, storage=backend), backend
            except BaseException:
                close_storage(backend)
                raise
        study = optuna.create_study(
            storage=backend,
            sampler=RepeatableSampler(settings.sampler, settings.startup, settings.seed),
            pruner=optuna.pruners.NopPruner(),  # pruners are asked by the driver
            study_name=name,
            directions=[DIRECTIONS[objective] for objective in settings.objectives],
            load_if_exists=True,
        )
        _name_metrics(study, settings)
    return study, backend


def _name_metrics(study: optuna.Study, settings: StudyConfig) -> None:
    """Tell whoever opens a study what its values are, also one of before."""
    if study.metric_names is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(list(settings.objectives))


@contextmanager
def _opening(storage: str) -> Iterator[None]:
    """Say of what goes wrong in a `with` statement that the storage cannot be opened.

    Raises:
        StudyError: Something did; each kind of storage has errors of its own.
    """
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        text = refusal(error) or next(iter(str(error).splitlines()), type(error).__name__)
        if isinstance(error, KeyError):  # Optuna: 'Record does not exist.'
            text = (
                "it does not hold the trials of this study; restore it from a copy, or have "
                "`mer-nas resume` rebuild it"
            )
        if storage.endswith(JOURNAL) and isinstance(error, ValueError):
            line = unreadable(Path(storage))
            text = f"{line}; restore it from a copy" if line else text
        raise StudyError(
            f"study.storage={storage}: the storage cannot be opened: {text}"
        ) from error


def refusal(error: BaseException) -> str | None:
    """Return what a database said that would not go on, and what to do; None for other errors.

    Optuna guesses at "invalid data in the commit"; what the database said is behind that.
    """
    if rpc := _of_proxy(error):
        return rpc
    found: BaseException | None = error
    while found is not None and not isinstance(found, DBAPIError | sqlite3.Error):
        found = found.__cause__ or found.__context__
    if found is None:
        known = isinstance(error, SQLAlchemyError | OptunaError)
        return str(error).splitlines()[0] if known and str(error) else None
    said = str(getattr(found, "orig", found)).splitlines()[0]
    advice = [what for word, what in _ADVICE.items() if word in said]
    return "; ".join([said, *advice[:1]])


def _of_proxy(error: BaseException) -> str | None:
    """Return what is wrong with a proxy where an error is one of gRPC's."""
    grpc = sys.modules.get("grpc")  # whoever has met such an error has imported it
    if grpc is None or not isinstance(error, grpc.RpcError):
        return None
    if error.code() == grpc.StatusCode.UNAVAILABLE:
        return "Optuna's proxy does not answer any more; start it again"
    return f"Optuna's proxy answers {error.code().name}: {error.details()}".splitlines()[0]


def _open_storage(storage: str) -> optuna.storages.BaseStorage:
    """Open the storage of that URL or file name, or return the one that is shared."""
    shared = _shared.get()
    if shared is None:
        return _begun(storage)
    if storage not in shared:
        shared[storage] = _begun(storage)
    return shared[storage]


def _begun(storage: str) -> optuna.storages.BaseStorage:
    """Open the storage of that URL or file name; each kind has errors of its own."""
    if storage.startswith(SQLITE):
        return optuna.storages.get_storage(_sqlite(storage))
    if storage.endswith(JOURNAL):
        return open_log(storage)
    if storage.startswith(PROXY):
        return _behind_proxy(storage)
    return optuna.storages.get_storage(storage)


def _behind_proxy(url: str) -> optuna.storages.GrpcStorageProxy:
    """Open the storage behind Optuna's proxy.

    Raises:
        StudyError: No proxy answers there.
    """
    host, _, port = url.removeprefix(PROXY).rpartition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        storage = optuna.storages.GrpcStorageProxy(host=host, port=int(port))
    try:
        storage.wait_server_ready(timeout=PROXY_SECONDS)
    except Exception as error:  # grpc has errors of its own
        storage.close()
        raise StudyError(
            f"study.storage={url}: no proxy of Optuna's answers there within {PROXY_SECONDS:g} s; "
            "optuna.storages.run_grpc_proxy_server starts one"
        ) from error
    return storage


def _sqlite(url: str) -> optuna.storages.RDBStorage:
    """Open a database such that readers do not stop the search, nor does it wait for the disk.

    With write-ahead logging a killed process loses nothing. Should the machine lose its power, the
    last changes may be missing: then those trials are drawn again as they were, and find their
    folds in the ledger.

    Raises:
        StudyError: Files beside it would have the database delete another file.
    """
    refuse_leads(Path(make_url(url).database or ""))
    waiting = {"connect_args": {"timeout": PATIENCE}}
    storage = optuna.storages.RDBStorage(url, engine_kwargs=waiting)
    event.listen(storage.engine, "connect", _in_passing)
    storage.engine.dispose()  # its connections were opened before
    return storage


def refuse_leads(database: Path) -> None:
    """Refuse the journal of an interrupted change that names a file beyond its database.

    SQLite deletes the file that is named, once it has undone the change. It is meant for changes
    of several databases at once, which nothing here makes.

    Raises:
        StudyError: It does.
    """
    journal = database.with_name(f"{database.name}-journal")
    if not journal.is_file():
        return
    with journal.open("rb") as file:
        file.seek(max(0, journal.stat().st_size - len(_MAGIC)))
        if file.read() == _MAGIC:
            raise StudyError(
                f"{journal}: names another file, which SQLite would delete; no study writes such "
                "a journal: delete it, or restore the study from a copy"
            )


def _in_passing(connection: sqlite3.Connection, record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def drawn_before(storage: str, names: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the parameters of what a sampler drew in these studies, each once, oldest first.

    Points and rows of a list are no part of it: they come first in every search.

    Raises:
        StudyError: The storage cannot be opened.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for name in names:
        study, backend = open_study(storage, name)
        with _opening(storage):
            trials = study.get_trials()
        close_storage(backend)
        for trial in trials:
            listed = {"point", "row"} & trial.user_attrs.keys()
            params = drawn_by(trial)
            if trial.state.is_finished() and params and not listed:
                found.setdefault(repr(sorted(params.items())), params)
    return list(found.values())


def close_storage(storage: optuna.storages.BaseStorage) -> None:
    """Let go of a storage's connections; those of a shared one stay."""
    storage.remove_session()
    if any(storage is each for each in (_shared.get() or {}).values()):
        return
    if isinstance(storage, optuna.storages.GrpcStorageProxy):
        storage.close()
    engine = getattr(storage, "_backend", storage)
    if hasattr(engine, "engine"):
        engine.engine.dispose()
