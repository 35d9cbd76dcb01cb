"""The walk along a network: which block stands where, at what width and resolution.

Checking, repairing and building all take the same walk, so that they agree on every site.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from mer_nas.architectures.blocks import Block, Shape, Site
from mer_nas.architectures.grammar import Architecture, Path, Stage
from mer_nas.architectures.inputs import INPUTS


class Visit(NamedTuple):
    """One part of an architecture at its site."""

    part: Block | Stage
    site: Site
    slot: str
    """Field of the part in what holds it: "stem", "stages", "global_", "head"."""
    path: int
    """Index of the path."""


def walk(architecture: Architecture, place: str = "architecture", classes: int = 2) -> list[Visit]:
    """Return every part of an architecture in the order in which data meets it.

    Args:
        architecture: What to walk along.
        place: How messages call it.
        classes: Number of classes, for the head.
    """
    visits: list[Visit] = []
    for index, path in enumerate(architecture.paths):
        visits += _along(path, index, f"{place}.paths.{index}", architecture.drop_path)
    last = visits[-1]
    end = last.part.shape(last.site) if isinstance(last.part, Block) else Shape(0, (0, 0))
    site = Site(f"{place}.head", end.channels, classes, end.size, architecture.paths[-1])
    return [*visits, Visit(architecture.head, site, "head", len(architecture.paths) - 1)]


def _along(path: Path, index: int, place: str, drop_path: float) -> Iterator[Visit]:
    channels, size, frames = INPUTS[path.input].channels, (path.size, path.size), path.frames
    site = Site(f"{place}.stem", channels, path.stem.width, size, path, frames=frames)
    yield Visit(path.stem, site, "stem", index)
    shape, frames = path.stem.shape(site), path.stem.frames(site)
    rates = iter(_rates(drop_path, path.depth))
    for number, stage in enumerate(path.stages):
        width = stage.width(shape.channels)
        site = Site(f"{place}.stages.{number}", shape.channels, width, shape.size, path, number)
        yield Visit(stage, site, "stages", index)
        for slot, block in stage.blocks:
            own = replace(
                site,
                place=f"{site.place}.{slot.rstrip('_')}",
                channels=shape.channels,
                size=shape.size,
                stride=1 if slot == "down" else shape.stride,
                drop_path=tuple(next(rates) for _ in range(block.depth)),
                frames=frames,
            )
            yield Visit(block, own, slot, index)
            shape, frames = block.shape(own), block.frames(own)


def _rates(last: float, depth: int) -> list[float]:
    return [last * layer / max(1, depth - 1) for layer in range(depth)]


def put(architecture: Architecture, visit: Visit, part: Block | Stage) -> Architecture:
    """Return the architecture with `part` in the place of the visited one."""
    if visit.slot == "head":
        return architecture.model_copy(update={"head": part})
    path = architecture.paths[visit.path]
    if visit.slot == "stem":
        path = path.model_copy(update={"stem": part})
    else:
        stages = list(path.stages)
        old = stages[visit.site.stage]
        new = old.model_copy(update={visit.slot: part}) if isinstance(part, Block) else part
        stages[visit.site.stage] = new
        path = path.model_copy(update={"stages": tuple(stages)})
    paths = (*architecture.paths[: visit.path], path, *architecture.paths[visit.path + 1 :])
    return architecture.model_copy(update={"paths": paths})
