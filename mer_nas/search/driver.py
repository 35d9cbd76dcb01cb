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

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Protocol
from mer_nas.errors import Infeasible, StudyError
from mer_nas.evaluation.results import FoldResult
from mer_nas.search import pruners
from mer_nas.search.alternatives import Alternatives, Drafting, predicted_seconds
from mer_nas.search.budget import COUNTED, Budget
from mer_nas.search.config import StudyConfig
from mer_nas.search.crash_points import crash_point
from mer_nas.search.events import (
    Ended,
    FoldDone,
    Listener,
    Note,
    Outcome,
    Rejected,
    SearchEnded,
    Started,
    ignore,
)
from mer_nas.search.failures import Failure
from mer_nas.search.jobs import Job, ending, told_once
from mer_nas.search.journal import Journal
from mer_nas.search.ledger import FoldStore, Ledger
from mer_nas.search.patience import Patience
from mer_nas.search.proposals import Proposal, Propose
from mer_nas.search.pruners import Best, Scoreboard, TrialSnapshot
from mer_nas.search.storage import close_storage, open_study
from mer_nas.search.trials import STATES, KeptTrial, drawn_by, keep, outcome_of
from mer_nas.space import WarmStart

Grid = Sequence[Mapping[str, Any]]
"""Candidates by the parameters that lead to them."""


