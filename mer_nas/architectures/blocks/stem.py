"""Stems: from the input (B, C, H, W) to the first map of a path.

`patch` cuts the input into squares and maps each linearly, as vision transformers do (HTNet's
stem, Wang et al. 2024); `conv` keeps local filters and may hold a multi-scale module (Zhan et al.
2024, DOI 10.3724/SP.J.1249.2024.06756); `conv4` is deep (Shao et al. 2025, arXiv:2509.06015).
"""

from dataclasses import replace
from math import lcm
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval, MultipleOf
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mer_nas.architectures.blocks.base import (
    MULTI_SCALES,
    STEMS,
    Block,
    BuildContext,
    Identity,
    OddKernel,
    Shape,
    Slot,
    Stem,
    shrink,
)
from mer_nas.architectures.blocks.multi_scale import ParallelKernels
from mer_nas.architectures.layers.basic import ConvNorm, Position, linear
from mer_nas.architectures.user_blocks import ask_block


@STEMS.register
class NoStem(Stem):
    """None: the first stage reads the input itself."""

    kind: Literal["none"] = "none"
    width: Annotated[Literal[0], Field(exclude=True)] = 0
    """None of its own: the channels of the input go on."""

    def build(self, context: BuildContext) -> nn.Module:
        """Return the identity."""
        return nn.Identity()


@STEMS.register
class ConvStem(Stem):
    """A convolution, BatchNorm, ReLU; then, where asked, a multi-scale module and a pool."""

    kind: Literal["conv"] = "conv"
    kernel: OddKernel = 3
    """Height and width of the convolution, in pixels."""
    stride: Annotated[int, Interval(ge=1, le=2)] = 1
    """Subsampling of the convolution."""
    width: PositiveInt = 32
    """Channels of the map that leaves the stem."""
    multi_scale: Annotated[Block, Slot(MULTI_SCALES)] = Field(default_factory=Identity)
    """What follows the convolution."""
    pool: bool = False
    """Halve the map at the end with a 3 x 3 maximum."""

    source: ClassVar[str] = "Zhan et al. 2024, DOI 10.3724/SP.J.1249.2024.06756, eq. (1)"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the stem."""
        enter = ConvNorm(context.channels, self.width, self.kernel, self.stride)
        scales = ask_block(self.multi_scale, self._inside(context), "build")
        pool = nn.MaxPool2d(3, 2, 1) if self.pool else nn.Identity()
        return nn.Sequential(enter, *((pool, scales) if self._pool_first else (scales, pool)))

    def shape(self, context: BuildContext) -> Shape:
        """Return the shape after all three parts."""
        size = shrink(context.size, self.stride)
        return Shape(self.width, shrink(size, 2) if self.pool else size)

    def check(self, context: BuildContext) -> None:
        """Pass on what the multi-scale module says."""
        ask_block(self.multi_scale, self._inside(context), "check")

    def repair(self, context: BuildContext) -> "ConvStem":
        """Round the width to whole branches, and let the multi-scale module repair itself."""
        kernels: tuple[int, ...] = getattr(self.multi_scale, "kernels", ())
        if kernels and self.width % len(kernels):
            # In eights too, as the widths of all stages are.
            step = lcm(8, len(kernels))
            width = max(step, step * round(self.width / step))
            return self.model_copy(update={"width": width}).repair(context)
        scales = ask_block(self.multi_scale, self._inside(context), "repair")
        return self.model_copy(update={"multi_scale": scales})

    def canonical(self, context: BuildContext) -> "ConvStem":
        """Without a pool, the multi-scale module stands before none."""
        scales = ask_block(self.multi_scale, self._inside(context), "canonical")
        if self._pool_first and not self.pool:
            scales = scales.model_copy(update={"place": "before"})
        return self.model_copy(update={"multi_scale": scales})

    @property
    def _pool_first(self) -> bool:
        return isinstance(self.multi_scale, ParallelKernels) and self.multi_scale.place == "after"

    def _inside(self, context: BuildContext) -> BuildContext:
        stride = 2 * self.stride if self.pool and self._pool_first else self.stride
        return replace(
            context,
            place=f"{context.place}.multi_scale",
            channels=self.width,
            width=self.width,
            size=shrink(context.size, stride),
        )


@STEMS.register
class Conv4Stem(Stem):
    """Four 3 x 3 convolutions with BatchNorm and ReLU, to a quarter of the input's side."""

    kind: Literal["conv4"] = "conv4"
    width: Annotated[PositiveInt, MultipleOf(2)] = 16
    """Channels of the map that leaves the stem, and of the other convolutions; of the second,
    half as many."""

    source: ClassVar[str] = "FDP: Shao et al. 2025, arXiv:2509.06015 (github.com/CYF-cuber/FDP)"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the stem; its first and its last convolution are strided."""
        return nn.Sequential(
            ConvNorm(context.channels, self.width, 3, stride=2),
            ConvNorm(self.width, self.width // 2, 3),
            ConvNorm(self.width // 2, self.width, 3),
            ConvNorm(self.width, self.width, 3, stride=2),
        )

    def shape(self, context: BuildContext) -> Shape:
        """Return a quarter of the map's side, rounded up."""
        return Shape(self.width, shrink(context.size, 4))


