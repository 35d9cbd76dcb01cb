"""Folds of a candidate as one computation, against one fold after another.

    python benchmarks/together.py equal [draws=0]    how far apart, double precision, 20 steps
    python benchmarks/together.py launches           operations of a step, alone and together
    python benchmarks/together.py cpu [NAME...]      processor time a step of a fold, on one thread
    python benchmarks/together.py gpu [epochs=20]    LOSO on a GPU: together, alone, four processes

`equal` trains three folds of 7, 8 and 6 clips in batches of 3 with everything that augments, as
`fit` does and side by side, and prints the largest difference of any loss or number, of the five
small points and of draws from `hybrid`; beside it that of two trainings alone whose clips differ
in the last bit: where a norm is over three values, roundings grow a hundredfold a step. `launches`
counts what reaches the device and is no view. `cpu` times both in turns, smallest of three, at
search scale (batches of 32 and of 10): networks of a convolution or patches and one or two blocks,
and the small points. `gpu` measures `Evaluator.folds` on synthetic clips of 24 subjects by wall
time, and says on which card; without one it says so.
"""

import copy
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mer_nas.architectures import Architecture, Cost, Network, parse, parse_drawn
from mer_nas.config import overrides, presets
from mer_nas.data import load
from mer_nas.data.config import SyntheticData
from mer_nas.data.protocols import divide
from mer_nas.errors import Infeasible
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.inputs import ACTION_UNITS
from mer_nas.provenance import cpu
from mer_nas.space import SearchSpace
from mer_nas.training.chance import stream
from mer_nas.training.config import TrainerConfig
from mer_nas.training.fit import TrainingDiverged, fit
from mer_nas.training.losses import Targets
from mer_nas.training.stack import Learner, fit_together

HOST = torch.device("cpu")
HYBRID = SearchSpace.read(presets.read("space", "hybrid"), "space=hybrid")
POINTS = {
    point.name: parse(point.values["architecture"])
    for point in HYBRID.file.points
    if point.name.endswith("_s") or point.name == "hyb_ms_prog_expert"
}
EVERYTHING = {"rotate": 5, "scale": 0.2, "noise": 0.1, "mixup": 0.4}


def small(stem: dict[str, Any], **blocks: Any) -> Architecture:
    """Return a network of one stage."""
    return parse({"paths": [{"stem": stem, "stages": [blocks]}]})


PATCHES = {"kind": "patch", "patch": 4, "width": 32}
SMALL = {
    "patches, attention": small(PATCHES, **{"global": {"kind": "mhsa"}}),
    "patches, 2 attention": small(PATCHES, **{"global": {"kind": "mhsa", "blocks": 2}}),
    "patches, experts": small(PATCHES, **{"global": {"kind": "expert", "experts": 4}}),
    "patches of 2, 2 attention": small(
        PATCHES | {"patch": 2}, **{"global": {"kind": "mhsa", "blocks": 2}}
    ),
    "convolution, 16 channels": small(
        {"kind": "conv", "width": 16, "stride": 2, "pool": True}, local={"kind": "res_basic"}
    ),
    "convolution, 8 channels": small(
        {"kind": "conv", "width": 8, "stride": 2, "pool": True}, local={"kind": "res_basic"}
    ),
}


class Folds:
    """Folds of a network on clips of noise, trained either way."""

    def __init__(self, architecture: Architecture, folds: Sequence[Tensor], count: int) -> None:
        torch.manual_seed(1)
        self.architecture, self.folds = architecture, folds
        shapes = architecture.shapes.items()
        self.inputs = {name: torch.rand(count, *shape) for name, shape in shapes}
        units = (torch.rand(count, len(ACTION_UNITS)) > 0.5).to(torch.get_default_dtype())
        self.targets = Targets(torch.arange(count) % 3, units)
        self.begun = []
        for seed in range(len(folds)):
            torch.manual_seed(seed)
            self.begun.append((Network(architecture, 3).train(), stream(HOST)))

    def alone(self, trainer: TrainerConfig, fold: int) -> tuple[list[float], Network]:
        """Train one fold."""
        network, clips = copy.deepcopy(self.begun[fold][0]), self.folds[fold]
        own = {name: images[clips] for name, images in self.inputs.items()}
        torch.set_rng_state(self.begun[fold][1].get_state())
        weights = self.architecture.losses.weights
        return fit(network, own, self.targets.at(clips), trainer, fold, weights), network

    def together(self, trainer: TrainerConfig) -> list[tuple[Any, nn.Module]]:
        """Train all."""
        learners = []
        for seed, (network, chance) in enumerate(self.begun):
            clips, own = self.folds[seed], chance.clone_state()
            learners.append(Learner(copy.deepcopy(network), clips, seed, own, {}))
        weights = self.architecture.losses.weights
        found = fit_together(learners, self.inputs, self.targets, 3, trainer, weights)
        return [(losses, each.network) for losses, each in zip(found, learners, strict=True)]


