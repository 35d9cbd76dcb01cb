"""What people would run instead, for real and small: whole searches of synthetic clips.

    python benchmarks/real_peers.py [studies=3] [seconds=60] [trials=60] [subjects=100] [seeds=2]

Each search tries candidates of `moe` on the embedded people, in 4 groups of subjects, for so many
seconds of processor time, with one worker:

- `ours`: as `studies/quick.yaml`, without a final stage;
- `Ray Tune + Optuna`: a trainable that reports the score of its groups, and OptunaSearch as
  documented;
- `Optuna`: TPESampler and MedianPruner as they come, told of the score after each group;
- `random search`.

All train by our evaluator, and draws that break a rule or a limit of the space cost nothing. What
each hands over after a tenth, a third and all of its time, the best complete candidate and our
ensemble of five (`weights`) of those complete, is trained on all clips and asked about people of
another population (`fresh_subjects.py`): mean UF1 over seeds of training. Time is that of the
process that searches, proposals counted; of Ray Tune that of its trainables alone.
"""

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from fresh_subjects import beside
from optuna.pruners import MedianPruner
from optuna.samplers import RandomSampler, TPESampler

from mer_nas import api, data
from mer_nas.config import overrides
from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import divide
from mer_nas.errors import Infeasible
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.evaluation.metrics import uf1
from mer_nas.evaluation.results import FoldResult
from mer_nas.provenance import cpu
from mer_nas.search.draws import KnownDraw
from mer_nas.search.events import Ended, Event, Started
from mer_nas.search.ledger import read
from mer_nas.search.proposals import Proposer
from mer_nas.settings import Settings, resolve
from mer_nas.space import SearchSpace
from mer_nas.statistics import by_subject
from mer_nas.statistics.ensembles import EnsembleRule, OutOfFold, best_one
from mer_nas.study.clips import load_clips
from mer_nas.study.folder import StudyFolder
from mer_nas.study.state import StudyState
from mer_nas.systems import needs

SHARES = (0.1, 1 / 3, 1.0)
RULES = {"the best one": best_one, "weights of 5": EnsembleRule("weights", 5)}
WORDS = ("study=quick", "study.final=none", "ray.workers=0")


@dataclass
class Found:
    """The complete candidates of a search, in the order in which they were."""

    candidates: list[Candidate] = field(default_factory=list)
    folds: list[list[FoldResult]] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    """Seconds of processor time that were spent by then."""

    def add(self, candidate: Candidate, folds: Sequence[FoldResult], seconds: float) -> None:
        """Take a complete candidate in."""
        self.candidates.append(candidate)
        self.folds.append(list(folds))
        self.ended.append(seconds)


@dataclass(frozen=True)
class Job:
    """A search that has not begun."""

    settings: Settings
    clips: ClipSet
    seed: int
    seconds: float
    trials: int
    """Of ours: as many as certainly take all of the seconds."""

    @property
    def evaluator(self) -> Evaluator:
        """Measures in the groups of the study."""
        study = self.settings.study
        protocol = divide(self.clips, study.folds, self.seed, study.block)
        return Evaluator(self.clips, protocol, self.seed)

    @property
    def proposer(self) -> Proposer:
        """Draws candidates."""
        return Proposer(self.settings.space, self.settings.trainer, len(self.clips.classes))


def ours(job: Job) -> Found:
    """Search as `mer-nas search` does."""
    keys: dict[str, str] = {}
    ended: dict[str, float] = {}
    began = time.process_time()

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            keys[event.job] = event.candidate
        if isinstance(event, Ended) and event.outcome == "complete":
            ended[keys[event.job]] = time.process_time() - began

    words = [*WORDS, f"study.seed={job.seed}", f"study.trials={job.trials}"]
    folder = StudyFolder(api.search(*words, on_event=listen).folder)
    ledger = read(folder.ledger)
    known = {trial.searched: trial for trial in StudyState(folder, folder.origin()).ranked()}
    found = Found()
    for key, seconds in sorted(ended.items(), key=lambda each: each[1]):
        folds = [result for result in ledger if result.candidate == key]
        found.add(known[key].candidate, folds, seconds)
    return found


def optuna_alone(sampler: Callable[[int], Any], pruner: Any, job: Job) -> Found:
    """Search with Optuna, as its tutorial has it."""
    study = optuna.create_study(direction="maximize", sampler=sampler(job.seed), pruner=pruner)
    evaluator, propose, found = job.evaluator, job.proposer, Found()
    began = time.process_time()
    while (time.process_time() - began) < job.seconds:
        trial = study.ask()
        try:
            candidate = propose(trial).candidate
        except Infeasible:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        folds: list[FoldResult] = []
        indices = range(len(evaluator.protocol.folds))
        for result in evaluator.folds(candidate, indices):
            folds.append(result)
            trial.report(score(folds), len(folds))
            if len(folds) < len(indices) and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, score(folds))
            found.add(candidate, folds, time.process_time() - began)
    return found


@dataclass(frozen=True)
class DefineByRun:
    """A space as OptunaSearch takes it."""

    space: SearchSpace

    def __call__(self, trial: optuna.Trial) -> None:
        """Draw; what was drawn lies in the trial."""
        self.space.suggest(trial)


