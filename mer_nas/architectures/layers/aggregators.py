"""Relational aggregators: attention with few keys, convolutions, and a feed-forward, per frame.

Source: the frame encoder of *fine-grained dynamic perception* (Shao et al. 2025, arXiv:2509.06015;
public code at github.com/CYF-cuber/FDP, where the local layer is called LFA). What the defaults of
`lra` give is the code; its `heads` and `pointwise` give what the text describes.

    local     x = E(x)                 E: patch embedding, where width or resolution change
              x = x + f_3x3(x)
              x = x + MLP(BN(x))

The public code has the global layer, called GFA, and builds none; it goes back to NextViT (Li et
al. 2022, arXiv:2207.05501). One of them at the end of every stage is our reading.

    global    x = E(x)                 E: 1 x 1 convolution and BatchNorm, where the width changes
              x = x + A(BN(x))         A: attention in which s x s tokens in a row are one key
              y = E(x)
              y = y + f_3x3(y)
              z = [x; y]
              z = z + MLP(BN(z))

Shapes speak of B clips (or their frames), C channels, H x W maps, N = H W tokens and M keys.
"""

import torch
from torch import Tensor, nn

from mer_nas.architectures.layers.basic import conv, init_, linear, stochastic_depth


class LocalAggregator(nn.Module):
    """Adds to a map (B, C, H, W) a 3 x 3 convolution, and then a feed-forward.

    Args:
        channels: C.
        hidden: Width inside the feed-forward.
        heads: Equal parts of the channels that the convolution keeps apart.
        pointwise: Whether BatchNorm, ReLU and a 1 x 1 convolution follow it.
        drop_path: Rate at which a clip skips each of the two parts.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        heads: int = 1,
        *,
        pointwise: bool = False,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.mix = _relation(channels, heads, pointwise=pointwise)
        self.feed = _FeedForward(channels, hidden)
        self.skip = stochastic_depth(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Take x through both."""
        x = x + self.skip(self.mix(x))
        y: Tensor = x + self.skip(self.feed(x))
        return y


class GlobalAggregator(nn.Module):
    """(B, C, H, W) to (B, C', H, W).

    Args:
        inputs: C.
        outputs: C'.
        attend: Attention over a map, of fewer channels than C'.
        hidden: Width inside the feed-forward.
        drop_path: Rate at which a clip skips each of the three parts.
    """

    def __init__(
        self, inputs: int, outputs: int, attend: "ReducedAttention", hidden: int, drop_path: float
    ) -> None:
        super().__init__()
        rest = outputs - attend.channels
        self.enter = patch_embedding(inputs, attend.channels)
        self.norm = nn.BatchNorm2d(attend.channels)
        self.attend = attend
        self.aside = patch_embedding(attend.channels, rest)
        self.mix = _relation(rest)
        self.feed = _FeedForward(outputs, hidden)
        self.skip = stochastic_depth(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Take x through the three parts."""
        x = self.enter(x)
        x = x + self.skip(self.attend(self.norm(x)))
        y = self.aside(x)
        y = y + self.skip(self.mix(y))
        both = torch.cat([x, y], dim=1)
        z: Tensor = both + self.skip(self.feed(both))
        return z


class ReducedAttention(nn.Module):
    """Attention over the positions of a map, (B, C, H, W) to the same.

    Keys and values are of the means of tokens in a row, row by row; what is left at the end is
    left out.

    Args:
        channels: C.
        heads: Heads that share the channels.
        reduction: s; s x s tokens make a key, and are normalised where they are several.
    """

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.channels = channels
        self.heads = heads
        self.query = linear(channels, channels)
        self.key_value = linear(channels, 2 * channels)
        self.out = linear(channels, channels)
        self.gather = (
            nn.Sequential(nn.AvgPool1d(reduction**2), nn.BatchNorm1d(channels))
            if reduction > 1
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Let every position look at the gathered ones."""
        tokens = x.flatten(2)  # (B, C, N)
        gathered = self.gather(tokens).transpose(1, 2)  # (B, M, C)
        key, value = torch.split(self.key_value(gathered), self.channels, dim=2)
        query = self._parted(self.query(tokens.transpose(1, 2)))
        key, value = self._parted(key), self._parted(value)
        scores = query @ key.transpose(2, 3) * query.shape[3] ** -0.5  # (B, heads, N, M)
        seen = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)  # (B, N, C)
        attended: Tensor = self.out(seen).transpose(1, 2)
        return attended.reshape(x.shape)

    def _parted(self, tokens: Tensor) -> Tensor:
        parted = tokens.reshape(-1, tokens.shape[1], self.heads, self.channels // self.heads)
        return parted.transpose(1, 2)


class _FeedForward(nn.Sequential):
    """BatchNorm, and two linear maps with a ReLU between them, at every position of a map."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__(
            nn.BatchNorm2d(channels),
            _conv(channels, hidden, 1, bias=True),
            nn.ReLU(),
            _conv(hidden, channels, 1, bias=True),
        )


def _relation(channels: int, heads: int = 1, *, pointwise: bool = False) -> nn.Sequential:
    """Return the 3 x 3 convolution of an aggregator, (B, C, H, W) to the same."""
    layers: list[nn.Module] = [_conv(channels, channels, 3, groups=heads)]
    if pointwise:
        layers += [nn.BatchNorm2d(channels), nn.ReLU(), _conv(channels, channels, 1)]
    return nn.Sequential(*layers)


def patch_embedding(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """Return the patch embedding: (B, C, H, W) to (B, C', H / stride, W / stride), rounded up.

    Nothing where the shape stays; else a 1 x 1 convolution and BatchNorm, of the means of stride x
    stride patches, which at an odd rim are of what is there.
    """
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(
        pool if stride > 1 else nn.Identity(),
        _conv(inputs, outputs, 1),
        nn.BatchNorm2d(outputs),
    )


def round_width(value: float, step: int) -> int:
    """Return the multiple of `step` next to `value`, at least `step` and 0.9 of the value."""
    nearest = max(step, step * int(value / step + 0.5))
    return nearest if nearest >= 0.9 * value else nearest + step


def _conv(
    inputs: int, outputs: int, kernel: int, *, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Return a convolution that starts small, as in the public code: what it adds to is bare."""
    layer = conv(inputs, outputs, kernel, groups=groups, bias=bias)
    init_(layer.weight)
    return layer
