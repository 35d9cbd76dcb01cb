"""The search itself: proposes candidates, keeps their folds, prunes, and survives being killed.

The driver owns the Optuna study and writes to the ledger; it knows no Ray and trains nothing.
Runners ask it for jobs and bring it one fold after another. Of a fold, first the ledger is told,
then the study, then the pruner is asked, and only then does anyone else hear of it; each step can
be repeated, so a driver that is killed between two of them takes up its trials where they were:

- a trial that the study shows as running is adopted: the same trial, drawn again with the same
  result, its folds read from the ledger;
- a trial whose last fold is in the ledger, or that the pruner would stop, is closed without
  training;
- everything else in the study is final.

Optuna knows three ends; the user attribute `outcome` tells five apart: `complete`, `pruned`,
`failed`, `infeasible` and `duplicate`. The last two are failures to Optuna, and no trials to the
budget.
"""

import contextlib
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event

from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Protocol as Folds
from mer_nas.errors import Infeasible, StudyError
from mer_nas.evaluation.evaluator import FoldResult
from mer_nas.search import pruners
from mer_nas.search.config import StudyConfig
from mer_nas.search.events import (
    Ended,
    FoldDone,
    Listener,
    Outcome,
    Rejected,
    SearchEnded,
    Started,
    ignore,
)
from mer_nas.search.faults import crash_point
from mer_nas.search.jobs import Job, vouch
from mer_nas.search.ledger import Ledger
from mer_nas.search.proposals import Proposal, Propose
from mer_nas.search.pruners import Best, Standing
from mer_nas.search.samplers import RepeatableSampler
from mer_nas.statistics import Counts, uf1

_SQLITE = "sqlite:///"

PATIENCE = 100
"""Infeasible and duplicate proposals in a row after which the space counts as empty."""

STATES: Mapping[Outcome, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "infeasible": TrialState.FAIL,
    "duplicate": TrialState.FAIL,
}
COUNTED: tuple[Outcome, ...] = ("complete", "pruned", "failed")
"""What the budget counts."""


