"""What a network costs: parameters and nominal multiply-accumulates.

Deployed means: without what only training uses, auxiliary heads and decoders. Nominal means: one
clip, the deployed network in evaluation mode, of routed experts the chosen ones only, although
masks run them all, and of kernels on a diagonal the diagonal only. Matrix products and
convolutions count; sums, norms and pools do not.
Nothing is computed: the network is built on the meta device, which knows shapes and no numbers.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mer_nas.architectures.grammar import Architecture
from mer_nas.architectures.network import build


class Cost(NamedTuple):
    """What a network costs."""

    parameters: int
    """Numbers that training sets."""
    macs: int
    """Nominal multiply-accumulates for one clip."""
    deployed: int
    """Numbers of the deployed network, those that are limited and compared."""


def measure(architecture: Architecture, classes: int) -> Cost:
    """Return the cost of an architecture for a number of classes."""
    with torch.device("meta"):
        network = build(architecture, classes).eval()
        clip = [torch.empty(1, *architecture.shapes[name]) for name in architecture.inputs]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*clip)
    idle = sum(
        (1 - module.active_share) * _flops(counter, network, name)
        for name, module in network.named_modules()
        if isinstance(getattr(module, "active_share", None), float)
    )
    parameters = _parameters(network)
    deployed = parameters - (_parameters(network.auxiliary) if network.auxiliary else 0)
    return Cost(parameters, round((counter.get_total_flops() - idle) / 2), deployed)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _flops(counter: FlopCounterMode, network: nn.Module, name: str) -> int:
    counts = counter.get_flop_counts().get(f"{type(network).__name__}.{name}", {})
    return sum(counts.values())
