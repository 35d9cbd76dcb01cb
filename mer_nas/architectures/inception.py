"""Inception blocks: paths of several depths and shapes of kernel beside each other.

The three kinds are those of Inception v3, Szegedy et al. 2016 (arXiv:1512.00567), in the reduced
form in which we read them into the dual-branch network (arXiv:2602.23950). Every block gives each
of its four paths a quarter of the width; the 1 x 1 convolution that a deep path begins with gives
it at least 8 channels to start from.

Shapes speak of B clips, C channels in, D channels out, and H x W maps.
"""

from itertools import pairwise
from typing import ClassVar, Literal

from torch import nn

from mer_nas.architectures.blocks import LOCALS, Block, BuildContext
from mer_nas.architectures.layers import Beside, ConvNorm
from mer_nas.architectures.local_blocks import ResBasic, Stack

Kernel = int | tuple[int, int]


class Inception(Stack):
    """Four paths beside each other, (B, C, H, W) to (B, D, H, W)."""

    source: ClassVar[str] = "our reading of Zhang et al. 2026, arXiv:2602.23950"
    skips: ClassVar[bool] = False

    def layer(self, inputs: int, outputs: int, stride: int, drop_path: float) -> nn.Module:
        """Return one block; it has no shortcut to skip it by, and no stride."""
        quarter = outputs // 4
        return Beside(
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
class IncA(Inception):
    """Inception blocks A: beside 1 x 1 and mean, a 5 x 5 path and one of two 3 x 3."""

    kind: Literal["inc_a"] = "inc_a"

    def paths(self, inputs: int, inner: int, outputs: int) -> list[nn.Module]:
        """Return the paths with kernels of 5, and of 3 twice."""
        return [
            _chain([inputs, inner, outputs], 1, 5),
            _chain([inputs, inner, outputs, outputs], 1, 3, 3),
        ]


@LOCALS.register
class IncB(Inception):
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
class IncC(Inception):
    """Inception blocks C: beside 1 x 1 and mean, paths that part into a row and a column."""

    kind: Literal["inc_c"] = "inc_c"

    def paths(self, inputs: int, inner: int, outputs: int) -> list[nn.Module]:
        """Return the paths that part at once, and after a 3 x 3."""
        return [
            nn.Sequential(_chain([inputs, inner], 1), _parting(inner, outputs)),
            nn.Sequential(_chain([inputs, inner, outputs], 1, 3), _parting(outputs, outputs)),
        ]


def _chain(widths: list[int], *kernels: Kernel) -> nn.Sequential:
    pairs = zip(pairwise(widths), kernels, strict=True)
    return nn.Sequential(*(ConvNorm(inputs, outputs, k) for (inputs, outputs), k in pairs))


def _parting(inputs: int, outputs: int) -> Beside:
    return Beside([ConvNorm(inputs, outputs // 2, (1, 3)), ConvNorm(inputs, outputs // 2, (3, 1))])
