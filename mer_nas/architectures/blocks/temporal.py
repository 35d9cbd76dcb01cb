"""Temporal pools: from the maps of a clip's frames (B T, C, H, W) to one map (B, C, H, W).

Most are weighted sums over time. `arp` is approximate rank pooling (Bilen et al. 2016); `conv3d`
is the rank scorer of *Fine-grained dynamic perception* (Shao et al. 2025, arXiv:2509.06015, code
at github.com/CYF-cuber/FDP); `scored` is our reading of that paper's text.

Shapes speak of B clips, T frames, C channels, H x W maps, and R rank features on a G x G grid.
"""

from typing import ClassVar, Literal

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from mer_nas.architectures.blocks.base import TEMPORALS, Block, BuildContext, Shape
from mer_nas.architectures.layers.basic import linear, mean_over_map
from mer_nas.architectures.state import PooledFrames, State, Stateful
from mer_nas.rank_pooling import coefficients


class TemporalPool(Block):
    """What all temporal pools have: a place in the path."""

    where: Literal["stem", "end"] | NonNegativeInt = "end"
    """After the stem, after the stage of that index, or after the last stage."""

    @property
    def losses(self) -> frozenset[str]:
        """What frames, and the map that they become, can learn on the side."""
        return frozenset({"dyn_image", "rank"})

    def frames(self, context: BuildContext) -> int:
        """Return one."""
        return 1

    def build(self, context: BuildContext) -> nn.Module:
        """Return the pool."""
        return _OverTime(context.frames, self.pool(context))

    def pool(self, context: BuildContext) -> nn.Module:
        """Return what maps frames (B, T, C, H, W) to (B, C, H, W)."""
        raise NotImplementedError

    def check(self, context: BuildContext) -> None:
        """Refuse a place behind the last stage."""
        last = len(context.stages) - 1
        if isinstance(self.where, int) and self.where > last:
            found = f"a pool after stage {self.where}, but the last one is stage {last}"
            raise context.refuse(found, f"where: stem, end, or from 0 to {last}")

    def repair(self, context: BuildContext) -> Block:
        """Pool at the end what would be pooled behind it."""
        past = isinstance(self.where, int) and self.where >= len(context.stages)
        return self.model_copy(update={"where": "end"}) if past else self

    def canonical(self, context: BuildContext) -> Block:
        """After the last stage is at the end."""
        last = self.where == len(context.stages) - 1
        return self.model_copy(update={"where": "end"}) if last else self


@TEMPORALS.register
class Mean(TemporalPool):
    """The mean over frames."""

    kind: Literal["mean"] = "mean"

    def pool(self, context: BuildContext) -> nn.Module:
        """Return the sum with equal weights."""
        return _FixedSum([1 / context.frames] * context.frames)


@TEMPORALS.register
class Max(TemporalPool):
    """The maximum over frames."""

    kind: Literal["max"] = "max"

    def pool(self, context: BuildContext) -> nn.Module:
        """Return the maximum."""
        return _MaxOverTime()


@TEMPORALS.register
class Diff(TemporalPool):
    """The mean over frames, minus the first: of onset and apex, their motion."""

    kind: Literal["diff"] = "diff"

    def pool(self, context: BuildContext) -> nn.Module:
        """Return the sum with equal weights and the first frame's less by one."""
        first, *others = [1 / context.frames] * context.frames
        return _FixedSum([first - 1, *others])


@TEMPORALS.register
class ARP(TemporalPool):
    """Approximate rank pooling: the sum that keeps the direction of time."""

    kind: Literal["arp"] = "arp"

    source: ClassVar[str] = "Bilen et al. 2016 (CVPR), eq. (3)"

    def pool(self, context: BuildContext) -> nn.Module:
        """Return the sum, its weights brought to a total size of 1."""
        weights = coefficients(context.frames)
        size = sum(map(abs, weights))
        return _FixedSum([weight / size for weight in weights])

    def canonical(self, context: BuildContext) -> Block:
        """Of two frames it is half their difference, as `diff` is."""
        return (
            Diff(where=self.where).canonical(context)
            if context.frames == 2
            else super().canonical(context)
        )


