"""What comes before a study goes on: a lost storage comes back, and nothing has drifted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import optuna
from optuna.trial import FrozenTrial

from mer_nas.config.overrides import leaves
from mer_nas.data.clips import ClipSet
from mer_nas.errors import Infeasible, StudyError
from mer_nas.search.draws import KnownDraw
from mer_nas.search.events import Listener, Note
from mer_nas.search.ledger import read
from mer_nas.search.proposals import Proposer
from mer_nas.search.storage import close_storage, is_lost, open_study
from mer_nas.search.trials import TRIALS, damage, drawn_by, restore
from mer_nas.settings import Settings
from mer_nas.study.folder import Origin, StudyFolder
from mer_nas.study.state import StudyState
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
    if settings.study.storage is not None or not is_lost(folder.storage(settings.study)):
        return
    folds = read(folder.ledger) if folder.ledger.is_file() else ()
    if folds:
        known = len({result.candidate for result in folds if result.code == origin.code})
        on_event(
            Note(
                f"{folder.database}: is not there, or empty, and the study is from before there "
                f"was {folder.trials.name}, which would give it back; its trials are drawn again: "
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


def refuse_drift(state: StudyState, clips: ClipSet) -> None:
    """Refuse a study of before whose settings make other folds or candidates than it measured.

    A younger study knows the settings that it began with (`resume.refuse_edited`).

    Raises:
        StudyError: They do.
    """
    study, origin = state.settings.study, state.origin
    if origin.settings is not None:
        return
    place = f"{state.folder.settings_file}: "
    if study.divided(clips) != origin.search:
        raise StudyError(
            f"{place}study.folds={study.folds}, study.block={study.block} and study.seed="
            f"{study.seed} make other folds than those of {origin.search.name} that the study "
            "was made with; put back what was there"
        )
    proposer = Proposer(state.settings.space, state.settings.trainer, len(clips.classes))
    drawn = [trial for trial in state.trials if "tree" in trial.user_attrs and trial.params]
    for trial in drawn[:1] + drawn[1:][-1:]:
        _refuse_other(trial, proposer, place)


def _refuse_other(trial: FrozenTrial, proposer: Proposer, place: str) -> None:
    """Refuse settings that make of a trial's parameters another candidate than was measured."""
    try:
        found = proposer.draft(KnownDraw(drawn_by(trial), Random(0))).candidate
    except Infeasible as error:
        raise StudyError(f"{place}trial {trial.number} is impossible with it: {error}") from None
    measured = trial.user_attrs["tree"]
    if found.key == trial.user_attrs["candidate"]:
        return
    then, now = leaves(measured), leaves(found.dump())
    other = [
        f"{key}={now[key]} (was {then[key]})"
        for key in now
        if key in then and now[key] != then[key]
    ]
    raise StudyError(
        f"{place}what it makes of trial {trial.number} is another candidate than was measured"
        f"{': ' if other else ''}{', '.join(other[:5])}; put back what was there"
    )
