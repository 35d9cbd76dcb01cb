"""The temporal pool that reads the frames of a clip one after the other, as LSTM and GRU do.

SLSTT (Zhang et al. 2022, arXiv:2112.05851) ends so. Shapes speak of B clips, T frames, C channels,
H x W maps, and D numbers of the state.
"""

import math
from typing import ClassVar, Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from mer_nas.architectures.blocks.base import TEMPORALS, BuildContext, Shape
from mer_nas.architectures.blocks.temporal import TemporalPool


@TEMPORALS.register
class RecurrentPool(TemporalPool):
    """The last state of a recurrent network over the means of the frames."""

    kind: Literal["recurrent"] = "recurrent"
    cell: Literal["lstm", "gru"] = "gru"
    """Hochreiter and Schmidhuber's cell, or the one of Cho et al. with fewer gates."""
    width: PositiveInt = 64
    """Numbers of the state, and channels of the map that leaves, of one position."""
    layers: PositiveInt = 1
    """Cells one on the other."""

    source: ClassVar[str] = "SLSTT: Zhang et al. 2022 (arXiv:2112.05851)"

    def pool(self, context: BuildContext) -> nn.Module:
        """Return the recurrent network."""
        return _LastState(self.cell, context.channels, self.width, self.layers)

    def shape(self, context: BuildContext) -> Shape:
        """Return one position of so many channels."""
        return Shape(self.width, (1, 1))

    def check(self, context: BuildContext) -> None:
        """Refuse a place before the end, where stages would need positions."""
        super().check(context)
        if self.where != "end":
            raise context.refuse(f"a recurrent pool at {self.where!r}", "where: end")

    def repair(self, context: BuildContext) -> "RecurrentPool":
        """Take it at the end."""
        return self.model_copy(update={"where": "end"})


class _LastState(nn.Module):
    """(B, T, C, H, W) to (B, D, 1, 1)."""

    def __init__(self, cell: str, channels: int, width: int, layers: int) -> None:
        super().__init__()
        kind = LSTMCell if cell == "lstm" else GRUCell
        widths = [channels, *[width] * (layers - 1)]
        self.cells = nn.ModuleList(kind(inputs, width) for inputs in widths)

    def forward(self, frames: Tensor) -> Tensor:
        """Read the means of the frames in their order."""
        steps = list(frames.mean((3, 4)).unbind(1))
        for cell in self.cells:
            steps = cell(steps)
        return steps[-1][:, :, None, None]


class _Cell(nn.Module):
    """Numbers (B, C) a step to states (B, D) a step; weights start as torch's cells do.

    Written out, because torch's own take no stacked weights, with which folds train together.
    """

    gates: ClassVar[int]

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.enter = nn.Linear(inputs, self.gates * width)
        self.again = nn.Linear(width, self.gates * width)
        bound = 1 / math.sqrt(width)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)


class LSTMCell(_Cell):
    """Long short-term memory, in torch's order of gates: input, forget, cell, output."""

    gates = 4

    def forward(self, steps: list[Tensor]) -> list[Tensor]:
        """Return the state after each step."""
        state = memory = steps[0].new_zeros(steps[0].shape[0], self.width)
        states = []
        for step in steps:
            take, keep, new, show = (self.enter(step) + self.again(state)).chunk(4, dim=1)
            memory = keep.sigmoid() * memory + take.sigmoid() * torch.tanh(new)
            state = show.sigmoid() * torch.tanh(memory)
            states.append(state)
        return states


class GRUCell(_Cell):
    """Gated recurrent unit, in torch's order of gates: reset, update, new."""

    gates = 3

    def forward(self, steps: list[Tensor]) -> list[Tensor]:
        """Return the state after each step."""
        state = steps[0].new_zeros(steps[0].shape[0], self.width)
        states = []
        for step in steps:
            given, held = self.enter(step).chunk(3, dim=1), self.again(state).chunk(3, dim=1)
            reset, update = ((a + b).sigmoid() for a, b in zip(given[:2], held[:2], strict=True))
            new = torch.tanh(given[2] + reset * held[2])
            state = (1 - update) * new + update * state
            states.append(state)
        return states