@dataclass
class _Running:
    """A trial that has been given out."""

    trial: optuna.Trial
    proposal: Proposal
    reported: set[int]
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
        draft: Draws one that only its cost is asked of; none where costs do not weigh.
        points: Tried first, in this order.
        settings: Budget, objectives, sampler and pruner.
        clips: What is learned from.
        protocol: The folds of a trial.
        ledger: Where finished folds are kept.
        code: Version of the code that trains them.
        storage: URL or file of an Optuna storage.
        name: Of the study within the storage.
        grid: Tried after the points, and nothing after it; none to ask the sampler instead.
        again: Tried after the points, before the sampler is asked.
        journal: Where trials are kept beside the storage; none: nowhere.
        on_event: Is told what happens.

    Raises:
        StudyError: The storage cannot be opened.
    """

    def __init__(
        self,
        *,
        propose: Propose,
        draft: Drafting | None = None,
        points: Iterable[WarmStart],
        settings: StudyConfig,
        clips: ClipSet,
        protocol: Protocol,
        ledger: Ledger,
        code: str,
        storage: str,
        name: str = "search",
        grid: Grid | None = None,
        again: Grid = (),
        journal: Journal[KeptTrial] | None = None,
        on_event: Listener = ignore,
    ) -> None:
        self._propose = propose
        self._settings = settings
        self._closed = grid is not None
        self._emit = on_event
        self._journal = journal
        self._store = FoldStore(ledger, clips, protocol, settings.seed, code)
        self._running: dict[str, _Running] = {}
        self._told = told_once(on_event)
        self._orphans: list[FrozenTrial] = []
        self._taken: dict[str, int] = {}
        self._best: Best | None = None
        self.protocol = protocol
        self.board = Scoreboard(clips, protocol)
        self.ended = ""
        """Why no more trials are given out; empty while there are."""
        self.study, self._storage = open_study(storage, name, settings)
        self.budget = Budget(settings, self.study)
        pruner = "none" if settings.unpruned else settings.pruner
        self._pruner = pruners.build(
            pruner, settings.chance, settings.margin, len(protocol.blocks)
        )
        self._alternatives = self._weighing(draft)
        self._enqueue(points, grid or (), again)
        self._reconcile()

    @property
    def exhausted(self) -> bool:
        """Whether `ask` will never return a job again."""
        return bool(self.ended)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to train: no trial in flight, and no budget for another."""
        return not self._orphans and bool(self._over())

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many trials came to which end, in all sessions."""
        return self.budget.counts

    @property
    def best(self) -> Best | None:
        """The best complete trial so far."""
        return self._best

    def ask(self) -> Job | None:
        """Return the next trial to train, or None if there is none now.

        Raises:
            StudyError: The space holds no candidate that may be trained.
        """
        self.budget.start()
        while (trial := self._next_trial()) is not None:
            if (job := self._begin(trial)) is not None:
                return job
        return None

    def observe(self, job: str, result: FoldResult) -> bool:
        """Keep the result of a trial's next fold; return whether the trial should stop here.

        Raises:
            StudyError: The ledger cannot be written, or other code trained the fold.
        """
        running = self._running[job]
        self._store.keep(result)
        self._told(running.label, result)
        self._advance(running, result)
        self.budget.save()
        done, of = len(running.results), len(self.board.order)
        self._emit(
            FoldDone("search", job, running.label, result.fold_name, done, of, result.seconds)
        )
        return bool(running.stopped)

    def finish(self, job: str, failure: Failure | None = None) -> None:
        """Close a trial whose folds are done, that was stopped, or that failed."""
        if (running := self._running.get(job)) is not None:
            done, of = len(running.results), len(self.board.order)
            outcome, reason = ending(done, of, failure, running.stopped)
            if outcome == "failed" and failure is not None and failure.traceback:
                running.trial.set_user_attr("traceback", failure.traceback)
            self._close(running, outcome, reason)

    def results(self, candidate: str) -> tuple[FoldResult, ...]:
        """Return what the ledger holds of a candidate under the protocol of the search."""
        found = (self._store.find(candidate, index) for index in self.board.order)
        return tuple(result for result in found if result is not None)

    def close(self) -> None:
        """Let go of the storage."""
        try:
            self.budget.save(force=True)
        finally:
            close_storage(self._storage)

    # What comes next -------------------------------------------------------------------------

    def _next_trial(self) -> optuna.Trial | None:
        if self._orphans:
            # Optuna itself goes on so with a trial that is in the storage.
            number = self._orphans.pop(0).number
            study = self._storage.get_study_id_from_name(self.study.study_name)
            known = self._storage.get_trial_id_from_study_id_trial_number(study, number)
            return optuna.Trial(self.study, known)
        if self.ended:
            return None
        if self.budget.too_many_rejections and not self._closed:
            if not self._running:
                self._give_up()
            return None
        if reason := self._over():
            self._end(reason)
            return None
        trial = self.study.ask()
        crash_point("after_create")
        return trial

    def _over(self) -> str:
        """Return why no more trials begin; empty while they do."""
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if self._closed and not waiting:
            return "every row is done"
        return self.budget.spent(len(self._running))

    def _give_up(self) -> None:
        """End the search for want of new candidates.

        Raises:
            StudyError: Not one candidate was complete.
        """
        if self._best is None:
            raise StudyError(
                f"{self.budget.rejection_summary}. Widen the space or its limits; "
                "`mer-nas check` shows the share of its draws that is feasible"
            )
        self._end(self.budget.rejection_summary)

    def _end(self, reason: str) -> None:
        self.ended = reason
        self.budget.end(reason)
        self._emit(SearchEnded(reason))

    # The life of a trial ---------------------------------------------------------------------

    def _begin(self, trial: optuna.Trial) -> Job | None:
        """Draw the candidate of a trial; return a job if something of it remains to be trained."""
        if self._alternatives is not None:
            self._alternatives.choose(trial, self._taken)
            crash_point("after_choice")
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
        self._keep(trial.number)
        crash_point("after_ask")
        self._taken[key] = trial.number
        self.budget.reset_rejections()
        reported = set(self.study.get_trials(deepcopy=False)[trial.number].intermediate_values)
        running = self._running[str(trial.number)] = _Running(trial, proposal, reported)
        return self._resume(running)

    def _note(self, trial: optuna.Trial, proposal: Proposal) -> None:
        """Write into the study what a report wants to know of the candidate."""
        attributes: dict[str, Any] = {
            "candidate": proposal.candidate.key,
            "tree": proposal.candidate.dump(),
            **proposal.cost._asdict(),
        }
        if proposal.timing is not None:
            attributes["timing"] = proposal.timing._asdict()
        for name, value in attributes.items():
            trial.set_user_attr(name, value)

    def _resume(self, running: _Running) -> Job | None:
        """Take in the folds that the ledger holds; return a job for the others, if any."""
        key, job, order = (
            running.proposal.candidate.key,
            str(running.trial.number),
            self.board.order,
        )
        known = self.results(key)
        self._emit(Started("search", job, running.label, key, len(known), len(order)))
        for index in order:
            result = self._store.find(key, index)
            if result is None:
                break
            self._advance(running, result)
            if running.stopped:
                break
        rest = order[len(running.results) :]
        if running.stopped or not rest:
            self.finish(job)
            return None
        patience = Patience(self._settings.fold_seconds, self.budget.seconds_left)
        return Job(job, running.label, running.proposal.candidate, 0, rest, patience=patience)

    def _advance(self, running: _Running, result: FoldResult) -> None:
        """Count a fold; at the end of a block tell the study and ask the pruner."""
        running.results.append(result)
        done = len(running.results)
        if done not in self.board.block_ends:
            return
        step = self.board.block_ends[done]
        value = self.board.uf1(running.results)
        if step not in running.reported and len(self._settings.objectives) == 1:
            running.trial.report(value, step)  # Optuna takes none where there are several
            running.reported.add(step)
        crash_point("after_report")
        number = running.trial.number
        self._pruner.report(number, step, value)
        if done < len(self.board.order):
            answers = self.board.answers(running.results)
            snapshot = TrialSnapshot(number, answers, self.board.remaining[done], self._best)
            running.stopped = self._pruner.should_prune(snapshot)
        crash_point("after_should_prune")

    def _close(self, running: _Running, outcome: Outcome, reason: str) -> None:
        job, trial = str(running.trial.number), running.trial
        value = self.board.uf1(running.results) if outcome == "complete" else None
        self._tell(trial, outcome, reason, self._values(running, value))
        crash_point("after_tell")
        del self._running[job]
        if outcome == "failed":
            self._taken.pop(running.proposal.candidate.key, None)
        self._pruner.ended(trial.number, STATES[outcome], value)
        self.budget.ended(outcome, reason)
        self._compare(trial.number, value, lambda: running.results)
        self.budget.save()
        done, of = len(running.results), len(self.board.order)
        self._emit(Ended("search", job, running.label, outcome, done, of, value, reason))

    def _compare(
        self, number: int, value: float | None, results: Callable[[], Sequence[FoldResult]]
    ) -> None:
        if value is not None and (self._best is None or value > self._best.value):
            self._best = Best(number, value, self.board.answers(results()))

    def _reject(self, trial: optuna.Trial, outcome: Outcome, reason: str) -> None:
        self._tell(trial, outcome, reason, None)
        self.budget.count(outcome)
        # Where nothing is open, every further draw would be the same.
        self.budget.reject(reason, certain=not drawn_by(trial))
        self._emit(Rejected(f"trial {trial.number}", outcome, reason))

    def _values(self, running: _Running, uf1: float | None) -> list[float] | None:
        """Return what a complete trial has reached in each objective."""
        if uf1 is None:
            return None
        cost = running.proposal.cost
        costs = {"macs": cost.macs, "params": cost.deployed}
        return [uf1, *(float(costs[name]) for name in self._settings.objectives[1:])]

    def _tell(
        self, trial: optuna.Trial, outcome: Outcome, reason: str, values: list[float] | None
    ) -> None:
        trial.set_user_attr("outcome", outcome)
        if reason:
            trial.set_user_attr("reason", reason)
        crash_point("before_tell")
        self.study.tell(trial, values, STATES[outcome], skip_if_finished=True)
        crash_point("before_kept")
        self._keep(trial.number)

    def _keep(self, *numbers: int) -> None:
        """Bring trials to the journal; a driver that is killed before that does so later."""
        if self._journal is not None:
            trials = self.study.get_trials(deepcopy=False)
            keep(self._journal, self.study, (trials[number] for number in numbers))

    # What is known at the start --------------------------------------------------------------

    def _weighing(self, draft: Drafting | None) -> Alternatives | None:
        """Return what chooses among draws by their predicted seconds, where costs weigh."""
        pace, clips, folds = self._settings.pace, self.protocol.trained, len(self.protocol.folds)
        if draft is None or pace is None or not self._settings.weighs_cost:
            return None
        seconds = partial(predicted_seconds, pace, clips, folds)
        return Alternatives(draft, seconds, self._settings.alternatives, self.study)

    def _enqueue(self, points: Iterable[WarmStart], grid: Grid, again: Grid) -> None:
        """Put points and the grid before all other trials, each once in the life of the study.

        Where costs weigh, the points that are soonest trained come first.
        """
        trials = self.study.get_trials(deepcopy=False)
        kinds = ("point", "row", "again")
        known = {(name, t.user_attrs.get(name)) for t in trials for name in kinds}
        first = self._alternatives.cheap_first(points) if self._alternatives else points
        wanted = [("point", point.name, point.params) for point in first]
        wanted += [("row", str(number), row) for number, row in enumerate(grid, start=1)]
        wanted += [("again", str(number), row) for number, row in enumerate(again, start=1)]
        for kind, name, params in wanted:
            if (kind, name) not in known:
                self.study.enqueue_trial(dict(params), user_attrs={kind: name})

    def _reconcile(self) -> None:
        """Read from the study what earlier sessions did, and adopt what they left running."""
        trials = self.study.get_trials(deepcopy=False)
        if self._journal is not None:
            keep(self._journal, self.study, (t for t in trials if outcome_of(t) is not None))
        for trial in trials:
            if trial.state == TrialState.RUNNING:
                self._orphans.append(trial)
            elif (outcome := outcome_of(trial)) is not None:
                self._recall(trial, outcome)
            elif trial.state.is_finished():
                self._leave_out(trial)
        self.budget.renew()

    def _leave_out(self, trial: FrozenTrial) -> None:
        """Do without a trial that another program has ended.

        Raises:
            StudyError: The sampler would learn from it.
        """
        told = f"trial {trial.number}: another program has told its end ({trial.state.name})"
        if trial.state != TrialState.FAIL and not self._closed:
            raise StudyError(
                f"{told} without a fold of it, and the sampler would learn from that; restore the "
                "storage from a copy, or leave such trials behind and go on with the others: "
                "`mer-nas resume STUDY --anew`"
            )
        self._emit(Note(f"{told}; it is left out, and what is in the ledger of it stays there"))

    def _recall(self, trial: FrozenTrial, outcome: Outcome) -> None:
        self.budget.count(outcome)
        for step, value in sorted(trial.intermediate_values.items()):
            self._pruner.report(trial.number, step, value)
        complete = trial.values[0] if outcome == "complete" else None
        self._pruner.ended(trial.number, trial.state, complete)
        if outcome not in COUNTED:
            self.budget.reject(trial.user_attrs["reason"])
            return
        self.budget.reset_rejections()
        key = trial.user_attrs["candidate"]
        if outcome != "failed":
            self._taken[key] = trial.number
        self._compare(trial.number, complete, lambda: self.results(key))
