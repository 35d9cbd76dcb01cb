"""Multi-scale modules: one map seen through kernels of several sizes at once.

Source: Zhan et al. 2024 (DOI 10.3724/SP.J.1249.2024.06756), equations (5) and (6): every kernel
gives an equal share of the channels, and the shares are concatenated.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures.blocks import MULTI_SCALES, Block, Idle, Site
from mer_nas.architectures.kernels import KernelSet, check_kernels, fitting
from mer_nas.architectures.layers import conv


@MULTI_SCALES.register
class NoMultiScale(Idle):
    """No multi-scale module."""

    kind: Literal["none"] = "none"


@MULTI_SCALES.register
class Parallel(Block):
    """Parallel convolutions, concatenated, then BatchNorm and ReLU."""

    kind: Literal["parallel"] = "parallel"
    kernels: KernelSet = (3, 5, 7, 9)
    """Sizes of the kernels in pixels; a size may stand more than once."""

    source: ClassVar[str] = "Zhan et al. 2024, DOI 10.3724/SP.J.1249.2024.06756, eq. (5), (6)"

    def build(self, site: Site) -> nn.Module:
        """Return the branches."""
        return Branches(site.width, self.kernels)

    def check(self, site: Site) -> None:
        """Refuse widths that do not split evenly, and kernels that are too large."""
        if site.width % (branches := len(self.kernels)):
            raise site.refuse(
                f"a width of {site.width} does not split into {branches} equal branches",
                f"a width divisible by {branches}",
            )
        check_kernels(self.kernels, site)

    def repair(self, site: Site) -> "Parallel":
        """Shrink kernels that are too large."""
        return self.model_copy(update={"kernels": fitting(self.kernels, site)})


class Branches(nn.Module):
    """(B, C, H, W) to the same shape, C / n channels for each of n kernels."""

    def __init__(self, width: int, kernels: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(conv(width, width // len(kernels), k) for k in kernels)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """See x at every scale."""
        seen = torch.cat([branch(x) for branch in self.branches], dim=1)
        return functional.relu(self.norm(seen))
