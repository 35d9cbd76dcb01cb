"""The network that an architecture describes.

Shapes speak of B clips, T frames, C channels, H x W maps and K classes.

A network is pure: what a path remembers travels as a value, routing is done with masks, and no
shape depends on data. So the copies of one network that leave-one-subject-out trains can be
stacked and run as one with `torch.func`.
"""

import copy
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from mer_nas.architectures.auxiliary import auxiliary_tasks
from mer_nas.architectures.blocks.base import Block, Stem
from mer_nas.architectures.blocks.fusion import AlignAndFuse, FuseAsIs, Fusion, Stack
from mer_nas.architectures.blocks.network import as_map, output_of
from mer_nas.architectures.grammar import Architecture
from mer_nas.architectures.paths import NetworkPath, Path, Stage
from mer_nas.architectures.state import ModelOutput, State, StatefulSequential, advance
from mer_nas.architectures.walk import BEHIND, Visit, walk

M = TypeVar("M", bound=nn.Module)


class Network(nn.Module):
    """An architecture with parameters.

    Args:
        architecture: What to build.
        classes: K.
        auxiliary: Whether to build what only training uses.
    """

    def __init__(
        self, architecture: Architecture, classes: int, *, auxiliary: bool = True
    ) -> None:
        super().__init__()
        visits = walk(architecture, classes=classes)
        self.ways = architecture.ways
        self.as_written = any(isinstance(way, NetworkPath) for way in self.ways)
        """Whether a part may count on how maps lie in memory."""
        names = architecture.inputs
        self.sources = [[names.index(name) for name in way.inputs] for way in self.ways]
        self.whole: nn.Module | None = None
        self.auxiliary: nn.Module | None = None
        if architecture.network is not None:
            self.whole = visits[0].build()
            return
        paths = [
            [v for v in visits if v.path == index and v.slot not in BEHIND]
            for index in range(len(self.ways))
        ]
        behind = {visit.slot: visit for visit in visits if visit.slot in BEHIND}
        self.paths = nn.ModuleList(map(_path, paths))
        self.fusion = _fusion(behind["fusion"])
        self.head = behind["head"].build()
        self.auxiliary = auxiliary_tasks(architecture, visits, classes) if auxiliary else None

    def forward(self, *inputs: Tensor) -> ModelOutput | Tensor:
        """Classify clips.

        Args:
            inputs: (B, C, H, W) or (B, T, C, H, W) each, in the order of `Architecture.inputs`.

        Returns:
            The logits (B, K); in training mode with what else is learned from.
        """
        clips = [
            way.read([inputs[i] for i in own])
            for way, own in zip(self.ways, self.sources, strict=True)
        ]
        if self.whole is not None:
            answer = _said(self.whole, self.ways[0], clips[0])
            return answer if self.training else answer.logits
        walked = [
            _walked(path, way, seen)
            for path, way, seen in zip(self.paths, self.ways, clips, strict=True)
        ]
        ends, states = [x for x, _ in walked], [state for _, state in walked]
        aligned, x = (ends, ends[0]) if self.fusion is None else self.fusion(*ends)
        logits, state = advance(self.head, x, State())
        if not self.training:
            return logits
        output = ModelOutput(
            logits, _means(loss for passed in (*states, state) for loss in passed.losses)
        )
        if self.auxiliary is None:
            return output
        pools = [passed.pooled_frames for passed in states]
        first = [seen[0] for seen in clips]
        told: ModelOutput = self.auxiliary(output, first, pools, ends, aligned)
        return told


def deployed(network: M) -> M:
    """Return a copy of a network without what only training uses."""
    copied = copy.deepcopy(network)
    if isinstance(copied, Network):
        copied.auxiliary = None
    return copied


def _said(module: nn.Module, way: Path | NetworkPath, inputs: Sequence[Tensor]) -> ModelOutput:
    """Return what a network that is used whole says."""
    assert isinstance(way, NetworkPath)
    return output_of(way.whole.call(module, inputs), module)


def _walked(
    path: nn.Module, way: Path | NetworkPath, inputs: Sequence[Tensor]
) -> tuple[Tensor, State]:
    """Return the map that a path ends with, and what it knows beside."""
    if isinstance(way, Path):
        return advance(path, inputs[0].flatten(0, -4), State())  # (B T, C, H, W) of frames
    said = _said(path, way, inputs)
    return as_map(said.logits), State(losses=tuple(said.losses.items()))


def _path(visits: list[Visit]) -> nn.Module:
    _, stem, *rest = visits
    if stem.slot == "network":
        return stem.build()
    assert isinstance(stem.part, Stem)
    stages = stage = StatefulSequential({})
    for visit in rest:
        part, context = visit.part, visit.context
        if isinstance(part, Stage):
            stage = StatefulSequential({})
            stages.add_module(str(context.stage), stage)
        elif isinstance(part, Block):
            steps = stages if visit.slot == "temporal" else stage
            level = stem.part.level(context) if visit.slot == "global_" and part.depth else None
            if level is not None:
                steps.add_module("level", level)
            module = visit.build()
            if not isinstance(module, nn.Identity):
                # "global" is no name for an attribute: ONNX export refuses it.
                steps.add_module(visit.slot, module)
    return StatefulSequential({"stem": stem.build(), "stages": stages})


def _fusion(visit: Visit) -> nn.Module | None:
    if isinstance(visit.part, Stack):
        return FuseAsIs(visit.build())
    if not isinstance(visit.part, Fusion):
        return None
    context, width = visit.context, visit.part.width
    return AlignAndFuse(context.ends, width, context.size, visit.build)


def _means(losses: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    named: dict[str, list[Tensor]] = {}
    for name, loss in losses:
        named.setdefault(name, []).append(loss)
    return {name: torch.stack(values).mean() for name, values in named.items()}
