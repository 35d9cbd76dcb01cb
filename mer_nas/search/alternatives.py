"""Which of several draws becomes a trial: the one that promises most per predicted second.

The rule is that of cost-aware Bayesian optimization, expected improvement per second (Snoek et al.
2012). The draws for one trial are alike to the sampler: each is what it thinks best of the
candidates that it looked at, or drawn at random while it models nothing. So each promises the same
gain, and the one that is soonest trained promises most per second. Cheap candidates therefore come
first (the cost-effective initial design of Lee et al. 2020); and the surer the sampler gets, the
more do its draws resemble one another, and the less does their cost decide.

Nothing of the other draws is kept. Which one was taken is noted before the trial is drawn, and
every draw can be repeated (see `samplers`), so a kill changes nothing.
"""

from collections.abc import Callable, Container, Iterable
from math import inf
from random import Random
from typing import NamedTuple

import optuna

from mer_nas.architectures.cost import Effort
from mer_nas.errors import Infeasible
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.timing import BATCH
from mer_nas.search.draws import KnownDraw, TrialDraw
from mer_nas.search.pace import Pace
from mer_nas.search.samplers import ALTERNATIVE
from mer_nas.space import WarmStart
from mer_nas.space.search_space import Suggester

LISTED = ("point", "row", "again")
"""User attributes of trials whose parameters were given beforehand."""


class Draft(NamedTuple):
    """A candidate that was drawn and may not be trained."""

    candidate: Candidate
    effort: Effort


def predicted_seconds(pace: Pace, clips: int, folds: int, draft: Draft) -> float:
    """Return about how long it takes to train a candidate through all folds of a protocol.

    Args:
        pace: Of the machine.
        clips: Training clips of all folds together.
        folds: Number of folds.
        draft: The candidate.
    """
    steps = draft.candidate.trainer.visits(clips, folds) / BATCH
    return pace.step_seconds(draft.effort) * steps


Drafting = Callable[[Suggester], Draft]
"""Draws a candidate and counts its effort; raises `Infeasible` where the draws make none."""


class Alternatives:
    """Chooses among draws.

    Args:
        draft: Draws a candidate.
        seconds: What it will take to train one.
        count: Draws for each trial.
        study: The Optuna study.
    """

    def __init__(
        self,
        draft: Drafting,
        seconds: Callable[[Draft], float],
        count: int,
        study: optuna.Study,
    ) -> None:
        self._draft = draft
        self._seconds = seconds
        self._count = count
        self._study = study

    def choose(self, trial: optuna.Trial, taken: Container[str]) -> None:
        """Decide which of its alternatives a trial will draw; nothing where that is decided.

        Args:
            trial: Of which nothing is drawn yet.
            taken: Keys of candidates that there are already.
        """
        noted = trial.user_attrs
        if trial.params or ALTERNATIVE in noted or any(kind in noted for kind in LISTED):
            return
        frozen = self._study.get_trials(deepcopy=False)[trial.number]
        waits = [self._wait(TrialDraw(self._study, frozen, n), taken) for n in range(self._count)]
        trial.set_user_attr(ALTERNATIVE, waits.index(min(waits)))

    def cheap_first(self, points: Iterable[WarmStart]) -> list[WarmStart]:
        """Return points in the order of their predicted seconds; impossible ones last."""
        return sorted(points, key=lambda point: self._wait(KnownDraw(point.params, Random(0)), ()))

    def _wait(self, draw: Suggester, taken: Container[str]) -> float:
        """Return the predicted seconds of a draw; infinitely many where it is no new candidate."""
        try:
            draft = self._draft(draw)
        except Infeasible:
            return inf
        return inf if draft.candidate.key in taken else self._seconds(draft)
