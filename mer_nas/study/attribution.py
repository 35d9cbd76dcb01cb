"""What the winner looks at: which experts it uses, and where on the face, for clips of each class.

The network that is exported is shown all clips, and hooks read what its routers and progressive
gates decide; no block knows of it. They have all been learned from, so this shows what the network
does and not how well.

Shapes speak of N clips, B of them in a batch, T frames, K classes, E experts and H x W maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures.layers.attention import OverTokens
from mer_nas.architectures.layers.recalibration import ProgressiveAttention
from mer_nas.architectures.layers.routing import Router, Routing
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.deterministic import deterministic
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.evaluation.metrics import Values
from mer_nas.report import Attribution, ExpertAttribution, GateAttribution

MAX_SIDE = 14
"""Larger maps are averaged down to so many rows and columns."""
CLIPS_AT_A_TIME = 32
DIGITS = 4


class Decisions(NamedTuple):
    """What one module decided about all clips."""

    use: Values | None
    """(N, E), of a router: each expert's share of the say, over positions and frames."""
    maps: Values | None
    """(N, E, H, W) of a router that sends positions their own ways, (N, 1, H, W) of a gate."""


def attribution(
    network: nn.Module, candidate: Candidate, evaluator: Evaluator
) -> Attribution | None:
    """Show all clips to a network that has learned from them, and say what it looks at.

    None where it has neither experts nor progressive gates.

    Args:
        network: In eval mode.
        candidate: What it was built from.
        evaluator: Has trained it.
    """
    clips = evaluator.clips
    everyone = np.arange(len(clips))
    device = evaluator.device(candidate)

    def batch(indices: NDArray[np.int64]) -> list[Tensor]:
        return list(evaluator.inputs(candidate, indices, everyone, device).values())

    with deterministic(0, device):
        seen = decisions(network, batch, len(clips))
    if not seen:
        return None
    labels, classes = clips.labels, len(clips.classes)
    name = candidate.architecture.inputs[0]
    experts, gates = [], []
    for place, found in seen.items():
        layer = _called(place, len(candidate.architecture.paths))
        maps = () if found.maps is None else _plain(_by_class(found.maps, labels, classes))
        if found.use is None:
            gates.append(GateAttribution(layer=layer, maps=tuple(each[0] for each in maps)))
            continue
        router = network.get_submodule(place)
        assert isinstance(router, Router)
        experts.append(
            ExpertAttribution(
                layer=layer,
                experts=found.use.shape[1],
                chosen=router.top_k,
                use=_plain(_by_class(found.use, labels, classes)),
                maps=maps,
            )
        )
    return Attribution(
        key=candidate.key,
        clips=len(clips),
        input=name,
        seen=_plain(_power(candidate, evaluator, name)),
        experts=tuple(experts),
        gates=tuple(gates),
    )


def decisions(
    network: nn.Module, batch: Callable[[NDArray[np.int64]], list[Tensor]], count: int
) -> dict[str, Decisions]:
    """Return what each router and each progressive gate of a network decides about the clips.

    Args:
        network: In eval mode.
        batch: Returns the inputs of the clips at some indices.
        count: N.
    """
    parts: dict[str, list[Decisions]] = {}
    with torch.inference_mode():
        for start in range(0, count, CLIPS_AT_A_TIME):
            indices = np.arange(start, min(start + CLIPS_AT_A_TIME, count))
            with _hooked(network, len(indices), parts):
                network(*batch(indices))
    return {
        name: Decisions(
            *(None if seen[0][i] is None else np.concatenate([s[i] for s in seen]) for i in (0, 1))
        )
        for name, seen in parts.items()
    }


