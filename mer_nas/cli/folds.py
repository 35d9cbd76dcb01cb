"""How a measurement is watched: a line a fold, with the time that is left."""

from __future__ import annotations

import time

from mer_nas.cli.lines import say
from mer_nas.search.events import Event, FoldDone, Note, Started, WorkersReady
from mer_nas.wording import count, duration


class FoldLines:
    """Says after each fold how many are done, and how long the others will take.

    Args:
        repetitions: How many there are, all candidates and seeds together.
    """

    def __init__(self, repetitions: int) -> None:
        self.repetitions = repetitions
        self.began = time.monotonic()
        self.here = 0
        self.done: dict[str, int] = {}
        """Folds of each repetition that are done, those of earlier sessions among them."""

    def __call__(self, event: Event) -> None:
        """Take an event."""
        match event:
            case Note(text):
                say(text, err=True)
            case WorkersReady(workers, _, dashboard, _):
                where = f", Ray dashboard: {dashboard}" if dashboard else ""
                say(f"{count(workers, 'worker')}{where}", err=True)
            case Started(_, job, _, _, done, _):
                self.done[job] = done
            case FoldDone(_, job, label, fold, done, of, seconds):
                if not self.here:  # whatever came before was no training
                    self.began = time.monotonic() - seconds
                self.here, self.done[job] = self.here + 1, done
                missing = self.repetitions * of - sum(self.done.values())
                left = (time.monotonic() - self.began) / self.here * missing
                say(
                    f"{label}: {fold}, {done} of {count(of, 'fold')}; about {duration(left)} left",
                    err=True,
                )
