"""The grammar that architectures are written in.

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

from typing import Annotated

from annotated_types import Interval
from pydantic import AfterValidator, Field, NonNegativeFloat

# Modules of blocks fill slots by being imported.
from mer_nas.architectures.blocks import dyn_image, orth  # noqa: F401
from mer_nas.architectures.blocks.base import (
    DYN_IMAGES,
    FUSIONS,
    HEADS,
    ORTHS,
    Block,
    Identity,
    Slot,
)
from mer_nas.architectures.blocks.fusion import NoFusion
from mer_nas.architectures.blocks.head import Gap
from mer_nas.architectures.paths import Path
from mer_nas.config.base import Config
from mer_nas.inputs import INPUTS


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
    dyn_image: Annotated[Block, Slot(DYN_IMAGES)] = Field(default_factory=Identity)
    """The dynamic image of the clip, decoded from what the first temporal pool gives."""
    orth: Annotated[Block, Slot(ORTHS)] = Field(default_factory=Identity)
    """Features of two paths that have nothing in common."""

    @property
    def weights(self) -> dict[str, float]:
        """Weights by the name of the loss; 0 for those that are not wanted."""
        return {
            name: getattr(loss, "weight", 0.0) if isinstance(loss, Block) else loss
            for name, loss in self
        }


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