@contextmanager
def _hooked(network: nn.Module, clips: int, parts: dict[str, list[Decisions]]) -> Iterator[None]:
    """Add to `parts` what each module of interest says while the block runs."""
    sizes: dict[str, tuple[int, int]] = {}
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, OverTokens):
            handles.append(module.register_forward_pre_hook(_sizing(sizes, name)))
        elif isinstance(module, Router):
            handles.append(module.register_forward_hook(_routing(parts, sizes, name, clips)))
        elif isinstance(module, ProgressiveAttention):
            handles.append(module.register_forward_hook(_gating(parts, name, clips)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _sizing(sizes: dict[str, tuple[int, int]], name: str) -> Callable[..., None]:
    def hook(module: OverTokens, inputs: tuple[Any, ...]) -> None:
        height, width = inputs[0].shape[2:]
        sizes[name] = (height // module.windows, width // module.windows)

    return hook


def _routing(
    parts: dict[str, list[Decisions]], sizes: dict[str, tuple[int, int]], name: str, clips: int
) -> Callable[..., None]:
    def hook(module: Router, inputs: tuple[Any, ...], output: Routing) -> None:
        say = output.gates / output.gates.sum(-1, keepdim=True).clamp_min(1e-12)
        say = say.reshape(clips, -1, *say.shape[1:]).mean(1)  # (B, positions, E)
        maps = None
        around = [size for outer, size in sizes.items() if name.startswith(f"{outer}.")]
        if around and say.shape[1] == around[-1][0] * around[-1][1] > 1:
            maps = _small(say.transpose(1, 2).reshape(clips, -1, *around[-1]))
        parts.setdefault(name, []).append(Decisions(_array(say.mean(1)), maps))

    return hook


def _gating(parts: dict[str, list[Decisions]], name: str, clips: int) -> Callable[..., None]:
    def hook(
        module: ProgressiveAttention, inputs: tuple[Any, ...], output: tuple[Any, Any]
    ) -> None:
        attention: Tensor = output[1].attention
        maps = attention.reshape(clips, -1, *attention.shape[1:]).mean(1)
        parts.setdefault(name, []).append(Decisions(None, _small(maps)))

    return hook


def _by_class(values: Values, labels: NDArray[np.int64], classes: int) -> Values:
    """Return the mean over the clips of each class of values (N, ...), (K, ...)."""
    means: Values = np.stack([values[labels == label].mean(0) for label in range(classes)])
    return means


def _called(place: str, paths: int) -> str:
    """Return how people call a module of a network.

    >>> _called("paths.0.stages.1.global_.layers.2.mixer.router", paths=1)
    'stage 2, layer 3'
    >>> _called("paths.1.stages.0.gate", paths=2)
    'path 2, stage 1'
    """
    words = place.split(".")
    after = dict(pairwise(words))
    names = {"paths": "path", "stages": "stage", "layers": "layer"}
    told = [
        f"{name} {int(after[key]) + 1}"
        for key, name in names.items()
        if after.get(key, "").isdecimal() and (key != "paths" or paths > 1)
    ]
    return ", ".join(told) or place


def _power(candidate: Candidate, evaluator: Evaluator, name: str) -> Values:
    """Return where an input shows something, (K, H, W), by class.

    It is the root mean square of how far a position is from most of its image, the median of each
    channel: flow that was stretched image by image is nowhere 0, not even where nothing moves.
    """
    clips = evaluator.clips
    found = []
    for label in range(len(clips.classes)):
        squares = []
        for index in np.flatnonzero(clips.labels == label).tolist():
            image = candidate.inputs_for(clips, [index])[name]  # one at a time: they may be large
            apart = image - np.median(image, axis=(-2, -1), keepdims=True)
            squares.append(np.square(apart, dtype=np.float64).mean(tuple(range(image.ndim - 2))))
        found.append(np.sqrt(np.mean(squares, axis=0)))
    small: Values = _small(torch.tensor(np.stack(found))[None])[0]
    return small


def _small(maps: Tensor) -> Values:
    """Return maps (B, E, H, W) at no more than `MAX_SIDE` rows and columns."""
    height, width = maps.shape[2:]
    return _array(
        functional.adaptive_avg_pool2d(maps, (min(height, MAX_SIDE), min(width, MAX_SIDE)))
    )


def _array(values: Tensor) -> Values:
    array: Values = values.double().cpu().numpy()
    return array


def _plain(values: Values) -> Any:
    """Return values as nested tuples, rounded."""
    return values.round(DIGITS).tolist()
