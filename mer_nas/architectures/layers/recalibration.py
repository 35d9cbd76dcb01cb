"""Recalibration: which channels, and which positions, of a map count.

Every module maps (B, C, H, W) to the same shape and multiplies by numbers between 0 and 1.

Sources: squeeze and excitation, Hu et al. 2018 (arXiv:1709.01507); the convolutional block
attention module (CBAM), Woo et al. 2018 (arXiv:1807.06521). timm has neither in this form: its
squeeze rounds the hidden width to eights, its CBAM ends in a BatchNorm. The efficient channel
attention of Wang et al. 2020 (arXiv:1910.03151) it has.

Progressive attention is that of Zhan et al. 2024 (DOI 10.3724/SP.J.1249.2024.06756), equations
(9) and (10): a spatial map from the maximum and the mean over channels, multiplied from the second
gate on with the map of the gate before it, which is max-pooled to the resolution of the new one.

    A_1 = sigmoid(f([max_c x; mean_c x]))
    A_i = sigmoid(f([max_c x; mean_c x])) * Pmax(A_{i-1})
    y   = A_i * x
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures.blocks.base import Size, shrink
from mer_nas.architectures.layers.basic import conv, even_windows, linear, mean_over_map
from mer_nas.architectures.state import State, Stateful


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
        scaled: Tensor = x * self.scale(mean_over_map(x))[:, :, None, None]
        return scaled


def efficient_channel_attention(channels: int) -> nn.Module:
    """Return efficient channel attention: a channel listens to its neighbours."""
    from timm.layers.eca import EcaModule

    return EcaModule(channels)


class CoordinateAttention(nn.Module):
    """Scales every channel, row by row and column by column.

    Hou et al. 2021 (arXiv:2103.02907), without the BatchNorm between its layers.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(8, channels // reduction)
        self.squeeze = conv(channels, hidden, 1, bias=True)
        self.active = nn.Hardswish()
        self.rows = conv(hidden, channels, 1, bias=True)
        self.columns = conv(hidden, channels, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Scale x (B, C, H, W)."""
        rows = self.active(self.squeeze(x.mean(3, keepdim=True)))  # (B, hidden, H, 1)
        columns = self.active(self.squeeze(x.mean(2, keepdim=True)))  # (B, hidden, 1, W)
        scaled: Tensor = x * self.rows(rows).sigmoid() * self.columns(columns).sigmoid()
        return scaled


class _ChannelAttention(nn.Module):
    """(B, C, H, W) to the weights (B, C, 1, 1) of its channels: CBAM's channel attention."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(4, channels // reduction)
        self.judge = nn.Sequential(
            linear(channels, hidden, bias=False), nn.ReLU(), linear(hidden, channels, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Judge the mean and the maximum of every channel by one network, and add."""
        judged: Tensor = self.judge(mean_over_map(x)) + self.judge(x.amax((2, 3)))
        return judged.sigmoid()[:, :, None, None]


class _SpatialAttention(nn.Module):
    """(B, C, H, W) to the weights (B, 1, H, W) of its positions: CBAM's spatial attention."""

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        self.look = conv(2, 1, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Look at the maximum and the mean over channels."""
        seen = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)
        looked: Tensor = self.look(seen)
        return looked.sigmoid()


class CBAM(nn.Module):
    """Weighs channels and positions, (B, C, H, W) to the same.

    Args:
        channels: C.
        parallel: Weigh the channels and the positions of one input, and add the two, as against
            the positions of what the weighing of channels leaves.
    """

    def __init__(self, channels: int, *, parallel: bool = False) -> None:
        super().__init__()
        self.channels = _ChannelAttention(channels)
        self.positions = _SpatialAttention()
        self.parallel = parallel

    def forward(self, x: Tensor) -> Tensor:
        """Weigh x."""
        weighed: Tensor = x * self.channels(x)
        both: Tensor = (
            weighed + x * self.positions(x) if self.parallel else weighed * self.positions(weighed)
        )
        return both


Carry = Literal["mul", "geo", "mean", "max", "learned", "none"]


class ProgressiveAttention(Stateful):
    """(B, C, H, W) to the same, leaving its map (B, 1, H, W) in the state."""

    def __init__(self, carry: Carry, kernel: int, residual: bool, bias: float = 2.0) -> None:
        super().__init__()
        self.carry = carry
        self.residual = residual
        self.look = nn.Conv2d(2, 1, kernel, padding=kernel // 2)
        assert self.look.bias is not None
        nn.init.constant_(self.look.bias, bias)
        self.balance = nn.Parameter(torch.zeros(())) if carry == "learned" else None

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Let x through where this gate, and the ones before, look."""
        seen = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)
        attention = self.look(seen).sigmoid()
        if state.attention is not None and self.carry != "none":
            earlier = max_pool_to(state.attention, (x.shape[2], x.shape[3]))
            attention = self._carried(attention, earlier)
        passed = x * (1 + attention) if self.residual else x * attention
        return passed, state._replace(attention=attention)

    def _carried(self, new: Tensor, earlier: Tensor) -> Tensor:
        match self.carry:
            case "mul":
                return new * earlier
            case "geo":
                # The root has no slope at zero, where long products end up in float32.
                return (new * earlier).clamp_min(1e-12).sqrt()
            case "mean":
                return (new + earlier) / 2
            case "max":
                return torch.maximum(new, earlier)
            case "learned" if self.balance is not None:
                weight = self.balance.sigmoid()
                return weight * new + (1 - weight) * new * earlier
        return new


def max_pool_to(attention: Tensor, size: Size) -> Tensor:
    """Return a map (B, 1, H, W) brought to the `size` that its path has by now.

    It is max-pooled by halves, those of odd sides rounded up, except where only rounding down
    meets `size`; over even windows where halves do not; and repeated where the path has grown.
    """
    given = attention.shape[2], attention.shape[3]
    up = any(shrink(given, 2**n)[0] == size[0] for n in range(given[0].bit_length() + 1))
    pooled = attention
    while pooled.shape[2] > size[0]:
        pooled = functional.max_pool2d(pooled, 2, 2, ceil_mode=up)
    if pooled.shape[2:] == size:
        return pooled
    if given[0] < size[0] or given[1] < size[1]:
        return functional.interpolate(attention, size)
    return functional.max_pool2d(attention, *even_windows(given, size))
