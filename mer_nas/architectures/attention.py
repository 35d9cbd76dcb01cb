"""Global blocks with multi-head self-attention over the positions of a map or of its windows.

`window: hier` is HTNet's pyramid (Wang et al. 2024, github.com/wangzhifengharrison/HTNet): the
last stage attends over the whole map, every stage before it over four times as many windows as the
next. In HTNet's published setting each window holds one token, where attention is a linear map.

Shapes speak of B clips or windows, N tokens, C channels, H heads of D channels.
"""

from typing import ClassVar, Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from mer_nas.architectures.blocks import GLOBALS, Block, BuildContext, Identity
from mer_nas.architectures.layers import OverTokens, TokenLayer, linear
from mer_nas.architectures.state import StatefulSequential

NARROWEST = 8
"""Fewest channels that a head is useful with."""


@GLOBALS.register
class NoGlobal(Identity):
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

    def build(self, context: BuildContext) -> nn.Module:
        """Return the layers."""
        width = context.channels
        layers = StatefulSequential(
            TokenLayer(width, Attention(width, self.heads), self.ffn_ratio * width, rate)
            for rate in context.drop_path
        )
        return OverTokens(layers, context.windows if self.window == "hier" else 1)

    def check(self, context: BuildContext) -> None:
        """Refuse narrow or uneven heads, single tokens and windows that do not tile the map."""
        height, width = context.size
        check_heads(self.heads, context, even=self.window != "hier")
        if self.window == "hier":
            if height % context.windows or width % context.windows:
                n = context.windows
                found = f"a map of {height} x {width} does not split into {n} x {n} windows"
                raise context.refuse(found, "window: none")
            return
        check_tokens(context)

    def repair(self, context: BuildContext) -> Block:
        """Attend over the whole map, with the nearest number of heads that share it evenly.

        Of one token there is nothing to attend to.
        """
        if context.size == (1, 1):
            return NoGlobal()
        heads = fitting_heads(self.heads, context.channels)
        tiled = all(
            side % context.windows == 0 and side > context.windows for side in context.size
        )
        window = self.window if tiled else "none"
        return self.model_copy(update={"heads": heads, "window": window})

    def canonical(self, context: BuildContext) -> "MHSA":
        """In the last stage the pyramid has one window, the whole map."""
        alone = self.window == "hier" and context.windows == 1 and self._plain(context)
        return self.model_copy(update={"window": "none"}) if alone else self

    def _plain(self, context: BuildContext) -> bool:
        return context.channels % self.heads == 0 and context.size != (1, 1)


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


def check_tokens(context: BuildContext) -> None:
    """Refuse a map of one position."""
    if context.size == (1, 1):
        found = "attention over a map of 1 x 1, a single token"
        raise context.refuse(found, "at least 2 tokens, or another global block")


def check_heads(heads: int, context: BuildContext, *, even: bool = True) -> None:
    """Refuse heads of fewer than 8 channels and, unless they need not be `even`, uneven ones."""
    if context.channels // heads < NARROWEST:
        found = f"{heads} heads share {context.channels} channels, fewer than {NARROWEST} each"
        raise context.refuse(found, f"at most {max(1, context.channels // NARROWEST)} heads")
    if even and context.channels % heads:
        found = f"{heads} heads do not share {context.channels} channels evenly"
        raise context.refuse(found, f"a divisor of {context.channels}")


def fitting_heads(heads: int, channels: int) -> int:
    """Return the number next to `heads` of heads that share the channels evenly, 8 at least."""
    most = max(1, channels // NARROWEST)
    fits = [count for count in range(1, most + 1) if channels % count == 0]
    return min(fits, key=lambda count: abs(count - heads))
