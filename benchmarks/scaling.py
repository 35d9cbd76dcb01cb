"""How what a search costs beside its training grows with trials, folds and clips.

    python benchmarks/scaling.py [TRIALS ...]
    python benchmarks/scaling.py long [TRIALS]

Processor seconds of scripted trials that train nothing, in this process, over so many trials and
with so many folds; and of drawing synthetic clips and dividing them.

The second form runs one long search of 12 folds and 13 parameters, as a study has it: TPE, and
SQLite in the study's folder. It prints on the way what the process holds in memory, what a
proposal takes, and how large the study is on disk; then how long it takes to open it again.
"""

import gc
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "search"))

import optuna
from scripted import ScriptedEvaluator, Sketch, clip_set, costing, search

from mer_nas import data
from mer_nas.data.config import SyntheticData
from mer_nas.data.protocols import plan
from mer_nas.provenance import cpu
from mer_nas.search import local
from mer_nas.search.jobs import Job
from mer_nas.search.proposals import Proposal
from mer_nas.search.storage import sqlite_url

TRIALS = (10, 100, 1000)
FOLDS = (4, 17, 68)
CLIPS = (442, 4000)


def searched(trials: int, folds: int) -> float:
    """Return the processor seconds of a search of trials that train nothing."""
    clips = clip_set(subjects=folds)
    scripted = ScriptedEvaluator(clips, plan(clips, block=0.25))
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
    scripted = ScriptedEvaluator(clips, plan(clips, block=0.25))
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
        plan(clips, "loso")
        divided = time.process_time() - drawn
        print(f"{number:5} clips  {drawn - began:.2f} s to draw, {divided:.3f} s to divide")


if __name__ == "__main__":
    if sys.argv[1:2] == ["long"]:
        grow(int(sys.argv[2]) if len(sys.argv) > 2 else 3000)
    else:
        main([int(word) for word in sys.argv[1:]] or list(TRIALS))
