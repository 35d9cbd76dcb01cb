"""How the chosen experts of a token work together before their outputs are summed.

Shapes speak of B clips, N tokens, C channels, E experts of which K are chosen.
"""

import torch
from torch import Tensor, nn

from mer_nas.architectures.expert_kinds import Experts
from mer_nas.architectures.layers import linear
from mer_nas.architectures.routing import Routing


class Collaboration(nn.Module):
    """Maps (experts, tokens x as they prepare them, routing) to the gated sum (B, N, C)."""


class Mix(Collaboration):
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


class ExpertAttention(Collaboration):
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
