"""Candidates whose class probabilities are combined, and what choosing them is worth.

A choice, of one candidate or of several, is a weight for each of C candidates; what is handed over
says of a clip the class with the highest weighted mean probability. Rules that choose see draws of
subjects, so that `correct_choice` can repeat a whole choice in every draw:

- `mean`: the best few by UF1, equal weights, which are hard to beat (Clemen 1989, International
  Journal of Forecasting 5);
- `weights`: the best few, weighted by least squares under nonnegative weights (stacking; Breiman
  1996, "Stacked regressions", Machine Learning 24), clips of rare classes counting as much as
  those of frequent ones together, and shrunk towards equal weights (Diebold and Pauly 1990,
  International Journal of Forecasting 6);
- `greedy`: selection with replacement from the best one on, always adding the candidate with which
  the ensemble is best (Caruana et al. 2004, "Ensemble selection from libraries of models", ICML).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mer_nas.errors import DataError
from mer_nas.evaluation.metrics import Counts, Values, uf1
from mer_nas.evaluation.results import FoldResult
from mer_nas.statistics.bootstrap import DRAWS, bootstrap_weights, check_counts
from mer_nas.statistics.selection import Correction, correction_of

RuleName = Literal["mean", "weights", "greedy"]

SHRINKAGE = 0.3
"""What the squared distance of weights from equal ones counts, where the mean squared error of a
class counts 1: with 40 subjects .1 to .3 chose best, with 12 of them more did
(`benchmarks/tabular.py ensembles`, `benchmarks/fresh_subjects.py`)."""


SLIGHT = 0.2
"""Share of an equal weight below which a member is left out: it costs as much as any other."""


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What C candidates say of the same N clips, by networks that never saw the clip's subject."""

    probabilities: Values
    """(C, N, K)."""
    labels: NDArray[np.int64]
    """(N,), class indices below K."""
    subjects: NDArray[np.int64]
    """(N,), indices below S, each of which occurs."""

    @classmethod
    def of(
        cls, candidates: Sequence[Sequence[FoldResult]], subjects: Sequence[str]
    ) -> "OutOfFold":
        """Return what candidates said of the held-out clips of their folds.

        Args:
            candidates: The folds of each, one repetition of a protocol.
            subjects: All of them, in the order of their indices.

        Raises:
            DataError: The candidates were not asked about the same clips and classes.
        """
        first, classes = _by_clip(candidates[0]), len(candidates[0][0].probabilities[0])
        said = []
        for folds in candidates:
            found = _by_clip(folds)
            if found.keys() != first.keys() or len(folds[0].probabilities[0]) != classes:
                raise DataError(
                    f"candidates {candidates[0][0].candidate} and {folds[0].candidate} were not "
                    "asked about the same clips and classes, so they cannot answer together"
                )
            said.append([found[clip].probabilities for clip in first])
        rows = {subject: row for row, subject in enumerate(subjects)}
        return cls(
            np.array(said, dtype=np.float64),
            np.array([answer.label for answer in first.values()]),
            np.array([rows[answer.subject] for answer in first.values()]),
        )

    @property
    def truth(self) -> Values:
        """One at the true class of each clip, else zero: (N, K)."""
        return _one_hot(self.labels, self.probabilities.shape[-1])

    def answers(self, weights: Values) -> NDArray[np.int64]:
        """Return the class (N,) that candidates with some weights (C,) choose together."""
        members = np.flatnonzero(weights)  # of thousands of candidates a few
        mean = np.tensordot(weights[members], self.probabilities[members], 1)
        return np.asarray(mean.argmax(-1), np.int64)

    def counts(self, weights: Values) -> Counts:
        """Return the confusions (S, K, K) of candidates with some weights (C,)."""
        return self.counted(self.answers(weights))

    def counted(self, answers: NDArray[np.int64]) -> Counts:
        """Return the confusions (S, K, K) of some answers (N,)."""
        classes = self.probabilities.shape[-1]
        counts = np.zeros((int(self.subjects.max()) + 1, classes, classes), dtype=np.int64)
        np.add.at(counts, (self.subjects, self.labels, answers), 1)
        return counts

    def scores(self, answers: NDArray[np.int64], draw: Values) -> Values:
        """Return the UF1 (...) of answers (..., N), subjects counted as often as drawn (S,)."""
        classes = self.probabilities.shape[-1]
        often = draw[self.subjects] @ _one_hot(self.labels * classes + answers, classes**2)
        return uf1(often.reshape(*answers.shape[:-1], classes, classes))

    def scores_alone(self, draw: Values) -> Values:
        """Return the UF1 (C,) of each candidate alone, subjects counted as often as drawn (S,)."""
        return uf1(np.tensordot(draw, self._alone, 1))

    @cached_property
    def _alone(self) -> Values:
        """The confusions (S, C, K, K) of each candidate alone, which every draw adds up."""
        counts = [self.counted(row) for row in self.probabilities.argmax(-1)]
        return np.stack(counts, 1).astype(np.float64)


def _one_hot(indices: NDArray[np.int64] | np.int64, size: int) -> Values:
    return np.asarray(np.eye(size)[indices], dtype=np.float64)


