"""The network that an architecture describes.

Shapes speak of B clips, T frames, C channels, H x W maps and K classes.

A network is pure: what a path remembers travels as a value, routing is done with masks, and no
shape depends on data. So the copies of one network that leave-one-subject-out trains can be
stacked and run as one with `torch.func`.
"""

import copy
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from mer_nas.architectures.auxiliary import AuxiliaryInputs, ModelOutput, auxiliary_tasks
from mer_nas.architectures.blocks.base import Block, Stem
from mer_nas.architectures.blocks.fusion import AlignAndFuse, Aligned, Fusion
from mer_nas.architectures.grammar import Architecture
from mer_nas.architectures.paths import ImageLayout, Stage
from mer_nas.architectures.state import State, StatefulSequential, advance
from mer_nas.architectures.user_blocks import build_module
from mer_nas.architectures.walk import BEHIND, Visit, walk
from mer_nas.inputs import INPUTS

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
        paths = [
            [v for v in visits if v.path == index] for index in range(len(architecture.paths))
        ]
        behind = {visit.slot: visit for visit in visits if visit.slot in BEHIND}
        self.paths = nn.ModuleList(_path([v for v in p if v.slot not in BEHIND]) for p in paths)
        self.sources = [architecture.inputs.index(path.input) for path in architecture.paths]
        self.footage = [_PathInput(p.input, p.frames, p.layout) for p in architecture.paths]
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
        footage = [take(inputs[i]) for take, i in zip(self.footage, self.sources, strict=True)]
        walked = [
            advance(path, seen.flatten(0, -4), State())  # (B T, C, H, W) of frames
            for path, seen in zip(self.paths, footage, strict=True)
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
        seen = AuxiliaryInputs(footage, pools, ends, aligned)
        told: ModelOutput = self.auxiliary(output, seen)
        return told


class _PathInput(NamedTuple):
    """What a path takes of its input."""

    input: str
    frames: int
    layout: ImageLayout

    def __call__(self, x: Tensor) -> Tensor:
        """Return an image (B, C, H, W), or the frames of a sequence (B, T, C, H, W), laid out."""
        return _laid_out(self._chosen(x), self.layout)

    def _chosen(self, x: Tensor) -> Tensor:
        if not INPUTS[self.input].timed:
            return x
        given = x.shape[1]
        if given < self.frames:
            raise ValueError(f"{given} frames of {self.input!r} for a path of {self.frames}")
        chosen = INPUTS[self.input].chosen(self.frames, given)
        return x if len(chosen) == given else x[:, chosen]


def deployed(network: M) -> M:
    """Return a copy of a network without what only training uses."""
    copied = copy.deepcopy(network)
    if isinstance(copied, Network):
        copied.auxiliary = None
    return copied


def _path(visits: list[Visit]) -> StatefulSequential:
    _, stem, *rest = visits
    assert isinstance(stem.part, Stem)
    stages = stage = StatefulSequential({})
    for part, context, slot, _ in rest:
        if isinstance(part, Stage):
            stage = StatefulSequential({})
            stages.add_module(str(context.stage), stage)
        elif isinstance(part, Block):
            steps = stages if slot == "temporal" else stage
            if (
                slot == "global_"
                and part.depth
                and (level := stem.part.level(context)) is not None
            ):
                steps.add_module("level", level)
            module = build_module(part, context)
            if not isinstance(module, nn.Identity):
                # "global" is no name for an attribute: ONNX export refuses it.
                steps.add_module(slot, module)
    return StatefulSequential({"stem": build_module(stem.part, stem.context), "stages": stages})


def _fusion(visit: Visit) -> AlignAndFuse | None:
    if not isinstance(visit.part, Fusion):
        return None
    context, width = visit.context, visit.part.width
    aligned = [Aligned(end, width, context.size) for end in context.ends]
    return AlignAndFuse(aligned, visit.build())


def _means(losses: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    named: dict[str, list[Tensor]] = {}
    for name, loss in losses:
        named.setdefault(name, []).append(loss)
    return {name: torch.stack(values).mean() for name, values in named.items()}


_EYE = (0.34, 0.38)
"""Where an aligned face has the eye on its left: across and down, in sides of the image."""


_MOUTH = (0.37, 0.71)
"""The same of the corner of the mouth. What lies on the right mirrors both."""


def _laid_out(x: Tensor, layout: ImageLayout) -> Tensor:
    """Return images (..., C, S, S) as a path sees them, of the same shape."""
    return tiles(x) if layout == "tiles4" else x


def tiles(x: Tensor) -> Tensor:
    """Return the eyes above the corners of the mouth, each a square of half the image's side."""
    size = x.shape[-1]
    half = size // 2
    rows = []
    for across, down in (_EYE, _MOUTH):
        left, top = (
            min(max(round(place * size) - half // 2, 0), half) for place in (across, down)
        )
        band = x[..., top : top + half, :]
        right = size - half - left
        pair = band[..., left : left + half], band[..., right : right + half]
        rows.append(torch.cat(pair, dim=-1))
    return torch.cat(rows, dim=-2)


def build(architecture: Architecture, classes: int, *, auxiliary: bool = True) -> Network:
    """Return the network of an architecture, freshly initialised from torch's global generator.

    Args:
        architecture: What to build.
        classes: Number of classes.
        auxiliary: Whether to build what only training uses: auxiliary heads and decoders.
    """
    return Network(architecture, classes, auxiliary=auxiliary)
