"""Downs: how a stage comes to its resolution and width; `aggregation` has one more.

`in_block` leaves both to the first residual block of the stage, as ResNet does; `conv_maxpool` is
HTNet's aggregation (Wang et al. 2024).
"""

from typing import ClassVar, Literal

from torch import nn

from mer_nas.architectures.blocks import DOWNS, Block, Idle, Shape, Site, shrink
from mer_nas.architectures.layers import ChannelNorm, conv


@DOWNS.register
class NoDown(Idle):
    """No subsampling; the first local block brings the width."""

    kind: Literal["none"] = "none"


@DOWNS.register
class InBlock(Idle):
    """Leaves stride 2 and the new width to the first local block, a residual one."""

    kind: Literal["in_block"] = "in_block"

    def shape(self, site: Site) -> Shape:
        """Return the map unchanged, with a stride to be carried out."""
        return Shape(site.channels, site.size, 2)

    def check(self, site: Site) -> None:
        """Refuse a stage whose first block has no stride."""
        local = site.around.local
        if self.kind not in local.resamples:
            found = (
                f"{self.kind!r} needs a residual local block to carry it out, not {local.kind!r}"
            )
            raise site.refuse(found, "local: {kind: res_basic}, or another down")

    def repair(self, site: Site) -> Block:
        """Without a residual block, convolve and pool."""
        return self if self.kind in site.around.local.resamples else ConvMaxPool()


class Halving(Block):
    """A down that halves the map, rounding up, and brings the stage's width."""

    def shape(self, site: Site) -> Shape:
        """Return the stage's width on half the map."""
        return Shape(site.width, shrink(site.size, 2))


@DOWNS.register
class ConvMaxPool(Halving):
    """A 3 x 3 convolution, LayerNorm over channels, and a 3 x 3 maximum with stride 2."""

    kind: Literal["conv_maxpool"] = "conv_maxpool"

    source: ClassVar[str] = "HTNet: Wang et al. 2024 (github.com/wangzhifengharrison/HTNet)"

    def build(self, site: Site) -> nn.Module:
        """Return the three layers."""
        return nn.Sequential(
            conv(site.channels, site.width, 3, bias=True),
            ChannelNorm(site.width),
            nn.MaxPool2d(3, 2, 1),
        )
