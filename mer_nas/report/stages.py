"""The parts of a network, input to output, with what each costs."""

from __future__ import annotations

from pydantic import NonNegativeInt
from torch import nn

from mer_nas.architectures import Block, Network, parse
from mer_nas.architectures.shapes import without_numbers
from mer_nas.architectures.walk import BEHIND, Visit, walk
from mer_nas.config.base import Config, Share, Tree


class StageRow(Config):
    """One part of the winner's network, input to output."""

    part: str
    """"stem", "stage 1", "head"; with the path in front where there are several."""
    blocks: tuple[str, ...]
    """What it is made of, in the order of the computation."""
    width: NonNegativeInt
    """Channels of its output."""
    height: NonNegativeInt | None
    """Of its output map, in pixels; none behind the pooling."""
    columns: NonNegativeInt | None
    parameters: NonNegativeInt
    share: Share
    """Share of the network's parameters."""

    @classmethod
    def of_network(cls, architecture: Tree | None, classes: int) -> tuple[StageRow, ...]:
        """Return the parts of the deployed network of a closed form; nothing for none."""
        if architecture is None:
            return ()
        parsed = parse(architecture, "the winner's architecture")
        with without_numbers():  # shapes without numbers
            network = Network(parsed, classes, auxiliary=False)
        several = len(parsed.paths) > 1
        parts: dict[str, list[Visit]] = {}
        for visit in walk(parsed, classes=classes):
            if isinstance(visit.part, Block) and (module := _module(visit)):
                parts.setdefault(module, []).append(visit)
        return tuple(_row(network, module, inside, several) for module, inside in parts.items())


def _module(visit: Visit) -> str:
    """Return the name of the module that a block is part of; nothing for one without a row."""
    slot, kind = visit.slot, visit.part.kind if isinstance(visit.part, Block) else ""
    if slot == "dyn_image" or (slot in {"fusion", "temporal"} and kind == "none"):
        return ""
    if slot in BEHIND:
        return slot
    if slot == "network":
        return "whole" if visit.context.whole else f"paths.{visit.path}"
    inside = {"stem": "stem", "temporal": "stages.temporal"}.get(
        slot, f"stages.{visit.context.stage}"
    )
    return f"paths.{visit.path}.{inside}"


def _row(network: Network, module: str, inside: list[Visit], several: bool) -> StageRow:
    blocks = [(visit.part, visit.context) for visit in inside if isinstance(visit.part, Block)]
    last, context = blocks[-1]
    shape = last.shape(context)
    slot = inside[0].slot
    name = {"stem": "stem", "temporal": "temporal pool", "network": "network"}.get(
        slot, f"stage {context.stage + 1}"
    )
    behind = slot in BEHIND
    answers = slot == "head" or context.whole
    prefix = f"path {inside[0].path + 1}, " if several and not behind else ""
    return StageRow(
        part=slot if behind else prefix + name,
        blocks=tuple(block.describe() for block, _ in blocks if block.kind != "none"),
        width=shape.channels,
        height=None if answers else shape.size[0],
        columns=None if answers else shape.size[1],
        **_cost(network, network.get_submodule(module)),
    )


def _cost(network: nn.Module, part: nn.Module) -> Tree:
    own, all_ = (sum(p.numel() for p in module.parameters()) for module in (part, network))
    return {"parameters": own, "share": own / all_}
