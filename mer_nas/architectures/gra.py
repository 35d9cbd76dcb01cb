"""Global relational aggregators: attention with few keys beside convolution, and a feed-forward.

Source: the text of *fine-grained dynamic perception* (Shao et al. 2025, arXiv:2509.06015). Its
public code (github.com/CYF-cuber/FDP) has the layer, called GFA, and builds none; it goes back to
NextViT (Li et al. 2022, arXiv:2207.05501). One of them at the end of every stage is our reading.

    x = E(x)                    E: 1 x 1 convolution and BatchNorm, where the width changes
    x = x + A(BN(x))            A: attention in which s x s tokens in a row are one key
    y = E(x)
    y = y + f_3x3(y)
    z = [x; y]
    z = z + MLP(BN(z))

Shapes speak of B clips (or their frames), C channels, H x W maps, N = H W tokens and M keys.
"""

from math import isqrt
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Interval
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from mer_nas.architectures.attention import NARROWEST, NoGlobal, check_tokens
from mer_nas.architectures.blocks import GLOBALS, Block, BuildContext, Shape, scale_width
from mer_nas.architectures.layers import drop, linear
from mer_nas.architectures.lra import Feed, embedding, relation, rounded


@GLOBALS.register
class GRA(Block):
    """Global relational aggregators; they may change the width of their stage."""

    kind: Literal["gra"] = "gra"
    blocks: PositiveInt = 1
    """How many, one after the other."""
    growth: PositiveFloat = 1.0
    """Width that leaves them, in widths of the stage; rounded to a multiple of 8, except that 1
    keeps the width."""
    mix: Annotated[float, Interval(gt=0, lt=1)] = 0.75
    """Share of the channels that attend; the others convolve."""
    reduction: PositiveInt = 1
    """Side of the square of tokens that make one key."""
    head_width: Annotated[int, Ge(NARROWEST)] = NARROWEST
    """Channels of an attention head."""
    ffn_ratio: PositiveInt = 2
    """Width inside the feed-forward, in widths that leave."""
    rounding: PositiveInt = 32
    """The channels that attend, and the width inside the feed-forward, are rounded to multiples
    of this."""

    source: ClassVar[str] = "FDP: Shao et al. 2025, arXiv:2509.06015 (github.com/CYF-cuber/FDP)"

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self.blocks

    def shape(self, context: BuildContext) -> Shape:
        """Return the block's own width."""
        return Shape(scale_width(context.channels, self.growth), context.size, context.stride)

    def build(self, context: BuildContext) -> nn.Module:
        """Return the layers; only the first changes the width."""
        first, *others = context.drop_path
        width = self.shape(context).channels
        return nn.Sequential(
            self._layer(context.channels, width, first),
            *(self._layer(width, width, rate) for rate in others),
        )

    def _layer(self, inputs: int, outputs: int, drop_path: float) -> nn.Module:
        attending = self._attending(outputs)
        return GlobalAggregator(
            inputs,
            outputs,
            FewKeys(attending, attending // self.head_width, self.reduction),
            rounded(self.ffn_ratio * outputs, self.rounding),
            drop_path,
        )

    def _attending(self, width: int) -> int:
        return rounded(self.mix * width, self.rounding)

    def check(self, context: BuildContext) -> None:
        """Refuse a mix of one kind only, uneven heads, and reductions larger than the map."""
        width = self.shape(context).channels
        attending = self._attending(width)
        if attending >= width:
            found = f"a mix of {self.mix:g} of {width} channels in steps of {self.rounding}"
            raise context.refuse(f"{found} leaves none to convolve", "less mix, or rounding: 8")
        if attending % self.head_width:
            found = f"heads of {self.head_width} do not share {attending} channels evenly"
            raise context.refuse(found, "head_width: 8 and rounding: 8")
        check_tokens(context)
        high, wide = context.size
        if self.reduction > (most := isqrt(high * wide)):
            found = f"{self.reduction**2} tokens to a key on a map of {high} x {wide}"
            raise context.refuse(found, f"a reduction up to {most}")

    def repair(self, context: BuildContext) -> Block:
        """Halve a reduction that is too large; part in eights the channels that do not part.

        Of one token there is nothing to attend to.
        """
        if context.size == (1, 1):
            return NoGlobal()
        reduction = self.reduction
        while reduction > isqrt(context.size[0] * context.size[1]):
            reduction //= 2
        repaired: dict[str, Any] = {"reduction": reduction}
        width = self.shape(context).channels
        attending = self._attending(width)
        fits = range(NARROWEST, width, NARROWEST)
        if fits and (attending >= width or attending % self.head_width):
            nearest = min(fits, key=lambda channels: abs(channels - self.mix * width))
            repaired |= {"mix": nearest / width, "head_width": NARROWEST, "rounding": NARROWEST}
        return self.model_copy(update=repaired)

    def canonical(self, context: BuildContext) -> "GRA":
        """Growths, and mixes, that round to one width are one."""
        width = self.shape(context).channels
        neutral = {"growth": width / context.channels}
        if (attending := self._attending(width)) < width:
            neutral["mix"] = attending / width
        return self.model_copy(update=neutral)


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
        self, inputs: int, outputs: int, attend: "FewKeys", hidden: int, drop_path: float
    ) -> None:
        super().__init__()
        rest = outputs - attend.channels
        self.enter = embedding(inputs, attend.channels)
        self.norm = nn.BatchNorm2d(attend.channels)
        self.attend = attend
        self.aside = embedding(attend.channels, rest)
        self.mix = relation(rest)
        self.feed = Feed(outputs, hidden)
        self.skip = drop(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Take x through the three parts."""
        x = self.enter(x)
        x = x + self.skip(self.attend(self.norm(x)))
        y = self.aside(x)
        y = y + self.skip(self.mix(y))
        both = torch.cat([x, y], dim=1)
        z: Tensor = both + self.skip(self.feed(both))
        return z


class FewKeys(nn.Module):
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
