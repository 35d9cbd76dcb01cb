"""The straight line: search, retrain the best, export the winner, report.

A nested estimate, where it was asked for, comes between the final stage and the export: it decides
nothing, and whoever stops it keeps the rest.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial

from mer_nas import report
from mer_nas.architectures.extensions import load_extensions
from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Protocol
from mer_nas.errors import ExportError, MerNasError, TrainingFailed
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.files import sweep
from mer_nas.report import Report
from mer_nas.search.driver import StudyDriver
from mer_nas.search.events import Listener, Note, ignore
from mer_nas.search.journal import Journal
from mer_nas.search.ledger import HINDSIGHT, Ledger
from mer_nas.search.lock import StudyLock, refuse_driven
from mer_nas.search.measure import Measurement
from mer_nas.search.patience import Patience
from mer_nas.search.proposals import Proposer
from mer_nas.search.storage import drawn_before, sharing
from mer_nas.search.trials import TRIALS, KeptTrial
from mer_nas.search.workers import Workers
from mer_nas.settings import Settings
from mer_nas.study import nested
from mer_nas.study.exports import Networks, export_ensemble, export_winner
from mer_nas.study.folder import Origin, StudyFolder, going_on, keep_settings
from mer_nas.study.plans.forecast import Forecast
from mer_nas.study.plans.search import opened
from mer_nas.study.predictions import write_predictions
from mer_nas.study.restore import refuse_drift, restore_trials
from mer_nas.study.resume import refuse_less, renewed, unchanged
from mer_nas.study.sessions import add_session, saying_what_is_kept, sessions
from mer_nas.study.state import StudyState
from mer_nas.study.summary import note_end, summary
from mer_nas.study.timings import announcement, clock_candidates
from mer_nas.study.tracked import tracked
from mer_nas.systems import grid
from mer_nas.tracking import Tracking


def run(
    folder: StudyFolder,
    clips: ClipSet,
    on_event: Listener = ignore,
    command: str = "",
    changed: Settings | None = None,
    *,
    anew: bool = False,
) -> int:
    """Bring a study to its end: what is missing of the search, the final stage, export and report.

    A study that was interrupted goes on where it was; one that is complete is only reported anew.

    Args:
        folder: The study.
        clips: Its data.
        on_event: Is told what happens.
        command: What started this session.
        changed: Settings that hold from now on, from `extended`; kept once the study is ours.
        anew: Where other code began the study, or folds of it are lost, measure its candidates
            again with this one.

    Returns:
        How much failed: trials, repetitions of the final stage, exports, and one for outer
        groups that could not be asked.

    Raises:
        StudyError: Another process runs the study, or the clips or the code are not its own.
    """
    begun, settings = folder.origin(), changed or folder.settings()
    load_extensions(settings.space.extensions)
    if not anew:
        unchanged(folder, begun, clips, settings.space.extensions)
    with ExitStack() as stack:
        stack.enter_context(sharing())
        with saying_what_is_kept(folder), StudyLock(folder.path, on_event) as lock:
            begun = _goes_on(folder, begun, clips, settings, on_event, anew=anew)
            tracking = stack.enter_context(tracked(folder, begun, settings, on_event))
            files, device = settings.space.extensions, settings.trainer.device
            workers = Workers(settings.ray, folder.path, tracking, lock, files, device)
            with _session(folder, command or begun.command, workers, tracking):
                state = _trained(folder, clips, settings, workers, tracking, anew=anew)
                clock_candidates(state, tracking)
                unexported = _exported(state, clips, on_event)
                note_end(state)
                tracking.catch_up()
        with saying_what_is_kept(folder):
            written = _write_report(state)
        tracking.win(written)
    failed = written.outcomes["failed"] + len(written.study.final_failures)
    return failed + unexported + bool(written.study.nested_note)


def _goes_on(
    folder: StudyFolder,
    begun: Origin,
    clips: ClipSet,
    settings: Settings,
    on_event: Listener,
    *,
    anew: bool,
) -> Origin:
    """Make whole what an earlier session left, and say so; return what the study goes on with."""
    for gone in sweep(folder.exports):
        on_event(Note(f"{gone}: left behind by an export that was killed; removed"))
    past = _whole(folder, begun, clips, settings, on_event, anew=anew)
    refuse_less(past.settings.study, settings.study, past.counted, past.search_seconds)
    on_event(opened(past, settings, clips))
    for note in sessions(folder).notes:
        on_event(Note(note))
    return past.origin


def _whole(
    folder: StudyFolder,
    begun: Origin,
    clips: ClipSet,
    settings: Settings,
    on_event: Listener,
    *,
    anew: bool,
) -> StudyState:
    """Restore what a study has lost of its trials; return what it knows as it goes on.

    Raises:
        StudyError: Folds are lost, or another program has ended trials, and it is not begun anew.
    """
    restore_trials(folder, begun, settings, on_event)
    state = StudyState(folder, begun)
    if anew:
        lost = state.begun and state.has_lost
        origin = renewed(folder, begun, clips, settings.space.extensions, again=lost)
        return StudyState(folder, origin)
    if state.begun:
        state.refuse_gaps()
        refuse_drift(state, clips)
    return state


def _exported(state: StudyState, clips: ClipSet, on_event: Listener) -> int:
    """Export winner and ensemble; return how many failed: the report is written in either case."""
    failures, trained = dict[str, str](), Networks()
    for what, export in (("winner", export_winner), ("ensemble", export_ensemble)):
        try:
            export(state, clips, on_event, trained)
        except (ExportError, TrainingFailed) as error:
            on_event(Note(f"the {what} is not exported: {error}"))
            failures[what] = str(error)
    state.note("export_failures", failures)
    return len(failures)


def _trained(
    folder: StudyFolder,
    clips: ClipSet,
    settings: Settings,
    workers: Workers,
    on_event: Listener,
    *,
    anew: bool,
) -> StudyState:
    """Do all that trains; return what is known once Ray has ended."""
    outer = settings.study.outer
    asks = going_on(folder.origin(), settings, clips)  # kept once the search may begin
    if nested.unasked(folder, asks, settings.study.seed, asks.code):
        planned = Forecast.of(settings, clips)
        on_event(Note(planned.outlay(settings.study)))
    with workers:
        state = _search(folder, clips, settings, workers, on_event)
        if outer is None:
            return state
        nested.measure_outer_groups(
            state, clips, workers, partial(_inner_search, workers, anew), on_event
        )
    return StudyState(folder, state.origin)


def _search(
    folder: StudyFolder,
    clips: ClipSet,
    settings: Settings,
    workers: Workers,
    on_event: Listener,
) -> StudyState:
    """Bring search and final stage to their end; return what is known."""
    begun = folder.origin()
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(folder.ledger, on_event))
        trials = stack.enter_context(Journal(TRIALS, folder.trials, on_event))
        if not len(ledger):
            workers.start()  # before the storage hears of the study: there may be no Ray
        driver = _driver(folder, begun, settings, clips, ledger, trials, on_event)
        with closing(driver):
            if not driver.idle:
                workers.start()  # before the new settings are kept
            origin = keep_settings(folder, settings, clips)
            evaluator = _evaluator(settings, clips, driver.protocol)
            workers.run(driver, evaluator, needed=not driver.idle)
        state = StudyState(folder, origin)
        final = settings.study.final is not None and bool(state.ranked())
        if final and _final(state, clips, ledger, workers, on_event):
            return StudyState(folder, origin)
    return state


def _inner_search(
    workers: Workers,
    anew: bool,
    folder: StudyFolder,
    clips: ClipSet,
    settings: Settings,
    on_event: Listener,
) -> StudyState:
    """Run a search that does not see an outer group, on the workers of the study."""
    with StudyLock(folder.path, on_event):
        # Whether other code may go on was decided for the whole study.
        origin = renewed(folder, folder.origin(), clips, settings.space.extensions)
        _whole(folder, origin, clips, settings, on_event, anew=anew)
        with _session(folder, origin.command, workers):
            return _search(folder, clips, settings, workers, on_event)


def rewrite_report(folder: StudyFolder) -> Report:
    """Write the report of a study anew from its storage and ledger; train nothing.

    Raises:
        StudyError: The study still runs.
    """
    refuse_driven(folder.path)
    state = StudyState(folder, folder.origin())
    with saying_what_is_kept(folder):
        return _write_report(state)


def _driver(
    folder: StudyFolder,
    origin: Origin,
    settings: Settings,
    clips: ClipSet,
    ledger: Ledger,
    trials: Journal[KeptTrial],
    on_event: Listener,
) -> StudyDriver:
    study = settings.study
    proposer = Proposer(settings.space, settings.trainer, len(clips.classes))
    return StudyDriver(
        propose=proposer,
        draft=proposer.draft,
        points=settings.space.points,
        settings=study,
        clips=clips,
        protocol=study.divided(clips),
        ledger=ledger,
        code=origin.code,
        storage=folder.storage(study),
        name=origin.optuna,
        grid=grid(settings.space, study.sampler),
        again=drawn_before(folder.storage(study), origin.earlier),
        journal=trials,
        on_event=on_event,
    )


def _final(
    state: StudyState, clips: ClipSet, ledger: Ledger, workers: Workers, on_event: Listener
) -> bool:
    """Measure what the final stage lacks; return whether it lacked anything."""
    study = state.settings.study
    assert study.final is not None
    entries = state.for_final()
    protocol = study.divided(clips, study.final.folds)
    with ExitStack() as stack:
        back = None
        if study.final.best_epoch:
            back = stack.enter_context(Journal(HINDSIGHT, state.folder.hindsight, on_event))
        stage = Measurement(
            {entry.label: entry.candidate for entry in entries},
            study.final.seeds,
            clips=clips,
            protocol=protocol,
            ledger=ledger,
            code=state.origin.code,
            seed=study.seed,
            chance=study.final.chance,
            stay={member.key for member in state.ensemble.members} if state.ensemble else (),
            hindsight=back.append if back is not None else None,
            patience=Patience(study.fold_seconds),
            on_event=on_event,
        )
        if lacking := bool(stage.missing):
            on_event(Note(announcement(state, entries, workers.start())))
        workers.measure(stage, _evaluator(state.settings, clips, protocol))
    state.note("final_failures", dict(stage.failures))
    state.note("left", dict(stage.left))
    return lacking


def _evaluator(settings: Settings, clips: ClipSet, protocol: Protocol) -> Evaluator:
    return Evaluator(clips, protocol, settings.study.seed, settings.space.extensions)


def _write_report(state: StudyState) -> Report:
    built = report.build_report(summary(state))
    report.write_report(state.folder.path, built)
    if state.folder.ledger.is_file():
        write_predictions(state.folder.ledger, state.origin.data.classes, state.folder.predictions)
    return built


@contextmanager
def _session(
    folder: StudyFolder, command: str, workers: Workers, tracking: Tracking | None = None
) -> Iterator[None]:
    """Keep how long this session lasts, what works for it and who was told, however it ends."""
    began = time.monotonic()

    def add() -> None:
        notes = [workers.note, *(tracking.notes if tracking else ())]
        said = "; ".join(filter(None, notes))
        add_session(folder, time.monotonic() - began, command, workers.many, said)

    try:
        yield
    except BaseException:
        with suppress(
            OSError, MerNasError
        ):  # what ended it matters more, and may have been the same disk
            add()
        raise
    add()
