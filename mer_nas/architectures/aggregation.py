"""Downs: how a stage comes to its resolution and width.

`maa` is the multi-grained asymmetric aggregation of *Fine-Grained Micro-Expression Recognition via
Dynamic Routing Experts in a Single-Stream Network* (Computer Engineering 2026, DOI
10.19678/j.issn.1000-3428.0260218). The abstract names its parts, orientation-aware convolution and
channel attention; their wiring here is our reading. `conv_maxpool` is HTNet's aggregation.

Shapes speak of B clips, C channels in, D channels out, H x W maps and K kernels.
"""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import AfterValidator
from torch import Tensor, nn

from mer_nas.architectures.blocks import DOWNS, Block, Idle, Shape, Site, shrink, some
from mer_nas.architectures.kernels import KernelSet, check_kernels, fitting
from mer_nas.architectures.layers import ChannelNorm, conv, linear


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


def _in_order(orientations: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(orientations)))


Orientations = Annotated[
    tuple[Literal["h", "v"], ...], AfterValidator(some), AfterValidator(_in_order)
]


@DOWNS.register
class MAA(Halving):
    """Multi-grained asymmetric aggregation: 1 x k and k x 1 kernels, weighed by the clip."""

    kind: Literal["maa"] = "maa"
    kernels: KernelSet = (3,)
    """Granularities: lengths of the oriented kernels, in positions."""
    orientations: Orientations = ("h", "v")
    """h: 1 x k, v: k x 1."""
    square: bool = False
    """Add a k x k kernel that is always 3 x 3 beside the oriented ones."""
    attention: Literal["se", "none"] = "se"
    """Channel attention: squeeze and excitation, reduction 8."""

    source: ClassVar[str] = "our reading of DOI 10.19678/j.issn.1000-3428.0260218"

    def build(self, site: Site) -> nn.Module:
        """Return the aggregation."""
        return nn.Sequential(
            Oriented(site.channels, self.kernels, self.orientations, self.square),
            conv(len(self.kernels) * site.channels, site.width, 1, bias=True),
            ChannelNorm(site.width),
            nn.GELU(),
            SqueezeExcite(site.width) if self.attention == "se" else nn.Identity(),
            nn.MaxPool2d(3, 2, 1),
        )

    def check(self, site: Site) -> None:
        """Refuse kernels that are too large."""
        check_kernels(self.kernels, site)

    def repair(self, site: Site) -> "MAA":
        """Shrink kernels that are too large, and keep each size once."""
        kernels = tuple(sorted(set(fitting(self.kernels, site))))
        return self.model_copy(update={"kernels": kernels})


class Oriented(nn.Module):
    """(B, C, H, W) to (B, K C, H, W): per kernel, a clip's own mixture of the orientations."""

    def __init__(
        self, channels: int, kernels: tuple[int, ...], orientations: tuple[str, ...], square: bool
    ) -> None:
        super().__init__()
        self.grains = nn.ModuleList(
            nn.ModuleList(
                conv(channels, channels, shape, groups=channels, bias=True)
                for shape in _shapes(kernel, orientations, square)
            )
            for kernel in kernels
        )
        count = len(orientations) + square
        # The softmax over a single orientation is 1 whatever the layer says.
        self.orientation = linear(channels, count) if count > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """Mix the orientations of every grain with the weights of the clip."""
        if self.orientation is None:
            return torch.cat([grain[0](x) for grain in self._grains()], dim=1)
        weights = self.orientation(x.mean((2, 3))).softmax(1)[:, :, None, None, None]
        return torch.cat(
            [
                (weights * torch.stack([view(x) for view in grain], dim=1)).sum(1)
                for grain in self._grains()
            ],
            dim=1,
        )

    def _grains(self) -> list[nn.ModuleList]:
        return [grain for grain in self.grains if isinstance(grain, nn.ModuleList)]


class SqueezeExcite(nn.Module):
    """Scales every channel by what the means of all channels say."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(4, channels // reduction)
        self.scale = nn.Sequential(
            linear(channels, hidden), nn.ReLU(), linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scale x (B, C, H, W)."""
        scaled: Tensor = x * self.scale(x.mean((2, 3)))[:, :, None, None]
        return scaled


def _shapes(kernel: int, orientations: tuple[str, ...], square: bool) -> list[tuple[int, int]]:
    oriented = {"h": (1, kernel), "v": (kernel, 1)}
    return [oriented[name] for name in orientations] + [(3, 3)] * square
