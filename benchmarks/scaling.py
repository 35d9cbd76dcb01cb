"""How what a search costs beside its training grows with trials, folds and clips.

    python benchmarks/scaling.py [TRIALS ...]

Processor seconds of scripted trials that train nothing, in this process, over so many trials and
with so many folds; and of drawing synthetic clips and dividing them.
"""

import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "search"))

from scripted import ScriptedEvaluator, clip_set, search

from mer_nas import data
from mer_nas.data.config import SyntheticData
from mer_nas.data.protocols import plan
from mer_nas.provenance import cpu
from mer_nas.search import local

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
    main([int(word) for word in sys.argv[1:]] or list(TRIALS))
