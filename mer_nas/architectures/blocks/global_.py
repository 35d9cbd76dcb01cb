"""Global blocks: layers that mix all positions of a map, or choose among experts per position.

`mhsa` attends over the positions of a map or of its windows. `window: hier` is HTNet's pyramid
(Wang et al. 2024, github.com/wangzhifengharrison/HTNet): the last stage attends over the whole
map, every stage before it over four times as many windows as the next. In HTNet's published
setting each window holds one token, where attention is a linear map.

`gra` are the global relational aggregators of Shao et al. 2025 (arXiv:2509.06015).

`expert` puts routed experts in the place of self-attention. The idea is that of *Fine-Grained
Micro-Expression Recognition via Dynamic Routing Experts in a Single-Stream Network* (Computer
Engineering 2026, DOI 10.19678/j.issn.1000-3428.0260218): sparse activation and a collaboration
among the experts. Its abstract gives no form; router, experts and collaboration here are our
reading.

`sparse_vit` keeps the positions where a clip changes, and ends its path. It is our reading of
SEViT in *MEDN: motion-emotion feature decoupling* (Hu et al. 2026, arXiv:2604.17899), of which
only the abstract was at hand: spatial tokens made sparse at several rates, so that local
variations in time stand out. Positions above a threshold, a different number for every clip, are
not offered: neither would the cost be known before training, nor would clips fit in one batch.
"""

from fractions import Fraction
from math import floor, isqrt
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval
from pydantic import AfterValidator, NonNegativeInt, PositiveFloat, PositiveInt
from torch import nn

from mer_nas.architectures.blocks.base import (
    GLOBALS,
    Block,
    BuildContext,
    Identity,
    OneOf,
    Shape,
    non_empty,
    scale_width,
)
from mer_nas.architectures.blocks.gate import ProgressiveGate
from mer_nas.architectures.layers.aggregators import (
    GlobalAggregator,
    ReducedAttention,
    round_width,
)
from mer_nas.architectures.layers.attention import OverTokens, SelfAttention, TokenLayer
from mer_nas.architectures.layers.experts import (
    EXPERTS,
    ExpertAttention,
    ExpertMix,
    RoutedExperts,
)
from mer_nas.architectures.layers.routing import GateKind, Noise, Router, RoutingLevel
from mer_nas.architectures.layers.sparse_vit import (
    ParallelRates,
    ProgressiveRates,
    TokenSelection,
)
from mer_nas.architectures.state import StatefulSequential

MIN_HEAD_WIDTH = 8
"""Fewest channels that a head is useful with."""


class _Layers(Block):
    """Layers, one after the other, that count as blocks of their stage."""

    blocks: PositiveInt = 1
    """How many layers, one after the other."""

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self.blocks


