"""When a trial is stopped before its last fold.

All pruners are asked after a block of folds, and all candidates go through the folds in one order,
so partial results compare like with like. Three kinds are there:

- `Bound`: the pooled UF1 that the trial would reach if it answered every clip to come correctly.
  The F1 of each class rises with every correct answer, so nothing it could still do is better: a
  trial whose bound lies below the best complete one cannot win. It never stops a winner, and the
  order of the folds matters for speed alone.
- `Wilcoxon`: signed-rank test, over the subjects that both have answered, of the number of correct
  answers against the best complete trial.
- `Curves`: the median, percentile, successive-halving, Hyperband and patient pruners of Optuna on
  the curve of cumulative UF1. They see a copy of the study in memory, because two of them write
  notes into the study while they decide; what a killed driver left half written would change the
  decision.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from mer_nas.search.config import PrunerName
from mer_nas.statistics import Counts, signed_rank_p, uf1


@dataclass(frozen=True)
class Best:
    """The best complete trial."""

    number: int
    value: float
    """Pooled UF1."""
    correct: Mapping[str, int]
    """Correct answers for each subject."""


@dataclass(frozen=True)
class Standing:
    """Where a trial stands after a block that is not its last."""

    number: int
    confusion: Counts
    """(K, K); a row is a true class, a column a predicted one, over the folds done."""
    remaining: Counts
    """(K,) clips of each class in the folds to come."""
    correct: Mapping[str, int]
    """Correct answers for each subject of the folds done."""
    best: Best | None


class Pruner:
    """Stops nothing; what a pruner is to the driver."""

    def told(self, number: int, step: int, value: float) -> None:
        """Hear of the cumulative UF1 of a trial after its block `step`, counted from 1."""

    def ended(self, number: int, state: TrialState, value: float | None) -> None:
        """Hear that a trial is over."""

    def verdict(self, standing: Standing) -> str:
        """Return why the trial should stop here; empty if it should go on."""
        return ""


class Bound(Pruner):
    """Stops a trial that cannot come within `margin` of the best any more.

    Args:
        margin: In units of UF1; with 0, exactly those trials are stopped that cannot win.
    """

    def __init__(self, margin: float = 0.0) -> None:
        self.margin = margin

    def verdict(self, standing: Standing) -> str:
        """Compare what is left to reach with what was reached."""
        if standing.best is None:
            return ""
        reachable = optimistic_uf1(standing.confusion, standing.remaining)
        if reachable >= standing.best.value - self.margin:
            return ""
        return (
            f"can reach a UF1 of at most {reachable:.3f}; "
            f"trial {standing.best.number} has {standing.best.value:.3f}"
        )


class Wilcoxon(Pruner):
    """Stops a trial that is worse than the best over subjects beyond chance.

    Args:
        level: Largest p-value that stops; it is asked up to once a block, uncorrected.
        subjects: Number of subjects below which nothing is stopped.
    """

    def __init__(self, level: float = 0.01, subjects: int = 6) -> None:
        self.level = level
        self.subjects = subjects

    def verdict(self, standing: Standing) -> str:
        """Test the subjects that both trials have answered."""
        best = standing.best
        shared = [s for s in standing.correct if best is not None and s in best.correct]
        if best is None or len(shared) < self.subjects:
            return ""
        differences = np.array([standing.correct[s] - best.correct[s] for s in shared])
        if differences.mean() >= 0:
            return ""
        p = signed_rank_p(differences)
        if p >= self.level:
            return ""
        return f"worse than trial {best.number} over {len(shared)} subjects, p = {p:.2g}"


class Curves(Pruner):
    """Asks a pruner of Optuna, on a copy of the study in memory.

    Args:
        pruner: The pruner; it decides once for every value it is told.
    """

    def __init__(self, pruner: optuna.pruners.BasePruner) -> None:
        self._name = type(pruner).__name__
        sampler = optuna.samplers.RandomSampler(seed=0)
        # The name is fixed because Hyperband draws its brackets from it.
        self._study = optuna.create_study(
            study_name="curves", direction="maximize", sampler=sampler, pruner=pruner
        )
        self._trials: list[optuna.Trial] = []
        self._stops: dict[int, bool] = {}

    def told(self, number: int, step: int, value: float) -> None:
        """Add a point to the curve of a trial, and let the pruner decide on it."""
        trial = self._trial(number)
        trial.report(value, step)
        self._stops[number] = trial.should_prune()

    def ended(self, number: int, state: TrialState, value: float | None) -> None:
        """Close a curve."""
        self._study.tell(
            self._trial(number), value if state == TrialState.COMPLETE else None, state
        )

    def verdict(self, standing: Standing) -> str:
        """Return what was decided on the trial's latest point."""
        if not self._stops.get(standing.number, False):
            return ""
        return f"{self._name} on the curve of cumulative UF1"

    def _trial(self, number: int) -> optuna.Trial:
        while len(self._trials) <= number:
            self._trials.append(self._study.ask())
        return self._trials[number]


def build(name: PrunerName, margin: float, blocks: int) -> Pruner:
    """Return the pruner called `name`.

    Args:
        name: As in `study.pruner`.
        margin: Of the bound.
        blocks: How often a complete trial is looked at, its last block included.
    """
    pruners = optuna.pruners
    median = pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
    match name:
        case "none":
            return Pruner()
        case "bound":
            return Bound(margin)
        case "wilcoxon":
            return Wilcoxon()
        case "median":
            return Curves(median)
        case "percentile":
            return Curves(pruners.PercentilePruner(75.0, n_startup_trials=5, n_warmup_steps=1))
        case "halving":
            return Curves(pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=2))
        case "hyperband":
            longest = max(blocks, 2)
            return Curves(pruners.HyperbandPruner(1, max_resource=longest, reduction_factor=3))
        case "patient":
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "PatientPruner is", ExperimentalWarning)
                return Curves(pruners.PatientPruner(median, patience=1))


def optimistic_uf1(confusion: Counts, remaining: Counts) -> float:
    """Return the UF1 that is left if all `remaining` (K,) clips are answered correctly."""
    return float(uf1(confusion + np.diag(remaining)))
