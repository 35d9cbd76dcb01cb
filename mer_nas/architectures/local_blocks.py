"""Local blocks: convolutions that mix neighbouring positions.

The first layer of a stage's local blocks also brings the width of the stage and, where the stage's
down leaves the stride to it, the subsampling.
"""

from typing import ClassVar, Literal

from pydantic import PositiveInt
from timm.layers.drop import DropPath
from torch import Tensor, nn

from mer_nas.architectures.blocks import LOCALS, Block, Idle, Shape, Site, shrink
from mer_nas.architectures.layers import ConvNorm


@LOCALS.register
class NoLocal(Idle):
    """No local blocks."""

    kind: Literal["none"] = "none"


@LOCALS.register
class ResBasic(Block):
    """Basic residual blocks: two 3 x 3 convolutions beside a shortcut."""

    kind: Literal["res_basic"] = "res_basic"
    blocks: PositiveInt = 1
    """How many, one after the other."""

    source: ClassVar[str] = "ResNet-18: He et al. 2016 (arXiv:1512.03385)"
    resamples: ClassVar[frozenset[str]] = frozenset({"in_block"})

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return self.blocks

    def shape(self, site: Site) -> Shape:
        """Return the stage's width, after the stride that was left to the first block."""
        return Shape(site.width, shrink(site.size, site.stride))

    def build(self, site: Site) -> nn.Module:
        """Return the blocks; only the first changes the shape."""
        first = BasicBlock(site.channels, site.width, site.stride, site.drop_path[0])
        more = [BasicBlock(site.width, site.width, 1, rate) for rate in site.drop_path[1:]]
        return nn.Sequential(first, *more)


class BasicBlock(nn.Module):
    """(B, C, H, W) to (B, C', H / stride, W / stride), rounded up."""

    def __init__(self, inputs: int, outputs: int, stride: int, drop_path: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvNorm(inputs, outputs, 3, stride), ConvNorm(outputs, outputs, 3, active=False)
        )
        kept = stride == 1 and inputs == outputs
        self.shortcut = (
            nn.Identity() if kept else ConvNorm(inputs, outputs, 1, stride, active=False)
        )
        self.skip = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Add body and shortcut."""
        y: Tensor = self.shortcut(x) + self.skip(self.body(x))
        return y.relu()
