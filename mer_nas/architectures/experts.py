"""Global blocks in which routed experts take the place of self-attention.

The idea is that of *Fine-Grained Micro-Expression Recognition via Dynamic Routing Experts in a
Single-Stream Network* (Computer Engineering 2026, DOI 10.19678/j.issn.1000-3428.0260218): sparse
activation and a collaboration among the experts. Its abstract gives no form; router, experts and
collaboration here are our reading.

Shapes speak of B clips, N tokens, C channels, E experts of which K are chosen, F hidden units.
"""

from math import floor
from typing import Annotated, ClassVar, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from mer_nas.architectures.blocks import GLOBALS, Block, Name, Site
from mer_nas.architectures.collaboration import Collaboration, Mix, Together
from mer_nas.architectures.expert_kinds import EXPERTS, Experts
from mer_nas.architectures.layers import FeedForward, OverTokens, TokenLayer
from mer_nas.architectures.routing import Noise, Router, Routing
from mer_nas.architectures.state import State, Stateful, Steps


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
    expert: Annotated[str, Name(EXPERTS)] = "mlp"
    """What an expert is. mlp: two linear maps with a GELU between them."""
    ratio: PositiveFloat = 0.5
    """Width inside an expert, in widths of the stage."""
    noise: Noise = "learned"
    """Noise on the router's scores in training: off, of a fixed size, or of a learned one."""
    noise_std: PositiveFloat = 0.5
    """Standard deviation of fixed noise, in units of the scores."""
    collaboration: Literal["none", "mix", "xattn"] = "mix"
    """What the chosen experts of a token do with each other's outputs: nothing, a learned linear
    mix, or attention."""
    shared: NonNegativeInt = 0
    """Experts beside the routed ones that see every token."""
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

    def build(self, site: Site) -> nn.Module:
        """Return the layers."""
        width = site.channels
        return OverTokens(
            Steps(
                TokenLayer(width, self._mixer(width), self.ffn_ratio * width, rate)
                for rate in site.drop_path
            )
        )

    def _mixer(self, width: int) -> nn.Module:
        hidden = max(4, floor(self.ratio * width))
        return RoutedExperts(
            Router(width, self.experts, self.top_k, self.noise, self.noise_std),
            EXPERTS[self.expert](width, self.experts, hidden),
            _collaboration(self.collaboration, width, self.experts),
            [FeedForward(width, hidden) for _ in range(self.shared)],
        )

    def check(self, site: Site) -> None:
        """Refuse more choices than experts, and a collaboration of one."""
        if self.top_k > self.experts:
            found = f"top_k {self.top_k} is more than the {self.experts} experts"
            raise site.refuse(found, f"top_k from 1 to {self.experts}")
        if self.top_k == 1 and self.collaboration != "none":
            found = f"collaboration {self.collaboration!r} with top_k 1, an expert alone"
            raise site.refuse(found, "collaboration: none, or top_k 2 or more")

    def repair(self, site: Site) -> "Expert":
        """Choose at most all experts; one alone does not collaborate."""
        top_k = min(self.top_k, self.experts)
        collaboration = self.collaboration if top_k > 1 else "none"
        return self.model_copy(update={"top_k": top_k, "collaboration": collaboration})

    def settle(self, site: Site) -> "Expert":
        """Noise has one size where it is not fixed; one expert alone does not collaborate."""
        settled = self
        if self.noise != "fixed":
            default: float = type(self).model_fields["noise_std"].default
            settled = settled.model_copy(update={"noise_std": default})
        if self.top_k == 1 and "collaboration" not in self.model_fields_set:
            settled = settled.model_copy(update={"collaboration": "none"})
        return settled


class RoutedExperts(Stateful):
    """The mixer of an expert layer: tokens (B, N, C) to the same."""

    def __init__(
        self,
        router: Router,
        experts: Experts,
        collaboration: Collaboration | None,
        shared: list[FeedForward],
    ) -> None:
        super().__init__()
        self.router = router
        self.routed = Routed(experts, collaboration, router.top_k / router.experts)
        self.shared = nn.ModuleList(shared)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Send every token to its experts and to the shared ones."""
        routing: Routing = self.router(x)
        y: Tensor = self.routed(x, routing)
        for expert in self.shared:
            y = y + expert(x)
        if routing.imbalance is not None:
            state = state.lose("balance", routing.imbalance)
        return y, state


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
        """Return the gated sum of the outputs of the chosen experts."""
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
            return Together(width)
    return None
