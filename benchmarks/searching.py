"""A whole search replayed on the table: proposals, folds, pruner, choice, and what they cost.

Everything that a search does follows from what half of the subjects say, though folds are trained
with all of them; what it hands over is asked about the other half. A study is done once with each
half, and what both hand over is pooled before it is scored.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import numpy as np
from combining import chosen_by, halves, others
from optuna.trial import TrialState
from proposing import AtRandom, Sampled
from table import EPOCHS, LAST, SCHEMES, Table

from mer_nas.evaluation.metrics import Counts, Values, uf1
from mer_nas.search.pruners import Best, Pruner, TrialSnapshot, build
from mer_nas.search.samplers import RepeatableSampler
from mer_nas.statistics.ensembles import Choose, EnsembleRule, OutOfFold, best_one

BLOCK = 0.1
"""Share of the clips after which a pruner is asked."""
STUDIES = 20
RULES: dict[str, Choose] = {
    "single": best_one,
    "mean of 5": EnsembleRule("mean", 5),
    "weights of 5": EnsembleRule("weights", 5),
}
SHARES = (1, 0.5, 0.35, 0.25, 0.1)


class Proposals(Protocol):
    """The order in which candidates are tried."""

    def ask(self, left: Sequence[int]) -> int:
        """Return the next of the configurations that are left."""

    def tell(self, configuration: int, score: float | None) -> None:
        """Hear what became of it; nothing of one that was stopped."""


class EpochScheduler(Protocol):
    """Stops trials on the way."""

    def stops(self, number: int, epochs: int, score: float) -> bool:
        """Hear the score of a trial after some epochs; return whether it should stop here."""


@dataclass(frozen=True)
class Plan:
    """How a search measures, stops and hands over."""

    name: str
    scheme: str = "8"
    epochs: int = EPOCHS[-1]
    propose: Callable[[Table, int], Proposals] = AtRandom
    pruner: Callable[[int], Pruner] = lambda blocks: Pruner()
    """Made for a number of blocks."""
    block: float = BLOCK
    rungs: Callable[[], EpochScheduler] | None = None
    """Stops a trial after 10 or 20 epochs of all its folds."""
    finalists: int = 0
    """How many of the best go through LOSO with every seed; of them the best single one is."""
    promoted: int = 0
    """How many of the best are trained again with all epochs; the choice is then among them."""
    trials: int = 60

    @property
    def place(self) -> tuple[int, int]:
        """Where its scores stand in the table."""
        return SCHEMES.index(self.scheme), EPOCHS.index(self.epochs)


modelled = partial(RepeatableSampler, "tpe", 12)
"""The sampler of today, from a seed."""
spared = partial(build, "bootstrap", 0.05, 0.02)
"""The pruner of today."""
by_tpe = partial(Sampled, sampler=modelled)
by_tpe_of = {n: partial(Sampled, sampler=modelled, alternatives=n) for n in (2, 8)}
cheapest = {n: partial(AtRandom, alternatives=n) for n in (2, 4, 8)}
PLANS = (
    Plan("and a final stage", pruner=spared, finalists=3),
    Plan("at random", pruner=spared),
    Plan("TPE", pruner=spared, propose=by_tpe),
    Plan("not pruned"),
    Plan("4 groups", "4", pruner=spared),
    Plan("4 groups, not pruned", "4"),
    Plan("4, 20, not pruned", "4", 20),
    Plan("... TPE", "4", 20, propose=by_tpe),
    *(Plan(f"... TPE, cheapest of {n}", "4", 20, propose=by_tpe_of[n]) for n in (2, 8)),
    *(Plan(f"4, cheapest of {n}", "4", pruner=spared, propose=p) for n, p in cheapest.items()),
    Plan("4, 20 epochs", "4", 20, pruner=spared),
    Plan("4, 10 epochs", "4", 10, pruner=spared),
    Plan("4, 20 epochs, TPE", "4", 20, pruner=spared, propose=by_tpe),
    Plan("4, 10 epochs, TPE", "4", 10, pruner=spared, propose=by_tpe),
    Plan("... and 6 with 30", "4", 10, pruner=spared, propose=by_tpe, promoted=6),
    Plan("... and 10 with 30", "4", 10, pruner=spared, propose=by_tpe, promoted=10),
    Plan("20, and 6 with 30", "4", 20, pruner=spared, propose=by_tpe, promoted=6),
)
"""The first is what the default was, less TPE."""


@dataclass
class Searched:
    """What a search has come to."""

    half: Values
    """The subjects that it knows, (S,), ones and zeros."""
    seed: int
    """Of the table, with which it measures."""
    complete: list[int] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    """Seconds that were spent when each of them was complete."""
    pruned: int = 0
    seconds: float = 0.0

    def by(self, seconds: float) -> list[int]:
        """Return the candidates that were complete by then."""
        return self.complete[: int(np.searchsorted(self.ended, seconds, side="right"))]


def search(table: Table, plan: Plan, study: int, half: Values) -> Searched:
    """Replay a search until its trials are spent, or all configurations are tried.

    Args:
        table: What would have been measured.
        plan: How.
        study: Seed of the study.
        half: The subjects whose answers it sees, (S,).
    """
    scheme, _ = plan.place
    seeds = chosen_by(table, scheme)
    found = Searched(half, seeds[study % min(2, len(seeds))])
    whole = table.whole[:, found.seed, scheme] & table.whole[:, found.seed, table.truth]
    left = np.flatnonzero(whole).tolist()
    proposals, trained = plan.propose(table, study), _Trained(table, plan, found)
    for number in range(min(plan.trials, len(left))):
        candidate = proposals.ask(left)
        left.remove(candidate)
        score = trained.by_epochs(number, candidate) if plan.rungs else trained.by_folds(
            number, candidate
        )  # fmt: skip
        proposals.tell(candidate, score)
        if score is None:
            found.pruned += 1
            continue
        found.complete.append(candidate)
        found.ended.append(found.seconds)
    return found


class _Trained:
    """Trains one trial after another, as far as it gets; its seconds are added to the search's."""

    def __init__(self, table: Table, plan: Plan, found: Searched) -> None:
        self._table, self._found = table, found
        self._scheme, self._epoch = plan.place
        self._blocks = blocks_of(table, found.seed, self._scheme, plan.block)
        self._pruner = plan.pruner(len(self._blocks))
        self._rungs = plan.rungs() if plan.rungs else None
        self._best: Best | None = None

    def by_folds(self, number: int, candidate: int) -> float | None:
        """Train block after block of folds; return the score, nothing if the pruner stopped it."""
        counts = self._counts(candidate, self._epoch)
        done = self._blocks_done(number, counts)
        folds = [fold for trained, _ in self._blocks[:done] for fold in trained]
        self._spend(candidate, self._epoch, folds)
        if done < len(self._blocks):
            self._pruner.ended(number, TrialState.PRUNED, None)
            return None
        score = float(uf1(counts.sum(0)))
        self._pruner.ended(number, TrialState.COMPLETE, score)
        if self._best is None or score > self._best.value:
            known = {str(s): counts[s] for s in np.flatnonzero(self._found.half)}
            self._best = Best(number, score, known)
        return score

    def by_epochs(self, number: int, candidate: int) -> float | None:
        """Train all folds side by side; return the score, nothing if it was stopped on the way."""
        assert self._rungs is not None
        folds = list(range(self._table.held[self._found.seed, self._scheme].max() + 1))
        for epoch in range(self._epoch + 1):
            score = float(uf1(self._counts(candidate, epoch).sum(0)))
            stops = self._rungs.stops(number, EPOCHS[epoch], score)
            if epoch == self._epoch or stops:
                self._spend(candidate, epoch, folds)
                return None if epoch < self._epoch else score
        raise AssertionError

    def _counts(self, candidate: int, epoch: int) -> Counts:
        """Return the confusions of the subjects that the search knows; zeros for the others."""
        counts = self._table.counts[candidate, self._found.seed, self._scheme, epoch]
        return np.asarray(counts * self._found.half.astype(int)[:, None, None])

    def _spend(self, candidate: int, epoch: int, folds: Sequence[int]) -> None:
        seconds = self._table.seconds[candidate, self._found.seed, self._scheme, epoch, folds]
        self._found.seconds += float(seconds.sum())

    def _blocks_done(self, number: int, counts: Counts) -> int:
        """Go through the subjects of block after block until the pruner stops; return how many."""
        seen: dict[str, Counts] = {}
        remaining = counts.sum((0, 2))
        for step, (_, subjects) in enumerate(self._blocks, start=1):
            known = [s for s in subjects if self._found.half[s]]
            seen |= {str(s): counts[s] for s in known}
            remaining = remaining - counts[known].sum((0, 2))
            if not seen:
                continue
            snapshot = TrialSnapshot(number, seen, remaining, self._best)
            self._pruner.report(number, step, float(uf1(snapshot.counts.sum(0))))
            if step < len(self._blocks) and self._pruner.should_prune(snapshot):
                return step
        return len(self._blocks)


