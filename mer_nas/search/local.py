"""Works off a source of jobs in this process, one fold after another.

What `ray_runner` does with many processes, without any: for tests, for debugging, and where Ray
does not run. Both give the same results.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mer_nas.search.events import Listener, ignore
from mer_nas.search.jobs import FoldEvaluator, Job, Source, describe, looked_back


def run(source: Source, evaluator: FoldEvaluator, on_event: Listener = ignore) -> None:
    """Run every job that `source` gives out, until it has no more.

    A job whose fold raises an exception has failed; the others go on. Ctrl-C and SIGTERM raise
    KeyboardInterrupt and leave the job in flight open: whoever opens the source again goes on with
    it.

    Args:
        source: The search or the final stage.
        evaluator: Trains and reads a fold.
        on_event: Is told what the runner itself has to say; here nothing.
    """
    with interruptible():
        while (job := source.ask()) is not None:
            source.finish(job.id, _error(source, evaluator, job))


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does: raise KeyboardInterrupt in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, _interrupt)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _error(source: Source, evaluator: FoldEvaluator, job: Job) -> str | None:
    """Run the folds of a job; return what it failed of, if it did."""
    recorder = None if job.hindsight is None else evaluator.recording()
    results = evaluator.folds(job.candidate, job.folds, job.repetition)
    if recorder is not None:
        results = (recorder.fold(job.candidate, n, job.repetition) for n in job.folds)
    while True:
        try:
            result = next(results, None)
        except Exception as error:  # a network may fail of anything; the search goes on
            return describe(error)
        if result is None:
            return None
        stop = source.observe(job.id, result)
        if recorder is not None and job.hindsight is not None:
            back, _ = looked_back(recorder)
            if back is not None:
                job.hindsight(back)
        if stop:
            return None
