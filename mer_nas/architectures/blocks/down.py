"""Downs: how a stage comes to its resolution and width.

`in_block` and `patch_merge` leave both to the first local block of the stage: a residual one, as
in ResNet, or an aggregator that embeds patches (Shao et al. 2025, arXiv:2509.06015). `maxpool`
leaves the width to it. `conv_maxpool` is HTNet's aggregation (Wang et al. 2024).

`maa` is the multi-grained asymmetric aggregation of *Fine-Grained Micro-Expression Recognition via
Dynamic Routing Experts in a Single-Stream Network* (Computer Engineering 2026, DOI
10.19678/j.issn.1000-3428.0260218). The abstract names its parts, orientation-aware convolution and
channel attention; their wiring here is our reading.

Shapes speak of B clips, C channels in, D channels out, H x W maps and K kernels.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import AfterValidator
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures.blocks.base import (
    DOWNS,
    Block,
    BuildContext,
    Identity,
    KernelSet,
    OneOf,
    Shape,
    non_empty,
    shrink,
)
from mer_nas.architectures.layers.basic import ChannelNorm, conv, linear, mean_over_map
from mer_nas.architectures.layers.recalibration import (
    CoordinateAttention,
    SqueezeExcite,
    efficient_channel_attention,
)


class _Deferred(Block):
    """Leaves stride 2 and the new width to the first local block."""

    wants: ClassVar[str]
    """Which local blocks carry the down out, for messages."""
    carrier: ClassVar[str]
    """Kind of one of them."""

    def build(self, context: BuildContext) -> nn.Module:
        """Return the identity: the first local block does the rest."""
        return nn.Identity()

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
class InBlock(_Deferred):
    """Leaves stride 2 and the new width to the first local block, a residual one."""

    kind: Literal["in_block"] = "in_block"

    source: ClassVar[str] = "ResNet: He et al. 2016 (arXiv:1512.03385)"
    wants: ClassVar[str] = "a residual local block"
    carrier: ClassVar[str] = "res_basic"


@DOWNS.register
class PatchMerge(_Deferred):
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
        return self if min(context.size) > 1 else Identity()


class _Halving(Block):
    """A down that halves the map, rounding up, and brings the stage's width."""

    def shape(self, context: BuildContext) -> Shape:
        """Return the stage's width on half the map."""
        return Shape(context.width, shrink(context.size, 2))


@DOWNS.register
class ConvMaxPool(_Halving):
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


def _in_order(orientations: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(orientations)))


_Orientations = Annotated[
    tuple[Literal["h", "v", "d1", "d2"], ...], AfterValidator(non_empty), AfterValidator(_in_order)
]


_SQUARE = 3
"""Side of the kernel that stands beside the oriented ones, in positions."""


ATTENTIONS: Mapping[str, Callable[[int], nn.Module]] = {
    "se": SqueezeExcite,
    "eca": efficient_channel_attention,
    "coord": CoordinateAttention,
    "none": lambda _: nn.Identity(),
}
"""Attention over channels by the name that YAML gives it: from C to the module."""


