"""What is to be trained next, and where results go, for whoever has processes to train on.

A `Source` gives out jobs and takes their folds; the search (`driver`) is one and the final stage
(`measure`) another. `local.run` works them off in this process and `tuning.run` on Ray's workers,
so neither runner knows what a trial or a pruner is, and no source knows what a worker is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mer_nas.architectures.user_blocks import describe
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.hindsight import Hindsight
from mer_nas.evaluation.results import FoldResult
from mer_nas.search.events import Listener, Note, Outcome
from mer_nas.search.failures import Failure
from mer_nas.search.patience import PATIENT, Patience
from mer_nas.wording import count


@dataclass(frozen=True)
class Job:
    """A candidate and the folds of it that remain to be run."""

    id: str
    label: str
    """How people call the job, in progress lines and in the worker's log."""
    candidate: Candidate
    repetition: int
    folds: tuple[int, ...]
    """Indices into the protocol's folds, in the order in which they are to be run."""
    hindsight: Callable[[Hindsight], object] | None = None
    """Takes what each fold would have said after its earlier epochs, once its result is kept;
    None: nobody looks back."""
    patience: Patience = PATIENT
    """How long its folds may take."""


class Source(Protocol):
    """Gives out jobs and takes what became of them."""

    def ask(self) -> Job | None:
        """Return the next job, or None if there is none now."""

    @property
    def exhausted(self) -> bool:
        """Whether `ask` will never return a job again."""

    def observe(self, job: str, result: FoldResult) -> bool:
        """Keep the result of a job's next fold; return whether the job should stop here."""

    def finish(self, job: str, failure: Failure | None = None) -> None:
        """Close a job whose folds are done, that was stopped, or that failed.

        A job that is already closed stays as it is.
        """


class FoldEvaluator(Protocol):
    """Trains and reads folds; what `evaluation.Evaluator` is to the runners."""

    gpu_share: float
    """Of the memory of a GPU that this process may use; 0: none of any."""
    beat: Callable[[], object]
    """Is called after every epoch."""

    def folds(
        self, candidate: Candidate, indices: Sequence[int], repetition: int = 0
    ) -> Iterator[FoldResult]:
        """Train `candidate` without the held-out subjects of each fold and predict those.

        Results come in the order of `indices`, some perhaps at once; what a fold fails of is
        raised when its turn comes. Nobody need hear it to the end.
        """

    def together(self, candidate: Candidate, *, gpu: bool = False) -> bool:
        """Whether neighbouring folds of a candidate are best asked for together."""

    def recording(self) -> "_Recorder":
        """Return the same evaluator, ready to look back at each fold that it trains."""


class _Recorder(Protocol):
    """Can look back at the fold it has just trained, alone; see `evaluation.hindsight`."""

    def fold(self, candidate: Candidate, index: int, repetition: int = 0) -> FoldResult:
        """Train `candidate` without the held-out subjects of fold `index` and predict those."""

    def look_back(self) -> Hindsight:
        """Return what the fold just trained would have said after each of its epochs."""


def told_once(emit: Listener) -> Callable[[str, FoldResult], None]:
    """Return what tells, once, that folds are trained together, and once for each reason not to.

    It takes how people call a job, and a result of it.
    """
    told: set[str] = set()

    def tell(label: str, result: FoldResult) -> None:
        if (result.width > 1 or result.alone) and result.alone not in told:
            told.add(result.alone)
            emit(Note(f"{label}: {manner(result)}"))

    return tell


def manner(result: FoldResult) -> str:
    """Say how a fold was trained: "5 folds at a time"; empty where it was plainly alone."""
    if result.width > 1:
        return f"{result.width} folds at a time, as one computation"
    return f"one fold after another, not several at a time: {result.alone}" if result.alone else ""


def ending(done: int, of: int, failure: Failure | None, stopped: str = "") -> tuple[Outcome, str]:
    """Return how a job ended and why, after `done` of `of` folds.

    Args:
        done: Folds that are in the ledger.
        of: Folds of the protocol.
        failure: What a fold or its worker failed of, if anything did.
        stopped: Why the job was told to stop; empty if it was not.
    """
    if done == of:
        return "complete", ""
    if failure is not None:
        return "failed", failure.reason
    if stopped:
        return "pruned", stopped
    return "failed", f"ended with {of - done} of {count(of, 'fold')} to go"


def looked_back(recorder: _Recorder) -> tuple[Hindsight | None, str]:
    """Look back at a fold; return what was seen, or why nothing was: a diagnostic fails nobody."""
    try:
        return recorder.look_back(), ""
    except Exception as error:  # the fold itself is safe
        return None, describe(error)
