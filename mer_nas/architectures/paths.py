"""Paths and stages: how blocks stand one behind the other, and the rules that they obey.

A path may give settings once for all its blocks of a kind:

    shared:
      expert: {experts: 4, top_k: 2}

What a block says itself holds. The settings are checked even where no block takes them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Interval
from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    PositiveFloat,
    PositiveInt,
    Tag,
    ValidationError,
    model_validator,
)
from torch import Tensor

# Modules of blocks fill slots by being imported.
from mer_nas.architectures.blocks import (  # noqa: F401
    down,
    gate,
    global_,
    multi_scale,
    plain,
    recurrent,
    stem,
)
from mer_nas.architectures.blocks.base import (
    DOWNS,
    GATES,
    GLOBALS,
    LOCALS,
    NETWORKS,
    SLOTS,
    STEMS,
    TEMPORALS,
    Block,
    BuildContext,
    Identity,
    OneOf,
    Slot,
    StageBlocks,
    Stem,
    non_empty,
    scale_width,
)
from mer_nas.architectures.blocks.local import ResBasic
from mer_nas.architectures.blocks.network import WholeNetwork
from mer_nas.architectures.blocks.temporal import Learned
from mer_nas.config.base import Config, Tree
from mer_nas.errors import shown, unknown
from mer_nas.inputs import INPUTS, READABLE, whole_input


class Stage(Config):
    """Blocks at one resolution and width."""

    model_config = ConfigDict(serialize_by_alias=True)

    growth: PositiveFloat = 1.0
    """Width of the stage, in widths of the stage before it (of the stem, for the first); rounded
    to a multiple of 8, except that 1 keeps the width."""
    channels: Annotated[
        PositiveInt | None, Field(exclude_if=lambda channels: channels is None)
    ] = None
    """Width of the stage in place of `growth`: exactly so many channels."""
    down: Annotated[Block, Slot(DOWNS)] = Field(default_factory=Identity)
    """How the stage comes to its resolution; none: as it is, with the first local block to bring
    the width."""
    local: Annotated[Block, Slot(LOCALS)] = Field(default_factory=Identity)
    """Convolutional blocks."""
    global_: Annotated[Block, Slot(GLOBALS)] = Field(default_factory=Identity, alias="global")
    """Blocks that mix all positions, or choose per position; after the local ones."""
    gate: Annotated[Block, Slot(GATES)] = Field(default_factory=Identity)
    """What the stage lets through, at its end."""

    @property
    def blocks(self) -> StageBlocks:
        """The blocks in the order in which a map meets them."""
        return StageBlocks(self.down, self.local, self.global_, self.gate)

    @property
    def depth(self) -> int:
        """Number of local and global layers."""
        return self.local.depth + self.global_.depth

    def width(self, before: int) -> int:
        """Return the width of the stage after a width of `before`."""
        return self.channels or scale_width(before, self.growth)

    def check(self, context: BuildContext) -> None:
        """Refuse an empty stage, and a width that nothing brings."""
        if not self.depth:
            raise context.refuse("a stage without a block", "a local or a global block")
        if not self._brings_width(context):
            found = f"down {self.down.kind!r} and no local block to go from {context.channels}"
            raise context.refuse(f"{found} to {context.width} channels", "growth: 1")

    def repair(self, context: BuildContext) -> "Stage":
        """Give an empty stage a block, and one that cannot change the width its old width."""
        if not self.depth:
            return self.model_copy(update={"local": ResBasic()}).repair(context)
        if self._brings_width(context):
            return self
        return self.model_copy(update={"growth": 1.0, "channels": None})

    def canonical(self, context: BuildContext) -> "Stage":
        """Growths that round to one width are one; beside a number of channels there is none."""
        if self.channels is not None:
            return self if self.growth == 1 else self.model_copy(update={"growth": 1.0})
        growth = context.width / context.channels
        return self if self.growth == growth else self.model_copy(update={"growth": growth})

    def _brings_width(self, context: BuildContext) -> bool:
        after = self.down.shape(context)
        between = replace(context, channels=after.channels, size=after.size, stride=after.stride)
        return self.local.shape(between).channels == context.width


ImageLayout = Literal["whole", "tiles4"]
"""How a path lays out what it reads: the whole image, or four parts of it side by side.

