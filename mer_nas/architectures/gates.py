"""Gates: what a stage lets through.

The progressive gate is the progressive attention module of Zhan et al. 2024 (DOI
10.3724/SP.J.1249.2024.06756), equations (9) and (10): a spatial map from the maximum and the mean
over channels, multiplied from the second gate on with the map of the gate before it, which is
max-pooled to the resolution of the new one.

    A_1 = sigmoid(f([max_c x; mean_c x]))
    A_i = sigmoid(f([max_c x; mean_c x])) * Pmax(A_{i-1})
    y   = A_i * x

The other gates remember nothing: the convolutional block attention module, its two parts one after
the other or in parallel, and the two attentions over channels alone.
"""

from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures.blocks import GATES, Block, BuildContext, Identity, Size, shrink
from mer_nas.architectures.recalibration import CBAM, SqueezeExcite, efficient
from mer_nas.architectures.state import State, Stateful

Carry = Literal["mul", "geo", "mean", "max", "learned", "none"]


@GATES.register
class NoGate(Identity):
    """Everything passes."""

    kind: Literal["none"] = "none"


class Spatial(Block):
    """A gate that weighs positions against each other."""

    def check(self, context: BuildContext) -> None:
        """Refuse a map of one position."""
        if context.size == (1, 1):
            raise context.refuse("a spatial gate on a map of 1 x 1", "gate: {kind: none}")

    def repair(self, context: BuildContext) -> Block:
        """Drop the gate where there is one position."""
        return self if context.size != (1, 1) else NoGate()


@GATES.register
class CBAMSeq(Spatial):
    """Channel attention, then spatial attention over what it leaves."""

    kind: Literal["cbam_seq"] = "cbam_seq"

    source: ClassVar[str] = "CBAM: Woo et al. 2018 (arXiv:1807.06521)"

    def build(self, context: BuildContext) -> nn.Module:
        """Return both."""
        return CBAM(context.channels)


@GATES.register
class CBAMPar(Spatial):
    """The sum of channel attention and of spatial attention over one map."""

    kind: Literal["cbam_par"] = "cbam_par"

    source: ClassVar[str] = "our reading of Zhang et al. 2026, arXiv:2602.23950"

    def build(self, context: BuildContext) -> nn.Module:
        """Return both."""
        return CBAM(context.channels, parallel=True)


@GATES.register
class SE(Block):
    """Squeeze and excitation of channels, reduction 8."""

    kind: Literal["se"] = "se"

    source: ClassVar[str] = "Hu et al. 2018 (arXiv:1709.01507)"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the attention."""
        return SqueezeExcite(context.channels)


@GATES.register
class ECA(Block):
    """Efficient channel attention: a channel listens to its neighbours."""

    kind: Literal["eca"] = "eca"

    source: ClassVar[str] = "ECA-Net: Wang et al. 2020 (arXiv:1910.03151)"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the attention."""
        return efficient(context.channels)


@GATES.register
class Prog(Spatial):
    """Progressive attention: a spatial map that remembers the map of the gate before it."""

    kind: Literal["prog"] = "prog"
    carry: Carry = "mul"
    """How the new map a meets the earlier one p: mul a p, geo sqrt(a p), mean (a + p) / 2,
    max max(a, p), learned w a + (1 - w) a p, none a."""
    kernel: Literal[1, 3, 7] = 1
    """Size of the convolution that reads maximum and mean, in positions."""
    residual: bool = False
    """Pass x (1 + A) in place of x A."""

    source: ClassVar[str] = "Zhan et al. 2024, DOI 10.3724/SP.J.1249.2024.06756, eq. (9), (10)"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the gate; the first of a path has nothing to carry on."""
        first = not any(isinstance(s.gate, Prog) for s in context.before)
        return ProgressiveGate("none" if first else self.carry, self.kernel, self.residual)

    def check(self, context: BuildContext) -> None:
        """Refuse a map of one position, and a carry with nobody to carry to."""
        super().check(context)
        if self.carry != "none" and (count := len(_gates(context))) < 2:
            found = f"carry {self.carry!r} with {count} progressive gate in the path"
            raise context.refuse(found, "carry: none, or two progressive gates or more")

    def repair(self, context: BuildContext) -> Block:
        """Drop the gate where there is one position, and the carry where the gate is alone."""
        if self.carry != "none" and len(_gates(context)) < 2:
            return self.model_copy(update={"carry": "none"})
        return super().repair(context)

    def canonical(self, context: BuildContext) -> Self:
        """Nothing reaches the first gate, which therefore takes the carry of the second."""
        first, *others = _gates(context)
        if others and self is first:
            return self.model_copy(update={"carry": others[0].carry})
        if not others and "carry" not in self.model_fields_set:
            return self.model_copy(update={"carry": "none"})
        return self


class ProgressiveGate(Stateful):
    """(B, C, H, W) to the same, leaving its map (B, 1, H, W) in the state."""

    def __init__(self, carry: Carry, kernel: int, residual: bool) -> None:
        super().__init__()
        self.carry = carry
        self.residual = residual
        self.look = nn.Conv2d(2, 1, kernel, padding=kernel // 2)
        assert self.look.bias is not None
        # Gates start nearly open (0.88): a product over four stages starts at 0.6, not at 0.06.
        nn.init.constant_(self.look.bias, 2.0)
        self.balance = nn.Parameter(torch.zeros(())) if carry == "learned" else None

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Let x through where this gate, and the ones before, look."""
        seen = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)
        attention = self.look(seen).sigmoid()
        if state.attention is not None and self.carry != "none":
            earlier = pooled_to(state.attention, (x.shape[2], x.shape[3]))
            attention = self._carried(attention, earlier)
        passed = x * (1 + attention) if self.residual else x * attention
        return passed, state._replace(attention=attention)

    def _carried(self, new: Tensor, earlier: Tensor) -> Tensor:
        match self.carry:
            case "mul":
                return new * earlier
            case "geo":
                # The root has no slope at zero, where long products end up in float32.
                return (new * earlier).clamp_min(1e-12).sqrt()
            case "mean":
                return (new + earlier) / 2
            case "max":
                return torch.maximum(new, earlier)
            case "learned" if self.balance is not None:
                weight = self.balance.sigmoid()
                return weight * new + (1 - weight) * new * earlier
        return new


def pooled_to(attention: Tensor, size: Size) -> Tensor:
    """Return a map (B, 1, H, W) max-pooled by halves, as its path was, to a smaller `size`.

    Halves of odd sides are rounded up, except where only rounding down meets `size`: fixed pools
    rather than adaptive ones, which ONNX does not have.
    """
    height = attention.shape[2]
    up = any(shrink((height, height), 2**n)[0] == size[0] for n in range(height.bit_length() + 1))
    while attention.shape[2] > size[0]:
        attention = functional.max_pool2d(attention, 2, 2, ceil_mode=up)
    return attention


def _gates(context: BuildContext) -> list[Prog]:
    return [stage.gate for stage in context.stages if isinstance(stage.gate, Prog)]
