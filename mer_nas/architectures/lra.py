"""Local relational aggregators: dense or split convolutions, and a feed-forward, per frame.

Source: the frame encoder of *fine-grained dynamic perception* (Shao et al. 2025, arXiv:2509.06015;
public code at github.com/CYF-cuber/FDP, where the layer is called LFA). What the defaults give is
the code; `heads` and `pointwise` give what the text describes.

    x = E(x)                 E: patch embedding, where width or resolution change
    x = x + f_3x3(x)
    x = x + MLP(BN(x))

Shapes speak of B clips (or their frames), C channels and H x W maps.
"""

from typing import ClassVar, Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from mer_nas.architectures.blocks import LOCALS, Block, BuildContext
from mer_nas.architectures.layers import conv, drop, init_
from mer_nas.architectures.local_blocks import ResBasic, Stack


@LOCALS.register
class LRA(Stack):
    """Local relational aggregators: a 3 x 3 convolution and a feed-forward, each residual."""

    kind: Literal["lra"] = "lra"
    heads: PositiveInt = 1
    """Equal parts of the channels that the 3 x 3 convolution keeps apart; 1 mixes all."""
    pointwise: bool = False
    """Follow the convolution by BatchNorm, ReLU and a 1 x 1 convolution."""
    ffn_ratio: PositiveInt = 3
    """Width inside the feed-forward, in widths of the stage."""
    rounding: PositiveInt = 32
    """The width inside the feed-forward is rounded to a multiple of this."""

    source: ClassVar[str] = "FDP: Shao et al. 2025, arXiv:2509.06015 (github.com/CYF-cuber/FDP)"
    resamples: ClassVar[frozenset[str]] = frozenset({"patch_merge"})

    def layer(self, inputs: int, outputs: int, stride: int, drop_path: float) -> nn.Module:
        """Return one aggregator behind the embedding that its shape asks for."""
        hidden = rounded(self.ffn_ratio * outputs, self.rounding)
        mix = relation(outputs, self.heads, pointwise=self.pointwise)
        aggregator = Aggregator(mix, Feed(outputs, hidden), drop_path)
        return nn.Sequential(embedding(inputs, outputs, stride), aggregator)

    def check(self, context: BuildContext) -> None:
        """Refuse uneven heads, and a down that leaves nothing to the embedding."""
        if context.width % self.heads:
            found = f"{self.heads} heads do not share {context.width} channels evenly"
            raise context.refuse(found, f"a divisor of {context.width}")
        if not self._embeds(context):
            found = (
                f"'lra', which embeds patches itself, after the down {context.around.down.kind!r}"
            )
            raise context.refuse(found, "down: {kind: patch_merge}, or none")

    def repair(self, context: BuildContext) -> Block:
        """Share the width evenly; after a down of another kind, take residual blocks."""
        if not self._embeds(context):
            return ResBasic(blocks=self.blocks)
        fits = [heads for heads in range(1, context.width + 1) if context.width % heads == 0]
        nearest = min(fits, key=lambda heads: abs(heads - self.heads))
        return self.model_copy(update={"heads": nearest})

    def canonical(self, context: BuildContext) -> "LRA":
        """Roundings to one width are one."""
        hidden = self.ffn_ratio * context.width
        usual = LRA.model_fields["rounding"].default
        same = rounded(hidden, usual) == rounded(hidden, self.rounding)
        return self.model_copy(update={"rounding": usual}) if same else self

    def _embeds(self, context: BuildContext) -> bool:
        return context.around.down.kind in self.resamples | {"none"}


class Aggregator(nn.Module):
    """Adds to a map (B, C, H, W) what `mix` and then `feed` make of it."""

    def __init__(self, mix: nn.Module, feed: nn.Module, drop_path: float) -> None:
        super().__init__()
        self.mix = mix
        self.feed = feed
        self.skip = drop(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Take x through both."""
        x = x + self.skip(self.mix(x))
        y: Tensor = x + self.skip(self.feed(x))
        return y


class Feed(nn.Sequential):
    """BatchNorm, and two linear maps with a ReLU between them, at every position of a map."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__(
            nn.BatchNorm2d(channels),
            _conv(channels, hidden, 1, bias=True),
            nn.ReLU(),
            _conv(hidden, channels, 1, bias=True),
        )


def relation(channels: int, heads: int = 1, *, pointwise: bool = False) -> nn.Sequential:
    """Return the 3 x 3 convolution of an aggregator, (B, C, H, W) to the same."""
    layers: list[nn.Module] = [_conv(channels, channels, 3, groups=heads)]
    if pointwise:
        layers += [nn.BatchNorm2d(channels), nn.ReLU(), _conv(channels, channels, 1)]
    return nn.Sequential(*layers)


def embedding(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
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


def rounded(value: float, step: int) -> int:
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