@STEMS.register
class PatchStem(Stem):
    """Squares of patch x patch pixels, each mapped linearly to one position."""

    kind: Literal["patch"] = "patch"
    patch: PositiveInt = 4
    """Side of a square in pixels; it divides the size of the input."""
    width: PositiveInt = 48
    """Channels of the map that leaves the stem."""
    position: Literal["full", "scalar", "none"] = "full"
    """full: a learned table, added once; scalar: one learned number for each place in a window
    (the path is a pyramid of 1, 4, 16 ... windows, the last stage being one), added to all
    channels before the global blocks of every stage."""

    source: ClassVar[str] = "HTNet: Wang et al. 2024 (github.com/wangzhifengharrison/HTNet)"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the stem."""
        stem = _PatchEmbedding(context.channels, self.patch, self.width)
        if self.position != "full":
            return stem
        return nn.Sequential(stem, Position(self.width, *self.shape(context).size))

    def shape(self, context: BuildContext) -> Shape:
        """Return one position a square."""
        height, width = context.size
        return Shape(self.width, (height // self.patch, width // self.patch))

    def level(self, context: BuildContext) -> nn.Module | None:
        """Return the scalars of the stage, or nothing."""
        if self.position != "scalar":
            return None
        n = context.windows
        return Position(1, *shrink(context.size, n), windows=n)

    def check(self, context: BuildContext) -> None:
        """Refuse squares that do not tile the input."""
        if context.size[0] % self.patch or context.size[1] % self.patch:
            found = f"a patch of {self.patch} does not divide the input size {context.size[0]}"
            raise context.refuse(found, _known(self._patches(context)))

    def repair(self, context: BuildContext) -> "PatchStem":
        """Take the nearest patch that divides the input."""
        nearest = min(self._patches(context), key=lambda patch: abs(patch - self.patch))
        return self.model_copy(update={"patch": nearest})

    def canonical(self, context: BuildContext) -> "PatchStem":
        """Scalars stand before global blocks only."""
        if self.position == "scalar" and not any(s.global_.depth for s in context.stages):
            return self.model_copy(update={"position": "none"})
        return self

    def _patches(self, context: BuildContext) -> list[int]:
        return [patch for patch in range(1, context.size[0] + 1) if context.size[0] % patch == 0]


class _PatchEmbedding(nn.Module):
    """Maps (B, C, H, W) to (B, D, H / p, W / p), one linear map for all squares.

    The numbers of a square are read in the order row, column, channel.
    """

    def __init__(self, channels: int, patch: int, width: int) -> None:
        super().__init__()
        self.patch = patch
        self.project = linear(patch * patch * channels, width)

    def forward(self, x: Tensor) -> Tensor:
        """Cut and map x."""
        _, channels, height, width = x.shape
        p = self.patch
        squares = x.reshape(-1, channels, height // p, p, width // p, p).permute(0, 2, 4, 3, 5, 1)
        projected: Tensor = self.project(squares.flatten(3))
        return projected.permute(0, 3, 1, 2)


def _known(values: list[int]) -> str:
    return " or ".join([", ".join(map(str, values[:-1])), str(values[-1])]).removeprefix(" or ")
