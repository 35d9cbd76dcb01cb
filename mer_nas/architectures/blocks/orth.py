"""Orthogonality: keep what one path sees apart from what the other does.

Source: the losses between motion and emotion of Hu et al. 2026 (arXiv:2604.17899), in our reading;
`frob` is that of domain separation networks (Bousmalis et al. 2016, arXiv:1608.06019).

Shapes speak of B clips and features of C numbers.
"""

from typing import ClassVar, Literal

from pydantic import NonNegativeFloat
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures.blocks.base import ORTHS, Block, BuildContext


class Orth(Block):
    """What all forms of orthogonality have: a weight, and two features to keep apart."""

    weight: NonNegativeFloat = 0.1
    """Weight of the loss, beside 1 for the class loss."""


@ORTHS.register
class Cos2(Orth):
    """The squared cosine between the two features of a clip, in [0, 1]."""

    kind: Literal["cos2"] = "cos2"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the loss."""
        return _SquaredCosine()


@ORTHS.register
class Frob(Orth):
    """The squared Frobenius norm of the correlations between the two features over the batch."""

    kind: Literal["frob"] = "frob"

    source: ClassVar[str] = "Bousmalis et al. 2016 (arXiv:1608.06019), on standardised features"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the loss."""
        return _Correlations()


class _SquaredCosine(nn.Module):
    """mean_b (m e / |m| |e|)^2 of features m, e (B, C)."""

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Compare them."""
        return functional.cosine_similarity(one, other, dim=1).square().mean()


class _Correlations(nn.Module):
    """|M^T E|^2 / B^2 of features M, E (B, C), each number with mean 0 and variance 1 over B."""

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Compare them."""
        return (_standard(one).T @ _standard(other) / len(one)).square().sum()


def _standard(features: Tensor) -> Tensor:
    centred = features - features.mean(0)
    return centred / (centred.square().mean(0) + 1e-5).sqrt()