@TEMPORALS.register
class Learned(TemporalPool):
    """A sum with learned weights, which start as those of approximate rank pooling."""

    kind: Literal["learned"] = "learned"

    def pool(self, context: BuildContext) -> nn.Module:
        """Return the sum."""
        return _LearnedSum(context.frames)


@TEMPORALS.register
class Scored(TemporalPool):
    """The mean of frames times their rank scores, which the rank loss teaches to rise."""

    kind: Literal["scored"] = "scored"

    source: ClassVar[str] = "our reading of arXiv:2509.06015"

    @property
    def needs(self) -> frozenset[str]:
        """The order of frames, which nothing else would teach."""
        return frozenset({"rank"})

    def pool(self, context: BuildContext) -> nn.Module:
        """Return the sum."""
        return _ScoredSum(context.channels)


@TEMPORALS.register
class Attn(TemporalPool):
    """A sum with weights that come from the frames and add up to 1."""

    kind: Literal["attn"] = "attn"

    def pool(self, context: BuildContext) -> nn.Module:
        """Return the sum."""
        return _AttentiveSum(context.channels)


@TEMPORALS.register
class Conv3D(TemporalPool):
    """Rank features: each frame as a learned grid, and filters through the stack of grids.

    Frames meet as vectors, when places are no longer apart. Where motions are small and clips few,
    pools that stand early learn more.
    """

    kind: Literal["conv3d"] = "conv3d"
    channels: PositiveInt = 8
    """Filters, each of which sees 3 x 3 places of the grid in all frames."""
    grid: PositiveInt = 32
    """Height and width of the grid."""
    axis: Literal["time", "code_reshape"] = "time"
    """time: the filters run through the frames; code_reshape: through what the public code takes
    for them, neighbouring numbers of one frame. To reproduce that code; not for searches."""

    source: ClassVar[str] = "FDP: arXiv:2509.06015 (github.com/CYF-cuber/FDP)"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the scorer."""
        pool = _RankFeatures(context.channels, context.frames, self.channels, self.grid, self.axis)
        return _OverTime(context.frames, pool)

    def shape(self, context: BuildContext) -> Shape:
        """Return the grid with a channel a filter."""
        return Shape(self.channels, (self.grid, self.grid))

    def check(self, context: BuildContext) -> None:
        """Refuse a place before the end, where stages would take the grid for a face."""
        super().check(context)
        if self.where != "end":
            raise context.refuse(f"rank features after {_place(self.where)}", "where: end")
        if len(context.pools) > 1:
            found = "rank features beside another path, with whose positions they share nothing"
            raise context.refuse(found, "one path, or another temporal pool")

    def repair(self, context: BuildContext) -> Block:
        """Take them at the end; beside another path, weigh the frames instead."""
        if len(context.pools) > 1:
            return Learned()
        return self.model_copy(update={"where": "end"})

    def check_searched(self, context: BuildContext) -> None:
        """Refuse the mistake of the public code."""
        if self.axis == "code_reshape":
            found = "axis 'code_reshape', which is there to reproduce published code only"
            raise context.refuse(found, "axis: time, or a reference in place of a point")


class _OverTime(Stateful):
    """Unfolds the frames of a batch (B T, ...), pools them, and lets others see what it did.

    Args:
        frames: T.
        pool: (B, T, C, H, W) to (B, C', H', W').
    """

    def __init__(self, frames: int, pool: nn.Module) -> None:
        super().__init__()
        self.frames = frames
        self.pool = pool

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Pool x, and the attention of the path by its mean."""
        frames = self._unfolded(x)
        pooled: Tensor = self.pool(frames)
        attention = state.attention
        if attention is not None:
            attention = self._unfolded(attention).mean(1)
        scores = self.pool.score(frames) if isinstance(self.pool, _ScoredSum) else None
        return pooled, state._replace(
            attention=attention, pooled_frames=PooledFrames(frames, pooled, scores)
        )

    def _unfolded(self, x: Tensor) -> Tensor:
        return x.reshape(-1, self.frames, *x.shape[1:])


class _WeightedSum(nn.Module):
    """The sum over time of maps times weights."""

    def weights(self, frames: Tensor) -> Tensor:
        """Return the weights (T,) of all clips or (B, T) of each."""
        raise NotImplementedError

    def forward(self, frames: Tensor) -> Tensor:
        """Sum (B, T, C, H, W) over T, as one product, in the order in which they lie in memory."""
        weights = self.weights(frames)[..., None, :].expand(frames.shape[0], 1, -1)  # (B, 1, T)
        if frames.stride(2) != 1:
            return torch.bmm(weights, frames.flatten(2)).view(-1, *frames.shape[2:])
        frames = frames.permute(0, 1, 3, 4, 2)
        summed = torch.bmm(weights, frames.flatten(2)).view(-1, *frames.shape[2:])
        return summed.permute(0, 3, 1, 2)


class _FixedSum(_WeightedSum):
    """Weights that are what they are."""

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.register_buffer("known", torch.tensor(weights), persistent=False)

    def weights(self, frames: Tensor) -> Tensor:
        """Return them."""
        known: Tensor = self.get_buffer("known")
        return known


class _LearnedSum(_WeightedSum):
    """Weights of a total size of 1."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(coefficients(frames)))

    def weights(self, frames: Tensor) -> Tensor:
        """Return them."""
        return self.alpha / self.alpha.abs().sum()


class FrameScore(nn.Module):
    """A linear score of the mean over positions: (B, T, C, H, W) to (B, T)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # What it is for, the order or a softmax, is the same whatever is added to all scores.
        self.score = linear(channels, 1, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Score every frame."""
        scores: Tensor = self.score(mean_over_map(frames.flatten(0, 1)))  # (B T, 1)
        return scores.view(frames.shape[:2])


class _ScoredSum(_WeightedSum):
    """Weights that are the frames' rank scores, divided by T."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = FrameScore(channels)

    def weights(self, frames: Tensor) -> Tensor:
        """Return them."""
        scores: Tensor = self.score(frames)
        return scores / frames.shape[1]


class _AttentiveSum(_WeightedSum):
    """Weights that are the softmax over time of a score."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = FrameScore(channels)

    def weights(self, frames: Tensor) -> Tensor:
        """Return them."""
        scores: Tensor = self.score(frames)
        return scores.softmax(1)


class _MaxOverTime(nn.Module):
    """(B, T, C, H, W) to (B, C, H, W)."""

    def forward(self, frames: Tensor) -> Tensor:
        """Take the maximum over T."""
        return frames.amax(1)


class _RankFeatures(nn.Module):
    """(B, T, C, H, W) to (B, R, G, G).

    Args:
        channels: C.
        frames: T.
        features: R.
        grid: G.
        axis: time: numbers of one place of the grid in all frames lie along the filters' last
            axis; code_reshape: numbers in the order in which the frames give them do.
    """

    def __init__(self, channels: int, frames: int, features: int, grid: int, axis: str) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.spread = linear(channels, grid * grid)
        self.rank = nn.Conv3d(1, features, (3, 3, frames), padding=(1, 1, 0))
        nn.init.kaiming_normal_(self.rank.weight, nonlinearity="relu")
        assert self.rank.bias is not None
        nn.init.zeros_(self.rank.bias)
        self.grid = grid
        self.axis = axis

    def forward(self, frames: Tensor) -> Tensor:
        """Spread every frame over the grid, and filter the stack."""
        count = frames.shape[1]
        features = mean_over_map(self.norm(frames.flatten(0, 1)))  # (B T, C)
        grids: Tensor = self.spread(features).reshape(-1, count, self.grid**2)
        if self.axis == "time":
            grids = grids.transpose(1, 2)
        stack = grids.reshape(-1, 1, self.grid, self.grid, count)
        filtered: Tensor = self.rank(stack)
        return filtered.squeeze(4)


def _place(where: str | int) -> str:
    return f"stage {where}" if isinstance(where, int) else f"the {where}"
