"""Transformer layers: self-attention, a feed-forward, and the way from a map to tokens and back.

Shapes speak of B clips or windows, N tokens, C channels, H heads of D channels.
"""

from torch import Tensor, nn

from mer_nas.architectures.layers.basic import linear, stochastic_depth
from mer_nas.architectures.state import State, Stateful, advance


class SelfAttention(nn.Module):
    """Tokens (B, N, C) to the same; channels that the heads leave over are not attended with.

    The fused map gives queries, keys and values in that order, head by head within each.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_width = dim // heads
        inner = self.heads * self.head_width
        self.query_key_value = linear(dim, 3 * inner, bias=False)
        self.out = linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Let every token look at all tokens."""
        tokens = x.shape[1]
        fused = self.query_key_value(x).reshape(-1, tokens, 3, self.heads, self.head_width)
        query, key, value = fused.permute(2, 0, 3, 1, 4).unbind(0)  # (B, H, N, D) each
        scores = query @ key.transpose(2, 3) * self.head_width**-0.5
        seen = scores.softmax(-1) @ value  # (B, H, N, D)
        attended: Tensor = self.out(seen.transpose(1, 2).reshape(-1, tokens, self.out.in_features))
        return attended


class _FeedForward(nn.Sequential):
    """Two linear maps with a GELU between them, over the last axis."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__(linear(dim, hidden), nn.GELU(), linear(hidden, dim))


class TokenLayer(Stateful):
    """A transformer layer: a mixer and a feed-forward, each behind a LayerNorm, each residual.

    Args:
        dim: C.
        mixer: Plain or stateful, tokens (B, N, C) to tokens.
        hidden: Width inside the feed-forward.
        drop_path: Rate at which a clip skips the mixer, and the feed-forward.
    """

    def __init__(self, dim: int, mixer: nn.Module, hidden: int, drop_path: float) -> None:
        super().__init__()
        self.mixer_norm = nn.LayerNorm(dim)
        self.mixer = mixer
        self.feed_norm = nn.LayerNorm(dim)
        self.feed = _FeedForward(dim, hidden)
        self.skip = stochastic_depth(drop_path)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take tokens x (B, N, C) through the layer."""
        mixed, state = advance(self.mixer, self.mixer_norm(x), state)
        x = x + self.skip(mixed)
        return x + self.skip(self.feed(self.feed_norm(x))), state


class OverTokens(Stateful):
    """Runs token layers on a map that is cut into windows x windows equal parts."""

    def __init__(self, layers: nn.Module, windows: int = 1) -> None:
        super().__init__()
        self.layers = layers
        self.windows = windows

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take a map x (B, C, H, W) through the layers."""
        _, channels, height, width = x.shape
        n = self.windows
        high, wide = height // n, width // n
        parts = x.reshape(-1, channels, n, high, n, wide).permute(0, 2, 4, 3, 5, 1)
        tokens = parts.reshape(-1, high * wide, channels)  # (B n n, N, C)
        tokens, state = advance(self.layers, tokens, state)
        parts = tokens.reshape(-1, n, n, high, wide, channels).permute(0, 5, 1, 3, 2, 4)
        return parts.reshape(-1, channels, height, width), state
