"""The down that aggregates with oriented kernels of several lengths.

`maa` is the multi-grained asymmetric aggregation of *Fine-Grained Micro-Expression Recognition via
Dynamic Routing Experts in a Single-Stream Network* (Computer Engineering 2026, DOI
10.19678/j.issn.1000-3428.0260218). The abstract names its parts, orientation-aware convolution and
channel attention; their wiring here is our reading.

Shapes speak of B clips, C channels in, D channels out, H x W maps and K kernels.
"""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import AfterValidator
from torch import Tensor, nn

from mer_nas.architectures.blocks import DOWNS, Site, some
from mer_nas.architectures.downs import Halving
from mer_nas.architectures.kernels import KernelSet, check_kernels, fitting
from mer_nas.architectures.layers import ChannelNorm, conv, linear
from mer_nas.architectures.recalibration import SqueezeExcite


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
    """Add a 3 x 3 kernel beside the oriented ones of every length."""
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


def _shapes(kernel: int, orientations: tuple[str, ...], square: bool) -> list[tuple[int, int]]:
    oriented = {"h": (1, kernel), "v": (kernel, 1)}
    return [oriented[name] for name in orientations] + [(3, 3)] * square
