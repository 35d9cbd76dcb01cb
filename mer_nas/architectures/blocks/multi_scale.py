"""Multi-scale modules: one map seen through kernels of several sizes at once.

Source: Zhan et al. 2024 (DOI 10.3724/SP.J.1249.2024.06756), equations (5) and (6): every kernel
gives an equal share of the channels, and the shares are concatenated.
"""

from typing import ClassVar, Literal

from torch import nn

from mer_nas.architectures.blocks.base import (
    MULTI_SCALES,
    Block,
    BuildContext,
    KernelSet,
)
from mer_nas.architectures.layers.basic import Branches, conv


@MULTI_SCALES.register
class ParallelKernels(Block):
    """Parallel convolutions, concatenated, then BatchNorm and ReLU."""

    kind: Literal["parallel"] = "parallel"
    kernels: KernelSet = (3, 5, 7, 9)
    """Sizes of the kernels in pixels; a size may stand more than once."""

    depthwise: bool = False
    """Give a kernel its share of the channels by a 1 x 1 convolution, and keep the channels apart
    in the kernel itself."""
    place: Literal["before", "after"] = "before"
    """Before or after the pool of the stem, where it has one."""

    source: ClassVar[str] = "Zhan et al. 2024, DOI 10.3724/SP.J.1249.2024.06756, eq. (5), (6)"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the branches, BatchNorm and ReLU."""
        share = context.width // len(self.kernels)
        branches = Branches(self._branch(context.width, share, kernel) for kernel in self.kernels)
        return nn.Sequential(branches, nn.BatchNorm2d(context.width), nn.ReLU())

    def check(self, context: BuildContext) -> None:
        """Refuse widths that do not split evenly, and kernels that are too large."""
        if context.width % (branches := len(self.kernels)):
            raise context.refuse(
                f"a width of {context.width} does not split into {branches} equal branches",
                f"a width divisible by {branches}",
            )
        context.check_kernels(self.kernels)

    def repair(self, context: BuildContext) -> "ParallelKernels":
        """Shrink kernels that are too large."""
        return self.model_copy(update={"kernels": context.fitting_kernels(self.kernels)})

    def _branch(self, width: int, share: int, kernel: int) -> nn.Module:
        if not self.depthwise:
            return conv(width, share, kernel)
        return nn.Sequential(conv(width, share, 1), conv(share, share, kernel, groups=share))
