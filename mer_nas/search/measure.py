"""Candidates measured on the folds of a protocol with several seeds: all that is no search.

The final stage, `evaluate`, `reproduce` and the question to an outer group are each a
`Measurement`, worked off by `workers.Workers` as the search itself is. All candidates' first
repetitions come before any second one: what is stopped early has compared like with like. Where
there are fewer repetitions than workers, several share the folds of one. What the ledger holds is
not trained again, so a final stage with the folds and the recipe of the search has its first
repetition for nothing. Nothing that was seen in looking back (`evaluation.hindsight`) is heard of
here.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Protocol
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.hindsight import Hindsight
from mer_nas.evaluation.results import FoldResult, pool
from mer_nas.search.events import Ended, FoldDone, Listener, Measuring, Started, ignore
from mer_nas.search.failures import Failure
from mer_nas.search.jobs import Job, ending, told_once
from mer_nas.search.ledger import FoldStore, Ledger
from mer_nas.search.patience import PATIENT, Patience
from mer_nas.search.race import FAILED_SEED, Race


@dataclass
class _Repetition:
    """A candidate under the whole protocol, once."""

    id: str
    label: str
    candidate: Candidate
    repetition: int
    done: list[FoldResult]
    missing: tuple[int, ...]
    """Folds that the ledger did not hold at the start, by index."""
    open: set[str] = field(default_factory=set)
    """Jobs that have been given out, or will be."""
    failure: Failure | None = None
    left: str = ""
    """Why its candidate has left the race."""
    closed: bool = False


class Measurement:
    """Candidates and their repetitions as a source of jobs (see `jobs.Source`).

    Args:
        candidates: By what people call them, the first ones first.
        seeds: Repetitions of the whole protocol for each.
        clips: What is learned from.
        protocol: The folds of a repetition.
        seed: Of the study.
        ledger: Where finished folds are kept.
        code: Version of the code that trains them.
        chance: Smallest share of draws of the subjects in which a candidate that gets further
            repetitions is as good as the leader; 0: everybody gets all (see `race`).
        stay: Keys of candidates that get all of them whatever comes.
        hindsight: Takes the look back at each fold that is trained here; None: there is none.
        patience: How long a fold may take.
        on_event: Is told what happens.
    """

    def __init__(
        self,
        candidates: Mapping[str, Candidate],
        seeds: int,
        *,
        clips: ClipSet,
        protocol: Protocol,
        seed: int,
        ledger: Ledger,
        code: str,
        chance: float = 0.0,
        stay: Collection[str] = (),
        hindsight: Callable[[Hindsight], object] | None = None,
        patience: Patience = PATIENT,
        on_event: Listener = ignore,
    ) -> None:
        self.protocol = protocol
        self._hindsight, self._patience = hindsight, patience
        self._seeds = seeds
        self._store = FoldStore(ledger, clips, protocol, seed, code)
        self._emit = on_event
        self._repetitions = [
            self._opened(candidate, repetition, f"{label}, seed {repetition + 1} of {seeds}")
            for repetition in range(seeds)
            for label, candidate in candidates.items()
        ]
        self._race = Race(chance, protocol) if chance else None
        self._stay = stay
        self._leaders: dict[int, str] = {}
        self._let_go()
        self._jobs: dict[str, _Repetition] = {}
        self._rest: Iterator[Job | None] | None = None
        self.divide(1)
        self._told = told_once(on_event)
        self.exhausted = False
        """Whether `ask` will never return a job again."""

    @property
    def missing(self) -> int:
        """How many folds the ledger did not hold at the start of those who stay in the race."""
        return sum(len(each.missing) for each in self._repetitions if not each.left)

    @property
    def results(self) -> Mapping[tuple[str, int], tuple[FoldResult, ...]]:
        """The folds of every repetition that is complete, by candidate's key and repetition."""
        return {
            (each.candidate.key, each.repetition): tuple(each.done)
            for each in self._repetitions
            if len(each.done) == len(self.protocol.folds)
        }

    @property
    def left(self) -> Mapping[str, str]:
        """Why candidates got no further repetitions, by their key."""
        whole = self._whole(1 + max(each.repetition for each in self._repetitions))
        raced = whole if self._race is not None else {}
        failed = [each.candidate.key for each in self._repetitions if each.failure and raced]
        return {key: FAILED_SEED for key in failed if key not in {*whole, *self._stay}} | {
            each.candidate.key: each.left for each in self._repetitions if each.left
        }

    @property
    def failures(self) -> Mapping[str, str]:
        """What repetitions failed of, by their label."""
        return {
            each.label: each.failure.reason
            for each in self._repetitions
            if each.failure is not None
        }

    @property
    def failed(self) -> Mapping[tuple[str, int], str]:
        """The labels of repetitions that failed, by candidate's key and repetition."""
        return {
            (each.candidate.key, each.repetition): each.label
            for each in self._repetitions
            if each.failure is not None
        }

    def divide(
        self, workers: int, together: Callable[[Candidate], bool] = lambda _: False
    ) -> None:
        """Cut repetitions into parts, so that each of so many workers gets a job if it can.

        Args:
            workers: How many there are.
            together: Whether the folds of a block of a candidate are one computation; a worker
                then gets whole blocks.
        """
        self._workers, self._together = workers, together

    def ask(self) -> Job | None:
        """Return the next folds of a repetition that are missing, or None for none now."""
        if self._rest is None:
            self._rest = self._given()
        for job in self._rest:
            return job
        self.exhausted = True
        return None

    def observe(self, job: str, result: FoldResult) -> bool:
        """Keep the result of a fold; return whether the repetition goes on no further.

        Raises:
            StudyError: The ledger cannot be written, or other code trained the fold.
        """
        self._store.keep(result)
        each = self._jobs[job]
        self._told(each.label, result)
        each.done.append(result)
        done, of = len(each.done), len(self.protocol.folds)
        self._emit(
            FoldDone("final", each.id, each.label, result.fold_name, done, of, result.seconds)
        )
        if self._race is not None and each.repetition and not each.left:
            each.left = self._leaves(each)
        return bool(each.failure or each.left)

    def finish(self, job: str, failure: Failure | None = None) -> None:
        """Close a job, and with its last job the repetition."""
        each = self._jobs[job]
        each.open.discard(job)
        if failure is not None and each.failure is None:
            each.failure = failure
        if not each.open:
            self._close(each)

    def _opened(self, candidate: Candidate, repetition: int, label: str) -> _Repetition:
        found = [
            self._store.find(candidate.key, index, repetition)
            for index in range(len(self.protocol.folds))
        ]
        return _Repetition(
            f"{candidate.key}/{repetition}",
            label,
            candidate,
            repetition,
            [result for result in found if result is not None],
            tuple(index for index, result in enumerate(found) if result is None),
        )

    def _let_go(self) -> None:
        """Let those leave of whom the ledger says so already: nothing has to start for them."""
        for each in self._repetitions if self._race else ():
            before = (one for one in self._repetitions if one.repetition < each.repetition)
            if each.repetition and all(one.left or not one.missing for one in before):
                each.left = self._leaves(each)

    def _given(self) -> Iterator[Job | None]:
        """Yield the jobs of each repetition; none of one that has ended by then; None to wait."""
        self._emit(Measuring(len(self._repetitions), self.missing))
        size = len(self._repetitions) // (self._seeds if self._race else 1)
        for start in range(0, len(self._repetitions), size):
            round_ = self._repetitions[start : start + size]
            if self._race is not None and start:
                yield from self._waiting(self._repetitions[:start])
                leader = self._leader(round_[0].repetition)
                first = [each for each in round_ if each.candidate.key == leader]
                yield from self._divided(first)
                yield from self._waiting(first)
                round_ = [each for each in round_ if each not in first]
            yield from self._divided(round_)

    def _waiting(self, for_: Sequence[_Repetition]) -> Iterator[None]:
        """Yield None until some repetitions are over: the next ones depend on them."""
        while not all(each.closed for each in for_):
            yield None

    def _divided(self, round_: Sequence[_Repetition]) -> Iterator[Job]:
        """Yield the jobs of repetitions, cut so that every worker has one."""
        open_ones = sum(bool(each.missing) for each in round_)
        parts = math.ceil(self._workers / max(1, open_ones))
        for each in round_:
            done, of = len(each.done), len(self.protocol.folds)
            if self._race is not None and each.repetition:
                each.left = self._leaves(each)
            self._emit(Started("final", each.id, each.label, each.candidate.key, done, of))
            if each.left or not each.missing:
                self._close(each)
                continue
            units = self._units(each)
            jobs = {
                f"{each.id}/{part}": tuple(chain.from_iterable(units[part::parts]))
                for part in range(min(parts, len(units)))
            }
            each.open = set(jobs)
            self._jobs |= dict.fromkeys(jobs, each)
            for job, folds in jobs.items():
                if each.failure or each.left:
                    self.finish(job)
                    continue
                yield Job(
                    job, each.label, each.candidate, each.repetition, folds, self._hindsight,
                    self._patience,
                )  # fmt: skip

    def _units(self, each: _Repetition) -> list[tuple[int, ...]]:
        """Return the missing folds of a repetition, those that one worker should have together."""
        if not self._together(each.candidate):
            return [(index,) for index in each.missing]
        missing = set(each.missing)
        blocks = (filter(missing.__contains__, block) for block in self.protocol.blocks)
        return [unit for unit in map(tuple, blocks) if unit]

    def _whole(self, before: int) -> dict[str, list[Sequence[FoldResult]]]:
        """Return the whole repetitions before one, of those candidates that have most of them."""
        found: dict[str, list[Sequence[FoldResult]]] = {}
        for each in self._repetitions:
            if each.repetition < before and len(each.done) == len(self.protocol.folds):
                found.setdefault(each.candidate.key, []).append(each.done)
        most = max(map(len, found.values()), default=0)
        return {key: whole for key, whole in found.items() if len(whole) == most}

    def _leader(self, repetition: int) -> str:
        """Return who leads once those before a repetition are over; empty where all failed."""
        assert self._race is not None
        if repetition not in self._leaders:
            whole = self._whole(repetition)
            self._leaders[repetition] = self._race.leader(whole) if whole else ""
        return self._leaders[repetition]

    def _leaves(self, each: _Repetition) -> str:
        """Return why a candidate gets no further folds of a repetition after the first one."""
        assert self._race is not None
        key, before = each.candidate.key, self._whole(each.repetition)
        for earlier in self._repetitions:
            if earlier.candidate.key == key and earlier.left:
                return earlier.left
        if key in self._stay or not before:
            return ""
        if key not in before:  # those before are over, and one of its has come to nothing
            return FAILED_SEED
        leader, led = self._leader(each.repetition), self._of_leader(each.repetition)
        if not led or key == leader:
            return ""
        ours = [*before[key], self._race.so_far(each.done)]
        return self._race.leaves(ours, [*before[leader], led])

    def _of_leader(self, repetition: int) -> Sequence[FoldResult]:
        """Return the folds of the leader in a repetition; nothing where it has failed there."""
        leader = self._leader(repetition)
        for each in self._repetitions:
            if (each.candidate.key, each.repetition) == (leader, repetition):
                return each.done if len(each.done) == len(self.protocol.folds) else ()
        return ()

    def _close(self, each: _Repetition) -> None:
        if each.closed:
            return
        each.closed = True
        order = {fold.key: index for index, fold in enumerate(self.protocol.folds)}
        each.done.sort(key=lambda result: order[result.fold])
        done, of = len(each.done), len(order)
        outcome, reason = ending(done, of, each.failure, each.left)
        if outcome != "failed":
            each.failure = None
        elif each.failure is None:
            each.failure = Failure(reason)
        value = pool(each.done).uf1 if done == of else None
        self._emit(Ended("final", each.id, each.label, outcome, done, of, value, reason))
