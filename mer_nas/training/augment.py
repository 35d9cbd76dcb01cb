"""Random changes of a batch of clips that leave its classes and action units as they are.

Everything is drawn on the CPU from the generator that is passed in, so that a fold sees the same
clips on every device. A change is made where the clips lie, to all of a batch at once; all inputs
and all frames of a clip are changed alike.

Shapes speak of B clips, T frames, C channels, H rows and W columns; inputs are (B, C, H, W), or
(B, T, C, H, W) where they are sequences.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mer_nas.errors import ConfigError
from mer_nas.inputs import (
    DIFFERENCE,
    DYNAMIC_IMAGE,
    FLOW,
    FLOW_RGB,
    INPUTS,
)
from mer_nas.training.config import Augmentation


class Changes(NamedTuple):
    """What was drawn for the clips of a batch; None, or no entry: that is not done."""

    flipped: Tensor | None
    """(B,), which are mirrored."""
    by: Tensor | None
    """(B, 2), pixels down and right."""
    angles: Tensor | None
    """(B,), in radians."""
    factors: Tensor | None
    """(B,), of their motion."""
    noise: Mapping[str, Tensor]
    """By input, (B, ...) each, what is added."""


def augment(
    inputs: dict[str, Tensor], settings: Augmentation, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the clips of a batch, changed; all inputs of one clip are changed alike.

    Args:
        inputs: By name.
        settings: How much of what.
        generator: A generator of the CPU.
    """
    return change(
        inputs, draw_changes({name: x.shape for name, x in inputs.items()}, settings, generator)
    )


def draw_changes(
    shapes: Mapping[str, Sequence[int]], settings: Augmentation, generator: torch.Generator
) -> Changes:
    """Return random changes of a batch.

    Args:
        shapes: Of its inputs by name, (B, ...) each.
        settings: How much of what.
        generator: A generator of the CPU.
    """
    count = next(iter(shapes.values()))[0]
    flipped = by = angles = factors = None
    if settings.flip:
        flipped = torch.rand(count, generator=generator) < 0.5
    if settings.shift:
        most = settings.shift
        by = torch.randint(-most, most + 1, (count, 2), generator=generator)
    if settings.rotate:
        angles = math.radians(settings.rotate) * _around_zero(count, generator)
    if settings.scale:
        factors = _factors(settings.scale, _around_zero(count, generator))
    noise = {
        name: settings.noise * torch.randn(*shape, generator=generator)
        for name, shape in shapes.items()
        if settings.noise
    }
    return Changes(flipped, by, angles, factors, noise)


def change(inputs: dict[str, Tensor], changes: Changes) -> dict[str, Tensor]:
    """Return the clips of a batch, changed as was drawn; nothing of it need be on their device."""
    flipped, by, angles, factors, noise = changes
    if flipped is not None or by is not None:
        inputs = {name: move(name, clips, flipped, by) for name, clips in inputs.items()}
    if angles is not None:
        inputs = {name: rotate(name, clips, angles) for name, clips in inputs.items()}
    if factors is not None:
        inputs = {name: magnify(name, clips, factors) for name, clips in inputs.items()}
    if noise:
        inputs = {name: clips + noise[name].to(clips) for name, clips in inputs.items()}
    return inputs


def draw_blend(
    count: int, mixup: float, generator: torch.Generator
) -> tuple[Tensor | None, float]:
    """Return which clip of the batch each is blended with (B,), and the share of the former.

    Args:
        count: B.
        mixup: Both parameters of the beta distribution of the share; 0: nothing is blended.
        generator: A generator of the CPU.
    """
    if not mixup:
        return None, 1.0
    seed = int(torch.randint(2**31, (), generator=generator))
    share = float(np.random.default_rng(seed).beta(mixup, mixup))
    return torch.randperm(count, generator=generator), share


def blend(inputs: dict[str, Tensor], order: Tensor | None, share: float) -> dict[str, Tensor]:
    """Return clips blended with others of the batch.

    Source: Zhang et al. 2018, "mixup" (arXiv:1710.09412), one share for a batch.

    Args:
        inputs: By name.
        order: (B,), with which; None: nothing is blended.
        share: Of the former.
    """
    if order is None:
        return inputs
    return {
        name: share * clips + (1 - share) * clips[order.to(clips.device)]
        for name, clips in inputs.items()
    }


def move(
    name: str, clips: Tensor, flipped: Tensor | None = None, by: Tensor | None = None
) -> Tensor:
    """Mirror clips, their motion with them, and then move them; the edge is repeated.

    Args:
        name: Of the input.
        clips: (B, C, H, W) or (B, T, C, H, W).
        flipped: (B,), which are mirrored left to right; None: none.
        by: (B, 2), by how many pixels each moves down and right; None: none does.
    """
    count, (height, width), device = len(clips), clips.shape[-2:], clips.device
    by = torch.zeros(count, 2, dtype=torch.long) if by is None else by
    by = by.to(device)
    # Where each pixel comes from, for rows and columns: one look-up for both changes.
    rows = (torch.arange(height, device=device) - by[:, :1]).clamp_(0, height - 1)  # (B, H)
    columns = (torch.arange(width, device=device) - by[:, 1:]).clamp_(0, width - 1)  # (B, W)
    if flipped is not None:
        flipped = flipped.to(device)
        columns = torch.where(flipped[:, None], width - 1 - columns, columns)
    places = (width * rows[:, :, None] + columns[:, None]).flatten(1)[:, None]  # (B, 1, H W)
    planes = clips.flatten(1, -3).flatten(2)  # (B, T C, H W)
    moved = planes.gather(2, places.expand_as(planes)).view_as(clips)
    return moved if flipped is None else _with_motion(name, moved, flipped)


