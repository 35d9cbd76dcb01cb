"""Routing: which experts a token goes to, with what weight, and how evenly the experts are used.

Choices are masks, not index lists: every shape is fixed, whatever the data, so that routing can be
batched by `torch.func.vmap` and exported.

Shapes speak of B clips of T frames, N tokens of a frame, C channels, E experts and K chosen ones.

Sources: Shazeer et al. 2017 (arXiv:1701.06538), equations (3) to (5) for noisy top-k gates and its
appendix A for the load; the coefficients of variation are taken over all E experts. Sigmoid gates
and experts that are out at random: Csordás et al. 2023 (arXiv:2310.10837).
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures.layers.basic import linear

GateKind = Literal["softmax_topk", "sigmoid", "soft"]


RoutingLevel = Literal["token", "sample"]


Noise = Literal["off", "fixed", "learned"]


_MIN_NOISE = 1e-2


class Routing(NamedTuple):
    """What a router decided."""

    gates: Tensor
    """(B T, N, E), or (B T, 1, E) where all tokens of a clip are sent alike: K positive entries a
    token, the others 0."""
    chosen: Tensor
    """The same shape: 1 for the K chosen experts, 0 for the others."""
    imbalance: Tensor | None = None
    """(): 0 where all experts are used evenly; None in evaluation and where K is E."""

    @classmethod
    def of(
        cls, scores: Tensor, top_k: int, gates: GateKind, order: Tensor | None = None
    ) -> "Routing":
        """Return what is decided by scores.

        Args:
            scores: (..., E), which the chosen experts are weighed by.
            top_k: K.
            gates: How.
            order: The same shape: what the chosen ones are highest in, if not in the scores.
        """
        best = (scores if order is None else order).topk(top_k, dim=-1).indices
        chosen = torch.zeros_like(scores).scatter(-1, best, 1.0)
        if gates == "sigmoid":
            return cls(scores.sigmoid() * chosen, chosen)
        if gates == "soft" or top_k == 1:
            return cls(scores.softmax(-1) * chosen, chosen)
        return cls(scores.masked_fill(chosen == 0, -torch.inf).softmax(-1), chosen)


class Router(nn.Module):
    """Gives every token to the K experts that score it highest.

    Args:
        dim: C.
        experts: E.
        top_k: K; with soft gates E.
        gates: softmax_topk: they sum to 1 over the chosen experts (for K = 1: the probability of
            the expert among all E, so that the router learns from the class loss); sigmoid: each
            is the sigmoid of its score; soft: the probabilities of all E.
        level: Whether every token is sent on its own, or all tokens of a clip by their mean.
        frames: T.
        noise: Gaussian noise on the scores, in training only: none, of a fixed size, or of a size
            that the router learns for every token and expert.
        noise_std: Standard deviation of fixed noise.
        drop: Probability that an expert is out for a token, in training only. It is then chosen
            only where fewer than K are in.
    """

    def __init__(
        self,
        dim: int,
        experts: int,
        top_k: int,
        *,
        gates: GateKind = "softmax_topk",
        level: RoutingLevel = "token",
        frames: int = 1,
        noise: Noise = "off",
        noise_std: float = 0.0,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.experts = experts
        self.top_k = top_k
        self.gates = gates
        self.level = level
        self.frames = frames
        self.noise_std = noise_std if noise == "fixed" else 0.0
        self.drop = drop
        self.score = linear(dim, experts, bias=False)
        self.spread = linear(dim, experts, bias=False) if noise == "learned" else None
        if self.spread is not None:
            nn.init.zeros_(self.spread.weight)
        if noise != "off":
            # With noise the first choices are fair draws; without it, equal scores would send
            # every token to the same experts.
            nn.init.zeros_(self.score.weight)

    def forward(self, tokens: Tensor) -> Routing:
        """Route tokens (B T, N, C)."""
        if self.level == "token":
            return self._route(tokens)
        clips = tokens.reshape(-1, self.frames * tokens.shape[1], tokens.shape[2])
        routing = self._route(clips.mean(1, keepdim=True))  # (B, 1, E)
        gates, chosen = (
            each.expand(-1, self.frames, -1).reshape(-1, 1, self.experts)
            for each in (routing.gates, routing.chosen)
        )
        return Routing(gates, chosen, routing.imbalance)

    def _route(self, tokens: Tensor) -> Routing:
        clean: Tensor = self.score(tokens)
        deviation = self._deviation(tokens) if self.training else None
        noisy = clean
        if deviation is not None:
            noisy = clean + torch.randn_like(clean) * deviation
        routing = Routing.of(noisy, self.top_k, self.gates, self._within_reach(noisy))
        if not self.training or self.top_k == self.experts:
            return routing
        load = routing.chosen
        if deviation is not None:
            load = _selection_probability(clean, noisy, deviation, self.top_k)
        imbalance = _squared_variation(routing.gates) + _squared_variation(load)
        return routing._replace(imbalance=imbalance)

    def _within_reach(self, scores: Tensor) -> Tensor:
        if not self.training or not self.drop:
            return scores
        out = (torch.rand_like(scores) < self.drop).to(scores.dtype)
        # Behind all that are in, and among themselves still in order.
        span = scores.amax(-1, keepdim=True) - scores.amin(-1, keepdim=True) + 1
        return scores - out * span.detach()

    def _deviation(self, tokens: Tensor) -> Tensor | None:
        if self.spread is not None:
            return functional.softplus(self.spread(tokens)) + _MIN_NOISE
        if self.noise_std:
            return torch.full_like(tokens[..., :1], self.noise_std)
        return None


def _selection_probability(clean: Tensor, noisy: Tensor, deviation: Tensor, top_k: int) -> Tensor:
    """Return for every token and expert the chance to be chosen if its noise were drawn again."""
    best = noisy.topk(top_k + 1, dim=-1)
    chosen = torch.zeros_like(noisy).scatter(-1, best.indices[..., :top_k], 1.0)
    # A chosen expert has to beat the first one left out; one left out, the last one chosen.
    to_beat = torch.where(
        chosen > 0, best.values[..., top_k:], best.values[..., top_k - 1 : top_k]
    )
    chance: Tensor = torch.special.ndtr((clean - to_beat) / deviation)
    return chance


def _squared_variation(use: Tensor) -> Tensor:
    """Return variance / mean^2 of the experts' shares of `use` (B, N, E).

    0 when all are used evenly, E / K - 1 when all tokens go to the same K experts evenly.
    """
    share = use.mean((0, 1))
    return torch.var(share, correction=0) / (share.mean() ** 2 + 1e-10)
