"""What a fold of leave-one-subject-out costs, beside what the script costs that people run.

    python benchmarks/loso.py [points=tiny,prog_s,dre_s,hyb_ms_prog_expert] [folds=2] [rounds=3]
        [epochs=2]

`points=all` takes every one. The script has for each fold a fresh model, torch.optim.AdamW, a
TensorDataset and a DataLoader, and asks about the held-out clips after every epoch, as public code
of the field does (STSTNet, HTNet). It neither augments, nor clips gradients, nor changes the
learning rate: it has less to do. `bare` is our evaluator with as little to do, `ours` with the
recipe that is the default: flips, shifts, warm-up, a cosine, clipped gradients.

The network is the same, and so are epochs, batches of 32 and the folds: the first ones of 442
synthetic clips of 68 subjects. One thread; processor time, the sides in turn, the smallest of the
rounds. Folds of a small network are trained together where there are several (`folds=8`). `tiny`
is of STSTNet's size, 1,443 weights; the others are points of `space=hybrid`. The first fold of a
process is measured by itself, in a fresh one. A row takes minutes on a slow machine.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mer_nas.architectures import ModelOutput, Network
from mer_nas.config import presets
from mer_nas.config.base import Tree
from mer_nas.data import load
from mer_nas.data.clips import ClipSet
from mer_nas.data.config import SyntheticData
from mer_nas.data.protocols import divide
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.provenance import cpu
from mer_nas.space import SearchSpace

TINY: Tree = {
    "paths": [
        {
            "stem": {"kind": "conv", "kernel": 3, "stride": 2, "width": 8},
            "stages": [{"growth": 1, "local": {"kind": "res_basic", "blocks": 1}}],
        }
    ],
    "head": {"kind": "gap", "norm": False},
}
USUAL = ("tiny", "prog_s", "dre_s", "hyb_ms_prog_expert")
BARE = {
    "augment": {"flip": False, "shift": 0},
    "clip_norm": None,
    "schedule": "constant",
    "warmup": 0.0,
}
FIRST = """
import sys, time
sys.path.insert(0, sys.argv[1])
from loso import clips, named
from mer_nas.data.protocols import divide
from mer_nas.evaluation.evaluator import Evaluator
data = clips(sys.argv[2])
candidate, evaluator = named(sys.argv[2], 1), Evaluator(data, divide(data), seed=0)
for index in (0, 1):
    began = time.process_time()
    evaluator.fold(candidate, index)
    print(time.process_time() - began)
"""


@cache
def hybrid() -> SearchSpace:
    """Return the space that has all small points."""
    return SearchSpace.read(presets.read("space", "hybrid"), "space=hybrid")


def names() -> tuple[str, ...]:
    """Return `tiny` and the points of `hybrid`."""
    return ("tiny", *(point.name for point in hybrid().file.points))


def named(name: str, epochs: int, **recipe: object) -> Candidate:
    """Return a point with the default recipe, but for what is said of it."""
    tree = TINY if name == "tiny" else hybrid().point(name).values["architecture"]
    trainer = {"epochs": epochs, "batch": 32, "device": "cpu", **recipe}
    return Candidate.parse({"architecture": tree, "trainer": trainer}, name)


@cache
def clips(name: str) -> ClipSet:
    """Return as many clips and subjects as the composite has, with what a point reads of them."""
    return load(SyntheticData(subjects=68, clips=442), named(name, 1).needs(name))


def script(candidate: Candidate, data: ClipSet, index: int) -> float:
    """Train and test a fold as public code does; return the accuracy after the last epoch."""
    fold, trainer = divide(data).folds[index], candidate.trainer
    parts = [fold.train(data), fold.test(data)]
    torch.manual_seed(0)
    model = Network(candidate.architecture, len(data.classes))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=trainer.lr, weight_decay=trainer.weight_decay
    )
    labels = torch.tensor(data.labels[parts[0]])
    loss_of = nn.CrossEntropyLoss(weight=len(labels) / torch.bincount(labels))
    train, test = (
        DataLoader(
            TensorDataset(
                *(torch.tensor(values) for values in candidate.inputs_for(data, part).values()),
                torch.tensor(data.labels[part]),
            ),
            batch_size=trainer.batch,
            shuffle=part is parts[0],
        )
        for part in parts
    )
    total, right = 0.0, 0
    for _ in range(trainer.epochs or 0):
        model.train()
        for *seen, wanted in train:
            optimizer.zero_grad()
            said: ModelOutput = model(*seen)
            loss = loss_of(said.logits, wanted) + sum(said.losses.values())
            loss.backward()
            optimizer.step()
            total += loss.item()
        model.eval()
        right = 0
        with torch.no_grad():
            for *seen, wanted in test:
                right += int((model(*seen).argmax(1) == wanted).sum())
    return right / len(parts[1])


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of some work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def compare(name: str, folds: int, rounds: int, epochs: int) -> str:
    """Return the row of a point."""
    data = clips(name)
    evaluator = Evaluator(data, divide(data), seed=0)
    ours, bare = named(name, epochs), named(name, epochs, **BARE)

    def evaluated(candidate: Candidate) -> None:
        for _ in evaluator.folds(candidate, range(folds)):
            pass

    sides: dict[str, Callable[[], object]] = {
        "script": lambda: [script(ours, data, index) for index in range(folds)],
        "bare": lambda: evaluated(bare),
        "ours": lambda: evaluated(ours),
    }
    for work in sides.values():
        work()  # what only a first time takes
    took: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, work in sides.items():
            took[side].append(seconds(work))
    steps = folds * ours.trainer.steps_for(len(divide(data).folds[0].train(data)))
    best = {side: min(each) for side, each in took.items()}
    milliseconds = "".join(f"{1000 * best[side] / steps:9.1f}" for side in sides)
    times = "".join(f"{best['script'] / best[side]:9.2f}" for side in ("bare", "ours"))
    return f"{name:26s}{milliseconds}{times}"


def first(name: str) -> str:
    """Return what the first fold of a process takes, and what the second."""
    words = [str(Path(__file__).parent), name]
    done = subprocess.run(
        [sys.executable, "-c", FIRST, *words], capture_output=True, text=True, check=True
    )
    one, two = (float(line) for line in done.stdout.split())
    return f"{name}: first fold of a process {one:.2f} s, second {two:.2f} s (1 epoch)"


def main(words: list[str]) -> None:
    """Measure and print a row for each point."""
    given = dict(word.split("=", 1) for word in words)
    chosen = given.get("points", ",".join(USUAL))
    points = names() if chosen == "all" else chosen.split(",")
    folds, rounds = int(given.get("folds", "2")), int(given.get("rounds", "3"))
    torch.set_num_threads(1)
    print(f"{cpu()}, one thread, torch {torch.__version__}")
    print(f"{'milliseconds a step':26s}   script     bare     ours  times as fast: bare, ours")
    for name in points:
        print(compare(name, folds, rounds, int(given.get("epochs", "2"))), flush=True)
    print(first(points[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
