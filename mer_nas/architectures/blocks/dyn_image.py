"""Decoders: from the map of a temporal pool (B, C, H, W) to the clip's dynamic image (B, H, W).

Building the dynamic image is the second task of *Fine-grained dynamic perception* (Shao et al.
2025, arXiv:2509.06015). Its decoder is SegNet (Badrinarayanan et al. 2017, arXiv:1511.00561):
maxima are pooled with their places, to which the mirrored stage puts them back.
"""

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures.blocks.base import DYN_IMAGES, Block, BuildContext, Identity, Size
from mer_nas.architectures.blocks.temporal import Conv3D
from mer_nas.architectures.layers.basic import conv

_Level = tuple[int, int]
"""Width of a resolution and number of convolutions, on the way down and on the way up."""


class _Decoder(Block):
    """What decoders of dynamic images have: a weight for the squared error of their pixels."""

    weight: NonNegativeFloat = 1.0
    """Weight of the loss, beside 1 for the class loss."""

    levels: ClassVar[tuple[_Level, ...]]
    """From the finest resolution to the coarsest."""

    def build(self, context: BuildContext) -> nn.Module:
        """Return the decoder."""
        return _SegNet(context.channels, self.levels)

    def check(self, context: BuildContext) -> None:
        """Refuse a map that has nothing left to halve, and a grid of rank features that is odd."""
        if not self._fits(context):
            least, whole = 2 ** len(self.levels), isinstance(context.pools[context.path], Conv3D)
            found = (
                f"a map of {context.size[0]} x {context.size[1]} for {len(self.levels)} halvings"
            )
            right = f"a grid divisible by {least}" if whole else f"sides of {least} or more"
            raise context.refuse(found, f"{right}, or a smaller decoder")

    def repair(self, context: BuildContext) -> Block:
        """Take the small decoder, or none."""
        choices = (self, SmallDecoder(weight=self.weight))
        return next((decoder for decoder in choices if decoder._fits(context)), Identity())

    def _fits(self, context: BuildContext) -> bool:
        least: int = 2 ** len(self.levels)
        if isinstance(context.pools[context.path], Conv3D):
            return context.size[0] % least == 0 and context.size[1] % least == 0
        return min(context.size) >= least


@DYN_IMAGES.register
class FullDecoder(_Decoder):
    """SegNet: five resolutions of 64 to 512 channels."""

    kind: Literal["segnet"] = "segnet"

    source: ClassVar[str] = "SegNet: arXiv:1511.00561, as in github.com/CYF-cuber/FDP"
    levels: ClassVar[tuple[_Level, ...]] = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


@DYN_IMAGES.register
class SmallDecoder(_Decoder):
    """The three finest resolutions of SegNet at a quarter of its widths."""

    kind: Literal["small"] = "small"

    source: ClassVar[str] = "SegNet: arXiv:1511.00561, narrower"
    levels: ClassVar[tuple[_Level, ...]] = ((16, 2), (32, 2), (64, 3))


class _SegNet(nn.Module):
    """(B, C, H, W) to (B, H, W), numbers between 0 and 1.

    Args:
        channels: C.
        levels: What stands at each resolution, the first of which is H x W.
    """

    def __init__(self, channels: int, levels: tuple[_Level, ...]) -> None:
        super().__init__()
        widths = [channels, *(width for width, _ in levels)]
        self.down = nn.ModuleList(
            _convolutions(before, [width] * count)
            for before, (width, count) in zip(widths, levels, strict=False)
        )
        self.up = nn.ModuleList(
            _convolutions(width, [width] * (count - 1) + [above])
            for (above, _), (width, count) in reversed(list(pairwise(levels)))
        )
        width, count = levels[0]
        self.last = nn.Sequential(
            _convolutions(width, [width] * (count - 1)), conv(width, 1, 3, bias=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Decode x."""
        pooled: list[tuple[Tensor, Size]] = []
        for stage in self.down:
            x = stage(x)
            size = x.shape[2], x.shape[3]
            x, places = functional.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
            pooled.append((places, size))
        for stage in (*self.up, self.last):
            x = stage(self.unpool(x, *pooled.pop()))
        return x.squeeze(1).sigmoid()

    @staticmethod
    def unpool(x: Tensor, places: Tensor, size: Size) -> Tensor:
        """Return 2 x 2 maxima (B, C, H, W) at their places in a map of `size`, among zeros.

        Args:
            x: The maxima.
            places: Index of each in its flattened channel, as max_pool2d gives it.
            size: Height and width before the maxima were taken.
        """
        grid = torch.arange(size[0] * size[1], device=x.device).view(size)
        zero = torch.zeros((), dtype=x.dtype, device=x.device)
        return torch.where(_doubled(places, size) == grid, _doubled(x, size), zero)


def _doubled(x: Tensor, size: Size) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., : size[0], : size[1]]


def _convolutions(inputs: int, outputs: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *outputs]):
        layers += [conv(before, after, 3, bias=True), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)
