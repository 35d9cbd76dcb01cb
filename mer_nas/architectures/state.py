"""What travels along a path beside the feature map, and what a network gives in the end.

Most modules map x to y. A module that reads or writes the state (a progressive gate, a block with
an auxiliary loss) is a `Stateful` one and maps (x, state) to (y, state). States are values: none
is kept in a module, so that networks stay pure under `torch.func`.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import Tensor, nn


class ModelOutput(NamedTuple):
    """What a network in training mode says about a batch."""

    logits: Tensor
    """(B, K)."""
    losses: Mapping[str, Tensor] = {}
    """Auxiliary losses by name, scalars; averaged over the layers that give one, and not yet
    weighed by `Architecture.losses`."""
    auxiliary_logits: Mapping[str, Tensor] = {}
    """What auxiliary heads say about labels that only the trainer knows, by the name of their
    loss: "au" (B, 12) of action units, "branch_cls" (B, K) of the class."""


class PooledFrames(NamedTuple):
    """What a temporal pool saw and made, for auxiliary tasks."""

    frames: Tensor
    """(B, T, C, H, W), what came in."""
    pooled: Tensor
    """(B, C', H', W'), what left it."""
    scores: Tensor | None = None
    """(B, T), the frames' rank scores, of a pool that gives them some."""


class State(NamedTuple):
    """What a path knows beside its map."""

    attention: Tensor | None = None
    """(B, 1, H, W), the map of the last progressive gate, at the resolution it had there."""
    losses: tuple[tuple[str, Tensor], ...] = ()
    """Auxiliary losses so far, by name, one scalar for every layer that gives one."""
    pooled_frames: PooledFrames | None = None
    """Left by the path's temporal pool."""

    def add_loss(self, name: str, loss: Tensor) -> "State":
        """Return the state with one more loss."""
        return self._replace(losses=(*self.losses, (name, loss)))


class Stateful(nn.Module):
    """A module whose `forward(x, state)` returns (y, state)."""


class StatefulSequential(Stateful):
    """Modules one after the other, plain and stateful ones mixed, named or numbered."""

    def __init__(self, steps: Mapping[str, nn.Module] | Iterable[nn.Module]) -> None:
        super().__init__()
        named = steps if isinstance(steps, Mapping) else dict(enumerate(steps))
        for name, step in named.items():
            self.add_module(str(name), step)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take x through every step."""
        for step in self.children():
            x, state = advance(step, x, state)
        return x, state


def advance(module: nn.Module, x: Tensor, state: State) -> tuple[Tensor, State]:
    """Return what `module`, plain or stateful, makes of x, and the state after it."""
    if isinstance(module, Stateful):
        moved: tuple[Tensor, State] = module(x, state)
        return moved
    return module(x), state
