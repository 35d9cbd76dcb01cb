"""What the events of a search add up to, and its state in words: counts, best score, time left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from mer_nas.search.events import (
    Ended,
    EpochDone,
    Event,
    FoldDone,
    Note,
    Opened,
    Rejected,
    SearchEnded,
    Stage,
    Started,
    WorkersReady,
)
from mer_nas.wording import count, duration

QUARTERS = 4
"""Into so many parts the past is cut to see how far the pace changes."""


@dataclass
class _Running:
    """A job in progress."""

    label: str
    done: int
    of: int
    since: float
    """When its latest fold was done, or it began, by the clock."""
    fold: str = ""
    epoch: str = ""
    """Which one its fold is at, in words; empty while nobody has told."""

    @property
    def where(self) -> str:
        """How far it is, in words."""
        return f"{self.done}/{count(self.of, 'fold')}{self.epoch and f', {self.epoch}'}"


@dataclass
class Progress:
    """Adds events up; the views only read it."""

    trials: int | None = None
    """Total trials of the search; none without a bound."""
    minutes: float | None = None
    """Total minutes of the search; none without a bound."""
    final_jobs: int = 0
    """Repetitions that the final stage will train."""
    clock: Callable[[], float] = time.monotonic
    stage: Stage = "search"
    outcomes: Counter[str] = field(default_factory=Counter)
    """Jobs of the search by how they ended."""
    running: dict[str, _Running] = field(default_factory=dict)
    best: float | None = None
    best_label: str = ""
    kept: int = 0
    """Folds that complete and pruned trials were trained on."""
    spared: int = 0
    """Folds that pruned trials did not need."""
    folds_here: int = 0
    """Folds trained in this stage and session."""
    final_ended: int = 0
    over: str = ""

    earlier: int = 0
    """Trials that counted in earlier sessions."""
    earlier_seconds: float = 0.0
    """Time spent searching in earlier sessions."""
    marks: list[float] = field(default_factory=list)
    """When trials of the search, or folds of the final stage, ended here, by the clock."""

    def __post_init__(self) -> None:
        self.began = self.stage_began = self.pace_began = self.clock()

    def begin(self, seconds: float) -> None:
        """Take what was added so far for earlier sessions, which took `seconds`."""
        self.earlier, self.earlier_seconds = self.ended, seconds
        self.marks.clear()
        self.stage_began = self.pace_began = self.clock()

    def add(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case Opened():
                self.trials, self.minutes = event.trials, event.minutes
                self.final_jobs = event.final_jobs
                for ended in event.past:
                    self.add(ended)
                self.begin(event.seconds)
            case Started(stage, job, label, _, done, of):
                if stage != self.stage:
                    self.stage, self.stage_began, self.folds_here = stage, self.clock(), 0
                    self.pace_began = self.stage_began
                    self.marks.clear()
                self.running[job] = _Running(label, done, of, self.clock())
            case FoldDone(_, job, label, fold, done, of, seconds):
                self.running[job] = _Running(label, done, of, self.clock(), fold)
                if not self.folds_here:  # whatever came before was no training
                    self.pace_began = max(self.stage_began, self.clock() - seconds)
                self.folds_here += 1
                if self.stage == "final":
                    self.marks.append(self.clock())
            case EpochDone(label, epoch, of):
                for each in self.running.values():
                    if each.label == label:
                        each.epoch = f"epoch {epoch} of {of}" if of else f"epoch {epoch}"
            case Ended("search", job, label, outcome, done, of, value, _):
                self.running.pop(job, None)
                self.outcomes[outcome] += 1
                self.marks.append(self.clock())
                if outcome in {"complete", "pruned"}:
                    self.kept, self.spared = self.kept + done, self.spared + of - done
                if value is not None and (self.best is None or value > self.best):
                    self.best, self.best_label = value, label
            case Ended("final", job):
                self.running.pop(job, None)
                self.final_ended += 1
            case Rejected(_, outcome):
                self.outcomes[outcome] += 1
            case SearchEnded(reason):
                self.over = reason

    @property
    def ended(self) -> int:
        """Trials that count: complete, pruned and failed."""
        return sum(self.outcomes[outcome] for outcome in ("complete", "pruned", "failed"))

    @property
    def saved(self) -> float:
        """Share of the folds of complete and pruned trials that pruning spared, in [0, 1]."""
        return self.spared / max(1, self.kept + self.spared)

    @property
    def seconds_left(self) -> float | None:
        """A guess at the rest of this stage in seconds, from its pace; none at the start."""
        passed = self.clock() - self.pace_began
        if self.stage == "final":
            folds = sum(job.of - job.done for job in self.running.values())
            folds += max(0, self.final_jobs - self.final_ended - len(self.running)) * self._folds
            return passed / self.folds_here * folds if self.folds_here else None
        guesses, ended = [], self.ended - self.earlier
        if self.trials is not None and (ended or self.folds_here):
            each = passed / ended if ended else passed / self.folds_here * self._folds
            spent = 0.0 if ended else passed
            guesses.append(max(0.0, each * max(0, self.trials - self.ended) - spent))
        if self.minutes is not None:
            spent = self.clock() - self.stage_began
            guesses.append(max(0.0, self.minutes * 60 - self.earlier_seconds - spent))
        return min(guesses, default=None)

    @property
    def left(self) -> str:
        """The guess at the rest of this stage in words, and how sure it is."""
        seconds = self.seconds_left
        if seconds is None:
            return "measuring the pace"
        text = f"about {duration(seconds)} left"
        if self.minutes is not None and self.stage == "search":
            return text
        paces = self._paces
        if not paces:
            return f"{text}, a first guess"
        mean = (self.marks[-1] - self.pace_began) / len(self.marks)
        low, high = (duration(seconds * pace / mean) for pace in (min(paces), max(paces)))
        return text if low == high else f"{text} ({low} to {high} at the paces so far)"

    @property
    def _paces(self) -> list[float]:
        """Seconds for one end in each quarter of those so far; none while there are too few."""
        if len(self.marks) < QUARTERS or self.marks[-1] <= self.pace_began:
            return []
        cuts = [round(len(self.marks) * part / QUARTERS) for part in range(QUARTERS + 1)]
        times = [self.pace_began, *self.marks]
        return [(times[b] - times[a]) / (b - a) for a, b in pairwise(cuts)]

    @property
    def _folds(self) -> int:
        return max((job.of for job in self.running.values()), default=0)

    @property
    def status(self) -> str:
        """The state of the search in a line."""
        parts = []
        if self.stage == "final":
            parts.append(
                f"final stage: {self.final_ended} of {count(self.final_jobs, 'repetition')}"
            )
        else:
            of = f"{self.ended} of " if self.trials else ""
            parts.append(f"search: {of}{count(self.trials or self.ended, 'trial')}")
            parts.append(f"{self.outcomes['complete']} complete, {self.outcomes['pruned']} pruned")
            if self.outcomes["failed"]:
                parts.append(f"{self.outcomes['failed']} failed")
            if self.kept + self.spared:
                parts.append(f"{self.saved:.0%} of the folds saved")
        if self.best is not None:
            parts.append(f"best {self.best:.3f} ({self.best_label})")
        parts.append(self.left)
        return " | ".join(parts)

    def sentence(self, event: Event) -> str:
        """Return an event as a line that stays, or nothing where it passes by."""
        match event:
            case Ended("search", _, label, "complete", _, of, value, _):
                left = f", about {duration(self.seconds_left)} left" if self.seconds_left else ""
                folds = count(of, "fold")
                return (
                    f"{label}: complete, UF1 {value:.3f} over {folds}; best {self.best:.3f}{left}"
                )
            case Ended("final", _, label, "complete", _, _, value, _):
                left = f"; about {duration(self.seconds_left)} left" if self.seconds_left else ""
                return f"{label}: UF1 {value:.3f}{left}"
            case Ended(_, _, label, outcome, done, of, _, reason):
                return f"{label}: {outcome} after {done} of {count(of, 'fold')}: {reason}"
            case SearchEnded(reason):
                return f"search ended: {reason}; {self.saved:.0%} of the folds saved by pruning"
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