def blocks_of(
    table: Table, seed: int, scheme: int, share: float
) -> list[tuple[list[int], list[int]]]:
    """Return the folds and the subjects of each block, which ends with a share of the clips."""
    held = table.held[seed, scheme]
    blocks: list[tuple[list[int], list[int]]] = []
    folds: list[int] = []
    clips = 0
    for fold in range(held.max() + 1):
        folds.append(fold)
        clips += int((held == fold).sum())
        if clips >= share * len(held) or fold == held.max():
            subjects = np.unique(table.subjects[np.isin(held, folds)]).tolist()
            blocks.append((folds, subjects))
            folds, clips = [], 0
    return blocks


@dataclass(frozen=True)
class HandedOver:
    """Candidates with weights, and what all of it took."""

    pool: list[int]
    weights: Values
    seconds: float


def hand_over(
    table: Table, plan: Plan, found: Searched, choose: Choose, seconds: float
) -> HandedOver:
    """Return what a search of so many seconds hands over, the final stage's coming on top."""
    scheme, epoch = plan.place
    pool = found.by(seconds)
    spent = min(seconds, found.seconds)
    known = _pool(table, pool, found.seed, scheme, epoch)
    alone = known.scores(known.probabilities.argmax(-1), found.half)
    ranked = [pool[each] for each in np.argsort(-alone, kind="stable")]
    if plan.promoted:
        pool = ranked[: plan.promoted]
        spent += float(table.cost[pool, found.seed, scheme, LAST].sum())
        known = _pool(table, pool, found.seed, scheme, LAST)
    if not plan.finalists or choose is not best_one:
        return HandedOver(pool, choose(known, found.half), spent)
    last = ranked[: plan.finalists]
    seeds = [s for s in range(table.whole.shape[1]) if table.whole[last, s, table.truth].all()]
    spent += float(table.cost[last][:, seeds, table.truth, LAST].sum())
    counts = table.counts[last][:, seeds, table.truth, LAST][:, :, found.half > 0].sum(2)
    weights = np.eye(len(last))[uf1(counts).mean(1).argmax()]
    return HandedOver(last, weights, spent)


