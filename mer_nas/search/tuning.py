"""Ray Tune between a source of jobs and the workers; imported only where Ray is.

Tune asks a `Searcher` what to run next and a scheduler whether to go on, may copy or pickle both,
and never keeps the state of a scheduler. So neither has any: they hold the number of a session,
and everything they say is looked up there and answered by the source. Tune's own record of the
trials is thrown away at the end of a run: what counts is in the study and in the ledger.

A trial of Tune is one job, of which a `Worker` gives one fold a step, so that between folds the
source can stop it; folds that are trained together are given one after another, and a job that
looks back takes one more step after each fold. Workers are reused: starting one costs seconds, a
job on a running one milliseconds. What a fold gave travels to the driver in the result of the
step. Ray names an actor once, and a worker is reused; so its process is called as the trial that
it trains, each fold is a line in its log that names its own, and is counted in a metric with the
trial as a tag.
"""

import itertools
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ray import cloudpickle, tune
from ray._raylet import setproctitle  # type: ignore[attr-defined]
from ray.experimental.internal_kv import (
    _internal_kv_del,
    _internal_kv_get,
    _internal_kv_put,
)
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper
from ray.util.metrics import Counter

from mer_nas.architectures.extensions import Loaded, load_again, loaded_files
from mer_nas.config.base import Tree
from mer_nas.errors import StudyError
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.hindsight import Hindsight
from mer_nas.evaluation.results import FoldResult
from mer_nas.search.config import Shares
from mer_nas.search.crash_points import crash_point
from mer_nas.search.events import EpochDone, Listener, Note
from mer_nas.search.failures import Failure, free_memory
from mer_nas.search.interrupts import heed
from mer_nas.search.jobs import FoldEvaluator, Job, Source, looked_back, manner
from mer_nas.search.patience import Patience, Watch, watched

RETRIES = 1
"""How often a job is taken up again after its worker died, or ran out of memory."""
ACTOR = "MerNasWorker"
"""What Ray's dashboard calls the class of the workers."""
_HANGS = "mer-nas-hangs-"
"""How the names of notes begin that a worker leaves with Ray before it ends itself, by trial."""
_EPOCH = "mer-nas-epoch-"
"""The same for the epoch that a worker is at."""
EVERY = 2.0
"""Seconds between two such notes of one worker, and between two looks at them."""


Parse = Callable[[Tree, str], Any]
T = TypeVar("T")


@dataclass
class _Assignment:
    """A job as Tune has it."""

    job: Job
    """With the folds that remain."""
    tries: int = 0
    """How often it was taken up again."""
    alone: bool = False
    """Whether nothing else is trained while it is."""
    looking: bool = False
    """Whether its worker looks back at the fold before those."""


