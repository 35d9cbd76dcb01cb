"""Recalibration: which channels, and which positions, of a map count.

Every module maps (B, C, H, W) to the same shape and multiplies by numbers between 0 and 1.

Sources: squeeze and excitation, Hu et al. 2018 (arXiv:1709.01507); the convolutional block
attention module (CBAM), Woo et al. 2018 (arXiv:1807.06521). timm has neither in this form: its
squeeze rounds the hidden width to eights, its CBAM ends in a BatchNorm. The efficient channel
attention of Wang et al. 2020 (arXiv:1910.03151) it has.
"""

import torch
from torch import Tensor, nn

from mer_nas.architectures.layers import conv, linear


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


def efficient(channels: int) -> nn.Module:
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


class ChannelAttention(nn.Module):
    """(B, C, H, W) to the weights (B, C, 1, 1) of its channels: CBAM's channel attention."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(4, channels // reduction)
        self.judge = nn.Sequential(
            linear(channels, hidden, bias=False), nn.ReLU(), linear(hidden, channels, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Judge the mean and the maximum of every channel by one network, and add."""
        judged: Tensor = self.judge(x.mean((2, 3))) + self.judge(x.amax((2, 3)))
        return judged.sigmoid()[:, :, None, None]


class SpatialAttention(nn.Module):
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
        self.channels = ChannelAttention(channels)
        self.positions = SpatialAttention()
        self.parallel = parallel

    def forward(self, x: Tensor) -> Tensor:
        """Weigh x."""
        weighed: Tensor = x * self.channels(x)
        both: Tensor = (
            weighed + x * self.positions(x) if self.parallel else weighed * self.positions(weighed)
        )
        return both
