"""What happens during a search, as frozen events that the terminal view and plain logs consume.

Whoever runs a search passes a callable that takes these. No event holds a partial UF1: a score
exists once the last fold of a candidate has been read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, ParamSpec

from mer_nas.errors import ConfigError, shown

Stage = Literal["search", "final"]
Outcome = Literal["complete", "pruned", "failed", "infeasible", "duplicate"]


@dataclass(frozen=True)
class Started:
    """A job was given out: a trial of the search or a repetition of a finalist."""

    stage: Stage
    job: str
    label: str
    """How people call the job: "trial 7", "moe-3 seed 1"."""
    candidate: str
    """Key of the candidate."""
    done: int
    """Folds that the ledger already holds."""
    of: int
    """Folds of the protocol."""


@dataclass(frozen=True)
class FoldDone:
    """One fold of a job is in the ledger."""

    stage: Stage
    job: str
    label: str
    fold: str
    """Name of the fold."""
    done: int
    of: int
    seconds: float
    """What training and predicting the fold took."""


@dataclass(frozen=True)
class EpochDone:
    """An epoch of the fold that a job is at has come to its end; not every one is told."""

    label: str
    """Of the job."""
    epoch: int
    """From 1."""
    of: int
    """Epochs of the fold; 0 where its recipe counts steps."""


@dataclass(frozen=True)
class Ended:
    """A job is over."""

    stage: Stage
    job: str
    label: str
    outcome: Outcome
    done: int
    of: int
    value: float | None
    """Pooled UF1; only a complete job has one."""
    reason: str
    """Why the job was pruned or failed; empty for a complete one."""


@dataclass(frozen=True)
class Rejected:
    """A proposal was infeasible or a duplicate; it costs nothing of the budget."""

    label: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class SearchEnded:
    """The search gives out no more trials."""

    reason: str
    """What ended it: the number of trials, the minutes, or a space without new candidates."""


@dataclass(frozen=True)
class WorkersReady:
    """The processes that train are there."""

    workers: int
    """Jobs at a time."""
    gpu: float
    """Share of a GPU that each has."""
    dashboard: str
    """Address of the Ray dashboard; empty without one."""
    token: str
    """Path of the file whose content the dashboard asks for; empty where it asks for nothing."""


@dataclass(frozen=True)
class Opened:
    """A session of a study begins, or goes on with it."""

    folder: Path
    resume: str
    """The line of a shell that goes on with the study."""
    trials: int | None
    """Total trials of the search; none without a bound."""
    minutes: float | None
    """Total minutes of the search; none without a bound."""
    final_jobs: int
    """Repetitions that the final stage will measure at most."""
    past: tuple["Ended | Rejected", ...]
    """How the trials of earlier sessions ended."""
    seconds: float
    """How long earlier sessions have searched."""
    text: str
    """What will be done, for people."""


@dataclass(frozen=True)
class Measuring:
    """A measurement without pruning begins: a final stage, an evaluation, a reproduction."""

    repetitions: int
    missing: int
    """Folds that remain to be trained, of all of them."""


@dataclass(frozen=True)
class Note:
    """Something a person may want to know: a repaired file, a lost worker, ended processes."""

    text: str


@dataclass(frozen=True)
class Preparing:
    """Clips that were not in the cache are made ready."""

    done: int
    of: int


Event = (
    Preparing
    | Opened
    | Measuring
    | Started
    | FoldDone
    | EpochDone
    | Ended
    | Rejected
    | SearchEnded
    | WorkersReady
    | Note
)
Listener = Callable[[Event], None]
P = ParamSpec("P")


def ignore(*_: object, **__: object) -> None:
    """Take whatever happens and do nothing with it."""


def listening(given: Callable[P, None] | None, argument: str = "on_event") -> Callable[P, None]:
    """Return who is told what happens; where that is None, nobody is.

    Raises:
        ConfigError: It cannot be called; the message names the argument.
    """
    if given is None:
        return ignore
    if not callable(given):
        raise ConfigError(
            f"{argument}={shown(given)}: a function that is told what happens, or None, would be "
            "right"
        )
    return given