def equal(draws: int) -> None:
    """Print the largest differences."""
    torch.set_default_dtype(torch.float64)
    named = dict(POINTS)
    dice = Random(0)
    while len(named) < len(POINTS) + draws:
        try:
            drawn = parse_drawn(HYBRID.draw(dice)["architecture"])
        except Infeasible:
            continue
        if Cost.of(drawn, 3).macs < 1e8:
            named[f"draw {len(named) - len(POINTS) + 1}"] = drawn
    recipe = {"batch": 3, "epochs": None, "steps": 20, "augment": EVERYTHING}
    trainer = TrainerConfig.model_validate(recipe)
    print(f"{'':24} together  a rounding")
    for name, architecture in named.items():
        clips = [torch.arange(7), torch.arange(8), torch.arange(1, 7)]
        folds, rounded = Folds(architecture, clips, 8), Folds(architecture, clips, 8)
        rounded.inputs = {key: x.nextafter(torch.ones(())) for key, x in rounded.inputs.items()}
        apart, grown = 0.0, 0.0
        for fold, found in enumerate(folds.together(trainer)):
            alone = folds.alone(trainer, fold)
            apart = max(apart, difference(found, alone))
            grown = max(grown, difference(rounded.alone(trainer, fold), alone))
        print(f"{name:24} {apart:8.1e}  {grown:10.1e}", flush=True)


def difference(one: tuple[Any, nn.Module], other: tuple[Any, nn.Module]) -> float:
    """Return the largest difference of any loss or number of two trainings."""
    if isinstance(one[0], TrainingDiverged):
        raise one[0]
    apart = [abs(mine - theirs) for mine, theirs in zip(one[0], other[0], strict=True)]
    state = one[1].state_dict()
    for key, value in other[1].state_dict().items():
        apart.append(float((state[key] - value).abs().max() / (1 + value.abs().max())))
    return max(apart)


class Counted(TorchDispatchMode):
    """Counts the operations that are no views."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count one."""
        self.count += not func.is_view and "detach" not in str(func)
        return func(*args, **(kwargs or {}))


def launches() -> None:
    """Print how many operations a step is."""
    for name, architecture in {**SMALL, **POINTS}.items():
        counts = []
        for many in (1, 2, 7):
            folds = Folds(architecture, [torch.arange(2)] * many, 2)
            taken = []
            for steps in (1, 3):
                trainer = TrainerConfig(batch=2, epochs=None, steps=steps)
                with Counted() as counted:
                    folds.alone(trainer, 0) if many == 1 else folds.together(trainer)
                taken.append(counted.count)
            counts.append((taken[1] - taken[0]) // 2)
        print(f"{name:26} alone {counts[0]:5}   2 folds {counts[1]:5}   7 folds {counts[2]:5}")


def cpu_times(names: Sequence[str]) -> None:
    """Print processor time a step of a fold, and its ratio together and alone."""
    torch.set_num_threads(1)
    print(f"{cpu()}, one thread; milliseconds of a step of a fold")
    for name, architecture in {**SMALL, **POINTS}.items():
        if names and name not in names:
            continue
        macs = Cost.of(architecture, 3).macs
        steps = 8 if macs < 3e6 else 2
        for many, batch in ((2, 32), (7, 32), (14, 32), (7, 10)):
            sizes = [torch.arange(batch * 4 - 3 * (fold % 2)) for fold in range(many)]
            folds = Folds(architecture, sizes, batch * 4)
            trainer = TrainerConfig(batch=batch, epochs=None, steps=steps)
            alone, both = [], []
            for _ in range(3):
                alone.append(timed(partial(folds.alone, trainer, 0)) / steps)
                both.append(timed(partial(folds.together, trainer)) / steps / many)
            print(
                f"{name:26} {macs * batch / 1e6:7.1f} M a batch of {batch}, {many:2} folds: "
                f"{1000 * min(alone):7.2f} alone {1000 * min(both):7.2f} together "
                f"{min(both) / min(alone):5.2f}",
                flush=True,
            )


def timed(do: Callable[[], object]) -> float:
    """Return the processor time that something takes."""
    began = time.process_time()
    do()
    return time.process_time() - began


def gpu(epochs: int) -> None:
    """Print seconds of LOSO."""
    if not torch.cuda.is_available():
        print("not measured: there is no GPU here")
        return
    print(f"{torch.cuda.get_device_name(0)}; seconds of LOSO over 24 subjects, {epochs} epochs")
    for name in POINTS:
        ways = {"together": True, "alone": False}
        took = {way: loso(name, epochs, range(24), together=on) for way, on in ways.items()}
        began = time.perf_counter()
        with multiprocessing.get_context("spawn").Pool(4) as pool:
            parts = [(name, epochs, range(part, 24, 4)) for part in range(4)]
            pool.starmap(loso, parts)
        took["four processes"] = time.perf_counter() - began
        print(f"{name:20}", *(f"{way} {seconds:7.1f}  " for way, seconds in took.items()))


def loso(name: str, epochs: int, indices: Sequence[int], *, together: bool = False) -> float:
    """Train folds on the GPU; return the seconds of all but a first one."""
    candidate = Candidate(POINTS[name], TrainerConfig(epochs=epochs, device="cuda"))
    size = max(path.size for path in candidate.architecture.paths)
    data = SyntheticData(subjects=24, clips=240, size=size)
    clips = load(data, candidate.needs(name))
    evaluator = Evaluator(clips, divide(clips, block=1.0), seed=0)
    evaluator.fold(candidate, 0)
    began = time.perf_counter()
    if together:
        widths = {result.width for result in evaluator.folds(candidate, indices)}
        print(f"{name}: {max(widths)} folds at a time")
    else:
        for index in indices:
            evaluator.fold(candidate, index)
    return time.perf_counter() - began


def main() -> None:
    """Do what is asked for."""
    way, *rest = sys.argv[1:] or [""]
    words = overrides.parse([word for word in rest if "=" in word]).plain
    match way:
        case "equal":
            equal(int(words.get("draws", 0)))
        case "launches":
            launches()
        case "cpu":
            cpu_times(rest)
        case "gpu":
            gpu(int(words.get("epochs", 20)))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
