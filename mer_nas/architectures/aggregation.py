"""The down that aggregates with oriented kernels of several lengths.

`maa` is the multi-grained asymmetric aggregation of *Fine-Grained Micro-Expression Recognition via
Dynamic Routing Experts in a Single-Stream Network* (Computer Engineering 2026, DOI
10.19678/j.issn.1000-3428.0260218). The abstract names its parts, orientation-aware convolution and
channel attention; their wiring here is our reading.

Shapes speak of B clips, C channels in, D channels out, H x W maps and K kernels.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import AfterValidator
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures.blocks import DOWNS, BuildContext, OneOf, non_empty
from mer_nas.architectures.downs import Halving
from mer_nas.architectures.kernels import KernelSet, check_kernels, largest
from mer_nas.architectures.layers import ChannelNorm, conv, linear
from mer_nas.architectures.recalibration import CoordinateAttention, SqueezeExcite, efficient


def _in_order(orientations: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(orientations)))


Orientations = Annotated[
    tuple[Literal["h", "v", "d1", "d2"], ...], AfterValidator(non_empty), AfterValidator(_in_order)
]

SQUARE = 3
"""Side of the kernel that stands beside the oriented ones, in positions."""

ATTENTIONS: Mapping[str, Callable[[int], nn.Module]] = {
    "se": SqueezeExcite,
    "eca": efficient,
    "coord": CoordinateAttention,
    "none": lambda _: nn.Identity(),
}
"""Attention over channels by the name that YAML gives it: from C to the module."""


@DOWNS.register
class MAA(Halving):
    """Multi-grained asymmetric aggregation: oriented kernels, weighed by the clip."""

    kind: Literal["maa"] = "maa"
    kernels: KernelSet = (3,)
    """Granularities: lengths of the oriented kernels, in positions."""
    orientations: Orientations = ("h", "v")
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
            Oriented(
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
        check_kernels((*self.kernels, SQUARE if self.square else 1), context)

    def repair(self, context: BuildContext) -> "MAA":
        """Shrink kernels that are too large, and keep each size once."""
        limit = largest(context.size)
        kernels = tuple(sorted({min(kernel, limit) for kernel in self.kernels}))
        square = self.square and limit >= SQUARE
        return self.model_copy(update={"kernels": kernels, "square": square})

    def canonical(self, context: BuildContext) -> "MAA":
        """A single granularity has nothing to be weighed against."""
        alone = len(self.kernels) == 1
        return self.model_copy(update={"grain_gate": "none"}) if alone else self


class Oriented(nn.Module):
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
        mean = x.mean((2, 3))
        grains = [self._mixed(grain, x, mean) for grain in self._grains()]
        if self.grain is None:
            return torch.cat(grains, dim=1)
        weights = self.grain(mean).softmax(1)[:, :, None, None, None]
        weighed: Tensor = weights * torch.stack(grains, dim=1)
        return weighed.flatten(1, 2)

    def _mixed(self, grain: nn.ModuleList, x: Tensor, mean: Tensor) -> Tensor:
        if self.orientation is None:
            alone: Tensor = grain[0](x)
            return alone
        weights = self.orientation(mean).softmax(1)[:, :, None, None, None]
        mixed: Tensor = (weights * torch.stack([view(x) for view in grain], dim=1)).sum(1)
        return mixed

    def _grains(self) -> list[nn.ModuleList]:
        return [grain for grain in self.grains if isinstance(grain, nn.ModuleList)]


class Diagonal(nn.Module):
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
        return Diagonal(channels, kernel, upwards=name == "d2")
    shapes = {"h": (1, kernel), "v": (kernel, 1), "square": (SQUARE, SQUARE)}
    return conv(channels, channels, shapes[name], groups=channels, bias=True)