@DOWNS.register
class MAA(_Halving):
    """Multi-grained asymmetric aggregation: oriented kernels, weighed by the clip."""

    kind: Literal["maa"] = "maa"
    kernels: KernelSet = (3,)
    """Granularities: lengths of the oriented kernels, in positions."""
    orientations: _Orientations = ("h", "v")
    """h: 1 x k, v: k x 1, d1 and d2: k x k kernels that are zero off their diagonal, which falls
    or rises to the right."""
    square: bool = False
    """Add a 3 x 3 kernel beside the oriented ones of every length."""
    attention: Annotated[str, OneOf(ATTENTIONS)] = "se"
    """Channel attention. se: squeeze and excitation, reduction 8; eca: efficient channel
    attention; coord: coordinate attention, row by row and column by column."""
    grain_gate: Literal["none", "softmax"] = "none"
    """softmax: the clip weighs its granularities, as it does its orientations."""

    source: ClassVar[str] = "our reading of DOI 10.19678/j.issn.1000-3428.0260218"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the aggregation."""
        return nn.Sequential(
            _OrientedConvolutions(
                context.channels,
                self.kernels,
                (*self.orientations, "square") if self.square else self.orientations,
                gated=self.grain_gate == "softmax",
            ),
            conv(len(self.kernels) * context.channels, context.width, 1, bias=True),
            ChannelNorm(context.width),
            nn.GELU(),
            ATTENTIONS[self.attention](context.width),
            nn.MaxPool2d(3, 2, 1),
        )

    def check(self, context: BuildContext) -> None:
        """Refuse kernels that are too large."""
        context.check_kernels((*self.kernels, _SQUARE if self.square else 1))

    def repair(self, context: BuildContext) -> "MAA":
        """Shrink kernels that are too large, and keep each size once."""
        limit = context.largest_kernel
        kernels = tuple(sorted({min(kernel, limit) for kernel in self.kernels}))
        square = self.square and limit >= _SQUARE
        return self.model_copy(update={"kernels": kernels, "square": square})

    def canonical(self, context: BuildContext) -> "MAA":
        """A single granularity has nothing to be weighed against."""
        alone = len(self.kernels) == 1
        return self.model_copy(update={"grain_gate": "none"}) if alone else self


class _OrientedConvolutions(nn.Module):
    """(B, C, H, W) to (B, K C, H, W): per kernel, a clip's own mixture of the orientations.

    Args:
        channels: C.
        kernels: The K granularities.
        orientations: Of the kernels of every granularity; "square" is one of them here.
        gated: Whether the clip weighs the granularities too.
    """

    def __init__(
        self,
        channels: int,
        kernels: tuple[int, ...],
        orientations: tuple[str, ...],
        *,
        gated: bool = False,
    ) -> None:
        super().__init__()
        self.grains = nn.ModuleList(
            nn.ModuleList(_view(name, kernel, channels) for name in orientations)
            for kernel in kernels
        )
        # The softmax over a single orientation is 1 whatever the layer says.
        count = len(orientations)
        self.orientation = linear(channels, count) if count > 1 else None
        self.grain = linear(channels, len(kernels)) if gated else None

    def forward(self, x: Tensor) -> Tensor:
        """Mix the orientations of every grain, and weigh the grains, as the clip asks."""
        mean = mean_over_map(x)
        grains = [self._mixed(grain, x, mean) for grain in self._grains()]
        if self.grain is None:
            return torch.cat(grains, dim=1)
        return torch.cat(_weighed(self.grain(mean), grains), dim=1)

    def _mixed(self, grain: nn.ModuleList, x: Tensor, mean: Tensor) -> Tensor:
        if self.orientation is None:
            alone: Tensor = grain[0](x)
            return alone
        return reduce(torch.add, _weighed(self.orientation(mean), [view(x) for view in grain]))

    def _grains(self) -> list[nn.ModuleList]:
        return [grain for grain in self.grains if isinstance(grain, nn.ModuleList)]


def _weighed(judged: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
    """Return maps (B, C, H, W) each, by the softmax of what was judged of them (B, their number).

    One by one: a stack of them would lie in memory in another order than they do.
    """
    weights = judged.softmax(1)[:, :, None, None, None].unbind(1)
    return [weight * each for weight, each in zip(weights, maps, strict=True)]


class _Diagonal(nn.Module):
    """Depthwise k x k convolution, (B, C, H, W) to the same, with kernels zero off a diagonal.

    Of its products only those on the diagonal count: `active_share` tells the cost counter.

    Args:
        channels: C.
        kernel: k.
        upwards: Whether the diagonal rises to the right rather than falls.
    """

    def __init__(self, channels: int, kernel: int, *, upwards: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, kernel))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.upwards = upwards
        self.active_share = 1 / kernel
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x."""
        channels, kernel = self.weight.shape
        diagonal = torch.eye(kernel, dtype=x.dtype, device=x.device)
        if self.upwards:
            diagonal = diagonal.flip(0)
        kernels = (self.weight[:, :, None] * diagonal)[:, None]  # (C, 1, k, k), row by row
        seen: Tensor = functional.conv2d(
            x, kernels, self.bias, padding=kernel // 2, groups=channels
        )
        return seen


def _view(name: str, kernel: int, channels: int) -> nn.Module:
    if name in {"d1", "d2"}:
        return _Diagonal(channels, kernel, upwards=name == "d2")
    shapes = {"h": (1, kernel), "v": (kernel, 1), "square": (_SQUARE, _SQUARE)}
    return conv(channels, channels, shapes[name], groups=channels, bias=True)
