"""Where the time of a training step goes, and what share of the machine's matrix rate it reaches.

    python benchmarks/step.py [points=tiny,prog_s] [batch=32] [steps=3] [rounds=3]

For `tiny` and every small point of `space=hybrid` (as in `loso`), alone and on one thread, a step
of `fit` as it is, in processor time; of the rounds, the one that took least:

- `ms`: a step of 32 clips;
- `rate`: multiply-accumulates that convolutions and matrix products do in it, forward and back, as
  a share of what one product of two 1024 x 1024 matrices reaches beside it;
- the shares of the batch (index and augmentation), of the network, of the loss, of the way back,
  and of the optimizer (clipping included); the rest is the loop;
- `launches`: operations that are no views: what a GPU would be asked for.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from loso import named, names
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mer_nas.architectures import Network
from mer_nas.evaluation.candidate import Candidate
from mer_nas.inputs import ACTION_UNITS
from mer_nas.provenance import cpu
from mer_nas.training import fit as fitting
from mer_nas.training.losses import Targets, TrainingLoss
from mer_nas.training.optimizer import Optimizer

SIDE = 1024
PARTS = ("batch", "network", "loss", "back", "optimizer")


class Launches(TorchDispatchMode):
    """Counts the operations that are no views."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        """Do an operation, and count it."""
        aliases = [each.alias_info for each in func._schema.returns]
        self.count += not any(alias and not alias.is_write for alias in aliases)
        return func(*args, **(kwargs or {}))


@contextmanager
def stopwatches(took: Counter[str]) -> Iterator[None]:
    """Add to `took` the processor time of each part of the steps within the block."""

    def timed(part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*words: Any, **more: Any) -> Any:
            began = time.process_time()
            try:
                return work(*words, **more)
            finally:
                took[part] += time.process_time() - began

        return run

    def batches(loader: Any) -> Iterator[Any]:
        plain = begin(loader)
        advance = timed("batch", lambda: next(plain, None))
        while (batch := advance()) is not None:
            yield batch

    begin = fitting._Loader.__iter__
    parts = [
        (fitting._Loader, "__iter__", batches),
        (Network, "forward", timed("network", Network.forward)),
        (TrainingLoss, "__call__", timed("loss", TrainingLoss.__call__)),
        (Tensor, "backward", timed("back", Tensor.backward)),
        (Optimizer, "step", timed("optimizer", Optimizer.step)),
    ]
    with ExitStack() as stack:
        for owner, name, replacement in parts:
            stack.enter_context(patch.object(owner, name, replacement))
        yield


class Steps:
    """Takes steps of a candidate."""

    def __init__(self, candidate: Candidate, batch: int) -> None:
        torch.manual_seed(0)
        self.batch, self.candidate = batch, candidate
        self.network = Network(candidate.architecture, 3)
        shapes = candidate.architecture.shapes
        self.clips = {name: torch.rand(batch, *shapes[name]) for name in shapes}
        self.targets = Targets(torch.arange(batch) % 3, torch.zeros(batch, len(ACTION_UNITS)))

    def take(self, steps: int) -> None:
        """Take so many."""
        trainer = self.candidate.trainer.model_copy(
            update={"epochs": None, "steps": steps, "batch": self.batch, "lr": 1e-6}
        )
        weights = self.candidate.architecture.losses.weights
        fitting.fit(self.network, self.clips, self.targets, trainer, 0, weights)

    def timed(self, steps: int) -> tuple[float, Counter[str]]:
        """Return the seconds of a step, and of each of its parts."""
        took: Counter[str] = Counter()
        with stopwatches(took):
            began = time.process_time()
            self.take(steps)
            whole = time.process_time() - began
        return whole / steps, Counter({part: each / steps for part, each in took.items()})

    def operations(self) -> int:
        """Return the multiply-accumulates of a step."""
        with FlopCounterMode(display=False) as counter:
            self.take(1)
        return int(counter.get_total_flops()) // 2

    def launches(self) -> int:
        """Return the operations of a step: those of three less those of two."""
        counts = []
        for steps in (2, 3):
            with Launches() as seen:
                self.take(steps)
            counts.append(seen.count)
        return counts[1] - counts[0]


def matrix_rate() -> float:
    """Return how many multiply-accumulates a second a product of two matrices reaches."""
    one, other = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    rates = []
    for _ in range(5):
        began = time.process_time()
        torch.mm(one, other)
        rates.append(SIDE**3 / (time.process_time() - began))
    return max(rates)


def row(name: str, batch: int, steps: int, rounds: int) -> str:
    """Return the line of a point."""
    step = Steps(named(name, 1), batch)
    macs, launches = step.operations(), step.launches()
    many = steps if name != "tiny" else 50 * steps
    found = [(*step.timed(many), matrix_rate()) for _ in range(rounds)]
    seconds, parts, _ = min(found, key=lambda each: each[0])
    rate = macs / seconds / max(each[2] for each in found)
    shares = "".join(f"{100 * parts[part] / seconds:10.1f}" for part in PARTS)
    return f"{name:26s}{1000 * seconds:8.1f}{100 * rate:7.0f} %{shares}{launches:10d}"


def main(words: list[str]) -> None:
    """Measure and print a line for each point."""
    given = dict(word.split("=", 1) for word in words)
    points = given["points"].split(",") if given.get("points", "all") != "all" else names()
    numbers = (int(given.get(word, usual)) for word, usual in
               (("batch", "32"), ("steps", "3"), ("rounds", "3")))  # fmt: skip
    batch, steps, rounds = numbers
    torch.set_num_threads(1)
    print(f"{cpu()}, one thread, torch {torch.__version__}; shares in per cent")
    heads = "".join(f"{part:>10s}" for part in PARTS)
    print(f"{'batch of ' + str(batch):26s}{'ms':>8s}{'rate':>9s}{heads}{'launches':>10s}")
    for name in points:
        print(row(name, batch, steps, rounds), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
