"""A search or a resumed search as the command line runs it: watched, interruptible, summed up."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial

import click

from mer_nas import systems
from mer_nas.cli.console import View, view
from mer_nas.cli.lines import say
from mer_nas.cli.tally import Tally
from mer_nas.config import presets
from mer_nas.config.base import Tree
from mer_nas.data.clips import ClipSet
from mer_nas.provenance import code_version
from mer_nas.report import Headline, NestedEstimate, Report, SelectionBias, Winner
from mer_nas.search.config import Folds
from mer_nas.search.storage import dashboard
from mer_nas.settings import Settings
from mer_nas.study import StudyFolder, create, run, tentative
from mer_nas.study.forecast import Forecast
from mer_nas.study.state import StudyState
from mer_nas.vetting import vet
from mer_nas.wording import count, duration, signed

DONE, FAILED, INTERRUPTED = 0, 1, 130


def begin(settings: Settings, clips: ClipSet, command: str, *, as_json: bool, quiet: bool) -> int:
    """Make a study and run it; return the exit status."""
    folder = create(settings, clips, command, partial(say, err=True))
    with tentative(folder):
        return go_on(folder, settings, clips, command, as_json=as_json, quiet=quiet)


def plan(settings: Settings, clips: ClipSet, *, as_json: bool) -> str:
    """Return what a search would do and how long it would take; nothing is made or trained."""
    for line in vet(settings.space, settings.trainer, drawn=settings.study.sampler != "points"):
        say(line, err=True)
    planned = Forecast.of(settings, clips)
    if as_json:
        return json.dumps(_plan_tree(settings, clips, planned), indent=2)
    study = settings.study
    lines = [
        presets.dump(settings.dump()),
        clips.describe(),
        _budget(settings),
        f"{count(len(planned.protocol.folds), 'fold')} a trial ({planned.protocol.name}), "
        f"{count(planned.workers, 'worker')}",
        f"about {duration(planned.seconds_per_trial)} for a whole trial on one worker",
    ]
    if planned.search_seconds is not None:
        lines.append(
            f"search: at most about {duration(planned.search_seconds)}"
            + ("" if study.unpruned else "; pruning shortens it")
        )
    if study.final is not None:
        lines.append(
            f"final stage: {count(study.final.candidates, 'candidate')}"
            f"{_beside(settings)} x {count(study.final.seeds, 'seed')}, "
            f"about {duration(planned.final_seconds)}"
        )
    if study.outer is not None:
        lines.append(planned.outlay(settings.study))
    return "\n".join(lines)


def _plan_tree(settings: Settings, clips: ClipSet, planned: Forecast) -> Tree:
    return {
        "settings": settings.dump(),
        "data": clips.counts(),
        "protocol": planned.protocol.name,
        "folds": len(planned.protocol.folds),
        "trials": planned.trials,
        "minutes": settings.study.minutes,
        "workers": planned.workers,
        "seconds_per_trial": planned.seconds_per_trial,
        "search_seconds": planned.search_seconds,
        "final_repetitions": planned.final_jobs,
        "final_seconds": planned.final_seconds,
        "searches": planned.searches,
        "total_seconds": planned.total_seconds(settings.study.minutes),
    }


def go_on(
    folder: StudyFolder,
    settings: Settings,
    clips: ClipSet,
    command: str,
    *,
    as_json: bool,
    quiet: bool,
    anew: bool = False,
) -> int:
    """Run what is left of a study; return the exit status."""
    final = settings.study.final
    tally = Tally(
        settings.study.trials,
        settings.study.minutes,
        final.jobs(len(settings.space.points)) if final else 0,
    )
    past = StudyState(folder, folder.origin())
    if not anew or past.origin.code == code_version(settings.space.extensions):
        for event in past.events():
            tally.add(event)
        tally.begin(past.search_seconds)
    watching = view(tally, quiet=quiet)
    _opening(watching, folder, settings, clips)
    try:
        with watching:
            outcome = run(folder, clips, watching, command, settings, anew=anew)
    except KeyboardInterrupt:
        say(f"interrupted; `{folder.resume}` goes on from here", err=True)
        return INTERRUPTED
    if as_json:
        click.echo(outcome.report.to_json(), nl=False)
    else:
        say(closing(outcome.report, folder))
    return FAILED if outcome.failed else DONE


def _failures(report: Report) -> list[str]:
    """Return what failed, a line a reason: trials, and repetitions of the final stage."""
    study = report.study
    trials = Counter(trial.error for trial in study.trials if trial.outcome == "failed")
    final = Counter(study.final_failures.values())
    lines = [f"failed    {count(n, 'trial')}: {reason}" for reason, n in trials.most_common(3)]
    lines += [
        f"failed    {count(n, 'repetition')} of the final stage: {reason}"
        for reason, n in final.most_common(3)
    ]
    if study.final_failures and not study.finalists:
        lines.append("          so there is no finalist and no export, only the search's best")
    return lines


def _under(folds: Folds) -> str:
    return f"{folds} subject groups" if isinstance(folds, int) else f"full {folds.upper()}"


def _beside(settings: Settings) -> str:
    """Return which warm starts are trained beside the finalists, in words; empty for none."""
    final = settings.study.final
    warm = min(final.warm_starts, len(settings.space.points)) if final else 0
    return f" and at most {count(warm, 'warm start')}" if warm else ""


def _opening(watching: View, folder: StudyFolder, settings: Settings, clips: ClipSet) -> None:
    folds = settings.study.folds
    protocol = _under(folds) + (" instead of LOSO, for speed" if isinstance(folds, int) else "")
    final = settings.study.final
    after = " and no final stage"
    if final is not None:
        seeds = count(final.seeds, "seed")
        after = (
            f"; the best {final.candidates}{_beside(settings)} then under "
            f"{_under(final.folds)} with {seeds}"
        )
    watching.say(f"{folder.name}: {protocol}{after}")
    watching.say(f"{settings.space.place} on {clips.describe()}")
    watching.say(
        f"{_budget(settings)}; {', '.join(settings.study.objectives)}; {settings.study.sampler} "
        f"sampler, {'no' if settings.study.unpruned else settings.study.pruner} pruner, "
        f"seed {settings.study.seed}"
    )
    if settings.study.unpruned and settings.study.pruner != "none":
        watching.say(
            f"study.pruner={settings.study.pruner} has no effect: {settings.study.unpruned}"
        )
    watching.say(f"everything lies in {folder.path}; Ctrl-C stops, `{folder.resume}` goes on")
    watching.say(f"watch the trials: {dashboard(folder.storage(settings.study))}")


def _budget(settings: Settings) -> str:
    study = settings.study
    listed = systems.grid(settings.space, study.sampler)
    parts = [
        *([] if listed is None else [count(len(settings.space.points) + len(listed), "row")]),
        *([count(study.trials, "trial")] if study.trials else []),
        *([f"{study.minutes:g} minutes of search"] if study.minutes else []),
    ]
    return " or ".join(parts) or "no bound on the search"


def closing(report: Report, folder: StudyFolder) -> str:
    """Return the last lines of a search: what won, how good it is, where it lies, what is next."""
    study, outcomes = report.study, report.outcomes
    lines = [
        f"{count(report.counted, 'trial')}: {outcomes['complete']} complete, "
        f"{outcomes['pruned']} pruned, {outcomes['failed']} failed; "
        f"pruning saved {study.compute.saved:.0%} of the folds",
        *_failures(report),
        *_answer(report.answer),
        *_worth(report),
        *_front(report),
        *(table.to_text() for table in report.tables),
        f"report    {folder.path / 'report.html'}",
    ]
    if study.export:
        lines.append(f"exported  {study.export.folder}: {', '.join(study.export.files)}")
    lines += [f"all       {folder.path}", "next:"]
    width = min(72, max((len(step.command) for step in study.next_steps), default=0))
    lines += [f"  {step.command:<{width}}  # {step.purpose}" for step in study.next_steps]
    return "\n".join(lines)


def _worth(report: Report) -> list[str]:
    """Return what to expect of the winner, by how much it was flattered, and how it compares."""
    study, answer = report.study, report.answer
    if answer is None:
        return []
    lines = []
    if study.headline is not None and study.selection is not None:
        lines += _headline(study.headline, study.selection)
    elif study.selection_note:
        lines.append(f"headline  unknown: {study.selection_note}")
    lines += _nested(study.nested, study.nested_note)
    lines.append(f"          {answer.honesty}")
    of = count(len(study.comparisons), "comparison")
    for other in study.comparisons:
        lead = other.difference
        lines.append(
            f"          {signed(lead.value)} [{signed(lead.low)}, {signed(lead.high)}] against "
            f"{other.label} ({other.origin}), p = {other.adjusted:.2g} ({of})"
        )
    return lines


def _headline(found: Headline, chosen: SelectionBias) -> list[str]:
    uf1 = found.uf1
    interval = f"[{uf1.low:.3f}, {uf1.high:.3f}]"
    at_least = "at least " if found.upper_bound else ""
    worth = f"{uf1.value:.3f} {interval} on new subjects"
    if found.upper_bound:
        worth = f"at most {uf1.value:.3f} on new subjects (interval of that bound {interval})"
    why = f"; {chosen.caveat}" if chosen.caveat else ""
    corrected = ", ".join(
        f"{name} {score.value:.3f} [{score.low:.3f}, {score.high:.3f}]"
        for name, score in (
            ("UF1", chosen.uf1),
            ("UAR", chosen.uar),
            ("accuracy", chosen.accuracy),
        )
    )
    return [
        f"headline  UF1 {worth}: {found.mean:.3f} less {at_least}{found.optimism:.3f}",
        f"optimism  {at_least}{found.optimism:.3f} for the best of "
        f"{count(chosen.candidates, 'complete trial')} ({chosen.protocol}{why})",
        f"          corrected: {corrected}",
    ]


def _nested(found: NestedEstimate | None, note: str) -> list[str]:
    """Return what the searches that never saw their outer group came to, a line or two."""
    if found is None:
        return [f"nested    {note}"] if note else []
    uf1, groups = found.uf1, count(len(found.groups), "outer group")
    return [
        f"nested    UF1 {uf1.value:.3f} [{uf1.low:.3f}, {uf1.high:.3f}] on {groups} that their "
        f"searches never saw, {count(len(found.scores), 'seed')}",
        f"          inside, the same searches chose their winners at {found.inside:.3f}",
    ]


def _front(report: Report) -> list[str]:
    """Return the front of a search with several objectives, a line each."""
    return [
        f"{'front' if index == 0 else '':<10}{row.label}: UF1 {row.search_score:.3f}, "
        f"{row.parameters or 0:,} weights, {(row.macs or 0) / 1e6:.1f} MMAC"
        for index, row in enumerate(report.front)
    ]


def _answer(answer: Winner | None) -> list[str]:
    if answer is None:
        return ["no trial was complete, so there is no winner"]
    uf1 = answer.uf1
    spread = f" +- {uf1.deviation:.3f}" if uf1.deviation is not None else ""
    rest = [
        f"{name} {score.mean:.3f}"
        for name, score in (("UAR", answer.uar), ("accuracy", answer.accuracy))
        if score is not None
    ]
    whence = "a published point" if answer.label == answer.origin else answer.origin
    size = f"{answer.parameters:,} weights, " if answer.parameters else ""
    lines = [
        f"winner    {answer.label} ({whence}), {size}{(answer.macs or 0) / 1e6:.1f} MMAC",
        *([f"          {answer.fidelity}: {answer.source}"] if answer.fidelity else []),
        f"UF1       {uf1.mean:.3f}{spread} over {count(uf1.seeds, 'seed')}, {answer.protocol}"
        + (f"; {', '.join(rest)}" if rest else ""),
    ]
    if answer.against is not None:
        other = answer.against
        lines.insert(
            -1,
            f"          {signed(other.difference)} against the best warm start, {other.label} "
            f"({other.protocol})",
        )
    return lines
