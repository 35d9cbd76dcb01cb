"""Local blocks of shallow networks: a convolution as it is, one that recurs, Inception's first.

Most networks that papers of the field compare with are a few of these: STSTNet (Liong et al. 2019,
arXiv:1902.03634), OFF-ApexNet (Gan et al. 2019, arXiv:1805.08699), Dual-Inception (Zhou et al.
2019, github.com/xly135846/MEGC2019) and the recurrent convolutions of Xia et al. 2020
(arXiv:2006.09674).

Unlike other local blocks they shrink the map themselves, where they are told to. Shapes speak of B
clips, C channels in, D channels out, and H x W maps.
"""

from typing import Annotated, ClassVar, Literal

from annotated_types import Interval
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from mer_nas.architectures.blocks.base import LOCALS, Block, BuildContext, Shape, Size
from mer_nas.architectures.blocks.local import ResBasic
from mer_nas.architectures.layers.basic import Branches, Start, started

_Share = Annotated[float, Interval(ge=0, lt=1)]


class _Alone(Block):
    """One layer, which no clip skips."""

    skips: ClassVar[bool] = False
    pool: Literal["none", "max", "mean"] = "none"
    """What its end is pooled by."""
    window: PositiveInt = 2
    """Height and width of what is pooled."""
    step: PositiveInt | None = None
    """From one window to the next; null: windows lie side by side."""
    margin: NonNegativeInt = 0
    """Positions around the map that windows reach into; at most half a window."""
    dropout: _Share = 0.0
    """Share of the numbers that training leaves out at the end."""
    start: Start = "usual"
    """How weights begin. usual: He's normal distribution, biases 0; torch: as torch has them;
    glorot: Glorot's uniform one, biases 0, as Keras has them."""

    @property
    def depth(self) -> int:
        """One."""
        return 1

    def shape(self, context: BuildContext) -> Shape:
        """Return the stage's width, after the layer and the pool."""
        height, width = self.filtered(context.size)
        return Shape(context.width, (self._pooled(height), self._pooled(width)), context.stride)

    def filtered(self, size: Size) -> Size:
        """Return what the layer leaves of a map, before the pool."""
        return size

    def check(self, context: BuildContext) -> None:
        """Refuse a layer that leaves nothing, and margins that are wider than half a window."""
        if min(self.shape(context).size) < 1:
            height, width = context.size
            found = f"{self.kind!r} leaves nothing of a map of {height} x {width}"
            raise context.refuse(found, "smaller kernels, strides or windows, or more padding")
        if self.pool != "none" and 2 * self.margin > self.window:
            found = f"a margin of {self.margin} around windows of {self.window}"
            raise context.refuse(found, f"a margin up to {self.window // 2}")

    def repair(self, context: BuildContext) -> Block:
        """Pool nothing where nothing would be left, with margins up to half a window."""
        if min(self.shape(context).size) < 1:
            bare = self.model_copy(update={"pool": "none"})
            return bare if min(bare.shape(context).size) > 0 else ResBasic()
        if 2 * self.margin > self.window:
            return self.model_copy(update={"margin": self.window // 2})
        return self

    def canonical(self, context: BuildContext) -> Block:
        """Without a pool it has no windows; a step as wide as a window is none of its own."""
        if self.pool == "none":
            return self.model_copy(update={"window": 2, "step": None, "margin": 0})
        return self.model_copy(update={"step": None}) if self.step == self.window else self

    def ending(self) -> list[nn.Module]:
        """Return what follows the layer."""
        sides = (self.window, self.step, self.margin)
        pools: dict[str, list[nn.Module]] = {
            "none": [],
            "max": [nn.MaxPool2d(*sides)],
            "mean": [nn.AvgPool2d(*sides)],
        }
        return [*pools[self.pool], *([nn.Dropout(self.dropout)] if self.dropout else [])]

    def _pooled(self, side: int) -> int:
        if self.pool == "none":
            return side
        return (side + 2 * self.margin - self.window) // (self.step or self.window) + 1


@LOCALS.register
class Conv(_Alone):
    """One convolution and a ReLU, with BatchNorm before or behind it, or none; then a pool."""

    kind: Literal["conv"] = "conv"
    kernel: PositiveInt = 3
    """Height and width of the convolution."""
    stride: PositiveInt = 1
    """Its subsampling."""
    padding: NonNegativeInt | None = None
    """Zeros around the map; null: as many as keep the size of the map."""
    norm: Literal["before", "after", "none"] = "before"
    """Where BatchNorm stands: before the ReLU, after it, nowhere."""
    bias: bool = True
    """Whether the convolution has one."""

    source: ClassVar[str] = "STSTNet: Liong et al. 2019 (arXiv:1902.03634), and others"

    def build(self, context: BuildContext) -> nn.Module:
        """Return convolution, norm, ReLU and pool."""
        layer = nn.Conv2d(
            context.channels,
            context.width,
            self.kernel,
            self.stride,
            self._padding,
            bias=self.bias,
        )
        norm = nn.BatchNorm2d(context.width)
        middle: dict[str, list[nn.Module]] = {
            "before": [norm, nn.ReLU()],
            "after": [nn.ReLU(), norm],
            "none": [nn.ReLU()],
        }
        return nn.Sequential(started(layer, self.start), *middle[self.norm], *self.ending())

    def filtered(self, size: Size) -> Size:
        """Return what the convolution leaves."""
        height, width = (
            (side + 2 * self._padding - self.kernel) // self.stride + 1 for side in size
        )
        return height, width

    def canonical(self, context: BuildContext) -> Block:
        """Padding that keeps the size is none of its own."""
        usual = self.padding == self.kernel // 2
        pooled = super().canonical(context)
        return pooled.model_copy(update={"padding": None}) if usual else pooled

    @property
    def _padding(self) -> int:
        return self.kernel // 2 if self.padding is None else self.padding


@LOCALS.register
class RecurrentConv(_Alone):
    """A 3 x 3 convolution that meets the map again and again, with what it made of it last.

    y = f_1x1(x), then y = f_3x3(x + y) so many times, each with BatchNorm and ReLU: one set of
    weights.
    """

    kind: Literal["recurrent"] = "recurrent"
    times: PositiveInt = 2
    """How often the 3 x 3 convolution is met."""

    source: ClassVar[str] = (
        "Xia et al. 2020 (arXiv:2006.09674), "
        "github.com/xiazhaoqiang/ParameterFreeRCNs-MicroExpressionRec"
    )

    def build(self, context: BuildContext) -> nn.Module:
        """Return the layer and its pool."""
        layer = Recurrence(context.width, self.times, self.start)
        return nn.Sequential(layer, *self.ending())

    def check(self, context: BuildContext) -> None:
        """Refuse a stage that changes the width: the map meets what was made of it."""
        super().check(context)
        if context.channels != context.width:
            found = f"a recurrent convolution from {context.channels} to {context.width} channels"
            raise context.refuse(found, "growth: 1")

    def repair(self, context: BuildContext) -> Block:
        """Take a plain convolution where the width changes."""
        if context.channels != context.width:
            return Conv(pool=self.pool, window=self.window).repair(context)
        return super().repair(context)


class Recurrence(nn.Module):
    """(B, C, H, W) to the same.

    Args:
        channels: C.
        times: How often the 3 x 3 convolution is met.
        start: How weights begin.
    """

    def __init__(self, channels: int, times: int, start: Start) -> None:
        super().__init__()
        self.times = times
        self.enter = nn.Sequential(
            started(nn.Conv2d(channels, channels, 1), start),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.again = nn.Sequential(
            started(nn.Conv2d(channels, channels, 3, padding=1), start),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Meet x again and again."""
        y: Tensor = self.enter(x)
        for _ in range(self.times):
            y = self.again(x + y)
        return y


@LOCALS.register
class IncV1(_Alone):
    """Inception's first block: 1 x 1, 3 x 3, 5 x 5 and a maximum side by side, without norms."""

    kind: Literal["inc_v1"] = "inc_v1"

    source: ClassVar[str] = "Szegedy et al. 2015 (arXiv:1409.4842), in Dual-Inception's widths"

    def build(self, context: BuildContext) -> nn.Module:
        """Return four branches, each of a quarter of the width, and the pool."""
        quarter = context.width // 4

        def chain(*kernels: int) -> list[nn.Module]:
            widths = [context.channels, *[quarter] * len(kernels)]
            layers: list[nn.Module] = []
            for inputs, kernel in zip(widths, kernels, strict=False):
                layer = nn.Conv2d(inputs, quarter, kernel, padding=kernel // 2)
                layers += [started(layer, self.start), nn.ReLU()]
            return layers

        branches = [chain(1), chain(1, 3), chain(1, 5), [nn.MaxPool2d(3, 1, 1), *chain(1)]]
        return nn.Sequential(
            Branches(nn.Sequential(*branch) for branch in branches), *self.ending()
        )

    def check(self, context: BuildContext) -> None:
        """Refuse widths that four branches do not share evenly."""
        super().check(context)
        if context.width % 4:
            found = f"four branches of {context.width} channels"
            raise context.refuse(found, "a width divisible by 4")

    def repair(self, context: BuildContext) -> Block:
        """Take a plain convolution where the width is none for four branches."""
        if context.width % 4:
            return Conv(pool=self.pool, window=self.window).repair(context)
        return super().repair(context)
