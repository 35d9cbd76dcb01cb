"""How far a search is, shown in a notebook: one cell's output, drawn anew as it goes.

IPython is no dependency: whoever has a notebook has it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from mer_nas.search.events import (
    EpochDone,
    Event,
    FoldDone,
    Listener,
    Note,
    Opened,
    Preparing,
    ignore,
)
from mer_nas.search.progress import Progress

EVERY = 0.5
"""Seconds between two drawings; how a job ends is drawn at once."""
LATEST = 5
"""Lines that stay of what was said."""


class NotebookView:
    """Takes events and shows where the search is.

    Args:
        show: Is given the text to be shown in place of the one before.
        clock: Tells seconds.
    """

    def __init__(
        self, show: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show, self._clock, self._drawn = show, clock, -EVERY
        self._progress = Progress(clock=clock)
        self._said: list[str] = []

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Preparing):
            self._draw(f"preparing clips: {event.done} of {event.of}", at_once=not event.done)
            return
        self._progress.add(event)
        said = event.text if isinstance(event, Note | Opened) else self._progress.sentence(event)
        if said:
            self._said = [*self._said, *said.splitlines()][-LATEST:]
        jobs = [f"  {job.label}: {job.where}" for job in self._progress.running.values()]
        text = "\n".join([self._progress.status, *jobs, "", *self._said])
        self._draw(text, at_once=not isinstance(event, FoldDone | EpochDone))

    def _draw(self, text: str, *, at_once: bool) -> None:
        now = self._clock()
        if at_once or now - self._drawn >= EVERY:
            self._drawn = now
            self._show(text)


def in_notebook() -> Listener:
    """Return what shows events in the cell that runs; where there is none, what shows nothing."""
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:
        return ignore
    shown = ipython.display.display({"text/plain": ""}, raw=True, display_id=True)
    return NotebookView(lambda text: shown.update({"text/plain": text}, raw=True))
