"""How what a search costs beside its training grows with trials, folds and clips.

    python benchmarks/scaling.py [TRIALS ...]
    python benchmarks/scaling.py long [TRIALS]
    python benchmarks/scaling.py study [TRIALS] [FOLDER]

Processor seconds of scripted trials that train nothing, in this process, over so many trials and
with so many folds; and of drawing synthetic clips and dividing them.

The second form runs one long search of 12 folds and 13 parameters, as a study has it: TPE, and
SQLite in the study's folder. It prints on the way what the process holds in memory, what a
proposal takes, and how large the study is on disk; then how long it takes to open it again.

The third form makes a study of so many trials as `mer-nas search space=moe study=standard` leaves
it over 442 clips of 68 subjects, and prints how long the commands take that open it: `resume`,
which finds nothing to do, and `report`. Its first 100 trials are drawn by the search, and their
folds scripted; the others are copies of them with another learning rate and other answers.

Last runs on two crowded cores of an AMD EPYC: a search of 3,000 trials held 656 MB at its 100th
trial and 696 MB at its end, took 0.057 and 0.138 s a proposal, and 41 MB on disk; of 3,000
trials over 442 clips `report` took 17 s of a processor and `resume`, with a new report, 27 s.
"""

import gc
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "search"))

import optuna
from scripted import ScriptedEvaluator, Sketch, clip_set, costing, result_of, search

from mer_nas import data
from mer_nas.cli import main as command
from mer_nas.data.config import SyntheticData
from mer_nas.data.protocols import divide
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.evaluation.results import FoldResult, pool
from mer_nas.provenance import cpu
from mer_nas.search import local
from mer_nas.search.jobs import Job
from mer_nas.search.journal import Journal
from mer_nas.search.ledger import Ledger
from mer_nas.search.proposals import Proposal
from mer_nas.search.storage import sqlite_url
from mer_nas.search.trials import TRIALS as KEPT
from mer_nas.search.trials import keep
from mer_nas.study.folder import StudyFolder
from mer_nas.study.state import StudyState

TRIALS = (10, 100, 1000)
FOLDS = (4, 17, 68)
CLIPS = (442, 4000)
FIRST = 100
"""Trials of a long study that its search has drawn."""
WORDS = (
    "space=moe",
    "trainer=proxy",
    "trainer.epochs=1",  # for its exports, which are trained
    "study=standard",
    "study.sampler=random",
    f"study.trials={FIRST}",
    "data.subjects=68",
    "data.clips=442",
    "ray.workers=0",
)
"""What a long study begins with."""


def searched(trials: int, folds: int) -> float:
    """Return the processor seconds of a search of trials that train nothing."""
    clips = clip_set(subjects=folds)
    scripted = ScriptedEvaluator(clips, divide(clips, block=0.25))
    began = time.process_time()
    with (
        tempfile.TemporaryDirectory() as folder,
        search(Path(folder), scripted, trials=trials, pruner="none") as driver,
    ):
        local.run(driver, scripted)
        done = driver.counts.get("complete", 0)
    return (time.process_time() - began) / max(1, done)


def wide(trial: optuna.Trial) -> Proposal:
    """Draw from a space in which no two candidates are the same."""
    values = {f"p{number}": trial.suggest_float(f"p{number}", 0.0, 1.0) for number in range(11)}
    kind = trial.suggest_categorical("kind", ["plain", "gated"])
    sketch = Sketch(
        (("kind", kind), *sorted(values.items()), ("x", trial.suggest_float("x", 0, 1)))
    )
    return Proposal(sketch, costing(100))  # type: ignore[arg-type]


def grow(trials: int) -> None:
    """Run one long search, and print what becomes of memory, proposals and disk."""
    clips = clip_set(subjects=12)
    scripted = ScriptedEvaluator(clips, divide(clips, block=0.25))
    words = {"trials": trials, "pruner": "none", "storage": sqlite_url, "propose": wide}
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with search(place, scripted, points=(), startup=8, **words) as driver:
            ask = driver.ask

            def timed() -> Job | None:
                began = time.process_time()
                job = ask()
                seconds.append(time.process_time() - began)
                if len(seconds) in (100, 500) or len(seconds) % 1000 == 0:
                    scripted.runs.clear()
                    gc.collect()
                    disk = sum(file.stat().st_size for file in place.iterdir())
                    held = psutil.Process().memory_info().rss
                    print(
                        f"{len(seconds):5} trials: {held / 2**20:.0f} "
                        f"MB in memory, {sorted(seconds[-50:])[25]:.3f} s a proposal (median of "
                        f"50), {disk / 2**20:.1f} MB on disk",
                        flush=True,
                    )
                return job

            driver.ask = timed  # type: ignore[method-assign]
            local.run(driver, scripted)
        began = time.process_time()
        with search(place, scripted, points=(), **words):
            print(f"opened again in {time.process_time() - began:.1f} s")


