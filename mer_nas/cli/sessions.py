"""What a verb that takes long has in common: it is watched, interruptible, and summed up."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mer_nas import api
from mer_nas.cli.console import View
from mer_nas.cli.lines import say
from mer_nas.cli.output import drawn
from mer_nas.search.events import Event, Listener, Opened, Preparing
from mer_nas.wording import count, duration, signed

if TYPE_CHECKING:
    from mer_nas.report import Headline, NestedEstimate, Report, SelectionBias, Winner

DONE, FAILED, INTERRUPTED = 0, 1, 130
T = TypeVar("T")

_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


class _ClipLines(View):
    """Prints now and then how far the preparation is."""

    def __init__(self) -> None:
        self.began = self.said = 0.0

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if not isinstance(event, Preparing):
            return
        now, clips = time.monotonic(), count(event.of, "clip")
        if event.done == 0:
            self.began = self.said = now
            click.echo(f"preparing {clips}; they are kept for the next time", err=True)
        elif event.done == event.of:
            click.echo(f"prepared {clips} in {duration(now - self.began)}", err=True)
        elif now - self.said >= _EVERY:
            self.said = now
            left = (now - self.began) / event.done * (event.of - event.done)
            click.echo(
                f"prepared {event.done} of {clips}, about {duration(left)} left",
                err=True,
            )


class _ClipBar(View):
    """Draws a bar on a terminal."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("preparing clips"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(file=drawn(sys.stderr)),
            transient=True,
        )

    def __call__(self, event: Event) -> None:
        """Move the bar."""
        if isinstance(event, Preparing):
            if not self.progress.task_ids:
                self.progress.start()
                self.progress.add_task("", total=event.of)
            self.progress.update(self.progress.task_ids[0], completed=event.done)

    def __exit__(self, *_: object) -> None:
        """Clear the drawing."""
        self.progress.stop()


class _Watch:
    """Shows how clips are prepared, and then what a view shows of all that follows."""

    def __init__(self, view: View, *, quiet: bool) -> None:
        self.view = view
        loud = _ClipBar() if sys.stderr.isatty() else _ClipLines()
        self.clips: View = View() if quiet else loud
        self.begun = False
        self.interrupted = (
            "interrupted; the clips that are prepared are kept, and the same command goes on"
        )

    def __call__(self, event: Event) -> None:
        if isinstance(event, Preparing):
            self.clips(event)
            return
        if not self.begun:
            self.begun = True
            self.clips.__exit__()
            self.view.__enter__()
            self.interrupted = "interrupted; the same command goes on from here"
        if isinstance(event, Opened):
            self.interrupted = f"interrupted; `{event.resume}` goes on from here"
        self.view(event)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.begun:
            self.view.__exit__()
        else:
            self.clips.__exit__()


def watched(action: Callable[[Listener], T], view: View, *, quiet: bool) -> T:
    """Do what takes long and return what it does; on Ctrl-C say how to go on, and end.

    Args:
        action: Is given what to tell its events to.
        view: Shows the events, but for those of clips that are prepared.
        quiet: Whether nothing is shown of these either.
    """
    watch = _Watch(view, quiet=quiet)
    try:
        return action(watch)
    except KeyboardInterrupt:
        watch.close()
        say(watch.interrupted, err=True)
        sys.exit(INTERRUPTED)
    finally:
        watch.close()


def conclude(study: api.Study, *, as_json: bool) -> int:
    """Print what a study came to; return the exit status."""
    report = study.report
    if as_json:
        click.echo(report.to_json(), nl=False)
    else:
        say(closing(report, study.folder))
    return FAILED if study.failed else DONE


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


def closing(report: Report, folder: Path) -> str:
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
        f"report    {folder / 'report.html'}",
    ]
    if study.export:
        lines.append(f"exported  {study.export.folder}: {', '.join(study.export.files)}")
    lines += [f"all       {folder}", "next:"]
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
