"""How many folds of a candidate are trained as one computation, decided before the first of them.

On a CPU a network whose step is short waits for Python more than it computes: then several folds
together take less time, and of larger networks more. Which is small follows from the candidate
alone, never from a clock. On a GPU, where every network of ours waits for its host, it is as many
as its memory holds.

Before that, two folds of four clips are trained together and alone, with double precision. Where
the two differ, or a network cannot be stacked, folds are trained one by one, and the reason is
kept with their results.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mer_nas.architectures import Cost, Network
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.deterministic import deterministic
from mer_nas.inputs import ACTION_UNITS
from mer_nas.training.chance import stream
from mer_nas.training.fit import TrainingDiverged, fit
from mer_nas.training.losses import Targets
from mer_nas.training.stack import Learner, fit_together

SMALL = 2**24
"""Nominal multiply-accumulates of a batch up to which folds are trained together on a CPU:
seven take 0.55 to 0.95 of the processor time so, and of networks twice as large all of it."""
ON_CPU = 16
"""Folds that are then trained together at most."""
FEWEST = {"cpu": 4, "cuda": 2}
"""Folds below which it does not pay, by type of device."""
SHARE = 0.8
"""Of the memory that a process has on a GPU, what folds may take."""
_ROUNDING = 1e-6
"""How far numbers may lie apart after two steps with double precision, relative to one."""
_GROWN = 100
"""How many times as far as after a change of the last bit of what is learned from."""


class Width(NamedTuple):
    """How folds of a candidate are trained."""

    folds: int
    """At a time, at most."""
    alone: str = ""
    """Why one by one where several would pay; empty where they are, and where they would not."""


def pays(candidate: Candidate, classes: int, device: str) -> bool:
    """Whether it would pay to train folds of a candidate together, on a type of device."""
    if device == "cpu":
        cost = Cost.of(candidate.architecture, classes)
        return cost.macs * candidate.trainer.batch <= SMALL
    return device == "cuda"


def width_of(candidate: Candidate, classes: int, device: torch.device, share: float) -> Width:
    """Return how many folds of a candidate are trained together.

    Args:
        candidate: What is trained.
        classes: K.
        device: Where.
        share: Of a GPU's memory that this process has.
    """
    if not pays(candidate, classes, device.type):
        return Width(1)
    if why := unstackable(candidate, classes, device):
        return Width(1, why)
    if device.type == "cpu":
        return Width(ON_CPU)
    with deterministic(0, device):
        room = int(SHARE * share * torch.cuda.get_device_properties(device).total_memory)
        return Width(that_fit(lambda folds: _peak(candidate, classes, device, folds), room))


def that_fit(peak: Callable[[int], int], room: int) -> int:
    """Return how many folds fit into a memory, at least one.

    What they need grows by as much with each: it is measured with two folds and with four.

    Args:
        peak: Measures the bytes that a step of so many folds takes.
        room: Bytes that there are.
    """
    try:
        two, four = peak(2), peak(4)
    except torch.OutOfMemoryError:
        return 1
    each = max(1, (four - two) // 2)
    return max(1, (room - (two - 2 * each)) // each)


def unstackable(candidate: Candidate, classes: int, device: torch.device) -> str:
    """Return why folds of a candidate cannot be trained together; empty where they can."""
    if candidate.trainer.augment.own:
        return "an augmentation of the user's own is asked about one fold at a time"
    with deterministic(0, device):
        torch.set_default_dtype(torch.float64)
        try:
            return _difference(candidate, classes, device)
        except Exception as error:  # a user's own block may fail of anything
            first, *_ = [*str(error).strip().splitlines(), ""]
            return f"{type(error).__name__}: {first}"


def _difference(candidate: Candidate, classes: int, device: torch.device) -> str:
    """Return what two folds do otherwise together than alone; empty where it is nothing."""
    trainer = candidate.trainer.model_copy(update={"epochs": None, "steps": 2, "batch": 2})
    weights = candidate.architecture.losses.weights
    inputs, targets = _noise(candidate, classes, device, 4)
    alone, together = [], []
    for seed in (0, 1):
        network, chance = _begun(candidate, classes, device, seed)
        together.append(Learner(network.double(), torch.arange(4), seed, chance, {}))
        network, _ = _begun(candidate, classes, device, seed)
        network.double()  # tables may be of single precision whatever the default
        before, states = _attributes(network), _python_states()
        alone.append(_Trained(fit(network, inputs, targets, trainer, seed, weights), network))
        if _python_states() != states:
            return "its blocks draw random numbers of Python or NumPy"
        for name, value in _attributes(network).items():
            if before.get(name) is not value:
                return f"its modules remember something in themselves: {name}"
        if hooked := _hooked(network):
            return f"a hook of its own sees the gradients of {hooked}"
    histories = fit_together(together, inputs, targets, classes, trainer, weights)
    found = []
    for history, learner in zip(histories, together, strict=True):
        if isinstance(history, TrainingDiverged):
            return "together it has other losses than alone"
        found.append(_Trained(history, learner.network))
    apart, where = max(map(_apart, found, alone))
    if apart <= _ROUNDING:
        return ""
    # Where a norm is over two values, roundings grow a thousandfold a step: by how much here?
    rounded = {name: clips.nextafter(torch.ones_like(clips)) for name, clips in inputs.items()}
    for seed, each in enumerate(alone):
        network, _ = _begun(candidate, classes, device, seed)
        history = fit(network.double(), rounded, targets, trainer, seed, weights)
        if apart <= _GROWN * _apart(_Trained(history, network), each)[0]:
            return ""
    return f"together it {where} than alone"


class _Trained(NamedTuple):
    """What came of a fold."""

    losses: list[float]
    network: nn.Module


def _apart(one: _Trained, other: _Trained) -> tuple[float, str]:
    """Return the largest difference of losses and numbers, relative to one, and what has it."""
    places = [
        (abs(loss - wanted) / (1 + abs(wanted)), "has other losses")
        for loss, wanted in zip(one.losses, other.losses, strict=True)
    ]
    state = one.network.state_dict()
    for name, value in other.network.state_dict().items():
        mine, theirs = state[name].double(), value.double()  # flags and counters are there too
        difference = (mine - theirs).abs() / (1 + theirs.abs())
        places.append((float(difference.max()), f"learns another {name}"))
    return max(places)


def _hooked(network: nn.Module) -> str:
    """Return what has a hook on its gradients, which folds trained together would not call.

    What it changes may hide: AdamW takes little notice of a factor.
    """
    hooks = ("_backward_hooks", "_backward_pre_hooks", "_post_accumulate_grad_hooks")
    parts = (*network.named_parameters(), *network.named_modules())
    return next((name for name, part in parts if any(getattr(part, h, None) for h in hooks)), "")


def _python_states() -> tuple[object, object]:
    return random.getstate(), str(np.random.get_state())


def _begun(
    candidate: Candidate, classes: int, device: torch.device, seed: int
) -> tuple[nn.Module, torch.Generator]:
    """Return the network of a fold as it begins, and what it then draws from."""
    torch.manual_seed(seed)
    network: nn.Module = Network(candidate.architecture, classes).to(device)
    return network.train(), stream(device)


def _noise(
    candidate: Candidate, classes: int, device: torch.device, count: int
) -> tuple[dict[str, Tensor], Targets]:
    """Return clips of noise, and classes and action units for them."""
    shapes, names = candidate.architecture.shapes, candidate.architecture.inputs
    inputs = {name: torch.rand(count, *shapes[name], device=device) for name in names}
    labels = torch.arange(count, device=device) % classes
    units = torch.zeros(count, len(ACTION_UNITS), device=device)
    return inputs, Targets(labels, units if candidate.architecture.losses.au else None)


def _attributes(network: nn.Module) -> dict[str, object]:
    """Return what the modules of a network hold beside their numbers, by dotted name."""
    own = {"_parameters", "_buffers", "_modules"}
    return {
        f"{place}.{name}".lstrip("."): value
        for place, module in network.named_modules()
        for name, value in vars(module).items()
        if name not in own
    }


def _peak(candidate: Candidate, classes: int, device: torch.device, folds: int) -> int:
    """Return the bytes of a GPU that a step of so many folds takes."""
    count = candidate.trainer.batch
    trainer = candidate.trainer.model_copy(update={"epochs": None, "steps": 1})
    inputs, targets = _noise(candidate, classes, device, count)
    learners = []
    for seed in range(folds):
        network, chance = _begun(candidate, classes, device, seed)
        learners.append(Learner(network, torch.arange(count), seed, chance, {}))
    torch.cuda.reset_peak_memory_stats(device)
    weights = candidate.architecture.losses.weights
    fit_together(learners, inputs, targets, classes, trainer, weights)
    return torch.cuda.max_memory_allocated(device)
