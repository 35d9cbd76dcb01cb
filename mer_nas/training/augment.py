"""Random changes of a batch of clips that leave its classes and action units as they are.

Everything is drawn on the CPU from the generator that is passed in, so that a fold sees the same
clips on every device. A change is made where the clips lie, to all of a batch at once; all inputs
and all frames of a clip are changed alike.

Shapes speak of B clips, T frames, C channels, H rows and W columns; inputs are (B, C, H, W), or
(B, T, C, H, W) where they are sequences.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mer_nas.inputs import (
    DIFFERENCE,
    DYNAMIC_IMAGE,
    FLOW,
    FLOW_RGB,
    FRAMES,
    KEYFRAMES,
    KEYFRAMES_RGB,
)
from mer_nas.training.config import Augmentation


def augment(
    inputs: dict[str, Tensor], settings: Augmentation, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the clips of a batch, changed; all inputs of one clip are changed alike.

    Args:
        inputs: By name.
        settings: How much of what.
        generator: A generator of the CPU.
    """
    count = len(next(iter(inputs.values())))
    if settings.flip:
        flipped = torch.rand(count, generator=generator) < 0.5
        inputs = {name: mirror(name, clips, flipped) for name, clips in inputs.items()}
    if settings.shift:
        most = settings.shift
        by = torch.randint(-most, most + 1, (count, 2), generator=generator)
        inputs = {name: shift(clips, by) for name, clips in inputs.items()}
    if settings.rotate:
        angles = math.radians(settings.rotate) * _around_zero(count, generator)
        inputs = {name: rotate(name, clips, angles) for name, clips in inputs.items()}
    if settings.scale:
        factors = _factors(settings.scale, _around_zero(count, generator))
        inputs = {name: magnify(name, clips, factors) for name, clips in inputs.items()}
    if settings.noise:
        inputs = {
            name: clips + settings.noise * torch.randn(clips.shape, generator=generator).to(clips)
            for name, clips in inputs.items()
        }
    return inputs


def blend(
    inputs: dict[str, Tensor], mixup: float, generator: torch.Generator
) -> tuple[dict[str, Tensor], Tensor | None, float]:
    """Return clips blended with others of the batch, which ones (B,), and the share of the former.

    Source: Zhang et al. 2018, "mixup" (arXiv:1710.09412), one share for a batch.

    Args:
        inputs: By name.
        mixup: Both parameters of the beta distribution of the share; 0: nothing is blended.
        generator: A generator of the CPU.
    """
    if not mixup:
        return inputs, None, 1.0
    count = len(next(iter(inputs.values())))
    seed = int(torch.randint(2**31, (), generator=generator))
    share = float(np.random.default_rng(seed).beta(mixup, mixup))
    order = torch.randperm(count, generator=generator)
    mixed = {
        name: share * clips + (1 - share) * clips[order.to(clips.device)]
        for name, clips in inputs.items()
    }
    return mixed, order, share


def mirror(name: str, clips: Tensor, flipped: Tensor) -> Tensor:
    """Mirror those of `clips` that `flipped` (B,) marks; their motion is mirrored with them."""
    mirrored = clips.flip(-1)
    if name == FLOW:
        mirrored = mirrored * mirrored.new_tensor([-1, 1, 1])[:, None, None]
    elif name == FLOW_RGB:
        mirrored = mirrored[:, [0, 2, 1]]  # the hues are laid out so, see data.inputs.flow_rgb
    return torch.where(_along(flipped, clips), mirrored, clips)


def shift(clips: Tensor, by: Tensor) -> Tensor:
    """Move each of `clips` down and right by `by` (B, 2) pixels; repeat the edge."""
    planes = clips.flatten(1, -3)  # (B, T C, H, W)
    height, width = planes.shape[-2:]
    rows = (torch.arange(height) - by[:, :1]).clamp(0, height - 1).to(clips.device)  # (B, H)
    columns = (torch.arange(width) - by[:, 1:]).clamp(0, width - 1).to(clips.device)  # (B, W)
    clip = torch.arange(len(planes), device=clips.device)[:, None, None, None]
    plane = torch.arange(planes.shape[1], device=clips.device)[:, None, None]
    return planes[clip, plane, rows[:, None, :, None], columns[:, None, None, :]].view_as(clips)


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
    if name in (FRAMES, KEYFRAMES, KEYFRAMES_RGB):
        return torch.lerp(clips[:, :1].expand_as(clips), clips, factor)
    raise ValueError(f"nobody has said what magnified motion does to {name!r}")


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
    """Return how much of a primary colour is lacking at a hue; see `data.inputs`."""
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
