"""The global block that keeps the positions where a clip changes, and ends its path.

Source: our reading of SEViT in *MEDN: motion-emotion feature decoupling* (Hu et al. 2026,
arXiv:2604.17899), of which only the abstract was at hand: spatial tokens made sparse at several
rates, so that local variations in time stand out. Rates applied one after another are those of
DynamicViT (Rao et al. 2021, arXiv:2106.02034); the noise of `select: gumbel` draws positions
without replacement (Kool et al. 2019, arXiv:1903.06059). Positions above a threshold, a different
number for every clip, are not offered: neither would the cost be known before training, nor would
clips fit in one batch.

Shapes speak of B clips of T frames, N positions of a frame of which K are kept, C channels.
"""

from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Interval
from pydantic import AfterValidator, PositiveInt
from torch import Tensor, nn

from mer_nas.architectures.attention import MHSA, Attention, check_heads, fitting_heads
from mer_nas.architectures.blocks import GLOBALS, Block, BuildContext, Shape, non_empty
from mer_nas.architectures.layers import TokenLayer, init_, linear
from mer_nas.architectures.state import State, Stateful, StatefulSequential, advance

FEWEST = 4
"""Fewest tokens that a rate may leave of a clip."""


def _ascending(rates: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sorted(set(rates)))


Rates = Annotated[
    tuple[Annotated[float, Interval(ge=0, lt=1)], ...],
    AfterValidator(non_empty),
    AfterValidator(_ascending),
]


@GLOBALS.register
class SparseViT(Block):
    """Transformer layers over the positions that change most, at several rates; ends a path."""

    kind: Literal["sparse_vit"] = "sparse_vit"
    blocks: PositiveInt = 4
    """How many layers, one after the other; all rates share them."""
    heads: PositiveInt = 3
    """Attention heads; each gets an equal share of the channels, at least 8."""
    ffn_ratio: PositiveInt = 2
    """Width inside the feed-forward, in widths of the stage."""
    rates: Rates = (0.25, 0.5, 0.75)
    """Shares of the positions that are left out."""
    rate_mode: Literal["parallel", "progressive"] = "parallel"
    """parallel: every rate has its own pass through all layers; progressive: the layers are
    parted among the rates, and each rate leaves out its share of what the one before kept."""
    select: Literal["topk", "gumbel"] = "topk"
    """topk: keep the positions that score highest; gumbel: in training, draw them by their
    scores."""

    source: ClassVar[str] = "our reading of SEViT: Hu et al. 2026, arXiv:2604.17899"

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self.blocks

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
            TokenLayer(width, Attention(width, self.heads), self.ffn_ratio * width, rate)
            for rate in context.drop_path
        ]
        counts = self._counts(context)
        select = Select(width, drawn=self.select == "gumbel")
        if self.rate_mode == "parallel":
            return Parallel(width, context.frames, counts, select, StatefulSequential(layers))
        return Progressive(width, context.frames, counts, select, _parted(layers, len(counts)))

    def _counts(self, context: BuildContext) -> list[int]:
        positions = context.size[0] * context.size[1]
        counts: list[int] = []
        for rate in self.rates:
            before = counts[-1] if counts and self.rate_mode == "progressive" else positions
            counts.append(kept_of(before, rate))
        return counts

    def check(self, context: BuildContext) -> None:
        """Refuse a single frame, a stage after, uneven heads, and rates that keep too little."""
        if context.frames < 2:
            raise context.refuse("variation in time of a single frame", "two frames or more")
        if context.after:
            found = f"'sparse_vit' ends its path, with {_later(context)} to come"
            raise context.refuse(found, "the last stage, or another global block")
        check_heads(self.heads, context)
        if self.rate_mode == "progressive" and self.blocks < len(self.rates):
            found = f"{self.blocks} layers are parted among {len(self.rates)} rates"
            raise context.refuse(found, "a layer or more for every rate, or rate_mode: parallel")
        for rate, count in zip(self.rates, self._counts(context), strict=True):
            if (tokens := context.frames * count) < FEWEST:
                found = f"a rate of {rate:g} leaves {tokens} tokens, fewer than {FEWEST}"
                raise context.refuse(found, "lower rates, or a larger map")

    def repair(self, context: BuildContext) -> Block:
        """Drop rates that keep too little; where it cannot stand, take plain attention."""
        if (
            context.frames < 2
            or context.after
            or context.frames * context.size[0] * context.size[1] < FEWEST
        ):
            plain = MHSA(blocks=self.blocks, heads=self.heads, ffn_ratio=self.ffn_ratio)
            return plain.repair(context)
        counts = zip(self.rates, self._counts(context), strict=True)
        rates = tuple(rate for rate, count in counts if context.frames * count >= FEWEST)
        repaired: dict[str, Any] = {
            "heads": fitting_heads(self.heads, context.channels),
            "rates": rates or (0.0,),
        }
        if self.blocks < len(rates):
            repaired["rate_mode"] = "parallel"
        return self.model_copy(update=repaired)

    def canonical(self, context: BuildContext) -> "SparseViT":
        """A single rate follows no other."""
        alone = len(self.rates) == 1
        return self.model_copy(update={"rate_mode": "parallel"}) if alone else self