tiles4 is the input of HTNet (Wang et al. 2024, github.com/wangzhifengharrison/HTNet): a square
around each eye and around each corner of the mouth. HTNet finds them by landmarks; here they stand
where an aligned face has them, because not every input comes with its face.
"""

Scaling = Literal["none", "clip"]
"""What a path does with the values that it reads, before anything else.

FDP's public code (github.com/CYF-cuber/FDP) takes off the mean of all clips of a split and divides
by their largest value. Of the held-out clips that would be a statistic of the subjects that are
asked about, so here each clip has its own: no clip decides what another looks like.
"""

_LARGEST = 1e-6
"""Below this the largest value of a clip shows rounding only."""

_EYE = (0.34, 0.38)
"""Where an aligned face has the eye on its left: across and down, in sides of the image."""
_MOUTH = (0.37, 0.71)
"""The same of the corner of the mouth. What lies on the right mirrors both."""
_OUTSIDE = frozenset({"fusion", "head", "dyn_image", "orth", "network"})
"""Slots of what is no part of a path of stages."""


def _expand(tree: Tree) -> Tree:
    """Return the tree of a path with its `shared` settings written into the blocks they are for.

    Raises:
        ValueError: A block or a setting is unknown, or a value is wrong.
    """
    shared = tree["shared"]
    if not isinstance(shared, dict):
        raise ValueError(f"shared: settings by kind of block, not {shared!r}")
    for kind, settings in shared.items():
        _check_shared(kind, settings)
    rest = {key: value for key, value in tree.items() if key != "shared"}
    expanded: Tree = {key: _share(value, shared) for key, value in rest.items()}
    return expanded


def _describe(schema: dict[str, Any]) -> None:
    """Add `shared` to the JSON schema of a path, in which it is no field."""
    schema["properties"]["shared"] = {
        "type": "object",
        "description": "Settings for every block of a kind, by kind.",
        "properties": {kind: {"type": "object"} for kind in _inside_paths()},
        "additionalProperties": False,
    }


def _inside_paths() -> dict[str, type[Block]]:
    """Return the blocks that stand in paths, by their kind."""
    slots = (registry for slot, registry in SLOTS.items() if slot not in _OUTSIDE)
    return {kind: block for slot in slots for kind, block in slot.items() if kind != "none"}


def _share(node: Any, shared: Tree) -> Any:
    if isinstance(node, list | tuple):
        return [_share(child, shared) for child in node]
    if not isinstance(node, dict):
        return node
    block = {key: _share(value, shared) for key, value in node.items()}
    kind = block.get("kind")
    return {**shared[kind], **block} if isinstance(kind, str) and kind in shared else block


def _check_shared(kind: object, settings: object) -> None:
    known = _inside_paths()
    if kind not in known:
        raise ValueError(f"shared: {unknown('block', kind, known)}")
    block = known[str(kind)]
    if not isinstance(settings, dict):
        raise ValueError(f"shared.{kind}: settings of the block, not {settings!r}")
    for name in settings:
        if name not in block.model_fields:
            raise ValueError(f"shared.{kind}: {unknown('setting', name, block.model_fields)}")
    try:
        block.model_validate({**settings, "kind": kind})
    except ValidationError as error:
        for mistake in error.errors():
            at = ".".join(map(str, mistake["loc"]))
            if mistake["loc"] and mistake["loc"][0] in settings:  # what is missing, the block says
                text = mistake["msg"][0].lower() + mistake["msg"][1:]
                found = shown(mistake["input"])
                raise ValueError(f"shared.{kind}.{at}: {text}, not {found}") from None


class Path(Config):
    """From one input to one map."""

    model_config = ConfigDict(json_schema_extra=_describe)

    input: Annotated[str, OneOf(READABLE)] = "flow_uvs"
    """Which input the path reads. flow_uvs: optical flow u, v and its strain, onset to apex;
    flow_u, flow_v, strain: one of the three, flow_uv: two."""
    size: Annotated[int, Interval(ge=1, le=4096)] = 28
    """Height and width of the input, in pixels."""
    # Left out of the closed form where it changes nothing, so that older ones read the same.
    layout: Annotated[ImageLayout, Field(exclude_if=lambda layout: layout == "whole")] = "whole"
    """tiles4: in place of the whole face, four squares of half its side, around eyes and corners
    of the mouth, put together; an aligned face has them at fixed places."""
    scaling: Annotated[Scaling, Field(exclude_if=lambda scaling: scaling == "none")] = "none"
    """clip: take off the mean of the clip, over all its frames, and divide by what is then its
    largest value."""
    frames: Annotated[int, Interval(ge=1, le=1024)] = 1
    """Frames that the path takes of an input that is a sequence; 1 for an image."""
    stem: Annotated[Stem, Slot(STEMS)]
    """From the input to the first map."""
    stages: Annotated[tuple[Stage, ...], AfterValidator(non_empty)]
    """Blocks, stage by stage."""
    temporal: Annotated[Block, Slot(TEMPORALS)] = Field(default_factory=Identity)
    """How the frames of a clip become one map; none: for one frame, or where a block pools time
    itself."""

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, tree: object) -> object:
        return _expand(tree) if isinstance(tree, dict) and "shared" in tree else tree

    @property
    def depth(self) -> int:
        """Number of local and global layers."""
        return sum(stage.depth for stage in self.stages)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what it reads, in its order."""
        return (whole_input(self.input),)

    @property
    def reads(self) -> tuple[str, ...]:
        """What it reads, by name: an input or a part of one."""
        return (self.input,)

    @property
    def pooled_after(self) -> int:
        """Index of the stage after which the temporal pool stands; -1 for the stem."""
        where: int | str = getattr(self.temporal, "where", "end")
        last = len(self.stages) - 1
        return min(where, last) if isinstance(where, int) else -1 if where == "stem" else last

    def read(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return what the path takes of its input, of one image or the frames of a sequence.

        Args:
            inputs: One: (B, C, S, S), or (B, T, C, S, S) with at least as many frames as it takes.
        """
        seen = [_taken(self.input, self.frames, x) for x in inputs]
        seen = list(map(_scaled, seen)) if self.scaling == "clip" else seen
        return list(map(_tiles, seen)) if self.layout == "tiles4" else seen

    def check(self, context: BuildContext) -> None:
        """Refuse frames that the input does not have, time that is not pooled once, odd halves."""
        self._check_frames(context)
        self._check_pools(context)
        if (size := self._size(context)) != self.size:
            found = f"{self.input!r} read at size {self.size}, by an earlier path at {size}"
            raise context.refuse(found, "one size for one input")
        if self.layout == "tiles4" and self.size % 2:
            found = f"tiles of half a side of {self.size} pixels"
            raise context.refuse(found, "an even size, or layout: whole")

    def repair(self, context: BuildContext) -> "Path":
        """Take as many frames as the input has, pool them once, and leave odd images whole."""
        read, frames = READABLE[self.input], max(2, self.frames)
        frames = min(frames, read.length or frames) if read.timed else 1
        size = self._size(context)
        changes: dict[str, object] = {"frames": frames, "size": size}
        if size % 2:
            changes["layout"] = "whole"
        if frames == 1 or len(self._pools(context)) > 1:
            changes["temporal"] = Identity()
        elif not self._pools(context):
            changes["temporal"] = Learned(where=0)
        return self.model_copy(update=changes)

    def canonical(self, context: BuildContext) -> "Path":
        """Every setting of a path has an effect."""
        return self

    def _check_frames(self, context: BuildContext) -> None:
        read = READABLE[self.input]
        if not read.timed and self.frames > 1:
            sequences = [name for name, other in INPUTS.items() if other.timed]
            found = f"{self.frames} frames of {self.input!r}, which is one image"
            raise context.refuse(found, f"frames: 1, or the input {_or(sequences)}")
        if read.timed and not 2 <= self.frames <= (read.length or self.frames):
            found = f"frames: {self.frames} of {self.input!r}, a sequence"
            right = f"2 to {read.length} frames" if read.length else "2 frames or more"
            raise context.refuse(found, right)

    def _check_pools(self, context: BuildContext) -> None:
        pools = self._pools(context)
        if self.frames > 1 and not pools:
            found = f"{self.frames} frames and no temporal pool"
            raise context.refuse(found, "temporal: {kind: learned}, or another pool")
        if self.frames == 1 and self.temporal.kind != "none":
            found = f"the temporal pool {self.temporal.kind!r} for one frame"
            raise context.refuse(found, "temporal: {kind: none}")
        if self.frames > 1 and len(pools) > 1:
            found = f"{len(pools)} temporal pools, {' and '.join(map(repr, pools))}"
            raise context.refuse(
                found, "one of them; temporal: {kind: none} leaves time to the block"
            )

    def _pools(self, context: BuildContext) -> list[str]:
        """Return the kinds of the blocks that bring frames together."""
        timed = replace(context, frames=2)
        blocks = [block for stage in self.stages for block in stage.blocks] + [self.temporal]
        return [block.kind for block in blocks if block.frames(timed) == 1]

    def _size(self, context: BuildContext) -> int:
        """Return the size at which the first path of the network reads the same input."""
        return context.sizes.get(self.inputs[0], self.size)


class NetworkPath(Config):
    """A whole network in place of a stem and stages, from its inputs to one map."""

    network: Annotated[Block, Slot(NETWORKS)]
    """The network; it reads the inputs itself."""
    width: PositiveInt = 64
    """How many numbers it is to give of a clip, where it would have a number a class."""

    stages: ClassVar[tuple[Stage, ...]] = ()
    temporal: ClassVar[Block] = Identity()

    @property
    def whole(self) -> WholeNetwork:
        """The network, which is one whatever it is registered as."""
        assert isinstance(self.network, WholeNetwork)
        return self.network

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what it reads, in its order."""
        return tuple(map(whole_input, self.whole.reads))

    @property
    def reads(self) -> tuple[str, ...]:
        """What it reads, by name, in its order: inputs or parts of them."""
        return self.whole.reads

    @property
    def size(self) -> int:
        """Height and width of the inputs, in pixels."""
        return self.whole.size

    @property
    def frames(self) -> int:
        """Frames that it takes of inputs that are sequences."""
        return self.whole.taken

    def read(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return what the network takes of its inputs; each as of `Path.read`."""
        named = zip(self.whole.reads, inputs, strict=True)
        return [_taken(name, self.frames, x) for name, x in named]

    def check(self, context: BuildContext) -> None:
        """Refuse nothing: the network checks itself."""

    def repair(self, context: BuildContext) -> "NetworkPath":
        """Change nothing: the network is repaired itself."""
        return self

    def canonical(self, context: BuildContext) -> "NetworkPath":
        """Every setting has an effect, where the network takes it."""
        return self


def _kind_of(path: object) -> str:
    whole = "network" in path if isinstance(path, dict) else isinstance(path, NetworkPath)
    return "form[network]" if whole else "form[stages]"


AnyPath = Annotated[
    Annotated[Path, Tag("form[stages]")] | Annotated[NetworkPath, Tag("form[network]")],
    Discriminator(_kind_of),
]
"""Blocks one behind the other, or a whole network."""


def _taken(name: str, count: int, x: Tensor) -> Tensor:
    """Return what is taken of an input: a part of its channels, so many frames of a sequence."""
    read = READABLE[name]
    if read.of:
        x = x.narrow(-3, read.channel, read.channels)
    if not read.timed:
        return x
    given = x.shape[1]
    if given < count:
        raise ValueError(f"{given} frames of {name!r} for a path of {count}")
    chosen = read.chosen(count, given)
    return x if len(chosen) == given else x[:, chosen]


def _scaled(x: Tensor) -> Tensor:
    """Return clips (B, ..., C, S, S), each less its mean and divided by its largest value."""
    values = x.flatten(1)
    values = values - values.mean(1, keepdim=True)
    return (values / values.amax(1, keepdim=True).clamp_min(_LARGEST)).view_as(x)


def _tiles(x: Tensor) -> Tensor:
    """Return the eyes above the corners of the mouth, each a square of half the image's side.

    Images (..., C, S, S) give images of the same shape.
    """
    size = x.shape[-1]
    half = size // 2
    rows = []
    for across, below in (_EYE, _MOUTH):
        left, top = (
            min(max(round(place * size) - half // 2, 0), half) for place in (across, below)
        )
        band = x[..., top : top + half, :]
        right = size - half - left
        pair = band[..., left : left + half], band[..., right : right + half]
        rows.append(torch.cat(pair, dim=-1))
    return torch.cat(rows, dim=-2)


def _or(names: list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]])
