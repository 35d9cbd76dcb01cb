"""When a trial is stopped before its last fold.

All pruners are asked after a block of folds, and all candidates go through the folds in one order,
so partial results compare like with like. Four kinds are there:

- `Bootstrap`, the default: subjects that the trial has answered are drawn again and again; it is
  stopped if it beats the best complete trial in too few of the draws. What a search may conclude
  from its complete trials depends on which ones it keeps: the correction of the winner's score
  (see `statistics.selection`) draws subjects too, and a candidate that hardly any draw would make
  the winner is not missed by it. This is the dropping of BBCD-CV (Tsamardinos, Greasidou &
  Borboudakis 2018, Machine Learning 107), one trial after another instead of all at once.
  `benchmarks/pruners.py` measures what each pruner saves and what that does to the correction.
- `Bound`: the pooled UF1 that the trial would reach if it answered every clip to come correctly.
  The F1 of each class rises with every correct answer, so nothing it could still do is better: a
  trial whose bound lies below the best complete one cannot win. It never stops a winner, but
  without a margin it stops every runner-up.
- `Wilcoxon`: signed-rank test, over the subjects that both have answered, of the number of correct
  answers against the best complete trial.
- The median, percentile, successive-halving, Hyperband and patient pruners of Optuna, on the curve
  of cumulative UF1. They see a copy of the study in memory, because two of them write
  notes into the study while they decide; what a killed driver left half written would change the
  decision.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Protocol
from mer_nas.evaluation.metrics import Counts, uf1
from mer_nas.evaluation.results import FoldResult
from mer_nas.search.class_paths import made
from mer_nas.search.config import PrunerChoice
from mer_nas.statistics import by_subject, chance_as_good, signed_rank_p
from mer_nas.wording import count


@dataclass(frozen=True)
class Best:
    """The best complete trial."""

    number: int
    value: float
    """Pooled UF1."""
    answers: Mapping[str, Counts]
    """Confusion (K, K) of each subject; a row is a true class, a column a predicted one."""


@dataclass(frozen=True)
class TrialSnapshot:
    """Where a trial stands after a block that is not its last."""

    number: int
    answers: Mapping[str, Counts]
    """Confusion (K, K) of each subject of the folds done."""
    remaining: Counts
    """(K,) clips of each class in the folds to come."""
    best: Best | None

    @cached_property
    def counts(self) -> Counts:
        """The trial's confusions (S, K, K) over the subjects of the folds done."""
        return np.stack(list(self.answers.values()))

    @property
    def reachable_uf1(self) -> float:
        """The pooled UF1 that is left if all clips to come are answered correctly."""
        return float(uf1(self.counts.sum(0) + np.diag(self.remaining)))


class Scoreboard:
    """Counts answers over folds.

    Args:
        clips: What is learned from.
        protocol: The folds of a trial.
    """

    def __init__(self, clips: ClipSet, protocol: Protocol) -> None:
        self._clips = clips
        self._protocol = protocol
        self.order = tuple(index for block in protocol.blocks for index in block)
        """Indices of the folds, as they come."""

    @cached_property
    def block_ends(self) -> Mapping[int, int]:
        """From the number of folds done to the block that ends there, counted from 1."""
        ends = np.cumsum([len(block) for block in self._protocol.blocks])
        return {int(end): step for step, end in enumerate(ends, start=1)}

    @cached_property
    def remaining(self) -> Sequence[Counts]:
        """Clips of each class that are to come after so many folds."""
        classes = len(self._clips.classes)
        tests = [self._protocol.folds[index].test(self._clips) for index in self.order]
        counts = [np.bincount(self._clips.labels[test], minlength=classes) for test in tests]
        before = np.cumsum([np.zeros(classes, dtype=np.int64), *counts], axis=0)
        return list(before[-1] - before)

    def answers(self, results: Sequence[FoldResult]) -> Mapping[str, Counts]:
        """Return the confusion (K, K) of each subject, true classes in rows."""
        subjects = [subject for result in results for subject in result.subjects]
        counts = by_subject(results, subjects, len(self._clips.classes))
        return dict(zip(subjects, counts, strict=True))

    def uf1(self, results: Sequence[FoldResult]) -> float:
        """Return the pooled UF1; a class that is not among the results counts 0."""
        return float(uf1(np.stack(list(self.answers(results).values())).sum(0)))


class Pruner:
    """Stops nothing; what a pruner is to the driver."""

    def report(self, number: int, step: int, value: float) -> None:
        """Hear of the cumulative UF1 of a trial after its block `step`, counted from 1."""

    def ended(self, number: int, state: TrialState, value: float | None) -> None:
        """Hear that a trial is over."""

    def should_prune(self, snapshot: TrialSnapshot) -> str:
        """Return why the trial should stop here; empty if it should go on."""
        return ""


