"""A search without networks: candidates are three numbers, and folds follow from them at once.

It has what decides a search (draws that can be infeasible or doubled, scores that differ, folds of
unequal size) and is fast enough to be run a thousand times.
"""

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from mer_nas.architectures import Cost
from mer_nas.architectures.cost import Effort
from mer_nas.config.base import Tree
from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Protocol, divide
from mer_nas.data.records import Record
from mer_nas.errors import Infeasible
from mer_nas.evaluation.hindsight import Hindsight
from mer_nas.evaluation.results import FoldResult
from mer_nas.provenance import code_version
from mer_nas.search.alternatives import Draft, Drafting
from mer_nas.search.config import StudyConfig
from mer_nas.search.driver import Grid, StudyDriver
from mer_nas.search.events import Listener, ignore
from mer_nas.search.journal import Journal
from mer_nas.search.ledger import Ledger
from mer_nas.search.pace import Pace
from mer_nas.search.proposals import Proposal, Propose
from mer_nas.search.trials import TRIALS
from mer_nas.space import WarmStart
from mer_nas.training.config import TrainerConfig

CLASSES = ("negative", "positive", "surprise")


@dataclass(frozen=True)
class Sketch:
    """Stands for a candidate."""

    values: tuple[tuple[str, Any], ...]

    @property
    def key(self) -> str:
        """As a candidate's key."""
        return hashlib.sha256(repr(sorted(self.values)).encode()).hexdigest()[:12]

    @property
    def quality(self) -> float:
        """Chance of a correct answer, between 0.4 and 0.95."""
        values = dict(self.values)
        bonus = {"plain": 0.0, "gated": 0.1}[values["kind"]] + 0.05 * values.get("gates", 0)
        return 0.4 + 0.3 * values["x"] + bonus

    @property
    def trainer(self) -> TrainerConfig:
        """How it would be trained: through its clips once."""
        return TrainerConfig(epochs=1)

    def dump(self) -> Tree:
        """As a candidate's tree."""
        return dict(self.values)

    @classmethod
    def parse(cls, tree: Tree, place: str) -> "Sketch":
        """Return what `dump` gave."""
        return cls(tuple(sorted(tree.items())))


def costing(macs: int) -> Cost:
    """Return the cost of a candidate of so many multiply-accumulates."""
    return Cost(parameters=10, macs=macs, deployed=10)


def propose(trial: optuna.Trial) -> Proposal:
    """Draw from a conditional space of which some is infeasible."""
    return Proposal(sketched(trial), costing(100))  # type: ignore[arg-type]


def draft(suggester: Any) -> Draft:
    """Draw from the same space; every y makes a candidate twice as costly as the one before."""
    sketch = sketched(suggester)
    macs = 2 ** dict(sketch.values)["y"]
    return Draft(sketch, Effort(operations=0, macs=macs, values=0))  # type: ignore[arg-type]


def sketched(trial: Any) -> Sketch:
    """Draw a sketch."""
    values = {"x": trial.suggest_float("x", 0.0, 1.0, step=0.05)}
    values["kind"] = trial.suggest_categorical("kind", ["plain", "gated"])
    if values["kind"] == "gated":
        values["gates"] = trial.suggest_int("gates", 1, 3)
    values["y"] = trial.suggest_int("y", 0, 5)
    if values["y"] == 5 and values["x"] > 0.5:
        raise Infeasible(f"y=5 needs x up to 0.5, not {values['x']:.2f}")
    return Sketch(tuple(sorted(values.items())))


PACE = Pace(per_operation=0.0, per_mac=1e-3, per_value=0.0, machine="none")
COSTLY: dict[str, Any] = {"draft": draft, "pace": PACE, "alternatives": 8}
"""A search in which costs weigh."""
POINTS = (
    WarmStart("low", {"x": 0.2, "kind": "plain", "y": 1}),
    WarmStart("high", {"x": 0.5, "kind": "gated", "gates": 2, "y": 2}),
)


def clip_set(subjects: int = 12, seed: int = 0) -> ClipSet:
    """Return clips without pixels, of unequal subjects and classes."""
    dice = random.Random(seed)
    sizes = [dice.randint(2, 12) for _ in range(subjects)]
    labels = (dice.choices((0, 1, 2), weights=(5, 2, 2))[0] for _ in iter(int, 1))
    clips = [
        Record(
            "toy",
            f"s{subject:02}",
            f"c{clip}",
            label=clip if subject == 0 and clip < 3 else next(labels),
        )
        for subject, size in enumerate(sizes)
        for clip in range(max(size, 3) if subject == 0 else size)
    ]
    return ClipSet("toy", CLASSES, tuple(clips), {"none": np.zeros((len(clips), 1, 1, 1))})


