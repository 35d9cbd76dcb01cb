"""How long a candidate computes on this machine: a training step, and a clip at inference.

Measured, not derived, with one thread, as a fold is trained. Nominal multiply-accumulates compare
networks wherever they run; milliseconds say what this machine makes of them, and vary from run to
run by some per cent and with whatever else it is doing.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mer_nas.architectures import Network
from mer_nas.architectures.user_blocks import describe
from mer_nas.errors import MerNasError, TrainingFailed
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.deterministic import deterministic
from mer_nas.inputs import ACTION_UNITS
from mer_nas.provenance import cpu
from mer_nas.training.fit import fit, pick_device
from mer_nas.training.losses import Targets

BATCH = 16
"""Clips of the step that is timed, whatever the recipe has, so that candidates compare."""
REPEATS = 5
PATIENCE = 1.0
"""Seconds; what takes longer is timed once."""
HASTE = 0.05
"""The same, where a plan is all that it is for."""


class Timing(NamedTuple):
    """Medians over a few repeats, after a first one that does not count."""

    step_ms: float
    """Milliseconds of one training step of `BATCH` clips: augmentation to optimizer."""
    clip_ms: float
    """Milliseconds of one clip at inference, alone in its batch."""
    machine: str
    """Where it was measured: the processor or GPU, and the threads."""

    @property
    def batch(self) -> int:
        """Clips of a training step."""
        return BATCH


class Step(NamedTuple):
    """A training step of `BATCH` clips."""

    seconds: float
    machine: str
    """As in `Timing`."""


def clock(candidate: Candidate, classes: int) -> Timing:
    """Return how long a candidate computes on the device that its trainer names.

    Raises:
        ConfigError: There is no such device here.
        TrainingFailed: Its network fails.
    """
    with _timed(candidate) as device:
        network, clips = _made(candidate, classes, device)
        step = _step(network, clips, candidate, classes, PATIENCE)
        clip = _clip(network.eval(), [values[:1] for values in clips.values()])
    return Timing(round(1000 * step, 3), round(1000 * clip, 3), _machine(device))


def clock_step(candidate: Candidate, classes: int) -> Step:
    """Return how long a training step takes; of a long one not more exactly than a plan needs.

    Raises:
        ConfigError: There is no such device as the trainer names.
        TrainingFailed: Its network fails.
    """
    with _timed(candidate) as device:
        network, clips = _made(candidate, classes, device)
        return Step(_step(network, clips, candidate, classes, HASTE), _machine(device))


@contextmanager
def _timed(candidate: Candidate) -> Iterator[torch.device]:
    """Provide the device of a candidate, and say what its network fails of."""
    device = pick_device(candidate.trainer.device)
    try:
        with deterministic(0, device):
            yield device
    except MerNasError:
        raise
    except Exception as error:  # a network may fail of anything
        raise TrainingFailed(f"it fails with clips of noise: {describe(error)}") from error


def _made(
    candidate: Candidate, classes: int, device: torch.device
) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return the network of a candidate, and `BATCH` clips of noise for it."""
    shapes, names = candidate.architecture.shapes, candidate.architecture.inputs
    network: nn.Module = Network(candidate.architecture, classes).to(device)
    return network, {name: torch.rand(BATCH, *shapes[name], device=device) for name in names}


def _machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu()
    return f"{name}, one thread"


def rehearse(candidate: Candidate, classes: int, device: torch.device) -> None:
    """Take a step on two clips of noise, so that no fold is timed with what only a first one does.

    That is to choose how to compute, and to import what a block of the candidate needs. What fails
    here fails in the fold too, which says so.
    """
    shapes, names = candidate.architecture.shapes, candidate.architecture.inputs
    trainer = candidate.trainer.model_copy(update={"epochs": None, "steps": 1, "batch": 2})
    with suppress(Exception), deterministic(0, device):
        network: nn.Module = Network(candidate.architecture, classes).to(device)
        clips = {name: torch.rand(2, *shapes[name], device=device) for name in names}
        labels = torch.arange(2, device=device) % classes
        targets = Targets(labels, torch.zeros(2, len(ACTION_UNITS), device=device))
        fit(
            network,
            clips,
            targets,
            trainer,
            seed=0,
            auxiliary=candidate.architecture.losses.weights,
        )


def clock_clip(candidate: Candidate, classes: int) -> float:
    """Return the milliseconds of one clip at inference, as `clock` does, without timing a step.

    Raises:
        ConfigError: There is no such device as the trainer names.
        TrainingFailed: Its network fails.
    """
    shapes, names = candidate.architecture.shapes, candidate.architecture.inputs
    with _timed(candidate) as device:
        network: nn.Module = Network(candidate.architecture, classes).to(device).eval()
        inputs = [torch.rand(1, *shapes[name], device=device) for name in names]
        return round(1000 * _clip(network, inputs), 3)


def _step(
    network: nn.Module,
    clips: dict[str, Tensor],
    candidate: Candidate,
    classes: int,
    patience: float,
) -> float:
    """Return the seconds of a step of `fit`, from the beginning of one to that of the next.

    One step is timed where it takes longer than `patience`, in seconds, and several otherwise.
    """
    begins: list[float] = []
    hook = network.register_forward_pre_hook(lambda *_: begins.append(_now()))
    device = next(iter(clips.values())).device
    labels = torch.arange(BATCH, device=device) % classes
    targets = Targets(labels, torch.zeros(BATCH, len(ACTION_UNITS), device=device))
    weights = candidate.architecture.losses.weights

    def train(steps: int) -> list[float]:
        begins.clear()
        trainer = candidate.trainer.model_copy(
            update={"epochs": None, "steps": steps, "batch": BATCH, "lr": 1e-6}
        )
        fit(network, clips, targets, trainer, seed=0, auxiliary=weights)
        ends = [*begins[1:], _now()]
        return [end - begin for begin, end in zip(begins, ends, strict=True)][1:]

    try:
        (first,) = train(2)
        return first if first > patience else statistics.median(train(1 + REPEATS))
    finally:
        hook.remove()


def _clip(network: nn.Module, inputs: list[Tensor]) -> float:
    def answer() -> float:
        began = _now()
        network(*inputs)
        return _now() - began

    with torch.inference_mode():
        answer()
        return _median(answer)


def _median(measure: Callable[[], float]) -> float:
    first = measure()
    if first > PATIENCE:
        return first
    return statistics.median([first, *(measure() for _ in range(REPEATS - 1))])


def _now() -> float:
    """Return the time once the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def clock_network(network: nn.Module, inputs: Sequence[Tensor], device: torch.device) -> float:
    """Return the milliseconds of one clip at inference through a network, and leave it there.

    Args:
        network: Whatever answers in evaluation mode; several networks as one, too.
        inputs: What it takes of the clip, (1, ...) each.
        device: Where it answers.
    """
    with deterministic(0, device):
        there = [values.to(device) for values in inputs]
        return round(1000 * _clip(network.to(device).eval(), there), 3)
