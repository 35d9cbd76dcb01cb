"""What the page of a study that is watched says beside its report."""

from datetime import datetime
from typing import NamedTuple


class LiveJob(NamedTuple):
    """A trial, or a repetition of a finalist, some folds of which are done."""

    label: str
    """"trial 7", "trial 3, seed 2 of 3"."""
    origin: str
    """The point that it is, or the sampler that proposed it."""
    done: int
    of: int
    """Folds."""


class Live(NamedTuple):
    """How a study stands at one moment."""

    running: bool
    """Whether a process on this machine drives it."""
    driver: str
    """Who drives it and since when, or why nobody does."""
    stage: str
    """How far it is: "search: 7 of 60 trials, 4 complete, 3 pruned"."""
    jobs: tuple[LiveJob, ...]
    """What is under way."""
    workers: str
    """How many train at a time, as far as its settings say."""
    last_fold: datetime | None
    """When the latest fold was finished, in UTC; None where none was."""
    seen: datetime
    """When that was read, in UTC."""
