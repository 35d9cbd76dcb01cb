"""Random changes of a batch of clips that leave its classes as they are.

Everything is drawn on the CPU from the generator that is passed in, so that a fold sees the same
clips on every device.

Shapes speak of B clips, C channels, H rows and W columns.
"""

import torch
from torch import Tensor

from mer_nas.data.clips import FLOW
from mer_nas.training.config import Augmentation

MIRRORED = {FLOW: 0}
"""By input, the channel that a mirror turns round: to the right becomes to the left."""


def augment(
    inputs: dict[str, Tensor], settings: Augmentation, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the clips of a batch, changed; all inputs of one clip are changed alike.

    Args:
        inputs: By name, (B, C, H, W).
        settings: How much of what.
        generator: A generator of the CPU.
    """
    count = len(next(iter(inputs.values())))
    if settings.flip:
        flipped = torch.rand(count, generator=generator) < 0.5
        inputs = {
            name: mirror(clips, flipped, MIRRORED.get(name)) for name, clips in inputs.items()
        }
    if settings.shift:
        most = settings.shift
        by = torch.randint(-most, most + 1, (count, 2), generator=generator)
        inputs = {name: shift(clips, by) for name, clips in inputs.items()}
    if settings.scale:
        factor = 1 + settings.scale * (2 * torch.rand(count, 1, 1, 1, generator=generator) - 1)
        inputs = {
            name: clips * factor.to(clips) if name in MIRRORED else clips
            for name, clips in inputs.items()
        }
    if settings.noise:
        inputs = {
            name: clips + settings.noise * torch.randn(clips.shape, generator=generator).to(clips)
            for name, clips in inputs.items()
        }
    return inputs


def mirror(clips: Tensor, flipped: Tensor, channel: int | None) -> Tensor:
    """Mirror those of `clips` (B, C, H, W) that `flipped` (B,) marks.

    Args:
        clips: What to mirror.
        flipped: True or False for each.
        channel: The channel of horizontal motion, whose sign a mirror changes; None: no such.
    """
    mirrored = clips.flip(-1)
    if channel is not None:
        sign = clips.new_ones(clips.shape[1])
        sign[channel] = -1
        mirrored = mirrored * sign[:, None, None]
    return torch.where(flipped.to(clips.device)[:, None, None, None], mirrored, clips)


def shift(clips: Tensor, by: Tensor) -> Tensor:
    """Move each of `clips` (B, C, H, W) down and right by `by` (B, 2) pixels; repeat the edge."""
    height, width = clips.shape[-2:]
    rows = (torch.arange(height) - by[:, :1]).clamp(0, height - 1).to(clips.device)  # (B, H)
    columns = (torch.arange(width) - by[:, 1:]).clamp(0, width - 1).to(clips.device)  # (B, W)
    clip = torch.arange(len(clips), device=clips.device)[:, None, None, None]
    channel = torch.arange(clips.shape[1], device=clips.device)[:, None, None]
    return clips[clip, channel, rows[:, None, :, None], columns[:, None, None, :]]
