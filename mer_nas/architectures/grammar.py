"""The grammar that architectures are written in, and its rules.

    architecture := one path or two -> fusion -> head, plus auxiliary losses
    path         := input -> stem -> stages, with a temporal pool among them
    stage        := down -> local blocks -> global blocks -> gate

Published networks as sentences of this grammar: HTNet is patch, (mhsa, conv_maxpool)*; the dynamic
routing experts are patch, (expert, maa)*; the progressive attention network is conv, (in_block,
res_basic, prog)*; fine-grained dynamic perception is conv4, (patch_merge, lra, gra)*, conv3d,
rank_fc, with a dynamic image beside; the dual-branch network is two paths of res12 and of
Inception blocks, each with cbam_par, and cbam_concat; the decoupling of motion and emotion is a
path of res_basic, one of sparse_vit, and cofm.

The two paths share nothing but, where both read it, the input.
"""

from dataclasses import replace
from typing import Annotated

from annotated_types import Interval
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    model_validator,
)

# Modules of blocks fill slots by being imported.
from mer_nas.architectures import (  # noqa: F401
    aggregation,
    experts,
    gra,
    inception,
    lra,
    sparse_vit,
    stems,
)
from mer_nas.architectures.attention import NoGlobal
from mer_nas.architectures.blocks import (
    DOWNS,
    DYN_IMAGES,
    FUSIONS,
    GATES,
    GLOBALS,
    HEADS,
    LOCALS,
    ORTHS,
    STEMS,
    TEMPORALS,
    Block,
    BuildContext,
    OneOf,
    Slot,
    StageBlocks,
    Stem,
    non_empty,
    scale_width,
)
from mer_nas.architectures.decoders import NoDynImage
from mer_nas.architectures.downs import NoDown
from mer_nas.architectures.fusion import NoFusion
from mer_nas.architectures.gates import NoGate
from mer_nas.architectures.heads import Gap
from mer_nas.architectures.layouts import Layout
from mer_nas.architectures.local_blocks import NoLocal, ResBasic
from mer_nas.architectures.orthogonality import NoOrth
from mer_nas.architectures.shared import describe, expand
from mer_nas.architectures.temporal import Learned, NoTemporal
from mer_nas.config.base import Config
from mer_nas.inputs import INPUTS


class Stage(Config):
    """Blocks at one resolution and width."""

    model_config = ConfigDict(serialize_by_alias=True)

    growth: PositiveFloat = 1.0
    """Width of the stage, in widths of the stage before it (of the stem, for the first); rounded
    to a multiple of 8, except that 1 keeps the width."""
    down: Annotated[Block, Slot(DOWNS)] = Field(default_factory=NoDown)
    """How the stage comes to its resolution."""
    local: Annotated[Block, Slot(LOCALS)] = Field(default_factory=NoLocal)
    """Convolutional blocks."""
    global_: Annotated[Block, Slot(GLOBALS)] = Field(default_factory=NoGlobal, alias="global")
    """Blocks that mix all positions, or choose per position; after the local ones."""
    gate: Annotated[Block, Slot(GATES)] = Field(default_factory=NoGate)
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
        return scale_width(before, self.growth)

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
        return self if self._brings_width(context) else self.model_copy(update={"growth": 1.0})

    def canonical(self, context: BuildContext) -> "Stage":
        """Growths that round to one width are one growth."""
        growth = context.width / context.channels
        return self if self.growth == growth else self.model_copy(update={"growth": growth})

    def _brings_width(self, context: BuildContext) -> bool:
        after = self.down.shape(context)
        between = replace(context, channels=after.channels, size=after.size, stride=after.stride)
        return self.local.shape(between).channels == context.width


