"""Heads: from the last map (B, C, H, W) to one number for every class."""

from typing import Annotated, Literal

from annotated_types import Interval
from torch import Tensor, nn

from mer_nas.architectures.blocks import HEADS, Block, Shape, Site
from mer_nas.architectures.layers import ChannelNorm, linear


@HEADS.register
class Gap(Block):
    """Global average pooling and a linear classifier."""

    kind: Literal["gap"] = "gap"
    norm: bool = False
    """LayerNorm over channels before the average, as transformers end."""
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Share of the averaged channels that training drops."""

    def build(self, site: Site) -> nn.Module:
        """Return the classifier."""
        return nn.Sequential(
            ChannelNorm(site.channels) if self.norm else nn.Identity(),
            MeanOverMap(),
            nn.Dropout(self.dropout),
            linear(site.channels, site.width),
        )

    def shape(self, site: Site) -> Shape:
        """Return one position with a channel a class."""
        return Shape(site.width, (1, 1))


class MeanOverMap(nn.Module):
    """(B, C, H, W) to (B, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Average over positions."""
        return x.mean((2, 3))
