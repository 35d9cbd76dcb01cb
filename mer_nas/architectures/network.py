"""The network that an architecture describes.

Shapes speak of B clips, C channels, H x W maps and K classes.

A network is pure: what a path remembers travels as a value, routing is done with masks, and no
shape depends on data. So the copies of one network that leave-one-subject-out trains can be
stacked and run as one with `torch.func`.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mer_nas.architectures.blocks import Block, Stem
from mer_nas.architectures.grammar import Architecture, Stage
from mer_nas.architectures.state import State, Steps, advance
from mer_nas.architectures.walk import Visit, walk


class Output(NamedTuple):
    """What a network says about a batch."""

    logits: Tensor
    """(B, K)."""
    losses: dict[str, Tensor]
    """Auxiliary losses by name, scalars, in training mode only; averaged over the layers that give
    one, and not yet weighed by `Architecture.losses`."""
    answers: Mapping[str, Tensor] = {}
    """What auxiliary heads say about labels that only the trainer knows, by the name of their
    loss, in training mode only: "au" (B, 12) logits of action units, "branch_cls" (B, K) logits.
    """


class Network(nn.Module):
    """An architecture with parameters."""

    def __init__(self, architecture: Architecture, classes: int) -> None:
        super().__init__()
        *visits, (head, end, _, _) = walk(architecture, classes=classes)
        count = range(len(architecture.paths))
        self.paths = nn.ModuleList(_path([v for v in visits if v.path == i]) for i in count)
        assert isinstance(head, Block)
        self.head = head.build(end)
        self.sources = [architecture.inputs.index(path.input) for path in architecture.paths]

    def forward(self, *inputs: Tensor) -> Output:
        """Classify clips.

        Args:
            inputs: (B, C, H, W) each, in the order of `Architecture.inputs`.
        """
        state = State()
        for path, source in zip(self.paths, self.sources, strict=True):
            x, state = advance(path, inputs[source], state._replace(attention=None))
        logits, state = advance(self.head, x, state)
        return Output(logits, _means(state.losses))


def build(architecture: Architecture, classes: int) -> Network:
    """Return the network of an architecture, freshly initialised from torch's global generator."""
    return Network(architecture, classes)


def _path(visits: list[Visit]) -> Steps:
    stages: dict[str, dict[str, nn.Module]] = {}
    stem, *rest = visits
    assert isinstance(stem.part, Stem)
    for part, site, slot, _ in rest:
        if isinstance(part, Stage):
            continue
        blocks = stages.setdefault(str(site.stage), {})
        if slot == "global_" and part.depth and (level := stem.part.level(site)) is not None:
            blocks["level"] = level
        module = part.build(site)
        if not isinstance(module, nn.Identity):
            blocks[slot] = module  # "global" is no name for an attribute: ONNX export refuses it
    ordered = Steps({number: Steps(blocks) for number, blocks in stages.items()})
    return Steps({"stem": stem.part.build(stem.site), "stages": ordered})


def _means(losses: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    named: dict[str, list[Tensor]] = {}
    for name, loss in losses:
        named.setdefault(name, []).append(loss)
    return {name: torch.stack(values).mean() for name, values in named.items()}