class Path(Config):
    """From one input to one map."""

    model_config = ConfigDict(json_schema_extra=describe)

    input: Annotated[str, OneOf(INPUTS)] = "flow_uvs"
    """Which input the path reads. flow_uvs: optical flow u, v and its strain, onset to apex."""
    size: Annotated[int, Interval(ge=1, le=4096)] = 28
    """Height and width of the input, in pixels."""
    # Left out of the closed form where it changes nothing, so that older ones read the same.
    layout: Annotated[Layout, Field(exclude_if=lambda layout: layout == "whole")] = "whole"
    """tiles4: in place of the whole face, four squares of half its side, around eyes and corners
    of the mouth, put together; an aligned face has them at fixed places."""
    frames: Annotated[int, Interval(ge=1, le=1024)] = 1
    """Frames that the path takes of an input that is a sequence; 1 for an image."""
    stem: Annotated[Stem, Slot(STEMS)]
    """From the input to the first map."""
    stages: Annotated[tuple[Stage, ...], AfterValidator(non_empty)]
    """Blocks, stage by stage."""
    temporal: Annotated[Block, Slot(TEMPORALS)] = Field(default_factory=NoTemporal)
    """How the frames of a clip become one map."""

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, tree: object) -> object:
        return expand(tree) if isinstance(tree, dict) and "shared" in tree else tree

    @property
    def depth(self) -> int:
        """Number of local and global layers."""
        return sum(stage.depth for stage in self.stages)

    @property
    def pooled_after(self) -> int:
        """Index of the stage after which the temporal pool stands; -1 for the stem."""
        where: int | str = getattr(self.temporal, "where", "end")
        last = len(self.stages) - 1
        return min(where, last) if isinstance(where, int) else -1 if where == "stem" else last

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
        read, frames = INPUTS[self.input], max(2, self.frames)
        frames = min(frames, read.length or frames) if read.timed else 1
        size = self._size(context)
        changes: dict[str, object] = {"frames": frames, "size": size}
        if size % 2:
            changes["layout"] = "whole"
        if frames == 1 or len(self._pools(context)) > 1:
            changes["temporal"] = NoTemporal()
        elif not self._pools(context):
            changes["temporal"] = Learned(where=0)
        return self.model_copy(update=changes)

    def canonical(self, context: BuildContext) -> "Path":
        """Every setting of a path has an effect."""
        return self

    def _check_frames(self, context: BuildContext) -> None:
        read = INPUTS[self.input]
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
        return context.sizes.get(self.input, self.size)


class Losses(Config):
    """Weights of the auxiliary losses, beside 1 for the class loss."""

    balance: NonNegativeFloat = 0.01
    """Even use of routed experts; 0 where there are none, or none is left out."""
    rank: NonNegativeFloat = 0.0
    """Scores of frames that rise with time, before a temporal pool."""
    au: NonNegativeFloat = 0.0
    """Action units from the first path, for clips that are annotated with them."""
    branch_cls: NonNegativeFloat = 0.0
    """Classes from the second path alone."""
    dyn_image: Annotated[Block, Slot(DYN_IMAGES)] = Field(default_factory=NoDynImage)
    """The dynamic image of the clip, decoded from what the first temporal pool gives."""
    orth: Annotated[Block, Slot(ORTHS)] = Field(default_factory=NoOrth)
    """Features of two paths that have nothing in common."""

    @property
    def weights(self) -> dict[str, float]:
        """Weights by the name of the loss; 0 for those that are not wanted."""
        return {
            name: getattr(loss, "weight", 0.0) if isinstance(loss, Block) else loss
            for name, loss in self
        }


def _or(names: list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]])


def _few(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    if len(paths) not in {1, 2}:
        raise ValueError(f"a network has one path or two, not {len(paths)}")
    return paths


class Architecture(Config):
    """A network but for its number of classes."""

    paths: Annotated[tuple[Path, ...], AfterValidator(_few)]
    """From inputs to maps."""
    fusion: Annotated[Block, Slot(FUSIONS)] = Field(default_factory=NoFusion)
    """How the maps of two paths become one."""
    head: Annotated[Block, Slot(HEADS)] = Field(default_factory=Gap)
    """From the last map to the classes."""
    drop_path: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Rate of stochastic depth in the last block; it rises linearly from 0 in the first."""
    losses: Losses = Field(default_factory=Losses)
    """Weights of auxiliary losses."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in the order in which the network takes them."""
        return tuple(dict.fromkeys(path.input for path in self.paths))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """(C, H, W) of every input by its name, or (T, C, H, W) of a sequence."""
        shapes: dict[str, tuple[int, ...]] = {}
        for path in self.paths:
            read = INPUTS[path.input]
            frames = max(p.frames for p in self.paths if p.input == path.input)
            image = (read.channels, path.size, path.size)
            shapes[path.input] = (frames, *image) if read.timed else image
        return shapes
