"""Routed experts: E small networks side by side, and what the chosen ones of a token do together.

A new kind of expert is an entry of `EXPERTS`: it gives the outputs of all experts and, if it can
do so more cheaply, their weighted sum.

Shapes speak of B maps (frames of clips), N = H W tokens of a map, C channels, E experts of F
hidden units of which K are chosen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures.blocks.base import Size
from mer_nas.architectures.layers.basic import conv, init_, linear
from mer_nas.architectures.layers.recalibration import max_pool_to
from mer_nas.architectures.layers.routing import Router, Routing
from mer_nas.architectures.state import State, Stateful

_Kernel = tuple[int, int] | None
"""Height and width of what an expert sees around a token; None: the token alone."""


class Experts(nn.Module):
    """E experts over the same tokens.

    What they all need alike is made by `prepare`, once, whoever is chosen: (B, N, C) to what
    `each` and `forward` then take.
    """

    def prepare(self, x: Tensor) -> Tensor:
        """Return tokens x (B, N, C) with what all experts need beside them; by default x alone."""
        return x

    def each(self, x: Tensor) -> Tensor:
        """Return what every expert makes of prepared tokens: (B, N, E, C)."""
        raise NotImplementedError

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return the sum over experts with weights (B, N or 1, E): (B, N, C)."""
        return (self.each(x) * weights[..., None]).sum(2)


class _MLPExperts(Experts):
    """Linear, a depthwise convolution where the expert has one, GELU, linear.

    The first maps of all experts are one matrix, and so the second.

    Args:
        dim: C.
        experts: E.
        hidden: F.
        size: H and W of the map whose positions the tokens are.
        kernels: Of the experts in turn; experts of one kernel stand side by side.
    """

    def __init__(
        self, dim: int, experts: int, hidden: int, size: Size, kernels: tuple[_Kernel, ...]
    ) -> None:
        super().__init__()
        self.experts, self.size = experts, size
        self.enter = linear(dim, self.experts * hidden)
        turns = enumerate(kernels[: self.experts])
        looks = [(len(range(turn, self.experts, len(kernels))), kernel) for turn, kernel in turns]
        self.shares = [count * hidden for count, _ in looks]
        self.around = nn.ModuleList(
            _around(count * hidden, kernel) for count, kernel in looks if any(kernels)
        )
        self.weight = nn.Parameter(torch.empty(self.experts, hidden, dim))
        self.bias = nn.Parameter(torch.zeros(self.experts * dim))
        init_(self.weight)

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
        hidden = self.enter(x)  # (B, N, E F)
        if self.around:
            hidden = self._looked_around(hidden)
        return functional.gelu(hidden).reshape(*x.shape[:2], self.experts, -1)

    def _looked_around(self, hidden: Tensor) -> Tensor:
        maps = hidden.transpose(1, 2).reshape(-1, sum(self.shares), *self.size)  # (B, E F, H, W)
        parts = torch.split(maps, self.shares, 1)
        seen = torch.cat([look(m) for look, m in zip(self.around, parts, strict=True)], 1)
        return seen.flatten(2).transpose(1, 2)


class _AttentionExperts(Experts):
    """One head of attention each; keys and values are those of all (MoA, arXiv:2210.05144).

    As in `mhsa`, queries, keys and values have no bias and the way out has one.
    """

    def __init__(self, dim: int, experts: int, hidden: int, _: Size) -> None:
        super().__init__()
        self.dim, self.experts, self.hidden = dim, experts, hidden
        self.key_value = linear(self.dim, 2 * self.hidden, bias=False)
        self.query = linear(self.dim, self.experts * self.hidden, bias=False)
        self.weight = nn.Parameter(torch.empty(self.experts, self.hidden, self.dim))
        self.bias = nn.Parameter(torch.zeros(self.experts * self.dim))
        init_(self.weight)

    def prepare(self, x: Tensor) -> Tensor:
        """Return tokens, keys and values: (B, N, C + 2 F)."""
        return torch.cat([x, self.key_value(x)], dim=2)

    def each(self, x: Tensor) -> Tensor:
        """Return what every expert sees from every token of x (B, N, C + 2 F)."""
        tokens, key, value = torch.split(x, [self.dim, self.hidden, self.hidden], 2)
        query = self.query(tokens).reshape(*x.shape[:2], self.experts, self.hidden)
        scores = (
            query.transpose(1, 2) @ key[:, None].transpose(2, 3) * self.hidden**-0.5
        )  # (B, E, N, N)
        seen = (scores.softmax(-1) @ value[:, None]).transpose(1, 2)  # (B, N, E, F)
        bias = self.bias.reshape(self.experts, -1)
        return torch.einsum("bnef,efc->bnec", seen, self.weight) + bias


