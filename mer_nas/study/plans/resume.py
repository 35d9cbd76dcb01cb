"""What is left to do of a study.

How long it takes follows from what the study itself has measured, where it has: the seconds of the
folds in its ledger.
"""

from __future__ import annotations

import statistics
from collections import Counter

from optuna.trial import TrialState

from mer_nas.config import presets
from mer_nas.data.clips import ClipSet
from mer_nas.errors import StudyError
from mer_nas.provenance import code_version
from mer_nas.search.budget import COUNTED
from mer_nas.search.events import Listener, ignore
from mer_nas.search.lock import refuse_driven
from mer_nas.search.race import FAILED_SEED
from mer_nas.search.trials import TRIALS
from mer_nas.settings import Settings
from mer_nas.study.folder import StudyFolder, going_on
from mer_nas.study.nested import unasked
from mer_nas.study.plans.forecast import trial_bound, visits, workers_here
from mer_nas.study.plans.plan import Plan
from mer_nas.study.plans.search import plan_search
from mer_nas.study.restore import refuse_drift
from mer_nas.study.resume import refuse_less, refuse_other_clips, unchanged
from mer_nas.study.state import StudyState
from mer_nas.study.timings import clip_seconds, seconds_per_clip
from mer_nas.systems import trained_by
from mer_nas.wording import count, duration


def plan_resume(
    folder: StudyFolder,
    settings: Settings,
    clips: ClipSet,
    on_event: Listener = ignore,
    *,
    anew: bool = False,
) -> Plan:
    """Return what is left of a study and how long it takes; nothing of the study is touched.

    Args:
        folder: The study.
        settings: As they would hold from now on.
        clips: Its data, which may be listed only.
        on_event: Is told what a reader should know of the space.
        anew: As of `run`.

    Raises:
        StudyError: The study still runs, the clips or the code are not its own, or its storage is
            lost.
    """
    refuse_driven(folder.path)
    began = folder.origin()
    state = StudyState(folder, going_on(began, settings, clips), looking=True, settings=settings)
    if anew:
        refuse_other_clips(folder, began, clips)
    else:
        unchanged(folder, began, clips, settings.space.extensions)
    if not state.begun:
        if folder.trials.is_file() and TRIALS.read(folder.trials):
            raise StudyError(
                f"{folder.path}: its trials cannot be read where they are stored; "
                f"`{folder.resume}` builds them from {folder.trials.name}, and then it can be "
                "said what is left"
            )
        return plan_search(settings, clips, on_event)
    if not anew:
        state.refuse_gaps()
        refuse_drift(state, clips)
    version = code_version(settings.space.extensions)
    other = anew and version != began.code
    again = other or (anew and state.has_lost)
    if not again:
        kept = folder.settings().study
        refuse_less(kept, settings.study, state.counted, state.search_seconds)
    outer = unasked(folder, state.origin, settings.study.seed, version)
    return _plan(state, clips, outer, again=again)


def _plan(state: StudyState, clips: ClipSet, outer: int, *, again: bool) -> Plan:
    """Say what is left of a study.

    Args:
        state: What it knows.
        clips: Its data.
        outer: How many outer groups are still to be asked.
        again: Whether all that it has measured is measured anew.
    """
    settings, study = state.settings, state.settings.study
    outcomes = Counter(str(trial.user_attrs["outcome"]) for trial in state.trials)
    workers = workers_here(settings.ray)
    trials, rest = _trials_left(state, outcomes, again=again)
    each = _trial_seconds(state)
    bounds = [rest, None if trials is None or each is None else trials * each / workers]
    search = 0.0 if trials == 0 else min((b for b in bounds if b is not None), default=None)
    repetitions, final = _final_left(state, over=trials == 0)
    final = None if final is None else final / workers
    done = ", ".join(f"{outcomes[name]} {name}" for name in COUNTED if outcomes[name])
    lines = [
        f"{state.folder.name}: {settings.space.place} on {clips.describe()}",
        f"done: {done or 'no trial'}" + (", all of which is measured anew" if again else ""),
        _said_of_search(state, trials, each, search),
    ]
    if study.final is not None:
        most = "" if trials == 0 else "at most "
        left = f"{most}{count(repetitions, 'repetition')} left{_about(final)}"
        lines.append(f"final stage: {left if repetitions else 'nothing left to train'}")
    if outer:
        lines.append(
            f"nested estimate: {outer} of {count(study.outer or 0, 'outer group')} not asked yet; "
            "each takes a search with the whole budget and a final stage"
        )
    whole = None if search is None or final is None or outer else search + final
    if whole:
        lines.append(f"in all{_about(whole).removeprefix(',')} on {count(workers, 'worker')}")
    elif not (outer or trials or repetitions):
        lines.append("what is not exported yet is, and the report is written anew")
    tree = {
        "settings": settings.dump(),
        "data": clips.counts(),
        "done": dict(outcomes),
        "trials": trials,
        "workers": workers,
        "seconds_per_trial": each,
        "search_seconds": search,
        "final_repetitions": repetitions,
        "final_seconds": final,
        "outer_groups": outer,
        "total_seconds": whole,
    }
    return Plan("\n".join(lines), presets.dump(settings.dump()), tree)


