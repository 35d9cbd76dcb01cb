"""Gates: what a stage lets through.

`prog` is the progressive attention of Zhan et al. 2024 (DOI 10.3724/SP.J.1249.2024.06756), which
remembers the gate before it. The other gates remember nothing: the convolutional block attention
module, its two parts one after the other or in parallel, and the two attentions over channels
alone.
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, FiniteFloat
from torch import nn

from mer_nas.architectures.blocks.base import GATES, Block, BuildContext, Identity
from mer_nas.architectures.layers.recalibration import (
    CBAM,
    Carry,
    ProgressiveAttention,
    SqueezeExcite,
    efficient_channel_attention,
)

_OPEN = 2.0


class _SpatialGate(Block):
    """A gate that weighs positions against each other."""

    def check(self, context: BuildContext) -> None:
        """Refuse a map of one position."""
        if context.size == (1, 1):
            raise context.refuse("a spatial gate on a map of 1 x 1", "gate: {kind: none}")

    def repair(self, context: BuildContext) -> Block:
        """Drop the gate where there is one position."""
        return self if context.size != (1, 1) else Identity()


@GATES.register
class CBAMSeq(_SpatialGate):
    """Channel attention, then spatial attention over what it leaves."""

    kind: Literal["cbam_seq"] = "cbam_seq"

    source: ClassVar[str] = "CBAM: Woo et al. 2018 (arXiv:1807.06521)"

    def build(self, context: BuildContext) -> nn.Module:
        """Return both."""
        return CBAM(context.channels)


@GATES.register
class CBAMPar(_SpatialGate):
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
        return efficient_channel_attention(context.channels)


@GATES.register
class ProgressiveGate(_SpatialGate):
    """Progressive attention: a spatial map that remembers the map of the gate before it."""

    kind: Literal["prog"] = "prog"
    carry: Carry = "mul"
    """How the new map a meets the earlier one p: mul a p, geo sqrt(a p), mean (a + p) / 2,
    max max(a, p), learned w a + (1 - w) a p, none a."""
    kernel: Literal[1, 3, 7] = 1
    """Size of the convolution that reads maximum and mean, in positions."""
    residual: bool = False
    """Pass x (1 + A) in place of x A."""
    # Left out of the closed form where it is as it always was, so that older ones read the same.
    bias: Annotated[FiniteFloat, Field(exclude_if=lambda bias: bias == _OPEN)] = _OPEN
    """Where the bias of that convolution starts. 2: gates start nearly open, at 0.88, so that a
    product over four stages starts at 0.6; 0: half open, at 0.06. The paper says nothing of it."""

    source: ClassVar[str] = "Zhan et al. 2024, DOI 10.3724/SP.J.1249.2024.06756, eq. (9), (10)"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the gate; the first of a path has nothing to carry on."""
        first = not any(isinstance(s.gate, ProgressiveGate) for s in context.before)
        return ProgressiveAttention(
            "none" if first else self.carry, self.kernel, self.residual, self.bias
        )

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


def _gates(context: BuildContext) -> list[ProgressiveGate]:
    return [stage.gate for stage in context.stages if isinstance(stage.gate, ProgressiveGate)]
