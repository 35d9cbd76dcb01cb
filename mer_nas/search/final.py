"""The final stage: the best candidates again, in full and with several seeds.

A source of jobs like the search, one for each candidate and repetition, and all candidates' first
repetitions before any second one: a stage that is stopped early has compared like with like.
Nothing is pruned, and nothing that was seen in looking back (`evaluation.hindsight`) is heard of
here. What the ledger holds is not trained again; where the stage uses the folds and
the recipe of the search, its first repetition costs nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Protocol
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.hindsight import Hindsight
from mer_nas.evaluation.results import FoldResult, pool
from mer_nas.search.events import Ended, FoldDone, Listener, Started, ignore
from mer_nas.search.jobs import Job, ending
from mer_nas.search.ledger import Ledger
from mer_nas.search.record import Record


@dataclass(frozen=True)
class Finalist:
    """A candidate that made it to the final stage."""

    label: str
    """How people call it: "trial 17"."""
    candidate: Candidate


@dataclass
class _Entry:
    """One repetition of a finalist."""

    finalist: Finalist
    repetition: int
    label: str
    given: bool = False
    closed: bool = False
    error: str = ""
    done: list[FoldResult] = field(default_factory=list)


class FinalStage:
    """Finalists and their repetitions as a source of jobs (see `jobs.Source`).

    Args:
        finalists: Best first.
        seeds: Repetitions of the whole protocol for each.
        clips: What is learned from.
        protocol: The folds of a repetition.
        seed: Of the study.
        ledger: Where finished folds are kept.
        code: Version of the code that trains them.
        hindsight: Takes the look back at each fold that is trained here; None: there is none.
        on_event: Is told what happens.
    """

    def __init__(
        self,
        *,
        finalists: Sequence[Finalist],
        seeds: int,
        clips: ClipSet,
        protocol: Protocol,
        seed: int,
        ledger: Ledger,
        code: str,
        hindsight: Callable[[Hindsight], object] | None = None,
        on_event: Listener = ignore,
    ) -> None:
        self._protocol = protocol
        self._hindsight = hindsight
        self._record = Record(ledger, clips, protocol, seed, code)
        self._emit = on_event
        self._entries = {
            f"{finalist.candidate.key}/{repetition}": _Entry(
                finalist, repetition, f"{finalist.label}, seed {repetition + 1} of {seeds}"
            )
            for repetition in range(seeds)
            for finalist in finalists
        }

    @property
    def exhausted(self) -> bool:
        """Whether `ask` will never return a job again."""
        return all(entry.given for entry in self._entries.values())

    @property
    def results(self) -> Mapping[tuple[str, int], tuple[FoldResult, ...]]:
        """The folds of every repetition that is complete, by candidate's key and repetition."""
        return {
            (entry.finalist.candidate.key, entry.repetition): tuple(entry.done)
            for entry in self._entries.values()
            if len(entry.done) == len(self._protocol.folds)
        }

    @property
    def failures(self) -> Mapping[str, str]:
        """What repetitions failed of, by their label."""
        return {entry.label: entry.error for entry in self._entries.values() if entry.error}

    @property
    def missing(self) -> int:
        """How many folds the ledger does not hold yet."""
        return sum(
            self._find(entry, index) is None
            for entry in self._entries.values()
            for index in range(len(self._protocol.folds))
        )

    def ask(self) -> Job | None:
        """Return the next repetition of which folds are missing, or None if there is none."""
        for job, entry in self._entries.items():
            if entry.given:
                continue
            entry.given = True
            found = [self._find(entry, index) for index in range(len(self._protocol.folds))]
            entry.done = [result for result in found if result is not None]
            missing = tuple(index for index, result in enumerate(found) if result is None)
            key, of = entry.finalist.candidate.key, len(found)
            self._emit(Started("final", job, entry.label, key, len(entry.done), of))
            if missing:
                return Job(
                    job,
                    entry.label,
                    entry.finalist.candidate,
                    entry.repetition,
                    missing,
                    self._hindsight,
                )
            self.finish(job)
        return None

    def observe(self, job: str, result: FoldResult) -> bool:
        """Keep the result of a fold.

        Raises:
            StudyError: The ledger cannot be written, or other code trained the fold.
        """
        self._record.keep(result)
        entry = self._entries[job]
        entry.done.append(result)
        done, of = len(entry.done), len(self._protocol.folds)
        self._emit(FoldDone("final", job, entry.label, result.fold_name, done, of, result.seconds))
        return False

    def finish(self, job: str, error: str | None = None) -> None:
        """Close a repetition."""
        entry = self._entries[job]
        if entry.closed:
            return
        entry.closed = True
        order = {fold.key: index for index, fold in enumerate(self._protocol.folds)}
        entry.done.sort(key=lambda result: order[result.fold])
        done, of = len(entry.done), len(order)
        outcome, entry.error = ending(done, of, error)
        value = pool(entry.done).uf1 if done == of else None
        self._emit(Ended("final", job, entry.label, outcome, done, of, value, entry.error))

    def _find(self, entry: _Entry, index: int) -> FoldResult | None:
        return self._record.find(entry.finalist.candidate.key, index, entry.repetition)