class _Answer(NamedTuple):
    label: int
    subject: str
    probabilities: tuple[float, ...]


def _by_clip(folds: Sequence[FoldResult]) -> dict[str, _Answer]:
    return {
        clip: _Answer(label, subject, said)
        for fold in folds
        for clip, label, subject, said in zip(
            fold.clips, fold.labels, fold.clip_subjects, fold.probabilities, strict=True
        )
    }


Choose = Callable[[OutOfFold, Values], Values]
"""Returns a weight for each candidate (C,), given how often each subject was drawn (S,)."""


def best_one(pool: OutOfFold, draw: Values) -> Values:
    """Give all the weight to the candidate with the highest UF1, of equals the first."""
    scores = pool.scores_alone(draw)
    return _one_hot(scores.argmax(), len(scores))


@dataclass(frozen=True)
class EnsembleRule:
    """Chooses the members of an ensemble and their weights; a `Choose`.

    Args:
        name: How, see the head of this file.
        members: M, how many there are at most; of `greedy`, how many times one is added.
        costs: (C, L): what each candidate costs, in L units.
        limits: (L,): what all members together may cost; infinity for no limit.
    """

    name: RuleName
    members: int
    costs: Sequence[Sequence[float]] = ()
    limits: Sequence[float] = ()

    def __call__(self, pool: OutOfFold, draw: Values) -> Values:
        """Return the weight of each candidate, zeros for those that are no members; sum 1.

        Where no candidate fits into the limits, all weights are zero.
        """
        scores = pool.scores_alone(draw)
        ranked = np.argsort(-scores, kind="stable").tolist()
        if self.name == "greedy":
            return self._greedy(pool, draw, ranked)
        best = self._best_fitting(ranked)
        weights = np.zeros(len(scores))
        if best:
            weights[best] = _stacked(pool, draw, best) if self.name == "weights" else 1 / len(best)
        return weights

    def _best_fitting(self, ranked: Sequence[int]) -> list[int]:
        """Return the best candidates that fit together, each where those before it leave room."""
        found: list[int] = []
        for candidate in ranked:
            if len(found) == self.members:
                break
            if self._fits({*found, candidate}):
                found.append(candidate)
        return found

    def _greedy(self, pool: OutOfFold, draw: Values, ranked: Sequence[int]) -> Values:
        weights = np.zeros(len(ranked))
        summed = np.zeros(pool.probabilities.shape[1:])
        for _ in range(self.members):
            inside = set(np.flatnonzero(weights).tolist())
            fitting = [each for each in ranked if self._fits(inside | {each})]
            if not fitting:
                break
            answers = (summed + pool.probabilities[fitting]).argmax(-1)
            added = fitting[int(pool.scores(answers, draw).argmax())]  # of equals the better alone
            weights[added] += 1
            summed += pool.probabilities[added]
        return weights / max(1.0, float(weights.sum()))

    def _fits(self, members: set[int]) -> bool:
        if not self.limits:
            return True
        spent = np.asarray(self.costs, dtype=np.float64)[sorted(members)].sum(0)
        return bool((spent <= np.asarray(self.limits)).all())


def _stacked(pool: OutOfFold, draw: Values, members: Sequence[int]) -> Values:
    """Return the weights of members that miss the truth least, each class counting the same."""
    from scipy.optimize import nnls  # not wherever settings are read: it takes a second

    often = draw[pool.subjects]
    share = pool.truth.T @ often
    each = np.sqrt(often / np.maximum(share, 1)[pool.labels])
    said = (pool.probabilities[list(members)] * each[:, None]).reshape(len(members), -1)
    equal = np.sqrt(SHRINKAGE) * np.eye(len(members))
    one = np.full((1, len(members)), 1e3)  # their sum, which is worth more than all else
    wanted = np.concatenate([(pool.truth * each[:, None]).ravel(), equal.mean(0), [1e3]])
    found: Values = nnls(np.vstack([said.T, equal, one]), wanted)[0]
    found[found < SLIGHT / len(members)] = 0.0
    return found / float(found.sum())


def correct_choice(
    pool: OutOfFold, choose: Choose, classes: Sequence[str], draws: int = DRAWS, seed: int = 0
) -> Correction:
    """Return what is worth what `choose` hands over, by repeating all of the choice in every draw.

    Where it always chooses the best one, this is `selection.correct`.

    Args:
        pool: The candidates.
        choose: From all of them, by some subjects.
        classes: Names of the K classes.
        draws: B.
        seed: Of the draws.

    Raises:
        DataError: There is no candidate, there are too few subjects, or a class is absent.
    """
    if not len(pool.probabilities):
        raise DataError("no candidate is complete, so there is no choice to correct")
    everybody = np.ones(int(pool.subjects.max()) + 1)
    chosen = pool.counts(choose(pool, everybody))
    check_counts(chosen, classes)
    left_out = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for draw in bootstrap_weights(len(everybody), draws, seed):
        left_out += pool.counts(choose(pool, draw))[draw == 0].sum(0)
    return correction_of(chosen, left_out, len(pool.probabilities), draws, seed)