def _trials_left(
    state: StudyState, outcomes: Counter[str], *, again: bool
) -> tuple[int | None, float | None]:
    """Return how many trials a search will still train, and in how many seconds at most.

    None where nothing bounds them.
    """
    study, most = state.settings.study, trial_bound(state.settings)
    if again:
        return most, None if study.minutes is None else 60 * study.minutes
    running = len(state.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
    rest = None
    if study.minutes is not None:
        rest = max(0.0, 60 * study.minutes - state.search_seconds)
    ended = state.noted.get("ended", {}).get("bounds") == [study.trials, study.minutes]
    if ended or rest == 0.0:
        return running, None  # those that were interrupted are brought to their end
    counted = sum(outcomes[name] for name in COUNTED)
    return None if most is None else max(most - counted, running), rest


def _trial_seconds(state: StudyState) -> float | None:
    """Return what a trial took on one worker so far, pruned ones among them; none of nothing."""
    found = [state.folds_of(trial) for trial in state.trials]
    spent = [sum(result.seconds for result in folds) for folds in found if folds]
    return statistics.fmean(spent) if spent else None


def _said_of_search(
    state: StudyState, trials: int | None, each: float | None, seconds: float | None
) -> str:
    if trials == 0:
        return f"search: over{f' ({state.stopped})' if state.stopped else ''}"
    left = "no bound on the trials" if trials is None else f"{count(trials, 'trial')} left"
    took = "" if each is None else f", {duration(each)} each on one worker as those before took"
    return f"search: {left}{took}{_about(seconds, 'at most about')}"


def _about(seconds: float | None, word: str = "about") -> str:
    return "" if seconds is None else f", {word} {duration(seconds)}"


def _final_left(state: StudyState, *, over: bool) -> tuple[int, float | None]:
    """Return how many repetitions the final stage still trains, and the seconds on one worker.

    Until the search is over, that is as many as there may be, each as long as its trials so far.
    """
    final, protocol, settings = state.settings.study.final, state.origin.final, state.settings
    if final is None or protocol is None:
        return 0, 0.0
    if not over:
        jobs = settings.study.final_jobs(len(settings.space.points))
        trainer = trained_by(
            settings.trainer, final.trainer, settings.trainer_words, "study.final"
        )
        paces = [
            pace
            for trial in state.trials
            if state.folds_of(trial)
            and (pace := seconds_per_clip(state, trial.number)) is not None
        ]
        return jobs, jobs * statistics.fmean(paces) * visits(protocol, trainer) if paces else None
    repetitions, seconds = 0, 0.0
    for entry in state.for_final():
        key, trainer = entry.candidate.key, entry.candidate.trainer
        for seed in range(final.seeds):
            done = {result.fold for result in state.under(protocol, key, seed)}
            missing = [fold for fold in protocol.folds if fold.key not in done]
            if missing and state.left.get(key, FAILED_SEED) == FAILED_SEED:
                repetitions += 1
                clips = sum(protocol.clips - fold.clips for fold in missing)
                seconds += clip_seconds(state, entry) * trainer.visits(clips, len(missing))
    return repetitions, seconds
