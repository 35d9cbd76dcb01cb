"""How long a fold may take, and who ends one that hangs.

By default a fold may take as long as it likes while its epochs come to an end: it hangs once none
has within half an hour, or within 20 times its candidate's slowest, whichever is longer. Folds
that are trained together are one computation and count as one. Once the minutes of a search are
spent, less patience is had with what is still in flight.

A thread watches. It need not wait for the fold, but cannot end it by itself: the one who runs the
fold says how (`local`: an exception in this process; `tuning`: the worker's end).
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from mer_nas.wording import duration

EPOCH_SECONDS = 1800.0
"""Within which an epoch comes to its end, unless epochs of its candidate were slow before."""
SLOWER = 20
"""Times the slowest epoch of a candidate, which every other may take."""
SPENT_SECONDS = 60.0
"""In place of `EPOCH_SECONDS` once the minutes of the search are spent."""
POLL_SECONDS = 0.5
"""Between two looks at a fold."""

clock = time.monotonic


class Patience(NamedTuple):
    """How long the folds of a job may take."""

    fold: float | None = None
    """Seconds for a fold, or for those that are one computation (`study.fold_minutes`); None:
    epochs are waited for."""
    spent: float | None = None
    """Seconds, from when the job is given out, until the minutes of the search are spent; None:
    they never are."""


PATIENT = Patience()
"""Epochs are waited for, and there is no hurry."""


class FoldHangs(BaseException):
    """A fold is ended; no `except Exception` of a user's block is to keep it alive."""


class Watch:
    """Knows since when the folds of one job have been at work, and when that is too long.

    Args:
        patience: Of the job.
        tell: Is told after each epoch how many there were.
    """

    def __init__(
        self, patience: Patience, tell: Callable[[int], object] = lambda epoch: None
    ) -> None:
        self._patience, self._tell = patience, tell
        self._given = self._began = self._heard = clock()
        self._slowest = 0.0
        self._epochs = 0
        self._working = False

    def beat(self) -> None:
        """Hear that an epoch has come to its end."""
        now = clock()
        self._slowest = max(self._slowest, now - self._heard)
        self._heard = now
        self._epochs += 1
        self._tell(self._epochs)

    @contextmanager
    def over(self) -> Iterator[None]:
        """Watch over one computation: that of a `with` statement."""
        self._began = self._heard = clock()
        self._epochs = 0
        self._working = True
        try:
            yield
        finally:
            self._working = False

    def late(self) -> str:
        """Return why what is at work is to end; empty while it may go on."""
        if not self._working:
            return ""
        now, (fold, spent) = clock(), self._patience
        silent = now - self._heard
        if fold is not None and now - self._began >= fold:
            return (
                f"it took longer than the {fold / 60:g} minutes that study.fold_minutes allows a "
                "fold, or several that are trained together"
            )
        if fold is None and silent >= (limit := max(EPOCH_SECONDS, SLOWER * self._slowest)):
            return (
                f"no epoch came to its end within {duration(limit)}, so it was taken to hang; "
                "study.fold_minutes=N allows a fold N minutes, whatever its epochs take"
            )
        if spent is None or now - self._given < spent:
            return ""
        if silent >= (limit := max(SPENT_SECONDS, SLOWER * self._slowest)):
            return (
                "the minutes of the search (study.minutes) are spent, and no epoch came to its "
                f"end within {duration(limit)}"
            )
        return ""


@contextmanager
def watched(watch: Watch, end: Callable[[str], None]) -> Iterator[None]:
    """Call `end` with the reason, in a thread, whenever a fold is found to be late.

    Args:
        watch: Over the folds of a `with` statement.
        end: Ends the fold that is at work; called again as long as it is.
    """
    over = threading.Event()

    def look() -> None:
        while not over.wait(POLL_SECONDS):
            if reason := watch.late():
                end(reason)

    thread = threading.Thread(target=look, name="mer-nas-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
