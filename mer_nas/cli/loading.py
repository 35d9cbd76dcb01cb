"""How clips are watched that are prepared: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mer_nas.cli.output import drawn
from mer_nas.search.events import Event, Preparing
from mer_nas.wording import count, duration

EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


class ClipLines:
    """Prints now and then how far the preparation is."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.began = self.said = 0.0

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if not isinstance(event, Preparing) or self.quiet:
            return
        now, clips = time.monotonic(), count(event.of, "clip")
        if event.done == 0:
            self.began = self.said = now
            click.echo(f"preparing {clips}; they are kept for the next time", err=True)
        elif event.done == event.of:
            click.echo(f"prepared {clips} in {duration(now - self.began)}", err=True)
        elif now - self.said >= EVERY:
            self.said = now
            left = (now - self.began) / event.done * (event.of - event.done)
            click.echo(
                f"prepared {event.done} of {clips}, about {duration(left)} left",
                err=True,
            )

    def __enter__(self) -> ClipLines:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""


class ClipBar(ClipLines):
    """Draws a bar on a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self.progress = Progress(
            TextColumn("preparing clips"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console or Console(file=drawn(sys.stderr)),
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
