"""Fusions: from the maps of two paths to one map (B, W, H, W).

Before them both maps are brought to one width by a 1 x 1 convolution without bias, and to the size
of the smaller one by fixed average pooling. `sk` weighs as selective kernels do (Li et al. 2019,
arXiv:1903.06586). `cbam_concat` is our reading of the fusion module of the dual-branch network of
Zhang et al. 2026 (arXiv:2602.23950), `cofm` of that of the motion-emotion decoupling network of
Hu et al. 2026 (arXiv:2604.17899).

Shapes speak of B clips, C channels, D the width of the fusion, and H x W maps.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import ClassVar, Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures.blocks.base import FUSIONS, Block, BuildContext, Identity, Shape, Size
from mer_nas.architectures.layers.basic import (
    ConvNorm,
    conv,
    even_windows,
    linear,
    mean_over_map,
)
from mer_nas.architectures.layers.recalibration import CBAM


@FUSIONS.register
class NoFusion(Identity):
    """No fusion: for one path."""

    kind: Literal["none"] = "none"

    def check(self, context: BuildContext) -> None:
        """Refuse several paths."""
        if (count := len(context.ends)) > 1:
            found, right = ("two", "sk") if count == 2 else ("three", "concat")
            raise context.refuse(
                f"{found} paths and no fusion", f"fusion: {{kind: {right}}}, or one path"
            )

    def repair(self, context: BuildContext) -> Block:
        """Let two paths be weighed against each other, and three be concatenated."""
        fusions = {1: self, 2: SK()}
        return fusions.get(len(context.ends), Concat())


class Fusion(Block):
    """What most fusions have: a width; `build` gives a module of maps of that width."""

    width: PositiveInt = 64
    """Channels to which all maps are brought, and of the fused one."""
    most: ClassVar[int] = 2
    """Paths that it can bring together."""

    @property
    def losses(self) -> frozenset[str]:
        """What two paths can learn about each other."""
        return frozenset({"branch_cls", "orth"})

    def check(self, context: BuildContext) -> None:
        """Refuse one path."""
        if len(context.ends) < 2:
            found = f"the fusion {self.kind!r} of one path"
            raise context.refuse(found, "fusion: {kind: none}, or two paths")
        if len(context.ends) > self.most:
            found = f"the fusion {self.kind!r} of {len(context.ends)} paths"
            raise context.refuse(found, "fusion: {kind: sum}, concat or stack, or two paths")

    def repair(self, context: BuildContext) -> Block:
        """Leave one path alone, and concatenate more than can be brought together."""
        if len(context.ends) > self.most:
            return Concat(width=self.width)
        return self if len(context.ends) > 1 else NoFusion()


@FUSIONS.register
class Sum(Fusion):
    """The sum."""

    kind: Literal["sum"] = "sum"
    most: ClassVar[int] = 3

    def build(self, context: BuildContext) -> nn.Module:
        """Return the sum."""
        return _Added()


@FUSIONS.register
class Concat(Fusion):
    """All maps through one 1 x 1 convolution, BatchNorm and ReLU."""

    kind: Literal["concat"] = "concat"
    most: ClassVar[int] = 3

    def build(self, context: BuildContext) -> nn.Module:
        """Return the convolution."""
        return _Concatenated(ConvNorm(len(context.ends) * self.width, self.width, 1))


@FUSIONS.register
class Stack(Block):
    """The maps as they are, one behind the other along the channels; they are of one size."""

    kind: Literal["stack"] = "stack"

    @property
    def losses(self) -> frozenset[str]:
        """What one path can learn beside the others."""
        return frozenset({"branch_cls"})

    def build(self, context: BuildContext) -> nn.Module:
        """Return the concatenation."""
        return _Stacked()

    def shape(self, context: BuildContext) -> Shape:
        """Return all channels."""
        return Shape(sum(end.channels for end in context.ends), context.size)

    def check(self, context: BuildContext) -> None:
        """Refuse one path, and maps of several sizes."""
        if len(context.ends) < 2:
            found = "the fusion 'stack' of one path"
            raise context.refuse(found, "fusion: {kind: none}, or two paths")
        if len(sizes := {end.size for end in context.ends}) > 1:
            found = " and ".join(f"{height} x {width}" for height, width in sorted(sizes))
            raise context.refuse(
                f"maps of {found} to stack", "one size, or fusion: {kind: concat}"
            )

    def repair(self, context: BuildContext) -> Block:
        """Leave one path alone, and bring maps of several sizes to one."""
        if len(context.ends) < 2:
            return NoFusion()
        return self if len({end.size for end in context.ends}) == 1 else Concat()


class _Stacked(nn.Module):
    """Maps (B, C, H, W) of one size as one map."""

    def forward(self, *ends: Tensor) -> Tensor:
        """Concatenate them along the channels."""
        return torch.cat(ends, dim=1)


class FuseAsIs(nn.Module):
    """Maps that nothing is done to before they are one map; `fuse` makes that of them."""

    def __init__(self, fuse: nn.Module) -> None:
        super().__init__()
        self.fuse = fuse

    def forward(self, *ends: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the maps, and the fused one."""
        return list(ends), self.fuse(*ends)