@dataclass
class ScriptedEvaluator:
    """Answers each clip correctly with the chance that the sketch gives it."""

    clips: ClipSet
    protocol: Protocol
    seed: int = 0
    delay: float = 0.0
    runs: list[tuple[str, int]] = field(default_factory=list)
    """Every fold that was trained."""
    gpu_share: float = 1.0
    beat: Callable[[], object] = lambda: None

    def fold(self, candidate: Any, index: int, repetition: int = 0) -> FoldResult:
        """Return a result that follows from its arguments alone."""
        fold = self.protocol.folds[index]
        dice = random.Random(f"{self.seed} {repetition} {candidate.key} {fold.key}")
        self.runs.append((candidate.key, index))
        time.sleep(self.delay)
        labels = [int(self.clips.labels[clip]) for clip in fold.test(self.clips)]
        return result_of(
            self,
            candidate,
            index,
            repetition,
            [
                label if dice.random() < candidate.quality else (label + dice.choice((1, 2))) % 3
                for label in labels
            ],
        )

    def folds(
        self, candidate: Any, indices: Sequence[int], repetition: int = 0
    ) -> Iterator[FoldResult]:
        """Return the result of each, one after another."""
        return (self.fold(candidate, index, repetition) for index in indices)

    def together(self, candidate: Any, *, gpu: bool = False) -> bool:
        """Nothing is gained by it."""
        return False

    def recording(self) -> "EpochRecorder":
        """Return what a runner takes for jobs that look back."""
        return EpochRecorder(self)


@dataclass
class EpochRecorder:
    """Looks back at two epochs of each fold: none right, then what the fold said."""

    evaluator: ScriptedEvaluator
    last: FoldResult | None = None

    def fold(self, candidate: Any, index: int, repetition: int = 0) -> FoldResult:
        """Return what the evaluator does."""
        self.last = self.evaluator.fold(candidate, index, repetition)
        return self.last

    def look_back(self) -> Hindsight:
        """Return both epochs."""
        assert self.last is not None
        wrong = tuple((label + 1) % 3 for label in self.last.labels)
        return Hindsight(
            *self.last.key, epochs=(1, 2), predicted=(wrong, self.last.predicted), seconds=0.0
        )


def result_of(
    evaluator: ScriptedEvaluator, candidate: Any, index: int, repetition: int, chosen: list[int]
) -> FoldResult:
    """Return the result of a fold whose clips were given the classes `chosen`."""
    fold = evaluator.protocol.folds[index]
    clips = [evaluator.clips.records[clip] for clip in fold.test(evaluator.clips)]
    return FoldResult(
        candidate=candidate.key,
        fold=fold.key,
        fold_name=fold.name,
        subjects=fold.subjects,
        repetition=repetition,
        seed=evaluator.seed,
        data=evaluator.clips.fingerprint,
        code=code_version(),
        protocol=evaluator.protocol.name,
        clips=tuple(clip.id for clip in clips),
        labels=tuple(clip.label for clip in clips),
        probabilities=tuple(tuple(float(k == c) for k in range(3)) for c in chosen),
        epochs=1,
        seconds=0.0,
    )


def evaluator(subjects: int = 12, seed: int = 0, delay: float = 0.0) -> ScriptedEvaluator:
    """Return an evaluator of scripted folds over clips of their own."""
    clips = clip_set(subjects)
    return ScriptedEvaluator(clips, divide(clips), seed, delay)


def journal(folder: Path) -> str:
    """Return the fastest storage that outlives a process."""
    return str(folder / "study.log")


@contextmanager
def search(
    folder: Path,
    scripted: ScriptedEvaluator,
    *,
    propose: Propose = propose,
    draft: Drafting | None = None,
    points: tuple[WarmStart, ...] = POINTS,
    grid: Grid | None = None,
    on_event: Listener = ignore,
    storage: Callable[[Path], str] = journal,
    **settings: Any,
) -> Iterator[StudyDriver]:
    """Open the search in `folder`."""
    with (
        Ledger(folder / "ledger.jsonl", on_event) as ledger,
        Journal(TRIALS, folder / "trials.jsonl", on_event) as trials,
    ):
        driver = StudyDriver(
            propose=propose,
            draft=draft,
            points=points,
            grid=grid,
            settings=StudyConfig(**{"trials": 12, "startup": 4, **settings}),
            clips=scripted.clips,
            protocol=scripted.protocol,
            ledger=ledger,
            code=code_version(),
            storage=storage(folder),
            journal=trials,
            on_event=on_event,
        )
        try:
            yield driver
        finally:
            driver.close()


def history(driver: StudyDriver) -> list[tuple[Any, ...]]:
    """Return all that must be the same in two equal searches."""
    return [
        (
            trial.number,
            trial.state,
            trial.value,
            trial.params,
            trial.intermediate_values,
            trial.user_attrs.get("outcome"),
            trial.user_attrs.get("reason"),
            trial.user_attrs.get("candidate"),
        )
        for trial in driver.study.get_trials(deepcopy=False)
    ]