def answering(
    self: Evaluator, candidate: Candidate, indices: Sequence[int], repetition: int = 0
) -> Iterator[FoldResult]:
    """Yield folds of a real search without training them."""
    for index in indices:
        fold = self.protocol.folds[index]
        clips = len(fold.test(self.clips))
        blank = result_of(self, candidate, index, repetition, [0] * clips)  # type: ignore[arg-type]
        yield answered(blank, candidate.key)


def answered(result: FoldResult, key: str) -> FoldResult:
    """Return a fold with the answers of the candidate of that key: a half to four fifths right."""
    dice = random.Random(f"{result.repetition} {key} {result.fold}")
    known, rows = 0.25 + 0.45 * int(key[:4], 16) / 2**16, []
    for label in result.labels:
        said = label if dice.random() < known else dice.randrange(3)
        doubt = [dice.random() / 6 for _ in range(3)]
        rows.append(tuple(x + (n == said) * (1 - sum(doubt)) for n, x in enumerate(doubt)))
    return replace(result, candidate=key, probabilities=tuple(rows))


def multiply(folder: StudyFolder, trials: int) -> None:
    """Copy the complete trials of a study, with other learning rates, until there are so many."""
    state, dice = StudyState(folder, folder.origin()), random.Random(0)
    complete = [trial for trial in state.trials if trial.user_attrs["outcome"] == "complete"]
    study, protocol = state.optuna, state.origin.search
    with Ledger(folder.ledger) as ledger, Journal(KEPT, folder.trials) as journal:
        for _ in range(len(study.get_trials(deepcopy=False)), trials):
            old = dice.choice(complete)
            tree, rate = old.user_attrs["tree"], dice.uniform(0.0005, 0.01)
            tree = {**tree, "trainer": {**tree["trainer"], "lr": rate}}
            key = Candidate.parse(tree, "a copy").key
            folds = state.under(protocol, old.user_attrs["candidate"])
            folds = [answered(fold, key) for fold in folds]
            for fold in folds:
                ledger.append(fold)
            known = {k: v for k, v in old.user_attrs.items() if k != "point"}
            study.add_trial(
                optuna.trial.create_trial(
                    values=[pool(folds).uf1],
                    params={**old.params, "trainer.lr": rate},
                    distributions=old.distributions,
                    user_attrs={**known, "candidate": key, "tree": tree},
                    intermediate_values=old.intermediate_values,
                )
            )
        keep(journal, study, study.get_trials(deepcopy=False))


def be(words: Sequence[str]) -> None:
    """Be the command `mer-nas` in this process; end with it where it fails."""
    try:
        command(list(words), standalone_mode=False)
    except SystemExit as end:
        if end.code:
            raise


def opened(trials: int, place: str) -> None:
    """Make a long study, and print how long the commands take that open it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(place or folder)
        there, Evaluator.folds = Path("study").exists(), answering  # type: ignore[method-assign]
        if not there:
            be(["search", *WORDS, "study.folder=study", "study.final=none"])
            multiply(StudyFolder(Path("study")), trials)
        words = [f"study.trials={trials}", "study.final={candidates: 2, seeds: 2, warm_starts: 1}"]
        be(["resume", "study", *words])
        for verb in ("resume", "report"):
            began, before = time.monotonic(), used()
            subprocess.run(["mer-nas", verb, "study"], check=True, capture_output=True)
            print(
                f"mer-nas {verb} of {trials} trials: {used() - before:.1f} s of a processor, "
                f"{time.monotonic() - began:.1f} s in all",
                flush=True,
            )


def used() -> float:
    """Return the processor seconds of the commands that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def main(trials: list[int]) -> None:
    """Print a table for each."""
    print(f"{cpu()}, {psutil.cpu_count()} cores; processor time")
    for number in trials:
        print(f"{number:5} trials of 12 folds  {searched(number, 12):.3f} s a trial", flush=True)
    for folds in FOLDS:
        print(f"{folds:5} folds, 20 trials    {searched(20, folds):.3f} s a trial", flush=True)
    for number in CLIPS:
        began = time.process_time()
        clips = data.load(SyntheticData(subjects=68, clips=number))
        drawn = time.process_time()
        divide(clips, "loso")
        divided = time.process_time() - drawn
        print(f"{number:5} clips  {drawn - began:.2f} s to draw, {divided:.3f} s to divide")


if __name__ == "__main__":
    if sys.argv[1:2] == ["long"]:
        grow(int(sys.argv[2]) if len(sys.argv) > 2 else 3000)
    elif sys.argv[1:2] == ["study"]:
        opened(int(sys.argv[2]) if len(sys.argv) > 2 else 3000, "".join(sys.argv[3:4]))
    else:
        main([int(word) for word in sys.argv[1:]] or list(TRIALS))