class Bootstrap(Pruner):
    """Stops a trial that would hardly ever beat the best, had other subjects been recorded.

    How often it wins over draws of the subjects so far estimates how often it will win over draws
    of all subjects: what the answers to come add to the spread of a partial score is just what a
    draw of fewer subjects adds.

    Args:
        chance: Smallest share of the draws in which a trial that goes on is at least as good as
            the best.
        subjects: Number of subjects below which nothing is stopped.
        draws: How often the subjects are drawn; always the same draws for the same number of them.
    """

    def __init__(self, chance: float = 0.05, subjects: int = 6, draws: int = 500) -> None:
        self.chance = chance
        self.subjects = subjects
        self.draws = draws

    def should_prune(self, snapshot: TrialSnapshot) -> str:
        """Draw the subjects that the trial has answered."""
        best, found = snapshot.best, len(snapshot.answers)
        if best is None or found < self.subjects:
            return ""
        theirs = np.stack([best.answers[subject] for subject in snapshot.answers])
        share = chance_as_good(snapshot.counts[None], theirs[None], self.draws, seed=found)
        if share >= self.chance:
            return ""
        return (
            f"as good as trial {best.number} in {share:.1%} of the draws of its first "
            f"{count(found, 'subject')}"
        )


class Bound(Pruner):
    """Stops a trial that cannot come within `margin` of the best any more.

    Args:
        margin: In units of UF1; with 0, exactly those trials are stopped that cannot win.
    """

    def __init__(self, margin: float = 0.0) -> None:
        self.margin = margin

    def should_prune(self, snapshot: TrialSnapshot) -> str:
        """Compare what is left to reach with what was reached."""
        if snapshot.best is None:
            return ""
        reachable = snapshot.reachable_uf1
        if reachable >= snapshot.best.value - self.margin:
            return ""
        return (
            f"can reach a UF1 of at most {reachable:.3f}; "
            f"trial {snapshot.best.number} has {snapshot.best.value:.3f}"
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

    def should_prune(self, snapshot: TrialSnapshot) -> str:
        """Test the subjects that both trials have answered."""
        best = snapshot.best
        if best is None or len(snapshot.answers) < self.subjects:
            return ""
        differences = np.array(
            [np.trace(ours - best.answers[subject]) for subject, ours in snapshot.answers.items()]
        )
        if differences.mean() >= 0:
            return ""
        p = signed_rank_p(differences)
        if p >= self.level:
            return ""
        subjects = count(len(snapshot.answers), "subject")
        return f"worse than trial {best.number} over {subjects}, p = {p:.2g}"


class _Optuna(Pruner):
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

    def report(self, number: int, step: int, value: float) -> None:
        """Add a point to the curve of a trial, and let the pruner decide on it."""
        trial = self._trial(number)
        trial.report(value, step)
        self._stops[number] = trial.should_prune()

    def ended(self, number: int, state: TrialState, value: float | None) -> None:
        """Close a curve."""
        self._study.tell(
            self._trial(number), value if state == TrialState.COMPLETE else None, state
        )

    def should_prune(self, snapshot: TrialSnapshot) -> str:
        """Return what was decided on the trial's latest point."""
        if not self._stops.get(snapshot.number, False):
            return ""
        return f"{self._name} on the curve of cumulative UF1"

    def _trial(self, number: int) -> optuna.Trial:
        while len(self._trials) <= number:
            self._trials.append(self._study.ask())
        return self._trials[number]


def build(name: PrunerChoice, chance: float, margin: float, blocks: int) -> Pruner:
    """Return the pruner called `name`, or one of Optuna's by its class.

    Args:
        name: As in `study.pruner`.
        chance: Of the bootstrap.
        margin: Of the bound.
        blocks: How often a complete trial is looked at, its last block included.

    Raises:
        ConfigError: The class is no pruner, or cannot be made.
    """
    pruners = optuna.pruners
    median = pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
    match name:
        case "none":
            return Pruner()
        case "bootstrap":
            return Bootstrap(chance)
        case "bound":
            return Bound(margin)
        case "wilcoxon":
            return Wilcoxon()
        case "median":
            return _Optuna(median)
        case "percentile":
            return _Optuna(pruners.PercentilePruner(75.0, n_startup_trials=5, n_warmup_steps=1))
        case "halving":
            return _Optuna(pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=2))
        case "hyperband":
            longest = max(blocks, 2)
            return _Optuna(pruners.HyperbandPruner(1, max_resource=longest, reduction_factor=3))
        case "patient":
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "PatientPruner is", ExperimentalWarning)
                return _Optuna(pruners.PatientPruner(median, patience=1))
        case path:
            pruner = made("study.pruner", path, pruners.BasePruner)  # type: ignore[type-abstract]
            return _Optuna(pruner)
