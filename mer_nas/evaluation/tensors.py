"""The clips of a fold as a network takes them, on the device where it learns from them."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer_nas.data.clips import ClipSet, Divisors, divided
from mer_nas.evaluation.candidate import Candidate
from mer_nas.training.losses import Targets

Units = Mapping[str, Divisors]
"""By input, what it is divided by; inputs that are not named stay as they are."""


def units_of(candidate: Candidate, clips: ClipSet, train: NDArray[np.int64]) -> Units:
    """Return what the training clips say that the inputs of a candidate are to be divided by."""
    return {
        name: clips.divisors(name, train)
        for name in candidate.architecture.inputs
        if name in clips.by_fold
    }


def inputs_of(
    candidate: Candidate,
    clips: ClipSet,
    indices: NDArray[np.int64],
    units: Units,
    device: torch.device,
) -> dict[str, Tensor]:
    """Return the inputs of a candidate for some clips, (N, C, H, W) or (N, T, C, H, W) each."""
    # torch.tensor copies: torch's own memory is aligned alike everywhere, and a worker's view
    # of shared memory is read-only.
    seen = candidate.inputs_for(clips, indices)
    return {
        name: torch.tensor(divided(images, units.get(name)), device=device)
        for name, images in seen.items()
    }


def targets_of(
    candidate: Candidate, clips: ClipSet, indices: NDArray[np.int64], device: torch.device
) -> Targets:
    """Return what is known of some clips, as far as a candidate learns it."""
    labels = torch.tensor(clips.labels[indices], device=device)
    if candidate.architecture.losses.au == 0:
        return Targets(labels)
    return Targets(labels, torch.tensor(clips.action_units[indices], device=device))
