"""The walk along a network: which block stands where, at what width and resolution.

Checking, repairing and building all take the same walk, so that they agree on every context.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from torch import nn

from mer_nas.architectures.blocks.base import Block, BuildContext, Shape
from mer_nas.architectures.blocks.fusion import Fusion
from mer_nas.architectures.grammar import Architecture
from mer_nas.architectures.paths import NetworkPath, Path, Stage
from mer_nas.architectures.user_blocks import ask_block
from mer_nas.inputs import READABLE

BEHIND = frozenset({"fusion", "head", "dyn_image"})
"""Slots of what stands behind all paths."""
MAX_LAYERS = 1_000
"""Layers that a path may have: what is deeper is a slip, and would take minutes to lay out."""


class Visit(NamedTuple):
    """One part of an architecture, and where it stands."""

    part: Block | Stage | Path | NetworkPath
    context: BuildContext
    slot: str
    """Field of the part in what holds it: "paths", "stem", "stages", "global_", "head",
    "network"."""
    path: int
    """Index of the path; of fusion and head, of the last one."""

    @property
    def pools_frames(self) -> bool:
        """Whether it is a temporal pool that auxiliary tasks can look into."""
        part = self.part
        return self.slot == "temporal" and isinstance(part, Block) and "rank" in part.losses

    def build(self) -> nn.Module:
        """Return the module of a block."""
        assert isinstance(self.part, Block)
        module: nn.Module = ask_block(self.part, self.context, "build")
        return module

    def put(
        self, architecture: Architecture, part: Block | Stage | Path | NetworkPath
    ) -> Architecture:
        """Return the architecture with `part` in the place of the visited one."""
        if self.slot == "dyn_image":
            losses = architecture.losses.model_copy(update={"dyn_image": part})
            return architecture.model_copy(update={"losses": losses})
        if self.slot in BEHIND or self.context.whole:
            return architecture.model_copy(update={self.slot: part})
        path = architecture.paths[self.path]
        if isinstance(part, Path | NetworkPath):
            path = part
        elif self.slot in {"stem", "temporal", "network"}:
            path = path.model_copy(update={self.slot: part})
        else:
            stages = list(path.stages)
            old = stages[self.context.stage]
            new = old.model_copy(update={self.slot: part}) if isinstance(part, Block) else part
            stages[self.context.stage] = new
            path = path.model_copy(update={"stages": tuple(stages)})
        paths = (*architecture.paths[: self.path], path, *architecture.paths[self.path + 1 :])
        return architecture.model_copy(update={"paths": paths})


def walk(architecture: Architecture, place: str = "architecture", classes: int = 2) -> list[Visit]:
    """Return every part of an architecture in the order in which data meets it.

    Args:
        architecture: What to walk along.
        place: How messages call it.
        classes: Number of classes, for the head.
    """
    if architecture.network is not None:
        return [_alone(architecture, f"{place}.network", classes)]
    ways = [
        _along(architecture, index, f"{place}.paths.{index}")
        for index in range(len(architecture.paths))
    ]
    visits = [visit for way in ways for visit in way.visits]
    ends = tuple(way.shape for way in ways)
    visits += _behind(architecture, ends, place, classes)
    if (pool := next((visit for visit in visits if visit.pools_frames), None)) is not None:
        visits.append(_decoder(architecture, pool, f"{place}.losses.dyn_image"))
    return visits


def _alone(architecture: Architecture, place: str, classes: int) -> Visit:
    """Return where a network stands that is used whole."""
    (way,) = architecture.ways
    assert isinstance(way, NetworkPath)
    context = BuildContext(
        place=place,
        channels=READABLE[way.reads[0]].channels,
        width=classes,
        size=(way.size, way.size),
        frames=way.frames,
        whole=True,
    )
    return Visit(way.network, context, "network", 0)


class _Way:
    """The way along one path so far."""

    def __init__(self, path: Path | NetworkPath, start: BuildContext) -> None:
        self.path = path
        self.start = start
        self.shape = Shape(start.channels, start.size)
        self.frames = start.frames
        self.visits: list[Visit] = [Visit(path, start, "paths", start.path)]

    def context(self, place: str, **changes: Any) -> BuildContext:
        """Return where the next block stands."""
        return replace(
            self.start,
            place=f"{self.start.place}.{place}",
            channels=self.shape.channels,
            size=self.shape.size,
            frames=self.frames,
            **changes,
        )

    def meet(self, block: Block, context: BuildContext, slot: str) -> None:
        """Go through a block."""
        self.visits.append(Visit(block, context, slot, self.start.path))
        self.shape = ask_block(block, context, "shape")
        self.frames = block.frames(context)

    def pool(self, path: Path, stage: int) -> None:
        """Go through the temporal pool, if this is its place."""
        if path.pooled_after == stage:
            context = self.context("temporal", width=self.shape.channels, stage=max(stage, 0))
            self.meet(path.temporal, context, "temporal")


def _facts(architecture: Architecture, index: int) -> BuildContext:
    """Return the start of a path, with what its blocks may want to know of all the others."""
    paths = architecture.paths
    return BuildContext(
        place="",
        channels=0,
        width=0,
        size=(0, 0),
        stages=tuple(stage.blocks for stage in paths[index].stages),
        path=index,
        pools=tuple(path.temporal for path in paths),
        sizes={name: path.size for path in reversed(paths) for name in path.inputs},
    )


def _along(architecture: Architecture, index: int, place: str) -> _Way:
    path = architecture.paths[index]
    start = replace(
        _facts(architecture, index),
        place=place,
        channels=READABLE[path.reads[0]].channels,
        width=path.width if isinstance(path, NetworkPath) else path.stem.width,
        size=(path.size, path.size),
        frames=path.frames,
    )
    way = _Way(path, start)
    if isinstance(path, NetworkPath):
        way.meet(path.network, way.context("network"), "network")
        return way
    way.meet(path.stem, way.context("stem"), "stem")
    way.pool(path, -1)
    if path.depth > MAX_LAYERS:
        raise start.refuse(f"{path.depth:,} layers", f"at most {MAX_LAYERS:,}")
    rates = iter(_rates(architecture.drop_path, path.depth))
    for number, stage in enumerate(path.stages):
        where = f"stages.{number}"
        common: dict[str, Any] = {"width": stage.width(way.shape.channels), "stage": number}
        way.visits.append(Visit(stage, way.context(where, **common), "stages", index))
        for slot, block in stage.blocks._asdict().items():
            context = way.context(
                f"{where}.{slot.rstrip('_')}",
                **common,
                stride=1 if slot == "down" else way.shape.stride,
                drop_path=tuple(next(rates) for _ in range(block.depth)),
            )
            way.meet(block, context, slot)
        way.pool(path, number)
    return way


def _behind(
    architecture: Architecture, ends: tuple[Shape, ...], place: str, classes: int
) -> Iterator[Visit]:
    fusion, last = architecture.fusion, len(architecture.paths) - 1
    width = fusion.width if isinstance(fusion, Fusion) else ends[-1].channels
    context = replace(
        _facts(architecture, last),
        place=f"{place}.fusion",
        channels=width,
        width=width,
        # What no map exceeds in reaching it: the smallest of each side.
        size=(min(end.size[0] for end in ends), min(end.size[1] for end in ends)),
        ends=ends,
    )
    yield Visit(fusion, context, "fusion", last)
    shape = fusion.shape(context)
    head = replace(
        context, place=f"{place}.head", channels=shape.channels, width=classes, size=shape.size
    )
    yield Visit(architecture.head, head, "head", last)


def _decoder(architecture: Architecture, pool: Visit, place: str) -> Visit:
    assert isinstance(pool.part, Block)
    shape = pool.part.shape(pool.context)
    context = replace(pool.context, place=place, channels=shape.channels, size=shape.size)
    return Visit(architecture.losses.dyn_image, context, "dyn_image", pool.path)


def _rates(last: float, depth: int) -> list[float]:
    return [last * layer / max(1, depth - 1) for layer in range(depth)]
