"""What a study that goes on gets back before it does: a storage that was lost or damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import optuna

from mer_nas.search.events import Listener, Note
from mer_nas.search.ledger import read
from mer_nas.search.storage import close_storage, open_study
from mer_nas.search.trials import TRIALS, damage, restore
from mer_nas.settings import Settings
from mer_nas.study.folder import Origin, StudyFolder
from mer_nas.wording import count

SET_ASIDE = ".damaged"
"""What is put after the name of a database that cannot be read."""


def restore_trials(
    folder: StudyFolder, origin: Origin, settings: Settings, on_event: Listener
) -> None:
    """Give the storage of a study back what it has lost, from the journal of its trials.

    Args:
        folder: The study, locked by this process.
        origin: What it began with.
        settings: As they hold from now on.
        on_event: Is told what came back, and what did not.

    Raises:
        StudyError: The journal is damaged, or the storage cannot be opened.
    """
    if not folder.trials.is_file():
        _say_what_is_lost(folder, origin, settings, on_event)
        return
    entries = TRIALS.read(folder.trials)
    if settings.study.storage is None and entries:
        _set_aside(folder, on_event)
    for name in (*origin.earlier, origin.optuna):
        mine = [entry for entry in entries if entry.study == name]
        if not mine:
            continue
        with _opened(folder, settings, name) as study:
            if back := restore(study, mine):
                on_event(
                    Note(
                        f"{folder.trials}: {count(back, 'trial')} that the storage had lost "
                        f"{'is' if back == 1 else 'are'} back in it"
                    )
                )


def _set_aside(folder: StudyFolder, on_event: Listener) -> None:
    """Put a database that cannot be read out of the way of a new one; nothing is deleted."""
    database = folder.database
    if not (found := damage(database)):
        return
    aside = database.with_name(database.name + SET_ASIDE)
    database.replace(aside)
    for suffix in ("-wal", "-shm", "-journal"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    on_event(Note(f"{database}: {found}; it lies in {aside} now, and is rebuilt"))


def _say_what_is_lost(
    folder: StudyFolder, origin: Origin, settings: Settings, on_event: Listener
) -> None:
    """Say of a study from before there was such a journal what its lost storage takes with it."""
    if settings.study.storage is not None or folder.database.is_file():
        return
    folds = read(folder.ledger) if folder.ledger.is_file() else ()
    if folds:
        known = len({result.candidate for result in folds if result.code == origin.code})
        on_event(
            Note(
                f"{folder.database}: is not there, and the study is from before there was "
                f"{folder.trials.name}, which would give it back; its trials are drawn again: "
                f"their numbers, ends and times are lost, and of the {count(len(folds), 'fold')} "
                f"of {count(known, 'candidate')} in the ledger those serve that are drawn again"
            )
        )


@contextmanager
def _opened(folder: StudyFolder, settings: Settings, name: str) -> Iterator[optuna.Study]:
    study, storage = open_study(folder.storage(settings.study), name, settings.study)
    try:
        yield study
    finally:
        close_storage(storage)
