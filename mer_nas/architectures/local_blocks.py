"""Local blocks: convolutions that mix neighbouring positions; `inception` and `lra` have more.

The first layer of a stage's local blocks also brings the width of the stage and, where the stage's
down leaves the stride to it, the subsampling.

Sources: ResNet-18, He et al. 2016 (arXiv:1512.03385); equation (8) of the progressive attention
network, Zhan et al. 2024 (DOI 10.3724/SP.J.1249.2024.06756); ResNet-12 as the dual-branch network
(arXiv:2602.23950) has it in our reading.
"""

from typing import ClassVar, Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from mer_nas.architectures.blocks import LOCALS, Block, BuildContext, Identity, Shape, shrink
from mer_nas.architectures.layers import ConvNorm, drop


@LOCALS.register
class NoLocal(Identity):
    """No local blocks."""

    kind: Literal["none"] = "none"


class Stack(Block):
    """Equal layers, one after the other, of which only the first changes the shape."""

    blocks: PositiveInt = 1
    """How many, one after the other."""

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self.blocks

    def shape(self, context: BuildContext) -> Shape:
        """Return the stage's width, after the stride that was left to the first layer."""
        return Shape(context.width, shrink(context.size, context.stride))

    def build(self, context: BuildContext) -> nn.Module:
        """Return the layers."""
        first, *others = context.drop_path
        return nn.Sequential(
            self.layer(context.channels, context.width, context.stride, first),
            *(self.layer(context.width, context.width, 1, rate) for rate in others),
        )

    def layer(self, inputs: int, outputs: int, stride: int, drop_path: float) -> nn.Module:
        """Return one layer.

        Args:
            inputs: Channels that come in.
            outputs: Channels that leave.
            stride: Subsampling; 1 unless `resamples` names a down.
            drop_path: Rate of stochastic depth.
        """
        raise NotImplementedError


@LOCALS.register
class ResBasic(Stack):
    """Basic residual blocks: two 3 x 3 convolutions beside a shortcut."""

    kind: Literal["res_basic"] = "res_basic"

    source: ClassVar[str] = "ResNet-18: He et al. 2016 (arXiv:1512.03385)"
    resamples: ClassVar[frozenset[str]] = frozenset({"in_block"})

    def layer(self, inputs: int, outputs: int, stride: int, drop_path: float) -> nn.Module:
        """Return one residual block."""
        body = (
            ConvNorm(inputs, outputs, 3, stride),
            ConvNorm(outputs, outputs, 3, active=False),
        )
        return Residual(body, _shortcut(inputs, outputs, stride), drop_path)


@LOCALS.register
class ResEq8(Stack):
    """Residual blocks of equation (8): a 3 x 3 and a 1 x 1 convolution beside a shortcut."""

    kind: Literal["res_eq8"] = "res_eq8"

    source: ClassVar[str] = "Zhan et al. 2024, DOI 10.3724/SP.J.1249.2024.06756, eq. (8)"
    resamples: ClassVar[frozenset[str]] = frozenset({"in_block"})

    def layer(self, inputs: int, outputs: int, stride: int, drop_path: float) -> nn.Module:
        """Return one residual block."""
        body = (
            ConvNorm(inputs, outputs, 3, stride),
            ConvNorm(outputs, outputs, 1, active=False),
        )
        return Residual(body, _shortcut(inputs, outputs, stride), drop_path)


@LOCALS.register
class Res12(Stack):
    """Residual blocks of ResNet-12: three 3 x 3 convolutions beside a 1 x 1 convolution."""

    kind: Literal["res12"] = "res12"

    source: ClassVar[str] = "our reading of Zhang et al. 2026, arXiv:2602.23950"
    resamples: ClassVar[frozenset[str]] = frozenset({"in_block"})

    def layer(self, inputs: int, outputs: int, stride: int, drop_path: float) -> nn.Module:
        """Return one residual block; its shortcut is a convolution at equal shapes too."""
        body = (
            ConvNorm(inputs, outputs, 3, stride),
            ConvNorm(outputs, outputs, 3),
            ConvNorm(outputs, outputs, 3, active=False),
        )
        return Residual(body, ConvNorm(inputs, outputs, 1, stride, active=False), drop_path)


class Residual(nn.Module):
    """The sum of a shortcut and of layers that a clip may skip, then a ReLU."""

    def __init__(self, body: tuple[nn.Module, ...], shortcut: nn.Module, drop_path: float) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        self.shortcut = shortcut
        self.skip = drop(drop_path)
        self.active = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Add body and shortcut."""
        y: Tensor = self.active(self.shortcut(x) + self.skip(self.body(x)))
        return y


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return ConvNorm(inputs, outputs, 1, stride, active=False)