@GLOBALS.register
class MHSA(_Layers):
    """Transformer layers with multi-head self-attention."""

    kind: Literal["mhsa"] = "mhsa"
    heads: PositiveInt = 2
    """Attention heads; each gets an equal share of the channels, at least 8."""
    ffn_ratio: PositiveInt = 2
    """Width inside the feed-forward, in widths of the stage."""
    window: Literal["hier", "none"] = "none"
    """hier: 1 window in the last stage, 4 in the one before it, and so on; none: the whole map.
    Only hier, which is there to reproduce HTNet, takes windows of one token and heads that leave
    some channels over."""

    source: ClassVar[str] = "Vaswani et al. 2017 (arXiv:1706.03762), before each layer a LayerNorm"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the layers."""
        width = context.channels
        layers = StatefulSequential(
            TokenLayer(width, SelfAttention(width, self.heads), self.ffn_ratio * width, rate)
            for rate in context.drop_path
        )
        return OverTokens(layers, context.windows if self.window == "hier" else 1)

    def check(self, context: BuildContext) -> None:
        """Refuse narrow or uneven heads, single tokens and windows that do not tile the map."""
        height, width = context.size
        _check_heads(self.heads, context, even=self.window != "hier")
        if self.window == "hier":
            if height % context.windows or width % context.windows:
                n = context.windows
                found = f"a map of {height} x {width} does not split into {n} x {n} windows"
                raise context.refuse(found, "window: none")
            return
        _check_tokens(context)

    def repair(self, context: BuildContext) -> Block:
        """Attend over the whole map, with the nearest number of heads that share it evenly.

        Of one token there is nothing to attend to.
        """
        if context.size == (1, 1):
            return Identity()
        heads = _fitting_heads(self.heads, context.channels)
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


@GLOBALS.register
class GRA(_Layers):
    """Global relational aggregators; they may change the width of their stage."""

    kind: Literal["gra"] = "gra"
    growth: PositiveFloat = 1.0
    """Width that leaves them, in widths of the stage; rounded to a multiple of 8, except that 1
    keeps the width."""
    mix: Annotated[float, Interval(gt=0, lt=1)] = 0.75
    """Share of the channels that attend; the others convolve."""
    reduction: PositiveInt = 1
    """Side of the square of tokens that make one key."""
    head_width: Annotated[int, Ge(MIN_HEAD_WIDTH)] = MIN_HEAD_WIDTH
    """Channels of an attention head."""
    ffn_ratio: PositiveInt = 2
    """Width inside the feed-forward, in widths that leave."""
    rounding: PositiveInt = 32
    """The channels that attend, and the width inside the feed-forward, are rounded to multiples
    of this."""

    source: ClassVar[str] = "FDP: Shao et al. 2025, arXiv:2509.06015 (github.com/CYF-cuber/FDP)"

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
            ReducedAttention(attending, attending // self.head_width, self.reduction),
            round_width(self.ffn_ratio * outputs, self.rounding),
            drop_path,
        )

    def _attending(self, width: int) -> int:
        return round_width(self.mix * width, self.rounding)

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
        _check_tokens(context)
        high, wide = context.size
        if self.reduction > (most := isqrt(high * wide)):
            found = f"{self.reduction**2} tokens to a key on a map of {high} x {wide}"
            raise context.refuse(found, f"a reduction up to {most}")

    def repair(self, context: BuildContext) -> Block:
        """Halve a reduction that is too large; part in eights the channels that do not part.

        Of one token there is nothing to attend to.
        """
        if context.size == (1, 1):
            return Identity()
        reduction = self.reduction
        while reduction > isqrt(context.size[0] * context.size[1]):
            reduction //= 2
        repaired: dict[str, Any] = {"reduction": reduction}
        width = self.shape(context).channels
        attending = self._attending(width)
        fits = range(MIN_HEAD_WIDTH, width, MIN_HEAD_WIDTH)
        if fits and (attending >= width or attending % self.head_width):
            nearest = min(fits, key=lambda channels: abs(channels - self.mix * width))
            repaired |= {
                "mix": nearest / width,
                "head_width": MIN_HEAD_WIDTH,
                "rounding": MIN_HEAD_WIDTH,
            }
        return self.model_copy(update=repaired)

    def canonical(self, context: BuildContext) -> "GRA":
        """Growths, and mixes, that round to one width are one."""
        width = self.shape(context).channels
        neutral = {"growth": width / context.channels}
        if (attending := self._attending(width)) < width:
            neutral["mix"] = attending / width
        return self.model_copy(update=neutral)


@GLOBALS.register
class Expert(_Layers):
    """Transformer layers whose attention is replaced by experts that a router chooses."""

    kind: Literal["expert"] = "expert"
    experts: PositiveInt = 4
    """Experts in a layer."""
    top_k: PositiveInt = 2
    """Experts that a token is sent to; at most `experts`."""
    router: GateKind = "softmax_topk"
    """What the chosen experts weigh. softmax_topk: together 1, by the softmax of their scores;
    sigmoid: each the sigmoid of its score; soft: all experts are chosen, by the softmax."""
    router_level: RoutingLevel = "token"
    """What is sent: every token on its own, or all tokens of a clip alike, by their mean."""
    prior: bool = False
    """Show the router, beside every token, how far the progressive gate before let it through."""
    expert: Annotated[str, OneOf(EXPERTS)] = "mlp"
    """What an expert is. mlp: two linear maps with a GELU between them; conv: the same with a
    3 x 3 depthwise convolution before the GELU; orient: with one of 1 x 3 or 3 x 1, in turn;
    hetero: mlp, conv and both of orient in turn; attn: a head of attention with keys and values
    that all experts share."""
    ratio: PositiveFloat | Literal["2/E"] = 0.5
    """Width inside an expert, in widths of the stage; 2/E: all experts together have the weights
    of the attention whose place they take."""
    expert_drop: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Probability that an expert is out for a token, in training."""
    noise: Noise = "learned"
    """Noise on the router's scores in training: off, of a fixed size, or of a learned one."""
    noise_std: PositiveFloat = 0.5
    """Standard deviation of fixed noise, in units of the scores."""
    collaboration: Literal["none", "mix", "xattn"] = "mix"
    """What the chosen experts of a token do with each other's outputs: nothing, a learned linear
    mix, or attention."""
    shared: NonNegativeInt = 0
    """Experts of the same kind beside the routed ones that see every token, with weight 1."""
    ffn_ratio: PositiveInt = 2
    """Width inside the feed-forward, in widths of the stage."""

    source: ClassVar[str] = "our reading of DOI 10.19678/j.issn.1000-3428.0260218"

    @property
    def losses(self) -> frozenset[str]:
        """A balance, where the router leaves experts out."""
        return frozenset({"balance"} if self.top_k != self.experts else ())

    def build(self, context: BuildContext) -> nn.Module:
        """Return the layers."""
        width = context.channels
        return OverTokens(
            StatefulSequential(
                TokenLayer(width, self._mixer(context), self.ffn_ratio * width, rate)
                for rate in context.drop_path
            )
        )

    def _mixer(self, context: BuildContext) -> nn.Module:
        router = Router(
            context.channels + self.prior,
            self.experts,
            self.top_k,
            gates=self.router,
            level=self.router_level,
            frames=context.frames,
            noise=self.noise,
            noise_std=self.noise_std,
            drop=self.expert_drop,
        )
        width, build = context.channels, EXPERTS[self.expert].build
        hidden = self._hidden(width)
        return RoutedExperts(
            router,
            build(width, self.experts, hidden, context.size),
            _collaboration(self.collaboration, width, self.experts),
            build(width, self.shared, hidden, context.size) if self.shared else None,
            context.size if self.prior else None,
        )

    def _hidden(self, width: int) -> int:
        if self.ratio == "2/E":
            return max(4, 2 * width // self.experts)
        return max(4, floor(self.ratio * width + 1e-6))  # a ratio like 1 / 3 is rounded itself

    def check(self, context: BuildContext) -> None:
        """Refuse choices that are not there, a collaboration of one, and experts without a map."""
        if self.top_k > self.experts:
            found = f"top_k {self.top_k} is more than the {self.experts} experts"
            raise context.refuse(found, f"top_k from 1 to {self.experts}")
        if self.top_k == 1 and self.collaboration != "none":
            found = f"collaboration {self.collaboration!r} with top_k 1, an expert alone"
            raise context.refuse(found, "collaboration: none, or top_k 2 or more")
        if not self._at_home(context):
            height, width = context.size
            found = f"expert {self.expert!r} looks around on a map of {height} x {width}"
            raise context.refuse(found, "expert: mlp, or a larger map")
        if self.prior and not _gated(context):
            found = "a prior, with no progressive gate in the stages before"
            raise context.refuse(found, "prior: false, or gate: {kind: prog} before")

    def repair(self, context: BuildContext) -> "Expert":
        """Choose at most all experts; one alone does not collaborate, on one token none looks."""
        top_k = self.experts if self.router == "soft" else min(self.top_k, self.experts)
        repaired: dict[str, Any] = {"top_k": top_k, "prior": self.prior and _gated(context)}
        if top_k == 1:
            repaired["collaboration"] = "none"
        if not self._at_home(context):
            repaired["expert"] = "mlp"
        return self.model_copy(update=repaired)

    def _at_home(self, context: BuildContext) -> bool:
        form = EXPERTS[self.expert]
        height, width = context.size
        return form.reach <= context.largest_kernel and form.least <= height * width

    def canonical(self, context: BuildContext) -> "Expert":
        """Where all experts are chosen the router is soft; what has no effect is neutral."""
        top_k = self.experts if self.router == "soft" else self.top_k
        neutral: dict[str, Any] = {
            "top_k": top_k,
            "ratio": self._hidden(context.channels) / context.channels,
        }
        if top_k == self.experts:
            neutral["expert_drop"] = 0.0
            if self.router == "softmax_topk":
                neutral["router"] = "soft"
        if context.size == (1, 1) and context.frames == 1:
            neutral["router_level"] = "token"
        if self.noise != "fixed":
            neutral["noise_std"] = type(self).model_fields["noise_std"].default
        if top_k == 1 and "collaboration" not in self.model_fields_set:
            neutral["collaboration"] = "none"
        return self.model_copy(update=neutral)


def _collaboration(name: str, width: int, experts: int) -> nn.Module | None:
    match name:
        case "mix":
            return ExpertMix(experts)
        case "xattn":
            return ExpertAttention(width)
    return None


def _gated(context: BuildContext) -> bool:
    """Whether a progressive gate stands before the stage."""
    return any(isinstance(stage.gate, ProgressiveGate) for stage in context.before)


_MIN_TOKENS = 4
"""Fewest tokens that a rate may leave of a clip."""


_Rates = Annotated[
    tuple[Annotated[float, Interval(ge=0, lt=1)], ...],
    AfterValidator(non_empty),
]


@GLOBALS.register
class SparseViT(_Layers):
    """Transformer layers over the positions that change most, at several rates; ends a path."""

    kind: Literal["sparse_vit"] = "sparse_vit"
    blocks: PositiveInt = 4
    """How many layers, one after the other; all rates share them."""
    heads: PositiveInt = 3
    """Attention heads; each gets an equal share of the channels, at least 8."""
    ffn_ratio: PositiveInt = 2
    """Width inside the feed-forward, in widths of the stage."""
    rates: _Rates = (0.25, 0.5, 0.75)
    """Shares of the positions that are left out."""
    rate_mode: Literal["parallel", "progressive"] = "parallel"
    """parallel: every rate has its own pass through all layers; progressive: the layers are
    parted among the rates, and each rate leaves out its share of what the one before kept."""
    select: Literal["topk", "gumbel"] = "topk"
    """topk: keep the positions that score highest; gumbel: in training, draw them by their
    scores."""

    source: ClassVar[str] = "our reading of SEViT: Hu et al. 2026, arXiv:2604.17899"

    def shape(self, context: BuildContext) -> Shape:
        """Return one position."""
        return Shape(context.channels, (1, 1))

    def frames(self, context: BuildContext) -> int:
        """Return one frame: the layers see all frames of a clip."""
        return 1

    def build(self, context: BuildContext) -> nn.Module:
        """Return the layers and what is around them."""
        width = context.channels
        layers = [
            TokenLayer(width, SelfAttention(width, self.heads), self.ffn_ratio * width, rate)
            for rate in context.drop_path
        ]
        counts = self.counts(context)
        select = TokenSelection(width, drawn=self.select == "gumbel")
        order = ParallelRates if self.rate_mode == "parallel" else ProgressiveRates
        return order(width, context.frames, counts, select, layers)

    def counts(self, context: BuildContext) -> list[int]:
        """Return how many positions of every frame each rate keeps."""
        positions = context.size[0] * context.size[1]
        counts: list[int] = []
        for rate in self.rates:
            before = counts[-1] if counts and self.rate_mode == "progressive" else positions
            counts.append(_kept_count(before, rate))
        return counts

    def check(self, context: BuildContext) -> None:
        """Refuse a single frame, a stage after, uneven heads, and rates that keep too little."""
        if context.frames < 2:
            raise context.refuse("variation in time of a single frame", "two frames or more")
        if context.after:
            found = f"'sparse_vit' ends its path, with {_later(context)} to come"
            raise context.refuse(found, "the last stage, or another global block")
        _check_heads(self.heads, context)
        if self.rate_mode == "progressive" and self.blocks < len(self.rates):
            found = f"{self.blocks} layers are parted among {len(self.rates)} rates"
            raise context.refuse(found, "a layer or more for every rate, or rate_mode: parallel")
        for rate, count in zip(self.rates, self.counts(context), strict=True):
            if (tokens := context.frames * count) < _MIN_TOKENS:
                found = f"a rate of {rate:g} leaves {tokens} tokens, fewer than {_MIN_TOKENS}"
                raise context.refuse(found, "lower rates, or a larger map")

    def repair(self, context: BuildContext) -> Block:
        """Drop rates that keep too little; where it cannot stand, take plain attention."""
        if (
            context.frames < 2
            or context.after
            or context.frames * context.size[0] * context.size[1] < _MIN_TOKENS
        ):
            plain = MHSA(blocks=self.blocks, heads=self.heads, ffn_ratio=self.ffn_ratio)
            return plain.repair(context)
        counts = zip(self.rates, self.counts(context), strict=True)
        rates = tuple(rate for rate, count in counts if context.frames * count >= _MIN_TOKENS)
        repaired: dict[str, Any] = {
            "heads": _fitting_heads(self.heads, context.channels),
            "rates": rates or (0.0,),
        }
        if self.rate_mode == "progressive" and self.blocks < len(rates):
            repaired["rate_mode"] = "parallel"
        return self.model_copy(update=repaired)

    def canonical(self, context: BuildContext) -> "SparseViT":
        """A single rate follows no other; side by side they are a set."""
        if self.rate_mode == "progressive" and len(self.rates) > 1:
            return self
        rates = tuple(sorted(set(self.rates)))
        return self.model_copy(update={"rates": rates, "rate_mode": "parallel"})


def _kept_count(positions: int, rate: float) -> int:
    """Return ceil((1 - rate) positions), the rate being the decimal number that it looks like."""
    return positions - int(Fraction(str(rate)) * positions)


def _later(context: BuildContext) -> str:
    count = len(context.after)
    return f"{count} stage{'s' if count > 1 else ''}"


def _check_tokens(context: BuildContext) -> None:
    """Refuse a map of one position."""
    if context.size == (1, 1):
        found = "attention over a map of 1 x 1, a single token"
        raise context.refuse(found, "at least 2 tokens, or another global block")


def _check_heads(heads: int, context: BuildContext, *, even: bool = True) -> None:
    """Refuse heads of fewer than 8 channels and, unless they need not be `even`, uneven ones."""
    if context.channels // heads < MIN_HEAD_WIDTH:
        found = (
            f"{heads} heads share {context.channels} channels, fewer than {MIN_HEAD_WIDTH} each"
        )
        raise context.refuse(found, f"at most {max(1, context.channels // MIN_HEAD_WIDTH)} heads")
    if even and context.channels % heads:
        found = f"{heads} heads do not share {context.channels} channels evenly"
        raise context.refuse(found, f"a divisor of {context.channels}")


def _fitting_heads(heads: int, channels: int) -> int:
    """Return the number next to `heads` of heads that share the channels evenly, 8 at least."""
    most = max(1, channels // MIN_HEAD_WIDTH)
    fits = [count for count in range(1, most + 1) if channels % count == 0]
    return min(fits, key=lambda count: abs(count - heads))