class Select(nn.Module):
    """Keeps the positions of a clip that score highest, the same in all frames.

        d_n = mean_t |x_{t+1,n} - x_{t,n}|
        v_n = w [mean_t x_{t,n}; d_n] + b + ||d_n||

    What is kept is multiplied by the sigmoid of its score, so that the score learns.

    Args:
        dim: C.
        drawn: In training, add Gumbel noise to the scores that are compared.
    """

    def __init__(self, dim: int, *, drawn: bool = False) -> None:
        super().__init__()
        self.score = linear(2 * dim, 1)
        self.drawn = drawn

    def scores(self, clips: Tensor) -> Tensor:
        """Return v (B, N)."""
        change = (clips[:, 1:] - clips[:, :-1]).abs().mean(1)  # (B, N, C)
        seen: Tensor = self.score(torch.cat([clips.mean(1), change], dim=2))
        size: Tensor = torch.linalg.vector_norm(change, dim=2)
        return seen[..., 0] + size

    def forward(self, clips: Tensor, *counts: int) -> list[Tensor]:
        """Return the `counts` best positions (B, T, K, C) of clips (B, T, N, C)."""
        scores = self.scores(clips)
        compared = scores
        if self.drawn and self.training:
            compared = scores - (-(torch.rand_like(scores) + 1e-10).log()).log()
        ranks = compared.topk(max(counts), dim=1).indices
        return [_kept(clips, scores, ranks[:, :count]) for count in counts]


class Sparse(Stateful):
    """What both orders of rates have: (B T, C, H, W) to (B, C, 1, 1).

    Args:
        dim: C.
        frames: T.
        counts: K for every rate.
        select: Keeps positions.
        classes: Number of class tokens.
    """

    def __init__(
        self, dim: int, frames: int, counts: list[int], select: Select, classes: int
    ) -> None:
        super().__init__()
        self.counts = counts
        self.select = select
        self.time = nn.Parameter(torch.empty(frames, dim))
        self.classes = nn.Parameter(torch.empty(classes, dim))
        self.merge = linear(len(counts) * dim, dim)
        init_(self.time)
        init_(self.classes)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take the frames of clips to what the class tokens say of them."""
        frames, channels = self.time.shape
        clips = x.reshape(-1, frames, channels, x.shape[2] * x.shape[3]).transpose(2, 3)
        said, state = self.passed(clips, state)
        merged: Tensor = self.merge(torch.cat(said, dim=1))
        # A map of the positions in every frame says nothing about the one that is left.
        return merged[:, :, None, None], state._replace(attention=None)

    def passed(self, clips: Tensor, state: State) -> tuple[list[Tensor], State]:
        """Return for every rate what a class token (B, C) makes of clips (B, T, N, C)."""
        raise NotImplementedError

    def timed(self, clips: Tensor) -> Tensor:
        """Add to every token of clips (B, T, K, C) the number of its frame."""
        return clips + self.time[:, None]

    def opening(self, index: int, clips: Tensor) -> Tensor:
        """Return a class token for every clip: (B, 1, C)."""
        return self.classes[index].expand(clips.shape[0], 1, -1)


class Parallel(Sparse):
    """Every rate has its own tokens and its own class token, and goes through all layers."""

    def __init__(
        self, dim: int, frames: int, counts: list[int], select: Select, layers: StatefulSequential
    ) -> None:
        super().__init__(dim, frames, counts, select, len(counts))
        self.layers = layers

    def passed(self, clips: Tensor, state: State) -> tuple[list[Tensor], State]:
        """Take every rate through the layers."""
        said: list[Tensor] = []
        for index, kept in enumerate(self.select(clips, *self.counts)):
            tokens = self.timed(kept).flatten(1, 2)
            tokens = torch.cat([self.opening(index, clips), tokens], dim=1)  # (B, 1 + T K, C)
            tokens, state = advance(self.layers, tokens, state)
            said.append(tokens[:, 0])
        return said, state


class Progressive(Sparse):
    """One class token goes through all layers, with fewer tokens from rate to rate."""

    def __init__(
        self,
        dim: int,
        frames: int,
        counts: list[int],
        select: Select,
        groups: list[StatefulSequential],
    ) -> None:
        super().__init__(dim, frames, counts, select, 1)
        self.groups = nn.ModuleList(groups)

    def passed(self, clips: Tensor, state: State) -> tuple[list[Tensor], State]:
        """Take what each rate keeps through its layers, and on to the next."""
        said: list[Tensor] = []
        first, tokens = self.opening(0, clips), clips
        for count, layers in zip(self.counts, self.groups, strict=True):
            (kept,) = self.select(tokens, count)
            kept = kept if said else self.timed(kept)
            both = torch.cat([first, kept.flatten(1, 2)], dim=1)  # (B, 1 + T K, C)
            both, state = advance(layers, both, state)
            first, tokens = both[:, :1], both[:, 1:].reshape(kept.shape)
            said.append(first[:, 0])
        return said, state


def _kept(clips: Tensor, scores: Tensor, where: Tensor) -> Tensor:
    """Return the positions `where` (B, K) of clips (B, T, N, C), weighed by scores (B, N)."""
    _, frames, _, channels = clips.shape
    weights = scores.gather(1, where).sigmoid()[:, None, :, None]
    return clips.gather(2, where[:, None, :, None].expand(-1, frames, -1, channels)) * weights


def kept_of(positions: int, rate: float) -> int:
    """Return ceil((1 - rate) positions), the rate being the decimal number that it looks like."""
    return positions - int(Fraction(str(rate)) * positions)


def _parted(layers: list[TokenLayer], groups: int) -> list[StatefulSequential]:
    """Return the layers in groups of equal length; the first ones take what is left over."""
    sizes = [len(layers) // groups + (group < len(layers) % groups) for group in range(groups)]
    ends = [sum(sizes[: group + 1]) for group in range(groups)]
    return [
        StatefulSequential(layers[end - size : end]) for size, end in zip(sizes, ends, strict=True)
    ]


def _later(context: BuildContext) -> str:
    count = len(context.after)
    return f"{count} stage{'s' if count > 1 else ''}"
