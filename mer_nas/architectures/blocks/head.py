"""Heads: from the last map (B, C, H, W) to one number for every class."""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval
from pydantic import PositiveInt
from torch import nn

from mer_nas.architectures.blocks.base import HEADS, Block, BuildContext, Shape
from mer_nas.architectures.blocks.temporal import Conv3D
from mer_nas.architectures.layers.basic import (
    ChannelNorm,
    MeanOverMap,
    Start,
    linear,
    started,
)

_POOL = 3
"""Height and width of what the head of rank features pools, and so of its smallest map."""


class _Head(Block):
    """What all heads have: dropout before the last layer, and one number a class."""

    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Share of the numbers before the last layer that training drops."""

    def shape(self, context: BuildContext) -> Shape:
        """Return one position with a channel a class."""
        return Shape(context.width, (1, 1))


@HEADS.register
class Gap(_Head):
    """Global average pooling and a linear classifier."""

    kind: Literal["gap"] = "gap"
    norm: bool = False
    """LayerNorm over channels before the average, as transformers end."""

    def build(self, context: BuildContext) -> nn.Module:
        """Return the classifier."""
        return nn.Sequential(
            ChannelNorm(context.channels) if self.norm else nn.Identity(),
            MeanOverMap(),
            nn.Dropout(self.dropout),
            linear(context.channels, context.width),
        )

    def check(self, context: BuildContext) -> None:
        """Refuse rank features, whose mean over the grid says little."""
        if _rank_features(context):
            raise context.refuse("the mean of rank features", "head: {kind: rank_fc}")

    def repair(self, context: BuildContext) -> Block:
        """Read rank features as they are."""
        return RankFC(dropout=self.dropout) if _rank_features(context) else self


@HEADS.register
class RankFC(_Head):
    """3 x 3 maxima, flattened, and two linear maps with a ReLU between them."""

    kind: Literal["rank_fc"] = "rank_fc"
    hidden: PositiveInt = 256
    """Width between the two maps."""

    source: ClassVar[str] = "FDP: arXiv:2509.06015 (github.com/CYF-cuber/FDP)"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the classifier."""
        height, width = context.size
        return nn.Sequential(
            nn.MaxPool2d(_POOL),
            nn.Flatten(),
            linear(context.channels * (height // _POOL) * (width // _POOL), self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            linear(self.hidden, context.width),
        )

    def check(self, context: BuildContext) -> None:
        """Refuse a map that is smaller than what is pooled."""
        if min(context.size) < _POOL:
            found = f"a map of {context.size[0]} x {context.size[1]} to pool in parts of 3 x 3"
            raise context.refuse(found, "head: {kind: gap}")

    def repair(self, context: BuildContext) -> Block:
        """Average a small map, which leaves no more numbers to flatten."""
        return Gap(dropout=self.dropout) if min(context.size) < _POOL else self


@HEADS.register
class FlattenHead(_Head):
    """Every number of the map, perhaps through hidden layers with ReLUs, and a linear map."""

    kind: Literal["flatten"] = "flatten"
    pool: Literal["mean", "max"] = "mean"
    """What the map is pooled by first."""
    window: PositiveInt = 1
    """Height and width of what is pooled; 1: nothing is."""
    hidden: tuple[PositiveInt, ...] = ()
    """Widths of hidden layers, one behind the other."""
    dropout_in: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Share of the flattened numbers that training drops, before hidden layers."""
    start: Start = "usual"
    """How weights begin. usual: normal with a deviation of 0.02, biases 0; torch: as torch has
    them; glorot: Glorot's uniform distribution, biases 0, as Keras has them."""

    source: ClassVar[str] = "STSTNet: arXiv:1902.03634; OFF-ApexNet: arXiv:1805.08699"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the classifier."""
        pool = nn.MaxPool2d(self.window) if self.pool == "max" else nn.AvgPool2d(self.window)
        height, width = (side // self.window for side in context.size)
        widths = [context.channels * height * width, *self.hidden]
        hidden: list[nn.Module] = [nn.Dropout(self.dropout_in)] if self.hidden else []
        for inputs, outputs in pairwise(widths):
            hidden += [started(nn.Linear(inputs, outputs), self.start), nn.ReLU()]
        return nn.Sequential(
            pool if self.window > 1 else nn.Identity(),
            nn.Flatten(),
            *hidden,
            nn.Dropout(self.dropout),
            started(nn.Linear(widths[-1], context.width), self.start),
        )

    def check(self, context: BuildContext) -> None:
        """Refuse a map that is smaller than what is pooled."""
        if min(context.size) < self.window:
            height, width = context.size
            found = f"a map of {height} x {width} to pool in parts of {self.window}"
            raise context.refuse(found, f"window: {max(1, min(context.size))} or less")

    def repair(self, context: BuildContext) -> Block:
        """Pool no more than there is."""
        most = max(1, min(self.window, *context.size))
        return self if most == self.window else self.model_copy(update={"window": most})

    def canonical(self, context: BuildContext) -> Block:
        """Without windows there is no pool, and without hidden layers one dropout."""
        changes: dict[str, object] = {"pool": "mean"} if self.window == 1 else {}
        return self.model_copy(update=changes if self.hidden else {**changes, "dropout_in": 0.0})


def _rank_features(context: BuildContext) -> bool:
    return any(isinstance(pool, Conv3D) for pool in context.pools)