@FUSIONS.register
class GatedMean(Fusion):
    """A weighted mean, its weights from both maps, of their own for every number."""

    kind: Literal["gate"] = "gate"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the mean."""
        return _Gated(self.width)


@FUSIONS.register
class SK(Fusion):
    """A weighted mean with one weight a channel, from the mean over positions of the sum."""

    kind: Literal["sk"] = "sk"

    source: ClassVar[str] = "selective kernels: Li et al. 2019 (arXiv:1903.06586)"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the mean."""
        return _Selected(self.width)


@FUSIONS.register
class CBAMConcat(Fusion):
    """As concat, behind attention over the channels and positions of both maps together."""

    kind: Literal["cbam_concat"] = "cbam_concat"

    source: ClassVar[str] = "our reading of arXiv:2602.23950"

    def build(self, context: BuildContext) -> nn.Module:
        """Return attention and convolution."""
        wide = 2 * self.width
        return _Concatenated(CBAM(wide), ConvNorm(wide, self.width, 1))


@FUSIONS.register
class CoFM(Fusion):
    """Attention between the two features of a position, and a weighted mean of the results."""

    kind: Literal["cofm"] = "cofm"

    source: ClassVar[str] = "our reading of arXiv:2604.17899"

    def build(self, context: BuildContext) -> nn.Module:
        """Return attention and mean."""
        return _Attended(self.width)


class _Aligned(nn.Module):
    """Brings a map (B, C, H, W) to (B, D, h, w), h <= H and w <= W."""

    def __init__(self, end: Shape, width: int, size: Size) -> None:
        super().__init__()
        self.size = size
        self.project = conv(end.channels, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Project x, then average it."""
        return _averaged_to(self.project(x), self.size)


class AlignAndFuse(nn.Module):
    """Maps brought to one shape, and then to one map.

    Args:
        ends: What comes in.
        width: D.
        size: Height and width that both are averaged to, those of no map exceeded.
        build: Makes the module of two aligned maps; called once the projections are drawn.
    """

    def __init__(
        self, ends: Sequence[Shape], width: int, size: Size, build: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        self.align = nn.ModuleList(_Aligned(end, width, size) for end in ends)
        self.fuse = build()

    def forward(self, *ends: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the aligned maps (B, D, h, w), and the fused one."""
        aligned = [align(end) for align, end in zip(self.align, ends, strict=True)]
        return aligned, self.fuse(*aligned)


class _Added(nn.Module):
    """The sum of maps (B, D, H, W)."""

    def forward(self, one: Tensor, *others: Tensor) -> Tensor:
        """Add them."""
        return reduce(torch.add, others, one)


class _Concatenated(nn.Sequential):
    """Layers on maps (B, D, H, W), one behind the other along the channels."""

    def forward(self, *maps: Tensor) -> Tensor:
        """Concatenate them and run the layers."""
        x = torch.cat(maps, dim=1)
        for layer in self:
            x = layer(x)
        return x


class _Gated(nn.Module):
    """g x + (1 - g) y of two maps (B, D, H, W), g = sigmoid(f([x; y])) with a linear f."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = conv(2 * width, width, 1, bias=True)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Weigh them."""
        gate = self.gate(torch.cat([one, other], dim=1)).sigmoid()
        mixed: Tensor = gate * one + (1 - gate) * other
        return mixed


class _Selected(nn.Module):
    """a x + (1 - a) y of two maps (B, D, H, W), with (a, 1 - a) a softmax for every channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = max(32, width // 16)
        self.squeeze = nn.Sequential(linear(width, hidden), nn.ReLU())
        self.select = linear(hidden, 2 * width)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Weigh them."""
        summary = self.squeeze(mean_over_map(one + other))
        for_one, for_other = self.select(summary).chunk(2, dim=1)
        # A softmax over two is a sigmoid of their difference.
        weight = (for_one - for_other).sigmoid()[..., None, None]
        mixed: Tensor = weight * one + (1 - weight) * other
        return mixed


class _Attended(nn.Module):
    """CoFM on two maps (B, D, H, W): at every position, two tokens x and y.

    [x'; y'] = LN([x; y] + softmax(Q K^T / sqrt D) V),  g = sigmoid(W_g [x; y])
    f = g x' + (1 - g) y'
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query_key_value = linear(width, 3 * width)
        self.norm = nn.LayerNorm(width)
        self.gate = linear(2 * width, width)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Fuse them."""
        tokens = torch.stack([one, other], dim=1).permute(0, 3, 4, 1, 2)  # (B, H, W, 2, D)
        query, key, value = self.query_key_value(tokens).chunk(3, dim=-1)
        weights = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1)
        informed: Tensor = self.norm(tokens + weights @ value)
        gate = self.gate(tokens.flatten(-2)).sigmoid()  # (B, H, W, D)
        fused: Tensor = gate * informed[..., 0, :] + (1 - gate) * informed[..., 1, :]
        return fused.permute(0, 3, 1, 2)


def _averaged_to(x: Tensor, size: Size) -> Tensor:
    """Return a map (B, C, H, W) averaged to a smaller `size` over windows that cover all of it."""
    given = x.shape[2], x.shape[3]
    return x if given == size else functional.avg_pool2d(x, *even_windows(given, size))
