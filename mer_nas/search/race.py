"""Which finalists get further seeds: those that can still win.

The first repetition of the protocol is for everybody, so that all finalists are compared over all
subjects and every member of an ensemble is measured. Further ones are a race: the leader, best by
the mean over its seeds so far, goes first and through all folds; another finalist gets them as
long as it is as good as the leader in enough draws of the subjects, and is asked after each block.
This is racing (Maron & Moore 1994, "Hoeffding races", NIPS), with the bootstrap over subjects that
prunes a search in place of a bound (see `pruners.Bootstrap`). Members of an ensemble that is
handed over stay: it is scored by the seeds that all of them have. Who fails with a seed cannot be
compared by as many as the others, and gets no further ones.

Everything follows from the results alone: whoever finds them in the ledger decides the same, in
whatever order and by how many workers they were trained.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from mer_nas.data.protocols import Protocol
from mer_nas.evaluation.results import FoldResult, pool
from mer_nas.statistics import by_subject, chance_as_good
from mer_nas.wording import count

MIN_ANSWERED = 6
"""Subjects of a repetition below which nobody leaves in it."""
FAILED_SEED = "a seed of it failed"
"""Why a finalist leaves that could not be compared; what failed is trained again by a `resume`."""

Repetitions = Sequence[Sequence[FoldResult]]
"""The folds of each, in the order of the protocol; the last one may be on its way."""


class Race:
    """Decides who stays.

    Args:
        chance: Smallest share of draws in which one that stays is as good as the leader.
        protocol: Of every repetition.
    """

    def __init__(self, chance: float, protocol: Protocol) -> None:
        self.chance = chance
        self._order = [fold.key for fold in protocol.folds]
        self._ends = np.cumsum([len(block) for block in protocol.blocks]).tolist()

    def leader(self, whole: Mapping[str, Repetitions]) -> str:
        """Return who leads, of equals the first.

        Args:
            whole: The whole repetitions of each, at least one.
        """
        return max(whole, key=lambda name: fmean(pool(folds).uf1 for folds in whole[name]))

    def so_far(self, results: Sequence[FoldResult]) -> Sequence[FoldResult]:
        """Return the first blocks of a repetition that are whole, in order."""
        found = {result.fold: result for result in results}
        known = next(
            (n for n, key in enumerate(self._order) if key not in found), len(self._order)
        )
        end = max((end for end in self._ends if end <= known), default=0)
        return [found[key] for key in self._order[:end]]

    def leaves(self, ours: Repetitions, leading: Repetitions) -> str:
        """Return why a finalist gets no further folds; empty while it does.

        Args:
            ours: Its repetitions; those who answered in the last of them are compared.
            leading: As many repetitions of the leader, whole.
        """
        if not ours[-1]:
            ours, leading = ours[:-1], leading[:-1]
        subjects = sorted({subject for result in ours[-1] for subject in result.subjects})
        if len(subjects) < MIN_ANSWERED:
            return ""
        classes = len(ours[0][0].probabilities[0])
        counts = [
            np.stack([by_subject(_about(folds, subjects), subjects, classes) for folds in each])
            for each in (ours, leading)
        ]
        share = chance_as_good(counts[0], counts[1], seed=len(subjects))
        if share >= self.chance:
            return ""
        many = count(len(subjects), "subject")
        return f"as good as the leader in {share:.1%} of the draws of {many}"


def _about(folds: Sequence[FoldResult], subjects: Sequence[str]) -> list[FoldResult]:
    """Return the folds in which somebody of these was asked about; others of a fold count too."""
    asked = set(subjects)
    return [result for result in folds if asked.issuperset(result.subjects)]
