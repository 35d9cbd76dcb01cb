"""The small layers that several families of blocks share, initialised.

Shapes speak of B clips, C channels, H x W maps, and N tokens of a clip or window.

Convolutions start from He's normal distribution, linear maps from a normal one with a standard
deviation of 0.02, as vision transformers do.

Two short formulas are those of timm (github.com/huggingface/pytorch-image-models), to the last
bit: importing it would take every process longer than its first fold.
"""

import math
from collections.abc import Iterable
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from mer_nas.architectures.blocks.base import Size


def init_(parameter: Tensor) -> None:
    """Fill a matrix or table with small numbers, as `timm.layers.trunc_normal_` does."""
    # Counting builds networks without numbers, and the draw is slow to pretend.
    if not parameter.is_meta:
        with torch.no_grad():
            # The inverse of the normal distribution; cut at 100 standard deviations.
            parameter.uniform_(-1, 1).erfinv_().mul_(0.02 * math.sqrt(2)).clamp_(-2, 2)


def linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """Return a linear map."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    init_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def conv(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    *,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """Return a convolution whose map shrinks by its stride only."""
    high, wide = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    layer = nn.Conv2d(
        inputs, outputs, (high, wide), stride, (high // 2, wide // 2), groups=groups, bias=bias
    )
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


Start = Literal["usual", "torch", "glorot"]
"""How the weights of a layer begin: as they do elsewhere here, as torch has them, as Keras has."""

L = TypeVar("L", nn.Conv2d, nn.Linear)


def started(layer: L, start: Start) -> L:
    """Return a layer, fresh from torch, with weights that begin so."""
    if start == "torch":
        return layer
    if start == "glorot":
        nn.init.xavier_uniform_(layer.weight)
    elif isinstance(layer, nn.Linear):
        init_(layer.weight)
    else:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def stochastic_depth(rate: float) -> nn.Module:
    """Return what drops a branch for a clip at this rate in training (arXiv:1603.09382)."""
    return DropPath(rate) if rate else nn.Identity()


class DropPath(nn.Module):
    """Multiplies a branch by 0 for some clips in training, and by what evens it out for others.

    Args:
        rate: Share of the clips that lose the branch, in (0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.drop_prob = rate

    def forward(self, x: Tensor) -> Tensor:
        """Drop x (B, ...) for each clip by itself, as `timm.layers.DropPath` does."""
        if not self.training:
            return x
        factors = x.new_empty(x.shape[:1] + (1,) * (x.ndim - 1))
        kept = 1 - self.drop_prob
        return x * factors.bernoulli_(kept).div_(kept)


class ConvNorm(nn.Sequential):
    """Convolution, BatchNorm and, where asked, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        *,
        active: bool = True,
    ) -> None:
        layers: list[nn.Module] = [
            conv(inputs, outputs, kernel, stride=stride),
            nn.BatchNorm2d(outputs),
        ]
        super().__init__(*layers, *([nn.ReLU()] if active else []))


class Branches(nn.Module):
    """Modules side by side, from one map to one map: their channels are concatenated."""

    def __init__(self, branches: Iterable[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Take x (B, C, H, W) through every branch."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of every position: (B, C, H, W) to (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def even_windows(size: Size, wanted: Size) -> tuple[Size, Size]:
    """Return kernel and stride of a pool from a map of a size to a smaller one.

    Windows are alike and evenly spaced, and overlap where `wanted` is no divisor: unlike those of
    adaptive pooling, which ONNX does not have.
    """
    (height, width), (rows, columns) = size, wanted
    stride = height // rows, width // columns
    return (height - (rows - 1) * stride[0], width - (columns - 1) * stride[1]), stride


def mean_over_map(x: Tensor) -> Tensor:
    """Return the mean of maps x (B, C, H, W) over their positions, (B, C).

    Its gradient lies in memory as the maps do. Where the channels of a position lie side by side,
    that of a plain mean would not, and a CPU takes up to eight times as long for what comes then.
    """
    if x.stride(1) == 1:
        return x.permute(0, 2, 3, 1).mean((1, 2))
    return x.mean((2, 3))


class MeanOverMap(nn.Module):
    """(B, C, H, W) to (B, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Average over positions."""
        return mean_over_map(x)


class Position(nn.Module):
    """A learned table (C or 1, h, w) added to a map, tiled over its windows x windows parts."""

    def __init__(self, channels: int, height: int, width: int, windows: int = 1) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.empty(channels, height, width))
        self.windows = windows
        init_(self.position)

    def forward(self, x: Tensor) -> Tensor:
        """Add the table to x (B, C, H, W)."""
        tiled = self.position.repeat(1, self.windows, self.windows)
        return x + tiled[:, : x.shape[2], : x.shape[3]]