@dataclass(frozen=True)
class _ExpertKind:
    """One of the things that experts can be."""

    build: Callable[[int, int, int, Size], Experts]
    """Returns experts for C, E, F, and the height and width of the map of the tokens."""
    reach: int = 1
    """Length of the longest kernel, in positions."""
    least: int = 1
    """Fewest tokens that make sense of it."""


def _perceptrons(*kernels: _Kernel) -> _ExpertKind:
    reach = max(max(kernel or (1,)) for kernel in kernels)
    return _ExpertKind(partial(_MLPExperts, kernels=kernels), reach)


EXPERTS: Mapping[str, _ExpertKind] = {
    "mlp": _perceptrons(None),
    "conv": _perceptrons((3, 3)),
    "orient": _perceptrons((1, 3), (3, 1)),
    "attn": _ExpertKind(_AttentionExperts, least=2),
    "hetero": _perceptrons(None, (3, 3), (1, 3), (3, 1)),
}
"""Forms of experts by the name that YAML gives them."""


def _around(channels: int, kernel: _Kernel) -> nn.Module:
    if kernel is None:
        return nn.Identity()
    return conv(channels, channels, kernel, groups=channels, bias=True)


class ExpertMix(nn.Module):
    """Every chosen expert passes on a learned mixture of the outputs of the chosen ones.

    Starts at the identity, each its own, and is stored as the difference from it: weight decay
    then draws it back there. As the mixture is linear, it is applied to the gates.
    """

    def __init__(self, experts: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(experts, experts))

    def forward(self, experts: Experts, x: Tensor, routing: Routing) -> Tensor:
        """Return sum_e g_e sum_j M_ej y_j, e and j among the chosen."""
        passed_on = routing.gates + routing.gates @ self.weight
        mixed: Tensor = experts(x, passed_on * routing.chosen)
        return mixed


class ExpertAttention(nn.Module):
    """The outputs of the chosen experts attend to each other, with a residual.

    One head; queries and keys have a quarter of the width, the values are the outputs themselves.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.inner = max(4, dim // 4)
        self.query_key = linear(dim, 2 * self.inner, bias=False)

    def forward(self, experts: Experts, x: Tensor, routing: Routing) -> Tensor:
        """Return the gated sum of outputs that have seen each other."""
        outputs = experts.each(x)  # (B, N, E, C)
        query, key = torch.split(self.query_key(outputs), self.inner, dim=-1)
        scores = query @ key.transpose(2, 3) * self.inner**-0.5  # (B, N, E, E)
        absent = routing.chosen[:, :, None, :] == 0
        attended = outputs + scores.masked_fill(absent, -torch.inf).softmax(-1) @ outputs
        gated: Tensor = attended * routing.gates[..., None]
        return gated.sum(2)


class RoutedExperts(Stateful):
    """The mixer of an expert layer: tokens (B T, N, C) to the same.

    Args:
        router: Chooses among the experts.
        experts: Those that are chosen.
        collaboration: What the chosen ones do with each other's outputs: a module from (experts,
            tokens as they prepare them, routing) to the gated sum (B, N, C).
        shared: Those that see every token.
        prior: Height and width of the map whose positions the tokens are, where the router sees
            the attention of the path too.
    """

    def __init__(
        self,
        router: Router,
        experts: Experts,
        collaboration: nn.Module | None,
        shared: Experts | None,
        prior: Size | None = None,
    ) -> None:
        super().__init__()
        self.router = router
        self.routed = _Routed(experts, collaboration, router.top_k / router.experts)
        self.shared = shared
        self.prior = prior

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Send every token to its experts and to the shared ones."""
        routing: Routing = self.router(self._shown(x, state))
        y: Tensor = self.routed(self.routed.experts.prepare(x), routing)
        if self.shared is not None:
            y = y + self.shared.each(self.shared.prepare(x)).sum(2)
        if routing.imbalance is not None:
            state = state.add_loss("balance", routing.imbalance)
        return y, state

    def _shown(self, x: Tensor, state: State) -> Tensor:
        if self.prior is None or state.attention is None:
            return x
        passed = max_pool_to(state.attention, self.prior).flatten(2).transpose(1, 2)  # (B T, N, 1)
        return torch.cat([x, passed], dim=2)


class _Routed(nn.Module):
    """The part of an expert layer that only the chosen experts would have to run.

    All of them do run, masked; `active_share` tells the cost counter which share counts.
    """

    def __init__(
        self, experts: Experts, collaboration: nn.Module | None, active_share: float
    ) -> None:
        super().__init__()
        self.experts = experts
        self.collaboration = collaboration
        self.active_share = active_share

    def forward(self, x: Tensor, routing: Routing) -> Tensor:
        """Return the gated sum of what the chosen experts make of prepared tokens x."""
        if self.collaboration is None:
            mixed: Tensor = self.experts(x, routing.gates)
        else:
            mixed = self.collaboration(self.experts, x, routing)
        return mixed
