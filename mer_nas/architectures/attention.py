"""Global blocks with multi-head self-attention over the positions of a map or of its windows.

`window: hier` is HTNet's pyramid (Wang et al. 2024, github.com/wangzhifengharrison/HTNet): the
last stage attends over the whole map, every stage before it over four times as many windows as the
next. In HTNet's published setting each window holds one token, where attention is a linear map.

Shapes speak of B clips or windows, N tokens, C channels, H heads of D channels.
"""

from typing import ClassVar, Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from mer_nas.architectures.blocks import GLOBALS, Block, Idle, Site
from mer_nas.architectures.layers import OverTokens, TokenLayer, linear
from mer_nas.architectures.state import Steps

NARROWEST = 8
"""Fewest channels that a head is useful with."""


@GLOBALS.register
class NoGlobal(Idle):
    """No global blocks."""

    kind: Literal["none"] = "none"


@GLOBALS.register
class MHSA(Block):
    """Transformer layers with multi-head self-attention."""

    kind: Literal["mhsa"] = "mhsa"
    blocks: PositiveInt = 1
    """How many layers, one after the other."""
    heads: PositiveInt = 2
    """Attention heads; each gets an equal share of the channels, at least 8."""
    ffn_ratio: PositiveInt = 2
    """Width inside the feed-forward, in widths of the stage."""
    window: Literal["hier", "none"] = "none"
    """hier: 1 window in the last stage, 4 in the one before it, and so on; none: the whole map.
    Only hier, which is there to reproduce HTNet, takes windows of one token and heads that leave
    some channels over."""

    source: ClassVar[str] = "Vaswani et al. 2017 (arXiv:1706.03762), before each layer a LayerNorm"

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self.blocks

    def build(self, site: Site) -> nn.Module:
        """Return the layers."""
        width = site.channels
        layers = Steps(
            TokenLayer(width, Attention(width, self.heads), self.ffn_ratio * width, rate)
            for rate in site.drop_path
        )
        return OverTokens(layers, site.windows if self.window == "hier" else 1)

    def check(self, site: Site) -> None:
        """Refuse narrow or uneven heads, single tokens and windows that do not tile the map."""
        height, width = site.size
        check_heads(self.heads, site, even=self.window != "hier")
        if self.window == "hier":
            if height % site.windows or width % site.windows:
                n = site.windows
                found = f"a map of {height} x {width} does not split into {n} x {n} windows"
                raise site.refuse(found, "window: none")
            return
        check_tokens(site)

    def repair(self, site: Site) -> Block:
        """Attend over the whole map, with the nearest number of heads that share it evenly.

        Of one token there is nothing to attend to.
        """
        if site.size == (1, 1):
            return NoGlobal()
        heads = fitting_heads(self.heads, site.channels)
        tiled = all(side % site.windows == 0 and side > site.windows for side in site.size)
        window = self.window if tiled else "none"
        return self.model_copy(update={"heads": heads, "window": window})

    def settle(self, site: Site) -> "MHSA":
        """In the last stage the pyramid has one window, the whole map."""
        alone = self.window == "hier" and site.windows == 1 and self._plain(site)
        return self.model_copy(update={"window": "none"}) if alone else self

    def _plain(self, site: Site) -> bool:
        return site.channels % self.heads == 0 and site.size != (1, 1)


class Attention(nn.Module):
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


def check_tokens(site: Site) -> None:
    """Refuse a map of one position."""
    if site.size == (1, 1):
        found = "attention over a map of 1 x 1, a single token"
        raise site.refuse(found, "at least 2 tokens, or another global block")


def check_heads(heads: int, site: Site, *, even: bool = True) -> None:
    """Refuse heads of fewer than 8 channels and, unless they need not be `even`, uneven ones."""
    if site.channels // heads < NARROWEST:
        found = f"{heads} heads share {site.channels} channels, fewer than {NARROWEST} each"
        raise site.refuse(found, f"at most {max(1, site.channels // NARROWEST)} heads")
    if even and site.channels % heads:
        found = f"{heads} heads do not share {site.channels} channels evenly"
        raise site.refuse(found, f"a divisor of {site.channels}")


def fitting_heads(heads: int, channels: int) -> int:
    """Return the number next to `heads` of heads that share the channels evenly, 8 at least."""
    most = max(1, channels // NARROWEST)
    fits = [count for count in range(1, most + 1) if channels % count == 0]
    return min(fits, key=lambda count: abs(count - heads))
