"""Local blocks: convolutions that mix neighbouring positions.

The first layer of a stage's local blocks also brings the width of the stage and, where the stage's
down leaves the stride to it, the subsampling.

Sources: ResNet-18, He et al. 2016 (arXiv:1512.03385); equation (8) of the progressive attention
network, Zhan et al. 2024 (DOI 10.3724/SP.J.1249.2024.06756); ResNet-12 as the dual-branch network
(arXiv:2602.23950) has it in our reading; the Inception blocks of Inception v3, Szegedy et al. 2016
(arXiv:1512.00567), in the reduced form in which we read them into that network; local relational
aggregators, Shao et al. 2025 (arXiv:2509.06015).

Every Inception block gives each of its four paths a quarter of the width; the 1 x 1 convolution
that a deep path begins with gives it at least 8 channels to start from.

Shapes speak of B clips, C channels in, D channels out, and H x W maps.
"""

from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from mer_nas.architectures.blocks.base import LOCALS, Block, BuildContext, Shape, shrink
from mer_nas.architectures.layers.aggregators import (
    LocalAggregator,
    patch_embedding,
    round_width,
)
from mer_nas.architectures.layers.basic import Branches, ConvNorm, stochastic_depth


class _Stack(Block):
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
class ResBasic(_Stack):
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
        return _Residual(body, _shortcut(inputs, outputs, stride), drop_path)


@LOCALS.register
class ResEq8(_Stack):
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
        return _Residual(body, _shortcut(inputs, outputs, stride), drop_path)


@LOCALS.register
class Res12(_Stack):
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
        return _Residual(body, ConvNorm(inputs, outputs, 1, stride, active=False), drop_path)


