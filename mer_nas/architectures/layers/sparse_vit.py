"""A vision transformer over the positions where a clip changes, at several rates.

Rates applied one after another are those of DynamicViT (Rao et al. 2021, arXiv:2106.02034); the
noise of drawn positions draws them without replacement (Kool et al. 2019, arXiv:1903.06059).

Shapes speak of B clips of T frames, N positions of a frame of which K are kept, C channels.
"""

import torch
from torch import Tensor, nn

from mer_nas.architectures.layers.attention import TokenLayer
from mer_nas.architectures.layers.basic import init_, linear
from mer_nas.architectures.state import State, Stateful, StatefulSequential, advance


class TokenSelection(nn.Module):
    """Keeps the positions of a clip that score highest, the same in all frames.

        d_n = mean_t |x_{t+1,n} - x_{t,n}|
        v_n = w [mean_t x_{t,n}; d_n] + b + ||d_n||

    What is kept is multiplied by the sigmoid of its score, so that the score learns.

    Args:
        dim: C.
        drawn: In training, add Gumbel noise to the scores that are compared.
    """

    def __init__(self, dim: int, *, drawn: bool = False) -> None:
        super().__init__()
        self.score = linear(2 * dim, 1)
        self.drawn = drawn

    def scores(self, clips: Tensor) -> Tensor:
        """Return v (B, N)."""
        change = (clips[:, 1:] - clips[:, :-1]).abs().mean(1)  # (B, N, C)
        seen: Tensor = self.score(torch.cat([clips.mean(1), change], dim=2))
        size: Tensor = torch.linalg.vector_norm(change, dim=2)
        return seen[..., 0] + size

    def forward(self, clips: Tensor, *counts: int) -> list[Tensor]:
        """Return the `counts` best positions (B, T, K, C) of clips (B, T, N, C)."""
        scores = self.scores(clips)
        compared = scores
        if self.drawn and self.training:
            compared = scores - (-(torch.rand_like(scores) + 1e-10).log()).log()
        ranks = compared.topk(max(counts), dim=1).indices
        return [_kept(clips, scores, ranks[:, :count]) for count in counts]


class _SparseRates(Stateful):
    """What both orders of rates have: (B T, C, H, W) to (B, C, 1, 1).

    Args:
        dim: C.
        frames: T.
        counts: K for every rate.
        select: Keeps positions.
        classes: Number of class tokens.
    """

    def __init__(
        self, dim: int, frames: int, counts: list[int], select: TokenSelection, classes: int
    ) -> None:
        super().__init__()
        self.counts = counts
        self.select = select
        self.time = nn.Parameter(torch.empty(frames, dim))
        self.classes = nn.Parameter(torch.empty(classes, dim))
        self.merge = linear(len(counts) * dim, dim)
        init_(self.time)
        init_(self.classes)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take the frames of clips to what the class tokens say of them."""
        frames, channels = self.time.shape
        clips = x.reshape(-1, frames, channels, x.shape[2] * x.shape[3]).transpose(2, 3)
        said, state = self.passed(clips, state)
        merged: Tensor = self.merge(torch.cat(said, dim=1))
        # A map of the positions in every frame says nothing about the one that is left.
        return merged[:, :, None, None], state._replace(attention=None)

    def passed(self, clips: Tensor, state: State) -> tuple[list[Tensor], State]:
        """Return for every rate what a class token (B, C) makes of clips (B, T, N, C)."""
        raise NotImplementedError

    def timed(self, clips: Tensor) -> Tensor:
        """Add to every token of clips (B, T, K, C) the number of its frame."""
        return clips + self.time[:, None]

    def opening(self, index: int, clips: Tensor) -> Tensor:
        """Return a class token for every clip: (B, 1, C)."""
        return self.classes[index].expand(clips.shape[0], 1, -1)


class ParallelRates(_SparseRates):
    """Every rate has its own tokens and its own class token, and goes through all layers."""

    def __init__(
        self,
        dim: int,
        frames: int,
        counts: list[int],
        select: TokenSelection,
        layers: list[TokenLayer],
    ) -> None:
        super().__init__(dim, frames, counts, select, len(counts))
        self.layers = StatefulSequential(layers)

    def passed(self, clips: Tensor, state: State) -> tuple[list[Tensor], State]:
        """Take every rate through the layers."""
        said: list[Tensor] = []
        for index, kept in enumerate(self.select(clips, *self.counts)):
            tokens = self.timed(kept).flatten(1, 2)
            tokens = torch.cat([self.opening(index, clips), tokens], dim=1)  # (B, 1 + T K, C)
            tokens, state = advance(self.layers, tokens, state)
            said.append(tokens[:, 0])
        return said, state


class ProgressiveRates(_SparseRates):
    """One class token goes through all layers, with fewer tokens from rate to rate."""

    def __init__(
        self,
        dim: int,
        frames: int,
        counts: list[int],
        select: TokenSelection,
        layers: list[TokenLayer],
    ) -> None:
        super().__init__(dim, frames, counts, select, 1)
        self.groups = nn.ModuleList(_parted(layers, len(counts)))

    def passed(self, clips: Tensor, state: State) -> tuple[list[Tensor], State]:
        """Take what each rate keeps through its layers, and on to the next."""
        said: list[Tensor] = []
        first, tokens = self.opening(0, clips), clips
        for count, layers in zip(self.counts, self.groups, strict=True):
            (kept,) = self.select(tokens, count)
            kept = kept if said else self.timed(kept)
            both = torch.cat([first, kept.flatten(1, 2)], dim=1)  # (B, 1 + T K, C)
            both, state = advance(layers, both, state)
            first, tokens = both[:, :1], both[:, 1:].reshape(kept.shape)
            said.append(first[:, 0])
        return said, state


def _kept(clips: Tensor, scores: Tensor, where: Tensor) -> Tensor:
    """Return the positions `where` (B, K) of clips (B, T, N, C), weighed by scores (B, N)."""
    _, frames, _, channels = clips.shape
    weights = scores.gather(1, where).sigmoid()[:, None, :, None]
    return clips.gather(2, where[:, None, :, None].expand(-1, frames, -1, channels)) * weights


def _parted(layers: list[TokenLayer], groups: int) -> list[StatefulSequential]:
    """Return the layers in groups of equal length; the first ones take what is left over."""
    sizes = [len(layers) // groups + (group < len(layers) % groups) for group in range(groups)]
    ends = [sum(sizes[: group + 1]) for group in range(groups)]
    return [
        StatefulSequential(layers[end - size : end]) for size, end in zip(sizes, ends, strict=True)
    ]
