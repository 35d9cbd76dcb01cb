"""Several networks as one: the mean of what they say, each asked about its own part of the inputs.

Shapes speak of B clips, M members and K classes.
"""

from collections.abc import Mapping, Sequence
from math import log
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.data.clips import ClipSet
from mer_nas.evaluation.candidate import Candidate
from mer_nas.export.classifier import logits_of

Frames = Mapping[str, tuple[int, ...]]
"""By name of an input, which frames are taken of it; empty: all, or it has no time."""


class TakenInput(NamedTuple):
    """What a member takes of the inputs of its ensemble, for one of its own."""

    place: int
    """Of the input among those of the ensemble."""
    frames: tuple[int, ...] = ()
    """Places of the frames it takes of them; empty: all, or the input has no time."""


class EnsembleNetwork(nn.Module):
    """The weighted mean of the class probabilities of several networks, as logits.

    The logits are the logarithm of that mean, so softmax of them is the mean itself.

    Args:
        networks: The members.
        weights: Of each member, above 0; together 1.
        taken: By member, then by its own inputs in their order: where they come from.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        weights: Sequence[float],
        taken: Sequence[Sequence[TakenInput]],
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(networks)
        self.weights = tuple(weights)
        self.taken = tuple(map(tuple, taken))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the logits (B, K) of B clips: logarithms of probabilities.

        Args:
            inputs: (B, C, H, W) or (B, T, C, H, W) each, every input that a member reads.
        """
        said = [
            functional.log_softmax(logits_of(network(*(_part(inputs, each) for each in own))), -1)
            + log(weight)
            for network, weight, own in zip(self.members, self.weights, self.taken, strict=True)
        ]
        return torch.stack(said).logsumexp(0)  # (M, B, K) to (B, K)


def union_of_inputs(candidates: Sequence[Candidate], clips: ClipSet) -> Frames:
    """Return all that several networks read of some clips: each input once, with every frame.

    Inputs stand in the order in which they are first read.
    """
    found: dict[str, set[int]] = {}
    for candidate in candidates:
        for name in candidate.architecture.inputs:
            found.setdefault(name, set()).update(candidate.frames(clips, name))
    return {name: tuple(sorted(frames)) for name, frames in found.items()}


def own_inputs(candidate: Candidate, clips: ClipSet, shared: Frames) -> Frames:
    """Return what a network reads, in its order: of which inputs, the places of which frames.

    Args:
        candidate: What the network was built from.
        clips: What it was trained on.
        shared: Inputs and frames among which its own are, from `union_of_inputs`.
    """
    found = {}
    for name in candidate.architecture.inputs:
        own, given = candidate.frames(clips, name), shared[name]
        found[name] = tuple(map(given.index, own)) if len(own) < len(given) else ()
    return found


def taken_inputs(own: Frames, given: Sequence[str]) -> tuple[TakenInput, ...]:
    """Return where the inputs of a member come from.

    >>> taken_inputs({"frames": (0, 2)}, ["flow_uvs", "frames"])
    (TakenInput(place=1, frames=(0, 2)),)

    Args:
        own: What it reads, from `own_inputs`.
        given: Names of the inputs of the ensemble.
    """
    return tuple(TakenInput(given.index(name), tuple(frames)) for name, frames in own.items())


def as_one(
    networks: Sequence[nn.Module],
    weights: Sequence[float],
    taken: Sequence[Sequence[TakenInput]],
) -> nn.Module:
    """Return the only network as it is, several as their ensemble; see `EnsembleNetwork`."""
    if len(networks) == 1:
        return networks[0]
    return EnsembleNetwork(networks, weights, taken)


def _part(inputs: Sequence[Tensor], taken: TakenInput) -> Tensor:
    whole = inputs[taken.place]
    if not taken.frames:
        return whole
    return torch.stack([whole[:, place] for place in taken.frames], 1)
