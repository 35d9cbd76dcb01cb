"""How a search is watched: a live view on a terminal, plain lines elsewhere; and a measurement.

All go to stderr, so that stdout holds results only.
"""

from __future__ import annotations

import sys
import time
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mer_nas.cli.lines import fitted, say
from mer_nas.cli.output import drawn, harmless
from mer_nas.search.events import Event, FoldDone, Measuring, Note, WorkersReady
from mer_nas.search.progress import Progress
from mer_nas.wording import count, duration

ROOMY = 100
"""Columns from which on a terminal has room for longer bars."""


class View:
    """Takes events while it is entered; this one shows nothing of them."""

    def __call__(self, event: Event) -> None:
        """Show one event."""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End, and leave the terminal as it was."""


def print_above(console: Console, text: str) -> None:
    """Print lines for a person, above what the console draws."""
    text = harmless(text)
    text = fitted(text, console.width) if console.is_terminal else text
    console.print(text, markup=False, soft_wrap=True)


class Lines(View):
    """Prints a line for every job that ends."""

    def __init__(self, progress: Progress, console: Console | None = None) -> None:
        self.progress = progress
        self.console = console or Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        """Print a line."""
        print_above(self.console, text)

    def __call__(self, event: Event) -> None:
        """Print what the event says, if people care."""
        self.progress.add(event)
        if text := self.progress.sentence(event):
            self.say(text)


class Terminal(Lines):
    """Redraws a few lines in place, and prints those that should stay above them."""

    def __init__(self, progress: Progress, console: Console | None = None) -> None:
        super().__init__(progress, console or Console(file=drawn(sys.stderr), highlight=False))
        self.live = Live(
            console=self.console, get_renderable=self.draw, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        """Begin to draw."""
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the drawing."""
        self.live.stop()

    def draw(self) -> Group:
        """Return what the terminal shows now."""
        progress, now = self.progress, self.progress.clock()
        wide = 24 if self.console.width >= ROOMY else 12
        jobs = Table.grid(padding=(0, 2))
        for job in progress.running.values():
            bar = ProgressBar(total=max(1, job.of), completed=job.done, width=wide)
            jobs.add_row(
                Text(harmless(f"  {job.label}")),
                bar,
                Text(
                    f"{job.where}, {duration(now - job.since)} in this one",
                    "dim",
                ),
            )
        whole = Text(f"  running for {duration(now - progress.began)}", "dim")
        return Group(Text(harmless(progress.status), style="bold"), jobs, whole)


class FoldLines(View):
    """Says after each fold how many are done, and how long the others will take."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.missing = self.here = 0

    def __call__(self, event: Event) -> None:
        """Print what the event says, if people care."""
        if text := self._sentence(event):
            say(text, err=True)

    def _sentence(self, event: Event) -> str:
        match event:
            case Note(text):
                return text
            case WorkersReady(workers, _, dashboard, _):
                where = f", Ray dashboard: {dashboard}" if dashboard else ""
                return f"{count(workers, 'worker')}{where}"
            case Measuring(_, missing):
                self.missing = missing
            case FoldDone(_, _, label, fold, done, of, seconds):
                if not self.here:  # whatever came before was no training
                    self.began = time.monotonic() - seconds
                self.here += 1
                passed = time.monotonic() - self.began
                left = duration(passed / self.here * (self.missing - self.here))
                return f"{label}: {fold}, {done} of {count(of, 'fold')}; about {left} left"
        return ""


def view(*, quiet: bool) -> View:
    """Return the view of a search that fits where stderr goes."""
    if quiet:
        return View()
    return Terminal(Progress()) if sys.stderr.isatty() else Lines(Progress())
