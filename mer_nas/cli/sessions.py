"""What a verb that takes long has in common: it is watched, interruptible, and summed up."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mer_nas import api
from mer_nas.cli.closing import closing
from mer_nas.cli.console import View, print_above
from mer_nas.cli.lines import say
from mer_nas.cli.output import INTERRUPTED, drawn
from mer_nas.search.events import Event, Listener, Note, Opened, Preparing
from mer_nas.search.interrupts import interruptible
from mer_nas.wording import count, duration

if TYPE_CHECKING:
    from mer_nas.study.plans.plan import Plan

DONE, FAILED = 0, 1
T = TypeVar("T")

_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


class _ClipLines(View):
    """Prints now and then how far the preparation is."""

    def __init__(self) -> None:
        self.began = self.said = 0.0

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Note):
            say(event.text, err=True)
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
        """Move the bar, or print what is said above it."""
        if isinstance(event, Note):
            print_above(self.progress.console, event.text)
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
        self.begun = self.preparing = False
        self.interrupted = (
            "interrupted; the clips that are prepared are kept, and the same command goes on"
        )

    def __call__(self, event: Event) -> None:
        if isinstance(event, Preparing):
            self.preparing = not self.begun and event.done < event.of
        if isinstance(event, Preparing) or (self.preparing and isinstance(event, Note)):
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
    """Do what takes long and return what it does; on Ctrl-C and its like say how to go on.

    Args:
        action: Is given what to tell its events to.
        view: Shows the events, but for those of clips that are prepared.
        quiet: Whether nothing is shown of these either.
    """
    watch = _Watch(view, quiet=quiet)
    try:
        with interruptible():
            return action(watch)
    except KeyboardInterrupt:
        watch.close()
        say(watch.interrupted, err=True)
        sys.exit(INTERRUPTED)
    finally:
        watch.close()


def say_plan(plan: Plan, how: str, *, as_json: bool) -> None:
    """Print what would be done: "short", or "full" with every setting."""
    if as_json:
        click.echo(plan.to_json())
        return
    if how == "full":
        click.echo(plan.settings)
    say(plan.text)


def conclude(study: api.Study, *, as_json: bool) -> int:
    """Print what a study came to; return the exit status."""
    report = study.report
    if as_json:
        click.echo(report.to_json(), nl=False)
    else:
        say(closing(report, study.folder))
    return FAILED if study.failed else DONE
