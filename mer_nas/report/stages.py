"""The parts of a network, input to output, with what each costs."""

import torch
from torch import nn

from mer_nas.architectures import Architecture, Block, Network, build, parse
from mer_nas.architectures.walk import Visit, walk
from mer_nas.config.base import Tree
from mer_nas.report.schema import StageRow


def stage_rows(architecture: Tree | None, classes: int) -> tuple[StageRow, ...]:
    """Return stem, stages and head of the network of a closed form; nothing for none."""
    if architecture is None:
        return ()
    parsed = parse(architecture, "the winner's architecture")
    with torch.device("meta"):  # shapes without numbers
        network = build(parsed, classes)
    *visits, head = walk(parsed, classes=classes)
    parts: dict[tuple[int, int | None], list[Visit]] = {}
    for visit in visits:
        stage = None if visit.slot == "stem" else visit.site.stage
        parts.setdefault((visit.path, stage), []).append(visit)
    rows = [_row(parsed, network, *key, inside) for key, inside in parts.items()]
    return (*rows, _head_row(network, head, classes))


def _row(
    architecture: Architecture, network: Network, path: int, stage: int | None, inside: list[Visit]
) -> StageRow:
    blocks = [(visit.part, visit.site) for visit in inside if isinstance(visit.part, Block)]
    last, site = blocks[-1]
    shape = last.shape(site)
    module = f"paths.{path}.stem" if stage is None else f"paths.{path}.stages.{stage}"
    name = "stem" if stage is None else f"stage {stage + 1}"
    prefix = f"path {path + 1}, " if len(architecture.paths) > 1 else ""
    return StageRow(
        part=prefix + name,
        blocks=tuple(describe(block) for block, _ in blocks if block.kind != "none"),
        width=shape.channels,
        height=shape.size[0],
        columns=shape.size[1],
        **_cost(network, network.get_submodule(module)),
    )


def _head_row(network: Network, head: Visit, classes: int) -> StageRow:
    assert isinstance(head.part, Block)
    return StageRow(
        part="head",
        blocks=(describe(head.part),),
        width=classes,
        height=None,
        columns=None,
        **_cost(network, network.head),
    )


def _cost(network: nn.Module, part: nn.Module) -> Tree:
    own, all_ = (sum(p.numel() for p in module.parameters()) for module in (part, network))
    return {"parameters": own, "share": own / all_}


def describe(block: Block) -> str:
    """Return a block's kind and the settings in which it differs from its defaults.

    >>> from mer_nas.architectures import LOCALS
    >>> describe(LOCALS["res_basic"](blocks=2))
    'res_basic (blocks 2)'
    """
    said = [
        f"{name} {_text(value)}"
        for name, field in type(block).model_fields.items()
        if name != "kind"
        and (value := getattr(block, name)) != field.get_default(call_default_factory=True)
    ]
    return f"{block.kind} ({', '.join(said)})" if said else block.kind


def _text(value: object) -> str:
    if isinstance(value, Block):
        return describe(value)
    if isinstance(value, tuple):
        return "+".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
