"""The grammar that architectures are written in.

    architecture := one path or two -> fusion -> head, plus auxiliary losses
                  | network
    path         := input -> stem -> stages, with a temporal pool among them
                  | network
    stage        := down -> local blocks -> global blocks -> gate

Published networks as sentences of this grammar: HTNet is patch, (mhsa, conv_maxpool)*; the dynamic
routing experts are patch, (expert, maa)*; the progressive attention network is conv, (in_block,
res_basic, prog)*; fine-grained dynamic perception is conv4, (patch_merge, lra, gra)*, conv3d,
rank_fc, with a dynamic image beside; the dual-branch network is two paths of res12 and of
Inception blocks, each with cbam_par, and cbam_concat; the decoupling of motion and emotion is a
path of res_basic, one of sparse_vit, and cofm.

The two paths share nothing but, where both read it, the input. A network is used whole: it reads
its inputs itself, and alone it gives the answers, too.
"""

from typing import Annotated

from annotated_types import Interval
from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

# Modules of blocks fill slots by being imported.
from mer_nas.architectures.blocks import dyn_image, field, orth, timm  # noqa: F401
from mer_nas.architectures.blocks.base import (
    DYN_IMAGES,
    FUSIONS,
    HEADS,
    NETWORKS,
    ORTHS,
    Block,
    Identity,
    Slot,
)
from mer_nas.architectures.blocks.fusion import NoFusion
from mer_nas.architectures.blocks.head import Gap
from mer_nas.architectures.paths import AnyPath, NetworkPath, Path
from mer_nas.config.base import Config, Tree
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


def _few(paths: tuple[Path | NetworkPath, ...]) -> tuple[Path | NetworkPath, ...]:
    if len(paths) not in {1, 2, 3}:
        raise ValueError(f"a network has one path, two or three, not {len(paths)}")
    return paths


class Architecture(Config):
    """A network but for its number of classes."""

    network: Annotated[Block, Slot(NETWORKS)] | None = None
    """A network that is used whole, with nothing beside it."""
    paths: Annotated[tuple[AnyPath, ...], AfterValidator(_few)] = Field((), validate_default=False)
    """From inputs to maps."""
    fusion: Annotated[Block, Slot(FUSIONS)] = Field(default_factory=NoFusion)
    """How the maps of two paths become one."""
    head: Annotated[Block, Slot(HEADS)] = Field(default_factory=Gap)
    """From the last map to the classes."""
    drop_path: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Rate of stochastic depth in the last block; it rises linearly from 0 in the first."""
    losses: Losses = Field(default_factory=Losses)
    """Weights of auxiliary losses."""

    @model_validator(mode="before")
    @classmethod
    def _one_of_both(cls, tree: object) -> object:
        if not isinstance(tree, dict):
            return tree
        if tree.get("network") is None and "paths" not in tree:
            raise ValueError("the setting 'paths' is missing, or 'network' for one used whole")
        beside = [key for key in tree if key != "network"]
        if tree.get("network") is not None and beside:
            raise ValueError(
                f"a network used whole has nothing beside it, not {', '.join(map(repr, beside))}; "
                "as one of the paths it may have"
            )
        return tree

    @model_serializer(mode="wrap")
    def _closed(self, handler: SerializerFunctionWrapHandler) -> Tree:
        """Leave out what is not there: older forms read the same."""
        tree: Tree = handler(self)
        part = tree.pop("network", None)
        return tree if self.network is None else {"network": part}

    @property
    def ways(self) -> tuple[Path | NetworkPath, ...]:
        """From inputs to what follows: the paths, or the one network."""
        return self.paths if self.network is None else (NetworkPath(network=self.network),)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in the order in which the network takes them."""
        return tuple(dict.fromkeys(name for way in self.ways for name in way.inputs))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """(C, H, W) of every input by its name, or (T, C, H, W) of a sequence."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name in self.inputs:
            readers = [way for way in self.ways if name in way.inputs]
            image = (INPUTS[name].channels, readers[0].size, readers[0].size)
            frames = max(way.frames for way in readers)
            shapes[name] = (frames, *image) if INPUTS[name].timed else image
        return shapes
