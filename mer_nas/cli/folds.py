"""How a measurement is watched: a line a fold, with the time that is left."""

from __future__ import annotations

import time

from mer_nas.cli.console import View
from mer_nas.cli.lines import say
from mer_nas.search.events import Event, FoldDone, Measuring, Note, WorkersReady
from mer_nas.wording import count, duration


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