def _with_motion(name: str, clips: Tensor, flipped: Tensor) -> Tensor:
    """Mirror the motion that mirrored clips show."""
    if name == FLOW:
        clips[:, 0] *= 1 - 2 * _along(flipped, clips[:, 0]).to(clips)
    elif name == FLOW_RGB:
        # `make_inputs.flow_rgb` lays the hues out so. No list, which a GPU would wait for.
        red, green, blue = clips.unbind(1)
        swapped = torch.stack([red, blue, green], dim=1)
        return torch.where(_along(flipped, clips), swapped, clips)
    return clips


def rotate(name: str, clips: Tensor, angles: Tensor) -> Tensor:
    """Turn each of `clips` clockwise by `angles` (B,), in radians; repeat the edge.

    The vectors of a flow turn with the picture, and the hues that stand for them; strain does not
    change, because it is the same along all axes.
    """
    cosine, sine, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    # Where a pixel of the turned picture lies in the old one: turned back.
    back = torch.stack([cosine, sine, zero, -sine, cosine, zero], dim=1).view(-1, 2, 3)
    planes = _turned_values(name, clips, angles).flatten(1, -3)  # (B, T C, H, W)
    grid = functional.affine_grid(back.to(clips), list(planes.shape), align_corners=False)
    turned = functional.grid_sample(planes, grid, padding_mode="border", align_corners=False)
    return turned.view_as(clips)


def magnify(name: str, clips: Tensor, factors: Tensor) -> Tensor:
    """Multiply the motion of each of `clips` by `factors` (B,).

    What shows motion is multiplied; colours keep their hue and are no brighter than 1. Frames
    depart so many times as far from the first of them, which is linear motion magnification (Wu et
    al. 2012, "Eulerian video magnification", eq. 5, without its filter).
    """
    factor = _along(factors.to(clips), clips)
    if name in (FLOW, DIFFERENCE, DYNAMIC_IMAGE):
        return clips * factor
    if name == FLOW_RGB:
        return (clips * factor).clamp(max=1)
    if INPUTS[name].timed:
        return torch.lerp(clips[:, :1].expand_as(clips), clips, factor)
    raise ConfigError(
        f"trainer.augment.scale: nobody has said what magnified motion does to {name!r}; 0 would "
        "be right"
    )


def _turn_hue(colours: Tensor, angles: Tensor) -> Tensor:
    """Turn the hue of `colours` (B, 3, H, W) by `angles` (B,), in radians."""
    red, green, blue = colours.unbind(1)
    high, low = colours.amax(1), colours.amin(1)
    span = (high - low).clamp(min=1e-12)
    hue = torch.where(
        high == red,
        (green - blue) / span,
        torch.where(high == green, (blue - red) / span + 2, (red - green) / span + 4),
    )  # in sixths of a turn, as the angles are below
    hue = hue + _along(3 / math.pi * angles.to(colours), hue)
    channels = [low + (high - low) * (1 - _lacking(hue + offset)) for offset in (5, 3, 1)]
    return torch.stack(channels, dim=1)


def _turned_values(name: str, clips: Tensor, angles: Tensor) -> Tensor:
    """Return clips whose vectors are turned in their places."""
    if name == FLOW_RGB:
        return _turn_hue(clips, angles)
    if name != FLOW:
        return clips
    u, v, strain = clips.unbind(1)
    cosine, sine = (_along(values.to(clips), u) for values in (angles.cos(), angles.sin()))
    return torch.stack([cosine * u - sine * v, sine * u + cosine * v, strain], dim=1)


def _lacking(position: Tensor) -> Tensor:
    """Return how much of a primary colour is lacking at a hue; see `make_inputs`."""
    turned = position % 6
    return torch.minimum(turned, 4 - turned).clamp(0, 1)


def _around_zero(count: int, generator: torch.Generator) -> Tensor:
    """Return numbers drawn evenly from [-1, 1), (B,)."""
    return 2 * torch.rand(count, generator=generator) - 1


def _factors(scale: float | tuple[float, float], draws: Tensor) -> Tensor:
    low, high = scale if isinstance(scale, tuple) else (1 - scale, 1 + scale)
    return (low + high) / 2 + (high - low) / 2 * draws


def _along(values: Tensor, clips: Tensor) -> Tensor:
    """Return `values` (B,) with as many axes as `clips`, beside which they then lie."""
    return values.to(clips.device).view(-1, *[1] * (clips.ndim - 1))
