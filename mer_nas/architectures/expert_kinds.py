"""What an expert can be: E small networks of one form, run side by side.

A new form is a class in `EXPERTS`: built from (C, E, F), it gives the outputs of all experts and,
if it can do so more cheaply, their weighted sum.

Shapes speak of B clips, N tokens, C channels, E experts of F hidden units.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures.layers import linear, spread


class Experts(nn.Module):
    """E experts over the same tokens."""

    def each(self, x: Tensor) -> Tensor:
        """Return what every expert makes of tokens x (B, N, C): (B, N, E, C)."""
        raise NotImplementedError

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return the sum over experts with weights (B, N, E): (B, N, C)."""
        return (self.each(x) * weights[..., None]).sum(2)


class Perceptrons(Experts):
    """Linear, GELU, linear; the first maps of all experts are one matrix, and so the second."""

    def __init__(self, dim: int, experts: int, hidden: int) -> None:
        super().__init__()
        self.experts = experts
        self.enter = linear(dim, experts * hidden)
        self.weight = nn.Parameter(torch.empty(experts, hidden, dim))
        self.bias = nn.Parameter(torch.zeros(experts * dim))
        spread(self.weight)

    def each(self, x: Tensor) -> Tensor:
        """Return what every expert makes of x."""
        return torch.einsum("bnef,efc->bnec", self._hidden(x), self.weight) + self._bias()

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Weigh the hidden units rather than the outputs: then the sum is one product."""
        weighed = (self._hidden(x) * weights[..., None]).flatten(2)  # (B, N, E F)
        return weighed @ self.weight.flatten(0, 1) + weights @ self._bias()

    def _bias(self) -> Tensor:
        return self.bias.reshape(self.experts, -1)  # (E, C)

    def _hidden(self, x: Tensor) -> Tensor:
        hidden = functional.gelu(self.enter(x))
        return hidden.reshape(*x.shape[:2], self.experts, -1)  # (B, N, E, F)


EXPERTS: dict[str, Callable[[int, int, int], Experts]] = {"mlp": Perceptrons}
"""Forms of experts by the name that YAML gives them."""
