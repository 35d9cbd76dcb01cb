"""Networks of the field that are no sentences of the grammar, used whole.

RCN-A (Xia et al. 2020, arXiv:2006.09674; public code at
github.com/xiazhaoqiang/ParameterFreeRCNs-MicroExpressionRec) looks where the weights of its own
classifier do; MMNet (Li et al. 2022, arXiv:2201.05297;
github.com/muse1998/MMNet) adds where the face is, from the onset, to what moves.

Shapes speak of B clips, C channels, H x W maps and K classes.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures.blocks.network import network
from mer_nas.architectures.blocks.plain import Recurrence
from mer_nas.architectures.layers.basic import DropPath, init_, linear
from mer_nas.inputs import KEYFRAMES_RGB


@network("rcn_a", source="RCN-A: arXiv:2006.09674")
class RCNA(nn.Module):
    """A convolution, recurrent ones, and a map of where the classifier's weights look."""

    def __init__(
        self,
        channels: int,
        classes: int,
        width: int = 64,
        layers: int = 1,
        grid: int = 7,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.grid = grid
        drop = nn.Dropout(dropout)
        self.enter = nn.Sequential(
            nn.Conv2d(channels, width, 5), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2), drop
        )
        recurrences = [Recurrence(width, 2, "torch") for _ in range(layers)]
        self.again = nn.Sequential(
            *(nn.Sequential(each, nn.MaxPool2d(2), nn.Dropout(dropout)) for each in recurrences)
        )
        self.classify = nn.Linear(grid * grid * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.classify.weight, 0, 0.01)
        nn.init.zeros_(self.classify.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, K) of images (B, C, H, W)."""
        x = self.enter(x)
        looked = self._looked(averaged(x, self.grid))
        x = averaged(self.again(x), self.grid) * looked
        logits: Tensor = self.classify(x.flatten(1))
        return logits

    def _looked(self, x: Tensor) -> Tensor:
        """Return the mean over classes of where each one's weights find something, from 0 to 1."""
        weights = self.classify.weight.view(self.classes, *x.shape[1:])
        found = (x[:, None] * weights).mean(2)  # (B, K, G, G)
        found = found - found.amin((2, 3), keepdim=True)
        return (found / found.amax((2, 3), keepdim=True).clamp_min(1e-12)).mean(1, keepdim=True)


def averaged(x: Tensor, grid: int) -> Tensor:
    """Return maps (B, C, H, W) averaged to a grid, as torch's adaptive pooling does.

    As two products, because ONNX has no adaptive pooling to a grid that divides no side.
    """
    rows, columns = (_windows(side, grid, x) for side in x.shape[2:])
    return rows @ x @ columns.T


def _windows(side: int, grid: int, like: Tensor) -> Tensor:
    """Return (grid, side): the share of each old position in every new one."""
    place, window = torch.arange(side), torch.arange(grid)[:, None]
    first, last = window * side // grid, -(-(window + 1) * side // grid)
    inside = ((place >= first) & (place < last)).to(like)
    return (inside / inside.sum(1, keepdim=True)).to(like.device)


@network("mmnet", inputs=(KEYFRAMES_RGB,), size=224, frames=2, source="MMNet: arXiv:2201.05297")
class MMNet(nn.Module):
    """Continuous attention over apex less onset, and positions of the onset's face beside."""

    def __init__(
        self,
        channels: int,
        size: int,
        classes: int,
        width: int = 128,
        entry: int = 180,
        depth: int = 3,
        heads: int = 4,
        drop_path: float = 0.3,
    ) -> None:
        super().__init__()
        if size % 16:
            raise ValueError(f"a size of {size} pixels; one divisible by 16 would be right")
        self.side = size // 16
        self.moved = _conv_norm(channels, entry, 3, 2)
        self.enter = _conv_norm(entry, width, 3, 1)
        widths = [width, width, width, 2 * width, 4 * width]
        self.stages = nn.ModuleList(
            _Continuous(inputs, outputs, 1 if first else 2)
            for first, (inputs, outputs) in zip(
                [True, *[False] * 3], pairwise(widths), strict=True
            )
        )
        self.halve = nn.MaxPool2d(3, 2, 1)
        self.place = _Places(channels, self.side, 4 * width, depth, heads, drop_path)
        self.classify = nn.Linear(4 * width * self.side**2, classes)
        for module in (self.enter, *self.stages):
            for layer in module.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, K) of onset and apex (B, 2, C, H, W)."""
        onset, apex = x.unbind(1)
        y = self.enter(self.moved(apex - onset))
        looked: Tensor | None = None
        for stage in self.stages:
            y, looked = stage(y, None if looked is None else self.halve(looked))
        logits: Tensor = self.classify((y + self.place(onset)).flatten(1))
        return logits


class _Continuous(nn.Module):
    """A residual block that looks where the block before it looked, (B, C, H, W) and its map."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv_norm(inputs, outputs, 3, stride),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else _conv_norm(inputs, outputs, 1, stride)[:2]
        )
        self.look = nn.Sequential(nn.Conv2d(2, 1, 1, bias=False), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return what the block lets through, and its map (B, 1, H, W)."""
        y = functional.relu(self.body(x) + self.shortcut(x))
        looked = self.look(torch.cat([y.mean(1, keepdim=True), y.amax(1, keepdim=True)], dim=1))
        looked = looked if before is None else looked * before
        return y * looked, looked


class _Places(nn.Module):
    """Where the parts of a face are: images (B, C, H, W) to (B, D, side, side)."""

    def __init__(
        self, channels: int, side: int, width: int, depth: int, heads: int, drop_path: float
    ) -> None:
        super().__init__()
        self.side = side
        self.enter = nn.Conv2d(channels, width, 1)
        self.position = nn.Parameter(torch.empty(1, side * side, width))
        init_(self.position)
        rates = [drop_path * layer / max(1, depth - 1) for layer in range(depth)]
        self.layers = nn.Sequential(*(_Attending(width, heads, rate) for rate in rates))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Look at the face in so many points as the map has."""
        points = functional.interpolate(x, size=(self.side, self.side), mode="bilinear")
        tokens = self.enter(points).flatten(2).transpose(1, 2) + self.position
        seen: Tensor = self.norm(self.layers(tokens)).transpose(1, 2)
        return seen.reshape(*seen.shape[:2], self.side, self.side)


class _Attending(nn.Module):
    """A layer of a vision transformer, (B, N, D) to the same."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.query_key_value = linear(width, 3 * width)
        self.out = linear(width, width)
        self.feed = nn.Sequential(linear(width, 2 * width), nn.GELU(), linear(2 * width, width))
        self.skip = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Attend, then feed forward."""
        x = x + self.skip(self._attended(self.norms[0](x)))
        y: Tensor = x + self.skip(self.feed(self.norms[1](x)))
        return y

    def _attended(self, x: Tensor) -> Tensor:
        parts = self.query_key_value(x).reshape(*x.shape[:2], 3, self.heads, -1)
        parts = parts.permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        weights = (query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5).softmax(-1)
        attended: Tensor = self.out((weights @ value).transpose(1, 2).flatten(2))
        return attended


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())
