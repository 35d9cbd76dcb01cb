"""Downs: how a stage comes to its resolution and width; `aggregation` has one more.

`in_block` and `patch_merge` leave both to the first local block of the stage: a residual one, as
in ResNet, or an aggregator that embeds patches (Shao et al. 2025, arXiv:2509.06015). `maxpool`
leaves the width to it. `conv_maxpool` is HTNet's aggregation (Wang et al. 2024).
"""

from typing import ClassVar, Literal

from torch import nn

from mer_nas.architectures.blocks import DOWNS, Block, BuildContext, Identity, Shape, shrink
from mer_nas.architectures.layers import ChannelNorm, conv


@DOWNS.register
class NoDown(Identity):
    """No subsampling; the first local block brings the width."""

    kind: Literal["none"] = "none"


class Deferred(Identity):
    """Leaves stride 2 and the new width to the first local block."""

    wants: ClassVar[str]
    """Which local blocks carry the down out, for messages."""
    carrier: ClassVar[str]
    """Kind of one of them."""

    def shape(self, context: BuildContext) -> Shape:
        """Return the map unchanged, with a stride to be carried out."""
        return Shape(context.channels, context.size, 2)

    def check(self, context: BuildContext) -> None:
        """Refuse a stage whose first block does not carry the down out."""
        local = context.around.local
        if self.kind not in local.resamples:
            found = f"{self.kind!r} needs {self.wants} to carry it out, not {local.kind!r}"
            raise context.refuse(found, f"local: {{kind: {self.carrier}}}, or another down")

    def repair(self, context: BuildContext) -> Block:
        """Take the down that the first local block carries out; without one, pool."""
        local = context.around.local
        if self.kind in local.resamples:
            return self
        if local.resamples:
            kind = min(local.resamples)
            return DOWNS[kind](kind=kind)
        return MaxPool().repair(context) if local.depth else ConvMaxPool()


@DOWNS.register
class InBlock(Deferred):
    """Leaves stride 2 and the new width to the first local block, a residual one."""

    kind: Literal["in_block"] = "in_block"

    source: ClassVar[str] = "ResNet: He et al. 2016 (arXiv:1512.03385)"
    wants: ClassVar[str] = "a residual local block"
    carrier: ClassVar[str] = "res_basic"


@DOWNS.register
class PatchMerge(Deferred):
    """Leaves 2 x 2 patches and the new width to the first local block, one that embeds patches."""

    kind: Literal["patch_merge"] = "patch_merge"

    source: ClassVar[str] = "FDP: Shao et al. 2025, arXiv:2509.06015 (github.com/CYF-cuber/FDP)"
    wants: ClassVar[str] = "a local block that embeds patches"
    carrier: ClassVar[str] = "lra"


@DOWNS.register
class MaxPool(Block):
    """A 2 x 2 maximum; an odd last row or column is left out. The first local block widens."""

    kind: Literal["maxpool"] = "maxpool"

    source: ClassVar[str] = "our reading of Zhang et al. 2026, arXiv:2602.23950"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the pool."""
        return nn.MaxPool2d(2)

    def shape(self, context: BuildContext) -> Shape:
        """Return half the map, rounded down."""
        return Shape(context.channels, (context.size[0] // 2, context.size[1] // 2))

    def repair(self, context: BuildContext) -> Block:
        """Leave a map of one row or column as it is."""
        return self if min(context.size) > 1 else NoDown()


class Halving(Block):
    """A down that halves the map, rounding up, and brings the stage's width."""

    def shape(self, context: BuildContext) -> Shape:
        """Return the stage's width on half the map."""
        return Shape(context.width, shrink(context.size, 2))


@DOWNS.register
class ConvMaxPool(Halving):
    """A 3 x 3 convolution, LayerNorm over channels, and a 3 x 3 maximum with stride 2."""

    kind: Literal["conv_maxpool"] = "conv_maxpool"

    source: ClassVar[str] = "HTNet: Wang et al. 2024 (github.com/wangzhifengharrison/HTNet)"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the three layers."""
        return nn.Sequential(
            conv(context.channels, context.width, 3, bias=True),
            ChannelNorm(context.width),
            nn.MaxPool2d(3, 2, 1),
        )
