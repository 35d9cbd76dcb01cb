"""What a search will do, in words: before it begins, and where it is only planned."""

from __future__ import annotations

from mer_nas.config import presets
from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Scheme
from mer_nas.search.config import StudyConfig
from mer_nas.search.events import Listener, Note, Opened, ignore
from mer_nas.search.storage import dashboard
from mer_nas.settings import Settings
from mer_nas.shell import command_line
from mer_nas.study.folder import StudyFolder
from mer_nas.study.plans.forecast import Forecast
from mer_nas.study.plans.plan import Plan
from mer_nas.study.state import StudyState
from mer_nas.systems import grid
from mer_nas.vetting import vet
from mer_nas.vetting.own import Noise
from mer_nas.wording import count, duration


def plan_search(settings: Settings, clips: ClipSet, on_event: Listener = ignore) -> Plan:
    """Return what a search would do and how long it would take; nothing is made or trained.

    Args:
        settings: What was asked for.
        clips: The data that the settings mean.
        on_event: Is told what a reader should know of the space.

    Raises:
        ConfigError: The space names a block or setting that there is not.
        Infeasible: A point, or every draw, breaks a rule of the grammar.
    """
    study = settings.study
    noise, drawn = Noise.like(settings.data, len(clips.classes)), study.sampler != "points"
    for line in vet(settings.space, settings.trainer, noise, drawn=drawn):
        on_event(Note(line))
    settings, planned = Forecast.of(settings, clips).decide(settings)
    study = settings.study
    lines = [
        f"{settings.space.place} on {clips.describe()}",
        _budget(settings),
        f"{count(len(planned.protocol.folds), 'fold')} a trial ({planned.protocol.name}), "
        f"{count(planned.workers, 'worker')}",
        f"about {duration(planned.seconds_per_trial)} for a whole trial on one worker"
        f"{_of_alternatives(study)}",
        *_stages(settings, planned),
        *filter(None, [planned.shortage(study)]),
    ]
    if study.outer is not None:
        lines.append(planned.outlay(study))
    tree = {
        "settings": settings.dump(),
        "data": clips.counts(),
        "protocol": planned.protocol.name,
        "folds": len(planned.protocol.folds),
        "trials": planned.trials,
        "minutes": study.minutes,
        "workers": planned.workers,
        "seconds_per_trial": planned.seconds_per_trial,
        "search_seconds": planned.search_seconds,
        "final_repetitions": planned.final_jobs,
        "final_seconds": planned.final_seconds,
        "final_share": planned.final_share(study.minutes),
        "searches": planned.searches,
        "total_seconds": planned.total_seconds(study.minutes),
    }
    return Plan("\n".join(lines), presets.dump(settings.dump()), tree)


def _stages(settings: Settings, planned: Forecast) -> list[str]:
    """Return the time of search and final stage, each with its share of both."""
    study, lines = settings.study, []
    share = planned.final_share(study.minutes) if study.final is not None else None
    search = planned.bounded(study.minutes)
    if search is not None:
        shorter = (
            "" if study.unpruned or planned.search_seconds != search else "; pruning shortens it"
        )
        of = "" if share is None else f" ({1 - share:.0%} of both)"
        lines.append(f"search: at most about {duration(search)}{of}{shorter}")
    if study.final is not None:
        of = "" if share is None else f" ({share:.0%} of both)"
        lines.append(
            f"final stage: {count(study.final.candidates, 'candidate')}{_together(study)}"
            f"{_beside(settings)} x {count(study.final.seeds, 'seed')}, "
            f"about {duration(planned.final_seconds)}{of}"
        )
    return lines


def _together(study: StudyConfig) -> str:
    ensemble = study.ensemble if study.final else None
    return f", an ensemble of at most {ensemble.members}" if ensemble else ""


def _of_alternatives(study: StudyConfig) -> str:
    return f", the soonest trained of {study.alternatives} draws" if study.weighs_cost else ""


def opened(past: StudyState, settings: Settings, clips: ClipSet) -> Opened:
    """Return what a session of a study begins with.

    Args:
        past: What the study knows.
        settings: As they hold from now on.
        clips: Its data.
    """
    folder = past.folder
    text = _opening(folder, settings, clips)
    if settings.study.minutes is not None and not past.begun:
        text += _too_little(settings, clips)
    return Opened(
        folder=folder.path,
        resume=folder.resume,
        trials=settings.study.trials,
        minutes=settings.study.minutes,
        final_jobs=settings.study.final_jobs(len(settings.space.points)),
        past=tuple(past.events()),
        seconds=past.search_seconds,
        text=text,
    )


def _opening(folder: StudyFolder, settings: Settings, clips: ClipSet) -> str:
    study, final = settings.study, settings.study.final
    protocol = _under(study.folds)
    protocol += " instead of LOSO, for speed" if isinstance(study.folds, int) else ""
    after = " and no final stage"
    if final is not None:
        after = (
            f"; the best {final.candidates}{_beside(settings)} then under "
            f"{_under(final.folds)} with {count(final.seeds, 'seed')}"
        )
    lines = [
        f"{folder.name}: {protocol}{after}",
        f"{settings.space.place} on {clips.describe()}",
        f"{_budget(settings)}; {', '.join(study.objectives)}; {study.sampler} sampler, "
        f"{'no' if study.unpruned else study.pruner} pruner, seed {study.seed}",
    ]
    if study.unpruned and study.pruner != "none":
        lines.append(f"study.pruner={study.pruner} has no effect: {study.unpruned}")
    lines += [
        f"everything lies in {folder.path}; Ctrl-C stops, `{folder.resume}` goes on",
    ]
    if words := dashboard(folder.storage(study)):
        lines.append(f"watch the trials: {command_line(*words)}")
    return "\n".join(lines)


def _too_little(settings: Settings, clips: ClipSet) -> str:
    """Return a line for the minutes of a search where they are too few; empty where they do."""
    line = Forecast.of(settings, clips).shortage(settings.study)
    return f"\n{line}" if line else ""


def _under(folds: Scheme) -> str:
    return f"{folds} subject groups" if isinstance(folds, int) else f"full {folds.upper()}"


def _beside(settings: Settings) -> str:
    """Return which warm starts are trained beside the finalists, in words; empty for none."""
    final = settings.study.final
    warm = min(final.warm_starts, len(settings.space.points)) if final else 0
    return f" and at most {count(warm, 'warm start')}" if warm else ""


def _budget(settings: Settings) -> str:
    study = settings.study
    listed = grid(settings.space, study.sampler)
    parts = [
        *([] if listed is None else [count(len(settings.space.points) + len(listed), "row")]),
        *([count(study.trials, "trial")] if study.trials else []),
        *([f"{study.minutes:g} minutes of search"] if study.minutes else []),
    ]
    return " or ".join(parts) or "no bound on the search"
