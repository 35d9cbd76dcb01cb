"""In which order the numbers of a map lie in memory while a network computes."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format

P = ParamSpec("P")
R = TypeVar("R")


def channels_last(
    work: Callable[Concatenate[nn.Module, P], R],
) -> Callable[Concatenate[nn.Module, P], R]:
    """Let the channels of a position lie side by side while a function works on a network.

    Convolutions of a CPU are faster so; from the first of them on, all maps lie as its kernels do.
    Sums are then added up in another order: the device decides, and never a measurement. On others
    nothing changes, and no file ever sees it. Networks that are used whole may count on the order
    in which they were written, as `view` does: they say so in `as_written`.
    """

    @wraps(work)
    def laid_out(network: nn.Module, /, *words: P.args, **more: P.kwargs) -> R:
        as_written = getattr(network, "as_written", False)
        if as_written or any(weight.device.type != "cpu" for weight in network.parameters()):
            return work(network, *words, **more)
        convert_conv2d_weight_memory_format(network, torch.channels_last)
        try:
            return work(network, *words, **more)
        finally:
            convert_conv2d_weight_memory_format(network, torch.contiguous_format)

    return laid_out