def ray_tune(job: Job) -> Found:
    """Search with Ray Tune and OptunaSearch, one trial at a time."""
    import ray
    from ray import tune
    from ray.tune.search import ConcurrencyLimiter
    from ray.tune.search.optuna import OptunaSearch

    def train(config: dict[str, Any], job: Job) -> None:
        began = time.process_time()
        try:
            candidate = job.proposer.draft(KnownDraw(config, random.Random(0))).candidate
        except Infeasible:
            tune.report({"uf1": 0.0, "seconds": 0.0})
            return
        evaluator = job.evaluator
        folds = list(evaluator.folds(candidate, range(len(evaluator.protocol.folds))))
        told = {"uf1": score(folds), "seconds": time.process_time() - began}
        tune.report({**told, "candidate": candidate.dump(), "folds": folds})

    class Spent(tune.Stopper):  # type: ignore[misc]
        """Ends the search when its seconds are spent."""

        def __init__(self) -> None:
            self.seconds = 0.0

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            self.seconds += result["seconds"]
            return True

        def stop_all(self) -> bool:
            return self.seconds >= job.seconds

    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    try:
        drawn = OptunaSearch(
            DefineByRun(job.settings.space), metric="uf1", mode="max", seed=job.seed
        )
        tuner = tune.Tuner(
            tune.with_parameters(train, job=job),
            tune_config=tune.TuneConfig(
                metric="uf1", mode="max", num_samples=1000, search_alg=ConcurrencyLimiter(drawn, 1)
            ),
            run_config=tune.RunConfig(stop=Spent(), verbose=0, storage_path=str(Path.cwd())),
        )
        results = sorted(tuner.fit(), key=lambda each: each.metrics["timestamp"])
    finally:
        ray.shutdown()
    found, spent = Found(), 0.0
    for result in results:
        spent += result.metrics["seconds"]
        if "folds" in result.metrics:
            candidate = Candidate.parse(result.metrics["candidate"], "a trial of Ray Tune")
            found.add(candidate, result.metrics["folds"], spent)
    return found


def score(folds: Sequence[FoldResult]) -> float:
    """Return the pooled UF1 of some folds."""
    people = sorted({subject for fold in folds for subject in fold.subjects})
    classes = len(folds[0].probabilities[0])
    return float(uf1(by_subject(folds, people, classes).sum(0)))


SEARCHES: dict[str, Callable[[Job], Found]] = {
    "ours": ours,
    "Ray Tune + Optuna": ray_tune,
    "Optuna": lambda job: optuna_alone(lambda seed: TPESampler(seed=seed), MedianPruner(), job),
    "random search": lambda job: optuna_alone(lambda seed: RandomSampler(seed), None, job),
}


class Judge:
    """Asks what searches hand over about people whom nobody has seen.

    Args:
        clips: Of the searches.
        others: Of the fresh people.
        seeds: Of training.
    """

    def __init__(self, clips: ClipSet, others: ClipSet, seeds: int) -> None:
        both, self._protocol = beside(clips, others)
        self._evaluator = Evaluator(both, self._protocol, seed=0)
        self._seeds = seeds
        self._said: dict[tuple[str, int], FoldResult] = {}

    def score(self, found: Found, count: int, rule: Callable[..., Any]) -> float:
        """Return the UF1 of what a rule makes of the first candidates of a search."""
        people = sorted({subject for fold in found.folds[0] for subject in fold.subjects})
        pool = OutOfFold.of(found.folds[:count], people)
        weights = rule(pool, np.ones(len(people)))
        return float(np.mean([self._one(found, weights, seed) for seed in range(self._seeds)]))

    def _one(self, found: Found, weights: Any, seed: int) -> float:
        members = np.flatnonzero(weights)
        said = [self._ask(found.candidates[member], seed) for member in members]
        together = sum(
            weights[member] * np.array(one.probabilities)
            for member, one in zip(members, said, strict=True)
        )
        matrix = np.zeros((together.shape[1],) * 2)
        np.add.at(matrix, (said[0].labels, together.argmax(-1)), 1)
        return float(uf1(matrix))

    def _ask(self, candidate: Candidate, seed: int) -> FoldResult:
        place = candidate.key, seed
        if place not in self._said:
            self._said[place] = self._evaluator.fold(candidate, 0, seed)
        return self._said[place]


def main(words: Sequence[str]) -> None:
    """Search, study after study, and print the means."""
    own = overrides.parse(list(words)).plain
    studies, seconds = int(own.get("studies", "3")), float(own.get("seconds", "60"))
    settings = resolve(WORDS)
    clips = load_clips(settings)
    share = settings.data.clips / settings.data.subjects  # type: ignore[union-attr]
    subjects = int(own.get("subjects", "100"))
    update = {"seed": 1000, "subjects": subjects, "clips": round(share * subjects)}
    others = data.load(settings.data.model_copy(update=update), needs(settings.space))
    judge = Judge(clips, others, int(own.get("seeds", "2")))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"{cpu()}; {studies} studies of {seconds:g} s of processor time each")
    table: dict[tuple[str, str, float], list[float]] = {}
    for seed in range(studies):
        job = Job(settings, clips, seed, seconds, int(own.get("trials", "60")))
        for name, search in SEARCHES.items():
            found = search(job)
            counts = [
                int(np.searchsorted(found.ended, part * seconds, "right")) for part in SHARES
            ]
            print(f"study {seed}, {name}: {counts} complete, {found.ended[-1]:.0f} s", flush=True)
            for part, count in zip(SHARES, counts, strict=True):
                for rule, choose in RULES.items():
                    if count:
                        cell = table.setdefault((name, rule, part), [])
                        cell.append(judge.score(found, count, choose))
    for rule in RULES:
        print(f"\n{rule:<20}" + "".join(f"{part:7.0%}" for part in SHARES))
        for name in SEARCHES:
            cells = [table.get((name, rule, part), []) for part in SHARES]
            print(f"{name:<20}" + "".join(
                f"{np.mean(cell):7.3f}" if len(cell) == studies else "      -" for cell in cells
            ))  # fmt: skip


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        with suppress(KeyboardInterrupt):
            os.chdir(folder)
            main(sys.argv[1:])
        os.chdir("/")