@dataclass
class _Session:
    """What one run knows; the searcher, the scheduler and the stopper ask it."""

    source: Source
    workers: int
    """Jobs at a time."""
    emit: Listener
    note_workers: Callable[[], None]
    """Records the processes of Ray."""
    assigned: dict[str, _Assignment] = field(default_factory=dict)
    """By Tune's trial."""
    again: list[_Assignment] = field(default_factory=list)
    """Jobs whose node died."""
    alone: list[_Assignment] = field(default_factory=list)
    """Jobs whose worker died or ran out of memory; each is tried again with nothing beside it."""
    failure: BaseException | None = None
    """What the source raised: nothing goes on after it."""
    heard: set[int] = field(default_factory=set)
    """Workers that have reported something, by process."""
    listened: float = 0.0
    """When it was last asked which epochs they are at."""

    def next(self, trial: str) -> Tree | str | None:
        """Return the next trial's configuration, None for none now, or that there are no more."""
        if self.failure is not None:
            return str(Searcher.FINISHED)
        heed()
        busy = [each.alone for each in self.assigned.values()]
        if len(busy) >= self.workers or any(busy):
            return None
        if self.again:
            assignment = self.again.pop()
        elif len(self.alone) < self.workers and (job := self.source.ask()) is not None:
            assignment = _Assignment(job)
        elif self.alone:
            if busy:
                return None
            assignment = self.alone.pop(0)
        else:
            done = self.source.exhausted and not self.assigned
            return str(Searcher.FINISHED) if done else None
        self.assigned[trial] = assignment
        job = assignment.job
        return {
            "label": job.label,
            "candidate": job.candidate.dump(),
            "repetition": job.repetition,
            "folds": list(job.folds),
            "hindsight": job.hindsight is not None,
            "patience": list(job.patience),
        }

    def result(self, trial: str, report: Tree) -> str:
        """Hand a step's result to the source; return whether the trial goes on."""
        assignment = self.assigned.get(trial)
        if assignment is None:
            return str(TrialScheduler.STOP)
        if report["pid"] not in self.heard:
            self.heard.add(report["pid"])
            self.note_workers()
        if report["failure"]:
            return self._failed(trial, Failure.from_json(report["failure"]))
        job = assignment.job
        if report["result"]:
            stop = self.source.observe(job.id, FoldResult.from_json(report["result"]))
            assignment.job = replace(job, folds=job.folds[1:])
            if job.hindsight is not None and not stop:
                assignment.looking = True
                return str(TrialScheduler.CONTINUE)  # the result is safe: now it may look back
        else:
            stop = False
            assignment.looking = False
            if job.hindsight is not None and report["hindsight"]:
                job.hindsight(Hindsight.from_json(report["hindsight"]))
        if stop or not assignment.job.folds:
            return self._end(trial, None)
        return str(TrialScheduler.CONTINUE)

    def hear(self) -> None:
        """Pass on which epochs the workers are at, now and then."""
        if (now := time.monotonic()) - self.listened < EVERY:
            return
        self.listened = now
        for trial, assignment in self.assigned.items():
            job, said = assignment.job, _internal_kv_get(f"{_EPOCH}{trial}")
            if said:
                self.emit(EpochDone(job.label, int(said), job.candidate.trainer.epochs or 0))

    def lost(self, trial: str, cause: str, hung: str = "") -> None:
        """Take up a job whose worker died, or give it up.

        Args:
            trial: Tune's.
            cause: What Ray says of it.
            hung: What the worker said before it ended itself; empty if it did not.

        Raises:
            StudyError: No worker has ever worked.
        """
        assignment = self.assigned.pop(trial, None)
        if assignment is None:
            return
        if not assignment.job.folds:  # it was only looking back at the last one
            self.source.finish(assignment.job.id)
            return
        label = assignment.job.label
        looked, assignment.looking = assignment.looking, False
        node = "node has died" in cause or "node died" in cause
        spent = not node and assignment.tries >= RETRIES
        if looked and (hung or spent):  # a diagnostic fails nobody
            assignment.job = replace(assignment.job, hindsight=None)
            self.again.append(assignment)
            why = hung or cause
            self.emit(
                Note(f"{label}: its worker ended in looking back, so it does without ({why})")
            )
        elif hung:
            self.source.finish(assignment.job.id, Failure(f"FoldHangs: {hung}"))
        elif node:
            self.again.append(assignment)
            self.emit(Note(f"{label}: its node was lost and another goes on ({cause})"))
        elif not spent:
            self._alone(assignment)
            self.emit(Note(f"{label}: its worker died and another goes on ({cause})"))
        elif self.heard:
            self.source.finish(assignment.job.id, Failure(f"its worker died twice: {cause}"))
        else:
            raise StudyError(f"no worker can start: {cause}")

    def _failed(self, trial: str, failure: Failure) -> str:
        """Close a job that failed; but one that ran out of memory is tried again, once."""
        if not failure.memory or self.assigned[trial].tries >= RETRIES:
            return self._end(trial, failure)
        assignment = self.assigned.pop(trial)
        self._alone(assignment)
        self.emit(
            Note(
                f"{assignment.job.label}: {failure.reason}; it is tried once more, with nothing "
                "beside it"
            )
        )
        return str(TrialScheduler.STOP)

    def _alone(self, assignment: _Assignment) -> None:
        assignment.tries += 1
        assignment.alone = True
        self.alone.append(assignment)

    def _end(self, trial: str, failure: Failure | None) -> str:
        self.source.finish(self.assigned.pop(trial).job.id, failure)
        return str(TrialScheduler.STOP)


_sessions: dict[int, _Session] = {}
_numbers = itertools.count()


class _JobSearcher(Searcher):
    """Tells Tune what to run next.

    Args:
        session: Number of the run.
    """

    def __init__(self, session: int) -> None:
        super().__init__()
        self.session = session

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial."""
        session = _sessions[self.session]
        finished: Tree | str | None = str(Searcher.FINISHED)
        return _guarded(session, lambda: session.next(trial_id), finished)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Hear what the scheduler has heard before."""

    def save(self, checkpoint_path: str) -> None:
        """Take part in Tune's snapshot, with nothing."""
        Path(checkpoint_path).write_text("{}", encoding="utf-8")
        crash_point("snapshot")

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing from Tune's snapshot."""


