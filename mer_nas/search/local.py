"""Works off a source of jobs in this process, one fold after another.

What `ray_runner` does with many processes, without any: for tests, for debugging, and where Ray
does not run. Both give the same results.
"""

import ctypes
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType

from mer_nas.evaluation.results import FoldResult
from mer_nas.search import interrupts
from mer_nas.search.events import EpochDone, Listener, Note, ignore
from mer_nas.search.failures import Failure, free_memory
from mer_nas.search.interrupts import heed, interruptible
from mer_nas.search.jobs import FoldEvaluator, Job, Source, looked_back
from mer_nas.search.patience import FoldHangs, Watch, watched

STUBBORN_SECONDS = 60.0
"""How long code that hangs may take to come back to Python, where it can be ended alone."""


def run(source: Source, evaluator: FoldEvaluator, on_event: Listener = ignore) -> None:
    """Run every job that `source` gives out, until it has no more.

    A job whose fold raises an exception, or hangs, has failed; the others go on. One that runs out
    of memory is tried a second time. Ctrl-C and its like raise KeyboardInterrupt and leave the job
    in flight open: whoever opens the source again goes on with it.

    Args:
        source: The search or the final stage.
        evaluator: Trains and reads a fold.
        on_event: Is told what the runner itself has to say.
    """
    with interruptible():
        while (job := source.ask()) is not None:
            turn = _Turn(source, evaluator, job, on_event)
            failure = turn.run()
            if failure is not None and failure.memory:
                on_event(Note(f"{job.label}: {failure.reason}; it is tried once more"))
                free_memory()
                rest = replace(job, folds=tuple(turn.left))
                failure = _Turn(source, evaluator, rest, on_event).run()
            source.finish(job.id, failure)


class _Turn:
    """One go at a job: its folds, one after another, with somebody watching.

    Args:
        source: Where results go.
        evaluator: Trains and reads a fold.
        job: What is to be done.
        on_event: Is told of epochs, and of a fold that nothing ends.
    """

    def __init__(
        self, source: Source, evaluator: FoldEvaluator, job: Job, on_event: Listener
    ) -> None:
        self.left = list(job.folds)
        """Folds whose result is not kept yet."""
        self._source, self._evaluator, self._job, self._emit = source, evaluator, job, on_event
        self._watch = Watch(job.patience, self._tell)
        self._caller = threading.current_thread()
        self._ending: float | None = None
        """When what hangs was first told to end."""
        self._closed: Failure | None = None
        """What the job was closed for while its fold still hung."""

    def run(self) -> Failure | None:
        """Run the folds; return what the job failed of, if it did."""
        before, self._evaluator.beat = self._evaluator.beat, self._watch.beat
        try:
            with self._signalled(), watched(self._watch, self._end):
                return self._folds()
        finally:
            self._evaluator.beat = before

    def _folds(self) -> Failure | None:
        job = self._job
        recorder = None if job.hindsight is None else self._evaluator.recording()
        results = self._evaluator.folds(job.candidate, job.folds, job.repetition)
        if recorder is not None:
            results = (recorder.fold(job.candidate, n, job.repetition) for n in job.folds)
        while True:
            heed()
            result = self._next(results)
            if self._closed is not None:
                return self._closed
            if not isinstance(result, FoldResult):
                return result
            stop = self._source.observe(job.id, result)
            self.left.pop(0)
            if recorder is not None and job.hindsight is not None:
                with suppress(FoldHangs), self._watch.over():
                    back, _ = looked_back(recorder)
                    if back is not None:
                        job.hindsight(back)
            if stop:
                return None

    def _next(self, results: Iterator[FoldResult]) -> FoldResult | Failure | None:
        """Return the next result, None where there is no further one, or why it does not come."""
        self._ending = None
        try:
            with self._watch.over():
                return next(results, None)
        except Exception as error:  # a network may fail of anything; the search goes on
            return Failure.of(error)
        except FoldHangs as error:
            return Failure.of(error)

    def _tell(self, epoch: int) -> None:
        job = self._job
        self._emit(EpochDone(job.label, epoch, job.candidate.trainer.epochs or 0))

    def _end(self, why: str) -> None:
        """Have what hangs raise an exception; where it does not, close its job, and this process.

        Code that never comes back to Python hears of nothing.
        """
        now = time.monotonic()
        self._ending = self._ending or now
        if now - self._ending < STUBBORN_SECONDS:
            self._raise()
            return
        if self._closed is not None:
            return
        self._closed = Failure(f"FoldHangs: {why}")
        self._source.finish(self._job.id, self._closed)
        self._emit(Note(f"{self._job.label}: {why}; nothing ends it but the end of this process"))
        if interrupts.may_exit:
            os._exit(1)

    def _raise(self) -> None:
        main = self._caller is threading.main_thread()
        if main and hasattr(signal, "pthread_kill"):
            signal.pthread_kill(self._caller.ident or 0, signal.SIGALRM)
        else:
            thread = ctypes.c_ulong(self._caller.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(FoldHangs))

    @contextmanager
    def _signalled(self) -> Iterator[None]:
        """Take the signal of the thread that watches."""
        if self._caller is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
            yield
            return
        before = signal.signal(signal.SIGALRM, self._late)
        try:
            yield
        finally:
            signal.signal(signal.SIGALRM, before)

    def _late(self, number: int, frame: FrameType | None) -> None:
        if why := self._watch.late():
            raise FoldHangs(why)