def _pool(table: Table, pool: list[int], seed: int, scheme: int, epoch: int) -> OutOfFold:
    """Return what some configurations said."""
    said = table.said[pool, seed, scheme, epoch].astype(np.float64)
    return OutOfFold(said, table.labels, table.subjects)


@dataclass(frozen=True)
class Row:
    """What a plan came to, mean over studies."""

    seconds: float
    complete: float
    pruned: float
    score: float
    error: float
    """Standard error over studies, which share the clips."""


def judge(
    table: Table,
    plan: Plan,
    studies: Sequence[tuple[Searched, Searched]],
    rule: str,
    budget: float,
) -> Row | None:
    """Return the mean of studies of some seconds; nothing where one has no candidate yet."""
    if not all(half.by(budget) for study in studies for half in study):
        return None
    rows = []
    for study in studies:
        handed = [hand_over(table, plan, half, RULES[rule], budget) for half in study]
        score = _score(table, study, handed)
        complete = np.mean([len(half.by(budget)) for half in study])
        rows.append((np.mean([each.seconds for each in handed]), complete, study[0].pruned, score))
    mean = np.mean(rows, axis=0)
    error = np.std([row[-1] for row in rows], ddof=1) / np.sqrt(len(rows))
    return Row(*mean.tolist(), float(error))


def _score(table: Table, study: Sequence[Searched], handed: Sequence[HandedOver]) -> float:
    """Return the pooled UF1 of each half's choice on the other, mean of the other seeds."""
    used = [each.pool[m] for each in handed for m in np.flatnonzero(each.weights)]
    scores = []
    for seed in others(table, np.array(used), study[0].seed):
        confusion = 0
        for half, each in zip(study, handed, strict=True):
            members = np.flatnonzero(each.weights)
            said = table.said[[each.pool[m] for m in members], seed, table.truth, LAST]
            counts = table.counted(np.tensordot(each.weights[members], said, 1))
            confusion = confusion + counts[half.half == 0].sum(0)
        scores.append(float(uf1(confusion)))
    return float(np.mean(scores))


def studied(table: Table, plan: Plan, studies: int) -> list[tuple[Searched, Searched]]:
    """Replay a number of studies, each with both halves of its own split."""
    found = []
    for study in range(studies):
        first, second = halves(table, study)
        found.append((search(table, plan, study, first), search(table, plan, study, second)))
    return found


def lines(table: Table, studies: int = STUDIES, scheme: str = "") -> Iterator[str]:
    """Yield a line for each share of the seconds that the first plan takes, and each plan."""
    plans = [replace(plan, scheme=scheme or plan.scheme) for plan in PLANS]
    found = {plan: studied(table, plan, studies) for plan in plans}
    first = [half.seconds for study in found[plans[0]] for half in study]
    whole = float(np.mean(first)) + final_seconds(table, plans[0])
    heads = "".join(f"{rule:>14} (se)   " for rule in RULES)
    yield f"core-min  plan                    complete per hour{heads}"
    for share in SHARES:
        for plan in plans:
            seconds = share * whole - final_seconds(table, plan)
            rows = [judge(table, plan, found[plan], rule, seconds) for rule in RULES]
            cells = [
                f"{row.score:14.3f} ({row.error:.3f})" if row else f"{'-':>22}" for row in rows
            ]
            complete = np.mean([len(half.by(seconds)) for each in found[plan] for half in each])
            rate = 3600 * complete / (share * whole)
            start = f"{share * whole / 60:8.1f}  {plan.name:<23} {complete:8.1f} {rate:8.1f}"
            yield start + "".join(cells)


def final_seconds(table: Table, plan: Plan) -> float:
    """Return about what a plan takes after its search."""
    scheme, _ = plan.place
    again = plan.promoted * np.nanmean(table.cost[:, :, scheme, LAST])
    costs = table.cost[:, :, table.truth, LAST]
    last = np.nanmean(costs[:, ~np.isnan(costs).all(0)], axis=0).sum()  # a seed may be missing
    return float(plan.finalists * last + again)