class _JobScheduler(FIFOScheduler):
    """Tells Tune whether a trial goes on.

    Args:
        session: Number of the run.
    """

    def __init__(self, session: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.session = session

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Pass a fold on and return the verdict.

        This is the place for it: Tune does not tell a searcher of the result that stops a trial.
        """
        session = _sessions[self.session]
        return _guarded(
            session, lambda: session.result(trial.trial_id, result), str(TrialScheduler.STOP)
        )

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Hear that a worker died; what a fold raises comes as a result."""
        session = _sessions[self.session]
        which = trial.trial_id
        _guarded(session, lambda: session.lost(which, _cause(trial), _said(which)), None)


class _SourceStopper(Stopper):
    """Ends the run once the source has failed.

    Args:
        session: Number of the run.
    """

    def __init__(self, session: int) -> None:
        self.session = session

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no single trial; that is the scheduler's."""
        return False

    def stop_all(self) -> bool:
        """Return whether everything stops; Tune asks in each of its rounds."""
        heed()
        session = _sessions[self.session]
        session.hear()
        return session.failure is not None


class Worker(tune.Trainable):
    """Trains the folds of one job after another, in a process of its own."""

    def setup(
        self,
        config: dict[str, Any],
        evaluator: FoldEvaluator | None = None,
        extensions: Mapping[str, Loaded] | None = None,
        parse: Parse = Candidate.parse,
        gpu: float = 0.0,
    ) -> None:
        """Get ready, once in the life of the process."""
        assert evaluator is not None
        evaluator.gpu_share = gpu
        load_again(extensions or {})
        self._evaluator = evaluator
        self._parse = parse
        self._log = _worker_log()
        self._folds = Counter(
            "mer_nas_folds", description="Folds trained.", tag_keys=("trial", "outcome")
        )
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next job."""
        self._job = new_config
        self._recorder = self._evaluator.recording() if new_config["hindsight"] else None
        self._results = self._trained()
        self._rest = list(new_config["folds"])
        self._watch = Watch(Patience(*new_config["patience"]), self._tell)
        self._told = 0.0
        self._evaluator.beat = self._watch.beat
        self._behind = False
        return True

    def step(self) -> dict[str, Any]:
        """Give the next fold, or look back at the one before, whose result is kept by now.

        The result never says that the job is done: Tune would not ask the scheduler any more.
        """
        label = self._job["label"]
        setproctitle(f"ray::{label}")  # until Ray puts back its own, after the step
        report: dict[str, Any] = {"label": label, "result": "", "failure": "", "hindsight": ""}
        with self._telling(), watched(self._watch, self._end), self._watch.over():
            if self._behind:
                return report | {"hindsight": self._look_back(label)}
            index = self._rest.pop(0)
            failure = None
            try:
                result = next(self._results)
            except Exception as error:  # a network may fail of anything; the search goes on
                self._log.exception("%s: fold %d failed", label, index)
                self._folds.inc(tags={"trial": label, "outcome": "failed"})
                failure = Failure.of(error)
        if failure is not None:
            if failure.memory:
                free_memory()
            return report | {"failure": failure.to_json()}
        how = f" ({said})" if (said := manner(result)) else ""
        self._log.info("%s: %s done in %.1f s%s", label, result.fold_name, result.seconds, how)
        self._folds.inc(tags={"trial": label, "outcome": "done"})
        self._behind = self._recorder is not None
        return report | {"result": result.to_json()}

    def _tell(self, epoch: int) -> None:
        """Leave word of an epoch, now and then, for the driver to find."""
        if (now := time.monotonic()) - self._told >= EVERY:
            self._told = now
            _internal_kv_put(f"{_EPOCH}{self.trial_id}", str(epoch), overwrite=True)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Take back what was said of a fold before the driver hears of the next."""
        self._told = time.monotonic()
        before = self._told
        yield
        if self._told != before:
            _internal_kv_del(f"{_EPOCH}{self.trial_id}")

    def _end(self, why: str) -> None:
        """Leave a note of what hangs, and end this process."""
        _internal_kv_put(f"{_HANGS}{self.trial_id}", why, overwrite=True)
        self._log.info("%s: %s", self._job["label"], why)
        os._exit(1)

    def _trained(self) -> Iterator[FoldResult]:
        """Yield the folds of the job; nothing is done before the first is asked for."""
        job = self._job
        candidate, repetition = self._parse(job["candidate"], job["label"]), job["repetition"]
        if self._recorder is None:
            yield from self._evaluator.folds(candidate, job["folds"], repetition)
            return
        for index in job["folds"]:
            yield self._recorder.fold(candidate, index, repetition)

    def _look_back(self, label: str) -> str:
        assert self._recorder is not None
        self._behind = False
        back, why = looked_back(self._recorder)
        if why:
            self._log.info("%s: no look back: %s", label, why)
        return "" if back is None else back.to_json()


def run(
    source: Source,
    evaluator: FoldEvaluator,
    extensions: Sequence[Path],
    *,
    shares: Shares,
    folder: Path,
    emit: Listener,
    note_workers: Callable[[], None],
) -> None:
    """Run every job that `source` gives out (see `ray_runner.Cluster.run`).

    Args:
        source: The search, or a measurement.
        evaluator: Trains and reads a fold; it is shared with the workers once.
        extensions: Files with blocks of the user's, loaded by each worker.
        shares: What each worker gets.
        folder: Where Tune keeps what it wants to.
        emit: Is told of workers that died.
        note_workers: Records the processes of Ray, once a new one has worked.

    Raises:
        StudyError: No worker can start.
    """
    number = next(_numbers)
    session = _sessions[number] = _Session(source, shares.workers, emit, note_workers)
    place = folder.resolve() / "ray-tune"
    # Else Tune starts one worker after another. `_Session.next` asks for no more than there are.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(shares.workers)
    try:
        _tuner(number, evaluator, extensions, place, shares).fit()
    except BaseException as error:
        # What the source raised, or a Ctrl-C, and not what Tune made of it.
        if session.failure is None:
            raise
        raise session.failure from error
    finally:
        del _sessions[number]
        shutil.rmtree(place, ignore_errors=True)
    if session.failure is not None:
        raise session.failure


def _tuner(
    number: int,
    evaluator: FoldEvaluator,
    extensions: Sequence[Path],
    place: Path,
    shares: Shares,
) -> tune.Tuner:
    shutil.rmtree(place, ignore_errors=True)
    parse = getattr(evaluator, "parse", Candidate.parse)
    files = loaded_files(extensions)
    worker = tune.with_resources(
        tune.with_parameters(
            Worker, evaluator=evaluator, extensions=files, parse=parse, gpu=shares.gpu
        ),
        {"cpu": shares.cpu, "gpu": shares.gpu},
    )
    worker.__name__ = worker.__qualname__ = ACTOR
    return tune.Tuner(
        worker,
        tune_config=tune.TuneConfig(
            search_alg=_JobSearcher(number),
            scheduler=_JobScheduler(number),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name=place.name,
            storage_path=str(place.parent),
            verbose=0,
            stop=_SourceStopper(number),
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )


def _trial_name(trial: Any) -> str:
    """Name Tune's trial after the job: "trial-7"."""
    label: str = trial.config["label"]
    name = "".join(letter if letter.isalnum() else "-" for letter in label)
    return f"{name}-{trial.trial_id[-4:]}"


def _cause(trial: Any) -> str:
    """Return in one line what a worker died of."""
    try:
        with Path(trial.pickled_error_file).open("rb") as file:
            error = cloudpickle.load(file)
    except Exception:  # Tune writes no such file for every error, and not every error unpickles
        return "Ray does not say why"
    lines = re.sub(r"\x1b\[\d*m", "", str(error)).strip().splitlines() or [type(error).__name__]
    return lines[-1] if "creation task" in lines[0] else lines[0]


def _said(trial: str) -> str:
    """Return the note that a worker left before it ended itself; empty where there is none."""
    note = f"{_HANGS}{trial}"
    found: bytes | None = _internal_kv_get(note)
    if found:
        _internal_kv_del(note)
    return (found or b"").decode()


def _guarded(session: _Session, action: Callable[[], T], otherwise: T) -> T:
    """Do what the source is asked for; if it raises, remember that and let Tune wind up."""
    if session.failure is not None:
        return otherwise
    try:
        return action()
    except BaseException as error:
        session.failure = error
        if not isinstance(error, Exception):
            raise
        return otherwise


def _worker_log() -> logging.Logger:
    """Return the log that the worker's page of the dashboard shows."""
    log = logging.getLogger("mer_nas.worker")
    if not log.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter(f"%(asctime)s [{os.getpid()}] %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
    return log