class _Residual(nn.Module):
    """The sum of a shortcut and of layers that a clip may skip, then a ReLU."""

    def __init__(self, body: tuple[nn.Module, ...], shortcut: nn.Module, drop_path: float) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        self.shortcut = shortcut
        self.skip = stochastic_depth(drop_path)
        self.active = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Add body and shortcut."""
        y: Tensor = self.active(self.shortcut(x) + self.skip(self.body(x)))
        return y


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return ConvNorm(inputs, outputs, 1, stride, active=False)


_Kernel = int | tuple[int, int]


class _Inception(_Stack):
    """Four paths beside each other, (B, C, H, W) to (B, D, H, W)."""

    source: ClassVar[str] = "our reading of Zhang et al. 2026, arXiv:2602.23950"
    skips: ClassVar[bool] = False

    def layer(self, inputs: int, outputs: int, stride: int, drop_path: float) -> nn.Module:
        """Return one block; it has no shortcut to skip it by, and no stride."""
        quarter = outputs // 4
        return Branches(
            [
                _chain([inputs, quarter], 1),
                *self.paths(inputs, max(8, quarter), quarter),
                nn.Sequential(
                    nn.AvgPool2d(3, 1, 1, count_include_pad=False), _chain([inputs, quarter], 1)
                ),
            ]
        )

    def paths(self, inputs: int, inner: int, outputs: int) -> list[nn.Module]:
        """Return the two deep paths, which tell the kinds apart; they start from `inner`."""
        raise NotImplementedError

    def check(self, context: BuildContext) -> None:
        """Refuse widths that do not split evenly, and maps without neighbours."""
        if context.width % 8:
            found = f"an Inception block of {context.width} channels, which do not split evenly"
            raise context.refuse(found, "a width divisible by 8")
        if min(context.size) < 2:
            height, width = context.size
            found = f"an Inception block on a map of {height} x {width}"
            raise context.refuse(found, "a map of 2 x 2 or more, or another local block")

    def repair(self, context: BuildContext) -> Block:
        """Take residual blocks where the width or the map is none for Inception."""
        fits = context.width % 8 == 0 and min(context.size) > 1
        return self if fits else ResBasic(blocks=self.blocks)


@LOCALS.register
class IncA(_Inception):
    """Inception blocks A: beside 1 x 1 and mean, a 5 x 5 path and one of two 3 x 3."""

    kind: Literal["inc_a"] = "inc_a"

    def paths(self, inputs: int, inner: int, outputs: int) -> list[nn.Module]:
        """Return the paths with kernels of 5, and of 3 twice."""
        return [
            _chain([inputs, inner, outputs], 1, 5),
            _chain([inputs, inner, outputs, outputs], 1, 3, 3),
        ]


@LOCALS.register
class IncB(_Inception):
    """Inception blocks B: beside 1 x 1 and mean, long kernels along rows and columns in turn."""

    kind: Literal["inc_b"] = "inc_b"

    def paths(self, inputs: int, inner: int, outputs: int) -> list[nn.Module]:
        """Return the paths that see a 7 x 7 square once, and twice."""
        row, column = (1, 7), (7, 1)
        return [
            _chain([inputs, inner, outputs, outputs], 1, row, column),
            _chain([inputs, inner, *[outputs] * 4], 1, column, row, column, row),
        ]


@LOCALS.register
class IncC(_Inception):
    """Inception blocks C: beside 1 x 1 and mean, paths that part into a row and a column."""

    kind: Literal["inc_c"] = "inc_c"

    def paths(self, inputs: int, inner: int, outputs: int) -> list[nn.Module]:
        """Return the paths that part at once, and after a 3 x 3."""
        return [
            nn.Sequential(_chain([inputs, inner], 1), _parting(inner, outputs)),
            nn.Sequential(_chain([inputs, inner, outputs], 1, 3), _parting(outputs, outputs)),
        ]


def _chain(widths: list[int], *kernels: _Kernel) -> nn.Sequential:
    pairs = zip(pairwise(widths), kernels, strict=True)
    return nn.Sequential(*(ConvNorm(inputs, outputs, k) for (inputs, outputs), k in pairs))


def _parting(inputs: int, outputs: int) -> Branches:
    return Branches(
        [ConvNorm(inputs, outputs // 2, (1, 3)), ConvNorm(inputs, outputs // 2, (3, 1))]
    )


@LOCALS.register
class LRA(_Stack):
    """Local relational aggregators: a 3 x 3 convolution and a feed-forward, each residual."""

    kind: Literal["lra"] = "lra"
    heads: PositiveInt = 1
    """Equal parts of the channels that the 3 x 3 convolution keeps apart; 1 mixes all."""
    pointwise: bool = False
    """Follow the convolution by BatchNorm, ReLU and a 1 x 1 convolution."""
    ffn_ratio: PositiveInt = 3
    """Width inside the feed-forward, in widths of the stage."""
    rounding: PositiveInt = 32
    """The width inside the feed-forward is rounded to a multiple of this."""

    source: ClassVar[str] = "FDP: Shao et al. 2025, arXiv:2509.06015 (github.com/CYF-cuber/FDP)"
    resamples: ClassVar[frozenset[str]] = frozenset({"patch_merge"})

    def layer(self, inputs: int, outputs: int, stride: int, drop_path: float) -> nn.Module:
        """Return one aggregator behind the embedding that its shape asks for."""
        hidden = round_width(self.ffn_ratio * outputs, self.rounding)
        aggregator = LocalAggregator(
            outputs, hidden, self.heads, pointwise=self.pointwise, drop_path=drop_path
        )
        return nn.Sequential(patch_embedding(inputs, outputs, stride), aggregator)

    def check(self, context: BuildContext) -> None:
        """Refuse uneven heads, and a down that leaves nothing to the embedding."""
        if context.width % self.heads:
            found = f"{self.heads} heads do not share {context.width} channels evenly"
            raise context.refuse(found, f"a divisor of {context.width}")
        if not self._embeds(context):
            found = (
                f"'lra', which embeds patches itself, after the down {context.around.down.kind!r}"
            )
            raise context.refuse(found, "down: {kind: patch_merge}, or none")

    def repair(self, context: BuildContext) -> Block:
        """Share the width evenly; after a down of another kind, take residual blocks."""
        if not self._embeds(context):
            return ResBasic(blocks=self.blocks)
        fits = [heads for heads in range(1, context.width + 1) if context.width % heads == 0]
        nearest = min(fits, key=lambda heads: abs(heads - self.heads))
        return self.model_copy(update={"heads": nearest})

    def canonical(self, context: BuildContext) -> "LRA":
        """Roundings to one width are one."""
        hidden = self.ffn_ratio * context.width
        usual = LRA.model_fields["rounding"].default
        same = round_width(hidden, usual) == round_width(hidden, self.rounding)
        return self.model_copy(update={"rounding": usual}) if same else self

    def _embeds(self, context: BuildContext) -> bool:
        return context.around.down.kind in self.resamples | {"none"}
