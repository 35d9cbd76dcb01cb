"""Global blocks in which routed experts take the place of self-attention.

The idea is that of *Fine-Grained Micro-Expression Recognition via Dynamic Routing Experts in a
Single-Stream Network* (Computer Engineering 2026, DOI 10.19678/j.issn.1000-3428.0260218): sparse
activation and a collaboration among the experts. Its abstract gives no form; router, experts and
collaboration here are our reading.

Shapes speak of B clips of T frames, N tokens of a frame, C channels, E experts of which K are
chosen, F hidden units.
"""

from math import floor
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Interval
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from mer_nas.architectures.blocks import GLOBALS, Block, BuildContext, OneOf, Size
from mer_nas.architectures.collaboration import Collaboration, ExpertAttention, Mix
from mer_nas.architectures.expert_kinds import EXPERTS, ExpertConfig, Experts
from mer_nas.architectures.gates import Prog, pooled_to
from mer_nas.architectures.kernels import largest
from mer_nas.architectures.layers import OverTokens, TokenLayer
from mer_nas.architectures.routing import Gates, Level, Noise, Router, Routing
from mer_nas.architectures.state import State, Stateful, StatefulSequential


@GLOBALS.register
class Expert(Block):
    """Transformer layers whose attention is replaced by experts that a router chooses."""

    kind: Literal["expert"] = "expert"
    blocks: PositiveInt = 1
    """How many layers, one after the other."""
    experts: PositiveInt = 4
    """Experts in a layer."""
    top_k: PositiveInt = 2
    """Experts that a token is sent to; at most `experts`."""
    router: Gates = "softmax_topk"
    """What the chosen experts weigh. softmax_topk: together 1, by the softmax of their scores;
    sigmoid: each the sigmoid of its score; soft: all experts are chosen, by the softmax."""
    router_level: Level = "token"
    """What is sent: every token on its own, or all tokens of a clip alike, by their mean."""
    prior: bool = False
    """Show the router, beside every token, how far the progressive gate before let it through."""
    expert: Annotated[str, OneOf(EXPERTS)] = "mlp"
    """What an expert is. mlp: two linear maps with a GELU between them; conv: the same with a
    3 x 3 depthwise convolution before the GELU; orient: with one of 1 x 3 or 3 x 1, in turn;
    hetero: mlp, conv and both of orient in turn; attn: a head of attention with keys and values
    that all experts share."""
    ratio: PositiveFloat | Literal["2/E"] = 0.5
    """Width inside an expert, in widths of the stage; 2/E: all experts together have the weights
    of the attention whose place they take."""
    expert_drop: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Probability that an expert is out for a token, in training."""
    noise: Noise = "learned"
    """Noise on the router's scores in training: off, of a fixed size, or of a learned one."""
    noise_std: PositiveFloat = 0.5
    """Standard deviation of fixed noise, in units of the scores."""
    collaboration: Literal["none", "mix", "xattn"] = "mix"
    """What the chosen experts of a token do with each other's outputs: nothing, a learned linear
    mix, or attention."""
    shared: NonNegativeInt = 0
    """Experts of the same kind beside the routed ones that see every token, with weight 1."""
    ffn_ratio: PositiveInt = 2
    """Width inside the feed-forward, in widths of the stage."""

    source: ClassVar[str] = "our reading of DOI 10.19678/j.issn.1000-3428.0260218"

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self.blocks

    @property
    def losses(self) -> frozenset[str]:
        """A balance, where the router leaves experts out."""
        return frozenset({"balance"} if self.top_k != self.experts else ())

    def build(self, context: BuildContext) -> nn.Module:
        """Return the layers."""
        width = context.channels
        return OverTokens(
            StatefulSequential(
                TokenLayer(width, self._mixer(context), self.ffn_ratio * width, rate)
                for rate in context.drop_path
            )
        )

    def _mixer(self, context: BuildContext) -> nn.Module:
        router = Router(
            context.channels + self.prior,
            self.experts,
            self.top_k,
            gates=self.router,
            level=self.router_level,
            frames=context.frames,
            noise=self.noise,
            noise_std=self.noise_std,
            drop=self.expert_drop,
        )
        config = ExpertConfig(
            context.channels, self.experts, self._hidden(context.channels), context.size
        )
        form = EXPERTS[self.expert].build
        return RoutedExperts(
            router,
            form(config),
            _collaboration(self.collaboration, context.channels, self.experts),
            form(config._replace(experts=self.shared)) if self.shared else None,
            context.size if self.prior else None,
        )

    def _hidden(self, width: int) -> int:
        if self.ratio == "2/E":
            return max(4, 2 * width // self.experts)
        return max(4, floor(self.ratio * width + 1e-6))  # a ratio like 1 / 3 is rounded itself

    def check(self, context: BuildContext) -> None:
        """Refuse choices that are not there, a collaboration of one, and experts without a map."""
        if self.top_k > self.experts:
            found = f"top_k {self.top_k} is more than the {self.experts} experts"
            raise context.refuse(found, f"top_k from 1 to {self.experts}")
        if self.top_k == 1 and self.collaboration != "none":
            found = f"collaboration {self.collaboration!r} with top_k 1, an expert alone"
            raise context.refuse(found, "collaboration: none, or top_k 2 or more")
        if not self._at_home(context):
            height, width = context.size
            found = f"expert {self.expert!r} looks around on a map of {height} x {width}"
            raise context.refuse(found, "expert: mlp, or a larger map")
        if self.prior and not _gated(context):
            found = "a prior, with no progressive gate in the stages before"
            raise context.refuse(found, "prior: false, or gate: {kind: prog} before")

    def repair(self, context: BuildContext) -> "Expert":
        """Choose at most all experts; one alone does not collaborate, on one token none looks."""
        top_k = self.experts if self.router == "soft" else min(self.top_k, self.experts)
        repaired: dict[str, Any] = {"top_k": top_k, "prior": self.prior and _gated(context)}
        if top_k == 1:
            repaired["collaboration"] = "none"
        if not self._at_home(context):
            repaired["expert"] = "mlp"
        return self.model_copy(update=repaired)

    def _at_home(self, context: BuildContext) -> bool:
        form = EXPERTS[self.expert]
        height, width = context.size
        return form.reach <= largest(context.size) and form.least <= height * width

    def canonical(self, context: BuildContext) -> "Expert":
        """Where all experts are chosen the router is soft; what has no effect is neutral."""
        top_k = self.experts if self.router == "soft" else self.top_k
        neutral: dict[str, Any] = {
            "top_k": top_k,
            "ratio": self._hidden(context.channels) / context.channels,
        }
        if top_k == self.experts:
            neutral["expert_drop"] = 0.0
            if self.router == "softmax_topk":
                neutral["router"] = "soft"
        if context.size == (1, 1) and context.frames == 1:
            neutral["router_level"] = "token"
        if self.noise != "fixed":
            neutral["noise_std"] = type(self).model_fields["noise_std"].default
        if top_k == 1 and "collaboration" not in self.model_fields_set:
            neutral["collaboration"] = "none"
        return self.model_copy(update=neutral)


class RoutedExperts(Stateful):
    """The mixer of an expert layer: tokens (B T, N, C) to the same.

    Args:
        router: Chooses among the experts.
        experts: Those that are chosen.
        collaboration: What the chosen ones do with each other's outputs.
        shared: Those that see every token.
        prior: Height and width of the map whose positions the tokens are, where the router sees
            the attention of the path too.
    """

    def __init__(
        self,
        router: Router,
        experts: Experts,
        collaboration: Collaboration | None,
        shared: Experts | None,
        prior: Size | None = None,
    ) -> None:
        super().__init__()
        self.router = router
        self.routed = Routed(experts, collaboration, router.top_k / router.experts)
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
        passed = pooled_to(state.attention, self.prior).flatten(2).transpose(1, 2)  # (B T, N, 1)
        return torch.cat([x, passed], dim=2)


class Routed(nn.Module):
    """The part of an expert layer that only the chosen experts would have to run.

    All of them do run, masked; `active_share` tells the cost counter which share counts.
    """

    def __init__(
        self, experts: Experts, collaboration: Collaboration | None, active_share: float
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


def _collaboration(name: str, width: int, experts: int) -> Collaboration | None:
    match name:
        case "mix":
            return Mix(experts)
        case "xattn":
            return ExpertAttention(width)
    return None


def _gated(context: BuildContext) -> bool:
    """Whether a progressive gate stands before the stage."""
    return any(isinstance(stage.gate, Prog) for stage in context.before)