class WarmStart(Protocol):
    """A candidate that is tried before the sampler is asked."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def params(self) -> Mapping[str, Any]: ...  # noqa: D102


@dataclass
class _Running:
    """A trial that has been given out."""

    trial: optuna.Trial
    proposal: Proposal
    told: set[int]
    """Steps that the study holds already."""
    results: list[FoldResult] = field(default_factory=list)
    stopped: str = ""

    @property
    def label(self) -> str:
        return f"trial {self.trial.number}"


class StudyDriver:
    """The search as a source of jobs (see `jobs.Source`).

    Args:
        propose: Draws a candidate from a trial.
        points: Tried first, in this order.
        settings: Budget, sampler and pruner.
        clips: What is learned from.
        protocol: The folds of a trial.
        ledger: Where finished folds are kept.
        code: Version of the code that trains them.
        storage: URL of an Optuna storage.
        name: Of the study within the storage.
        on_event: Is told what happens.

    Raises:
        StudyError: The storage cannot be opened.
    """

    def __init__(
        self,
        *,
        propose: Propose,
        points: Iterable[WarmStart],
        settings: StudyConfig,
        clips: ClipSet,
        protocol: Folds,
        ledger: Ledger,
        code: str,
        storage: str,
        name: str = "search",
        on_event: Listener = ignore,
    ) -> None:
        self._propose = propose
        self._settings = settings
        self._clips = clips
        self.protocol = protocol
        self._ledger = ledger
        self._emit = on_event
        self._code = code
        self._order = tuple(index for block in protocol.blocks for index in block)
        self._running: dict[str, _Running] = {}
        self._orphans: list[FrozenTrial] = []
        self._taken: dict[str, int] = {}
        self._counts: Counter[Outcome] = Counter()
        self._rejections: list[str] = []
        self._best: Best | None = None
        self._began: float | None = None
        self._saved = 0.0
        self._ended_before = ""
        self.ended = ""
        """Why no more trials are given out; empty while there are."""
        self.study, self._storage = open_study(storage, name, settings)
        self._pruner = pruners.build(settings.pruner, settings.margin, len(protocol.blocks))
        self._enqueue(points)
        self._reconcile()

    @property
    def exhausted(self) -> bool:
        """Whether `ask` will never return a job again."""
        return bool(self.ended)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to train: no trial in flight, and no budget for another."""
        return not self._orphans and bool(self._spent())

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many trials came to which end, in all sessions."""
        return dict(self._counts)

    @property
    def best(self) -> Best | None:
        """The best complete trial so far."""
        return self._best

    @property
    def seconds(self) -> float:
        """Time spent searching, in all sessions."""
        now = 0.0 if self._began is None else time.monotonic() - self._began
        return self._seconds_before + now

    def ask(self) -> Job | None:
        """Return the next trial to train, or None if there is none now.

        Raises:
            StudyError: The space holds no candidate that may be trained.
        """
        if self._began is None:
            self._began = time.monotonic()
        while (trial := self._next_trial()) is not None:
            if (job := self._begin(trial)) is not None:
                return job
        return None

    def observe(self, job: str, result: FoldResult) -> bool:
        """Keep the result of a trial's next fold; return whether the trial should stop here.

        Raises:
            StudyError: The ledger cannot be written, or other code trained the fold.
        """
        vouch(result, self._code)
        running = self._running[job]
        crash_point("mid_fold")
        self._ledger.append(result)
        crash_point("after_ledger")
        self._advance(running, result)
        self._save_time()
        done, of = len(running.results), len(self._order)
        self._emit(
            FoldDone("search", job, running.label, result.fold_name, done, of, result.seconds)
        )
        return bool(running.stopped)

    def finish(self, job: str, error: str | None = None) -> None:
        """Close a trial whose folds are done, that was stopped, or that failed of `error`."""
        running = self._running.get(job)
        if running is None:
            return
        complete = len(running.results) == len(self._order)
        if complete:
            self._close(running, "complete", "")
        elif error is not None:
            self._close(running, "failed", error)
        elif running.stopped:
            self._close(running, "pruned", running.stopped)
        else:
            missing = len(self._order) - len(running.results)
            self._close(
                running, "failed", f"ended with {missing} of {len(self._order)} folds to go"
            )

    def results(self, candidate: str) -> tuple[FoldResult, ...]:
        """Return what the ledger holds of a candidate under the protocol of the search."""
        found = (self._find(candidate, index) for index in self._order)
        return tuple(result for result in found if result is not None)

    def close(self) -> None:
        """Let go of the storage."""
        if self._began is not None:
            self._save_time(force=True)
        self._storage.remove_session()
        engine = getattr(self._storage, "_backend", self._storage)
        if hasattr(engine, "engine"):
            engine.engine.dispose()

    # What comes next -------------------------------------------------------------------------

    def _next_trial(self) -> optuna.Trial | None:
        if self._orphans:
            # The constructor is what Optuna itself uses to go on with a trial that is in the
            # storage.
            return optuna.Trial(self.study, self._orphans.pop(0)._trial_id)
        if self.ended:
            return None
        if self._rejections and self._hopeless():
            if not self._running:
                self._give_up()
            return None
        if reason := self._spent():
            self._end(reason)
            return None
        trial = self.study.ask()
        crash_point("after_create")
        return trial

    def _spent(self) -> str:
        """Return which part of the budget is used up; empty if none is."""
        if self._ended_before:
            return self._ended_before
        limit, minutes = self._settings.trials, self._settings.minutes
        begun = sum(self._counts[outcome] for outcome in COUNTED) + len(self._running)
        if limit is not None and begun >= limit:
            return f"{limit} trials are done"
        if minutes is not None and self.seconds >= 60 * minutes:
            return f"the {minutes:g} minutes of search are spent"
        return ""

    @property
    def _budget(self) -> list[float | None]:
        return [self._settings.trials, self._settings.minutes]

    def _hopeless(self) -> bool:
        return len(self._rejections) >= PATIENCE

    def _give_up(self) -> None:
        """End the search for want of new candidates.

        Raises:
            StudyError: Not one candidate was complete.
        """
        kinds = Counter(_kind(reason) for reason in self._rejections)
        kind, times = kinds.most_common(1)[0]
        example = next(reason for reason in self._rejections if _kind(reason) == kind)
        text = (
            f"{len(self._rejections)} proposals in a row were no new candidates; "
            f"{times} of them because: {example}"
        )
        if self._best is None:
            raise StudyError(
                f"{text}. Widen the space or its limits; `mer-nas check` shows the share of its "
                "draws that is feasible"
            )
        self._end(text)

    def _end(self, reason: str) -> None:
        self.ended = reason
        self._save_time(force=True)
        self.study.set_user_attr("ended", {"reason": reason, "budget": self._budget})
        self._emit(SearchEnded(reason))

    # The life of a trial ---------------------------------------------------------------------

    def _begin(self, trial: optuna.Trial) -> Job | None:
        """Draw the candidate of a trial; return a job if something of it remains to be trained."""
        try:
            proposal = self._propose(trial)
        except Infeasible as error:
            self._reject(trial, "infeasible", str(error))
            return None
        key = proposal.candidate.key
        if key in self._taken:
            self._reject(trial, "duplicate", f"the same as trial {self._taken[key]}")
            return None
        self._note(trial, proposal)
        crash_point("after_ask")
        self._taken[key] = trial.number
        self._rejections.clear()
        told = set(self.study.get_trials(deepcopy=False)[trial.number].intermediate_values)
        running = self._running[str(trial.number)] = _Running(trial, proposal, told)
        return self._resume(running)

    def _note(self, trial: optuna.Trial, proposal: Proposal) -> None:
        """Write into the study what a report wants to know of the candidate."""
        attributes = {
            "candidate": proposal.candidate.key,
            "tree": proposal.candidate.dump(),
            "parameters": proposal.parameters,
            "macs": proposal.macs,
        }
        for name, value in attributes.items():
            trial.set_user_attr(name, value)

    def _resume(self, running: _Running) -> Job | None:
        """Take in the folds that the ledger holds; return a job for the others, if any."""
        key, job = running.proposal.candidate.key, str(running.trial.number)
        known = self.results(key)
        self._emit(Started("search", job, running.label, key, len(known), len(self._order)))
        for index in self._order:
            result = self._find(key, index)
            if result is None:
                break
            self._advance(running, result)
            if running.stopped:
                break
        rest = self._order[len(running.results) :]
        if running.stopped or not rest:
            self.finish(job)
            return None
        return Job(job, running.label, running.proposal.candidate, 0, rest)

    def _advance(self, running: _Running, result: FoldResult) -> None:
        """Count a fold; at the end of a block tell the study and ask the pruner."""
        running.results.append(result)
        done = len(running.results)
        if done not in self._block_ends:
            return
        step = self._block_ends[done]
        confusion = self._confusion(running.results)
        value = float(uf1(confusion))
        if step not in running.told:
            running.trial.report(value, step)
            running.told.add(step)
        crash_point("after_report")
        number = running.trial.number
        self._pruner.told(number, step, value)
        if done < len(self._order):
            correct = self._correct(running.results)
            standing = Standing(number, confusion, self._remaining[done], correct, self._best)
            running.stopped = self._pruner.verdict(standing)
        crash_point("after_verdict")

    def _close(self, running: _Running, outcome: Outcome, reason: str) -> None:
        job, trial = str(running.trial.number), running.trial
        value = float(uf1(self._confusion(running.results))) if outcome == "complete" else None
        self._tell(trial, outcome, reason, value)
        crash_point("after_tell")
        del self._running[job]
        if outcome == "failed":
            self._taken.pop(running.proposal.candidate.key, None)
        self._pruner.ended(trial.number, STATES[outcome], value)
        self._counts[outcome] += 1
        if value is not None and (self._best is None or value > self._best.value):
            self._best = Best(trial.number, value, self._correct(running.results))
        self._save_time()
        done, of = len(running.results), len(self._order)
        self._emit(Ended("search", job, running.label, outcome, done, of, value, reason))

    def _reject(self, trial: optuna.Trial, outcome: Outcome, reason: str) -> None:
        self._tell(trial, outcome, reason, None)
        self._counts[outcome] += 1
        self._rejections.append(reason)
        if not trial.params:  # nothing is open, so every further draw would be the same
            self._rejections += [reason] * (PATIENCE - len(self._rejections))
        self._emit(Rejected(f"trial {trial.number}", outcome, reason))

    def _tell(
        self, trial: optuna.Trial, outcome: Outcome, reason: str, value: float | None
    ) -> None:
        trial.set_user_attr("outcome", outcome)
        if reason:
            trial.set_user_attr("reason", reason)
        crash_point("before_tell")
        self.study.tell(trial, value, STATES[outcome], skip_if_finished=True)

    # What is known at the start --------------------------------------------------------------

    def _enqueue(self, points: Iterable[WarmStart]) -> None:
        """Put the points before all other trials, each once in the life of the study."""
        known = {t.user_attrs.get("point") for t in self.study.get_trials(deepcopy=False)}
        for point in points:
            if point.name not in known:
                self.study.enqueue_trial(dict(point.params), user_attrs={"point": point.name})

    def _reconcile(self) -> None:
        """Read from the study what earlier sessions did, and adopt what they left running."""
        self._seconds_before = float(self.study.user_attrs.get("seconds", 0.0))
        for trial in self.study.get_trials(deepcopy=True):
            if trial.state == TrialState.RUNNING:
                self._orphans.append(trial)
            elif trial.state.is_finished():
                self._recall(trial)
        # A full count is one that ended an earlier session; with more budget a session tries anew.
        if self._hopeless():
            self._rejections.clear()
        before = self.study.user_attrs.get("ended", {})
        if before.get("budget") == self._budget:
            self._ended_before = before["reason"]

    def _recall(self, trial: FrozenTrial) -> None:
        outcome: Outcome = trial.user_attrs["outcome"]
        self._counts[outcome] += 1
        for step, value in sorted(trial.intermediate_values.items()):
            self._pruner.told(trial.number, step, value)
        complete = trial.value if outcome == "complete" else None
        self._pruner.ended(trial.number, trial.state, complete)
        if outcome not in COUNTED:
            self._rejections.append(trial.user_attrs["reason"])
            return
        self._rejections.clear()
        key = trial.user_attrs["candidate"]
        if outcome != "failed":
            self._taken[key] = trial.number
        if complete is not None and (self._best is None or complete > self._best.value):
            self._best = Best(trial.number, complete, self._correct(self.results(key)))

    # Arithmetic ------------------------------------------------------------------------------

    @cached_property
    def _block_ends(self) -> Mapping[int, int]:
        """From the number of folds done to the block that ends there, counted from 1."""
        ends = np.cumsum([len(block) for block in self.protocol.blocks])
        return {int(end): step for step, end in enumerate(ends, start=1)}

    @cached_property
    def _remaining(self) -> Sequence[Counts]:
        """Clips of each class that are to come after so many folds."""
        classes = len(self._clips.classes)
        tests = [self.protocol.folds[index].test for index in self._order]
        counts = [np.bincount(self._clips.labels[test], minlength=classes) for test in tests]
        before = np.cumsum([np.zeros(classes, dtype=np.int64), *counts], axis=0)
        return list(before[-1] - before)

    @cached_property
    def _subjects(self) -> Mapping[str, str]:
        return {clip.id: clip.group for clip in self._clips.clips}

    def _confusion(self, results: Iterable[FoldResult]) -> Counts:
        classes = len(self._clips.classes)
        counts = np.zeros((classes, classes), dtype=np.int64)
        for result in results:
            np.add.at(counts, (list(result.labels), list(result.predicted)), 1)
        return counts

    def _correct(self, results: Iterable[FoldResult]) -> Mapping[str, int]:
        correct: Counter[str] = Counter()
        for result in results:
            for clip, label, predicted in zip(
                result.clips, result.labels, result.predicted, strict=True
            ):
                correct[self._subjects[clip]] += int(label == predicted)
        return correct

    def _find(self, candidate: str, index: int) -> FoldResult | None:
        fold = self.protocol.folds[index].key
        seed, data = self._settings.seed, self._clips.fingerprint
        return self._ledger.find(candidate, fold, 0, seed, data, self._code)

    def _save_time(self, *, force: bool = False) -> None:
        """Keep the time spent, at most once a second."""
        if force or self.seconds - self._saved > 1:
            self._saved = self.seconds
            self.study.set_user_attr("seconds", self._saved)


def sqlite_url(folder: Path) -> str:
    """Return the URL of the default storage of a study in `folder`."""
    return f"sqlite:///{(folder / 'study.db').resolve().as_posix()}"


def open_study(
    storage: str, name: str, settings: StudyConfig
) -> tuple[optuna.Study, optuna.storages.BaseStorage]:
    """Open the Optuna study `name`, or make it.

    Raises:
        StudyError: The storage cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        backend = optuna.storages.get_storage(
            _sqlite(storage) if storage.startswith(_SQLITE) else storage
        )
        sampler = RepeatableSampler(settings.sampler, settings.startup, settings.seed)
        study = optuna.create_study(
            storage=backend,
            sampler=sampler,
            pruner=optuna.pruners.NopPruner(),  # pruners are asked by the driver
            study_name=name,
            direction="maximize",
            load_if_exists=True,
        )
    except Exception as error:  # each kind of storage has errors of its own
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StudyError(
            f"study.storage={storage}: the storage cannot be opened: {text}"
        ) from error
    return study, backend


def _sqlite(url: str) -> optuna.storages.RDBStorage:
    """Open a database such that readers do not stop the search, nor does it wait for the disk.

    With write-ahead logging a killed process loses nothing. Should the machine lose its power, the
    last changes may be missing: then those trials are drawn again as they were, and find their
    folds in the ledger.
    """
    with contextlib.closing(sqlite3.connect(url.removeprefix(_SQLITE), timeout=60)) as database:
        database.execute("PRAGMA journal_mode=WAL")
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
    event.listen(storage.engine, "connect", _in_passing)
    storage.engine.dispose()  # its connections were opened before
    return storage


def _in_passing(connection: sqlite3.Connection, record: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")


def _kind(reason: str) -> str:
    """Return a reason without its numbers, so that like reasons count together."""
    return re.sub(r"\d[\d,.]*", "#", reason)
