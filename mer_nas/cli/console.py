"""How a search is watched: a live view on a terminal, plain lines elsewhere.

Both go to stderr, so that stdout holds results only.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mer_nas.cli.lines import fitted
from mer_nas.cli.output import drawn, harmless
from mer_nas.cli.progress import Progress
from mer_nas.search.events import (
    Ended,
    Event,
    Note,
    Opened,
    SearchEnded,
    WorkersReady,
)
from mer_nas.wording import count, duration


class View(Protocol):
    """Takes events while it is entered."""

    def __call__(self, event: Event) -> None:
        """Show one event."""

    def say(self, text: str) -> None:
        """Print a line that stays."""

    def __enter__(self) -> View:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, and leave the terminal as it was."""


def view(*, quiet: bool) -> View:
    """Return the view of a search that fits where stderr goes."""
    if quiet:
        return Silent()
    return Terminal(Progress()) if sys.stderr.isatty() else Lines(Progress())


class Silent:
    """Shows nothing."""

    def __call__(self, event: Event) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Print nothing."""

    def __enter__(self) -> Silent:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""


class Lines(Silent):
    """Prints a line for every job that ends."""

    def __init__(self, progress: Progress, console: Console | None = None) -> None:
        self.progress = progress
        self.console = console or Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        """Print a line."""
        width, text = self.console.width, harmless(text)
        text = fitted(text, width) if self.console.is_terminal else text
        self.console.print(text, markup=False, soft_wrap=True)

    def __enter__(self) -> Lines:
        """Begin."""
        return self

    def __call__(self, event: Event) -> None:
        """Print what the event says, if people care."""
        self.progress.add(event)
        if text := sentence(event, self.progress):
            self.say(text)


class Terminal(Lines):
    """Redraws a few lines in place, and prints those that should stay above them."""

    def __init__(self, progress: Progress, console: Console | None = None) -> None:
        super().__init__(progress, console or Console(file=drawn(sys.stderr), highlight=False))
        self.live = Live(
            console=self.console, get_renderable=self.draw, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Terminal:
        """Begin to draw."""
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the drawing."""
        self.live.stop()

    def draw(self) -> Group:
        """Return what the terminal shows now."""
        progress = self.progress
        jobs = Table.grid(padding=(0, 2))
        for job in progress.running.values():
            bar = ProgressBar(total=max(1, job.of), completed=job.done, width=24)
            jobs.add_row(
                Text(harmless(f"  {job.label}")),
                bar,
                Text(f"{job.done}/{count(job.of, 'fold')}", "dim"),
            )
        return Group(Text(harmless(status(progress)), style="bold"), jobs)


def status(progress: Progress) -> str:
    """Return the state of the search in a line."""
    left = progress.seconds_left
    parts = []
    if progress.stage == "final":
        parts.append(
            f"final stage: {progress.final_ended} of {count(progress.final_jobs, 'repetition')}"
        )
    else:
        of = f"{progress.ended} of " if progress.trials else ""
        parts.append(f"search: {of}{count(progress.trials or progress.ended, 'trial')}")
        parts.append(
            f"{progress.outcomes['complete']} complete, {progress.outcomes['pruned']} pruned"
        )
        if progress.outcomes["failed"]:
            parts.append(f"{progress.outcomes['failed']} failed")
        if progress.kept + progress.spared:
            parts.append(f"{progress.saved:.0%} of the folds saved")
    if progress.best is not None:
        parts.append(f"best {progress.best:.3f} ({progress.best_label})")
    parts.append(f"about {duration(left)} left" if left is not None else "measuring the pace")
    return " | ".join(parts)


def sentence(event: Event, progress: Progress) -> str:
    """Return an event as a line that stays, or nothing where it passes by."""
    match event:
        case Ended("search", _, label, "complete", _, of, value, _):
            left = (
                f", about {duration(progress.seconds_left)} left" if progress.seconds_left else ""
            )
            folds = count(of, "fold")
            return (
                f"{label}: complete, UF1 {value:.3f} over {folds}; best {progress.best:.3f}{left}"
            )
        case Ended("search", _, label, outcome, done, of, _, reason):
            return f"{label}: {outcome} after {done} of {count(of, 'fold')}: {reason}"
        case Ended("final", _, label, "complete", _, _, value, _):
            left = (
                f"; about {duration(progress.seconds_left)} left" if progress.seconds_left else ""
            )
            return f"{label}: UF1 {value:.3f}{left}"
        case Ended("final", _, label, outcome, done, of, _, reason):
            return f"{label}: {outcome} after {done} of {count(of, 'fold')}: {reason}"
        case SearchEnded(reason):
            return f"search ended: {reason}; {progress.saved:.0%} of the folds saved by pruning"
        case WorkersReady(workers, gpu, dashboard, token):
            share = f" with {gpu:g} of a GPU each" if gpu else ""
            lines = [f"{count(workers, 'worker')}{share}"]
            if dashboard:
                lines.append(f"Ray dashboard: {dashboard}")
            if dashboard and token:
                lines.append(f"  it asks for a token: the content of {token}")
            return "\n".join(lines)
        case Note(text) | Opened(text=text):
            return text
    return ""  # the others pass by
