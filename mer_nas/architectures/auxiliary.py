"""What a network gives, and what it learns beside the classes, with what it needs for that only.

    dyn_image   build the clip's dynamic image from the map that its frames were pooled to
                (Shao et al. 2025, arXiv:2509.06015)
    rank        give later frames of the motion higher scores (our reading of the same)
    orth        keep the features of two paths apart, and
    au          name the action units, from the first path, and
    branch_cls  name the class, from the last path alone (our reading of Hu et al. 2026,
                arXiv:2604.17899)

The tasks run in training only, and are no part of what is deployed.

Shapes speak of B clips, T frames, C channels, H x W maps and K classes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures.blocks.temporal import FrameScore, Scored
from mer_nas.architectures.grammar import Architecture
from mer_nas.architectures.layers.basic import MeanOverMap, linear, mean_over_map
from mer_nas.architectures.state import ModelOutput, PooledFrames
from mer_nas.architectures.user_blocks import ask_block
from mer_nas.architectures.walk import Visit
from mer_nas.inputs import ACTION_UNITS, INPUTS
from mer_nas.rank_pooling import coefficients

_UNITS = len(ACTION_UNITS)
"""Number of action units that are learned."""
_STILL = 1e-4
"""Range of a dynamic image, in grey values of range 1, up to which it shows rounding only."""


def auxiliary_tasks(
    architecture: Architecture, visits: list[Visit], classes: int
) -> "_Tasks | None":
    """Return the tasks that have a weight, or none.

    Args:
        architecture: Whose `losses` have the weights.
        visits: The walk along it.
        classes: K.
    """
    behind = {visit.slot: visit for visit in visits}
    context, last = behind["fusion"].context, len(architecture.paths) - 1
    makers: dict[str, Callable[[], nn.Module]] = {
        "dyn_image": lambda: _image_task(behind["dyn_image"]),
        "rank": lambda: _rank_task(architecture, [v for v in visits if v.pools_frames]),
        "orth": lambda: _OrthTask(ask_block(architecture.losses.orth, context, "build")),
        "au": lambda: _PathHead(0, context.ends[0].channels, _UNITS),
        "branch_cls": lambda: _PathHead(last, context.ends[last].channels, classes),
    }
    weights = architecture.losses.weights
    wanted = {name: make() for name, make in makers.items() if weights[name]}
    return _Tasks(wanted) if wanted else None


class _Seen(NamedTuple):
    """What the auxiliary tasks can look at."""

    clips: Sequence[Tensor]
    """What every path read: (B, T, C, H, W), or (B, C, H, W) of an image."""
    pools: Sequence[PooledFrames | None]
    """Of every path's temporal pool."""
    ends: Sequence[Tensor]
    """(B, C, H, W), the map that every path ends with."""
    aligned: Sequence[Tensor]
    """(B, D, h, w), the maps of two paths as the fusion has brought them together."""


class _Tasks(nn.Module):
    """Runs the tasks of a network, each of which is called like its loss."""

    def __init__(self, tasks: dict[str, nn.Module]) -> None:
        super().__init__()
        self.tasks = nn.ModuleDict(tasks)

    def forward(
        self,
        output: ModelOutput,
        clips: Sequence[Tensor],
        pools: Sequence[PooledFrames | None],
        ends: Sequence[Tensor],
        aligned: Sequence[Tensor],
    ) -> ModelOutput:
        """Return the output with what every task says; `_Seen` says what the others are."""
        seen = _Seen(clips, pools, ends, aligned)
        losses, logits = dict(output.losses), dict(output.auxiliary_logits)
        for name, task in self.tasks.items():
            (logits if isinstance(task, _PathHead) else losses)[name] = task(seen)
        return ModelOutput(output.logits, losses, logits)


class _DynamicImageTask(nn.Module):
    """The mean squared error of a decoded dynamic image.

    Args:
        decoder: From the pooled map (B, C, H, W) to an image (B, H, W) between 0 and 1.
        path: Index of the path whose frames it shows.
        frames: Number of these.
    """

    def __init__(self, decoder: nn.Module, path: int, frames: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.path = path
        # They lie where the network does: a step copies nothing from the host.
        self.register_buffer("weights", torch.tensor(coefficients(frames)), persistent=False)

    def forward(self, seen: _Seen) -> Tensor:
        """Decode, and compare with the image of the frames, at the decoder's resolution."""
        pooled_frames = seen.pools[self.path]
        assert pooled_frames is not None
        decoded: Tensor = self.decoder(pooled_frames.pooled)
        image = _dynamic_image(seen.clips[self.path], self.get_buffer("weights"))
        target = _resize_by_area(image, decoded.shape[1:])
        return functional.mse_loss(decoded, target)


class _RankTask(nn.Module):
    """The hinge loss of frame scores that do not rise with time, averaged over paths.

    Args:
        scorers: By path whose temporal pool has no scores of its own.
        rising: By path: how many of its first frames lie between onset and apex.
    """

    def __init__(self, scorers: Mapping[int, nn.Module], rising: Mapping[int, int]) -> None:
        super().__init__()
        self.scorers = nn.ModuleDict({str(path): scorer for path, scorer in scorers.items()})
        self.rising = rising

    def forward(self, seen: _Seen) -> Tensor:
        """Score the frames of every path."""
        losses = []
        for path, rising in self.rising.items():
            pooled_frames = seen.pools[path]
            assert pooled_frames is not None
            scores = (
                self.scorers[str(path)](pooled_frames.frames)
                if pooled_frames.scores is None
                else pooled_frames.scores
            )
            losses.append(_rank_loss(scores[:, :rising]))
        return torch.stack(losses).mean()


class _OrthTask(nn.Module):
    """The orthogonality of the means over positions of two aligned maps."""

    def __init__(self, form: nn.Module) -> None:
        super().__init__()
        self.form = form

    def forward(self, seen: _Seen) -> Tensor:
        """Compare the paths."""
        one, other = map(mean_over_map, seen.aligned)
        loss: Tensor = self.form(one, other)
        return loss


class _PathHead(nn.Module):
    """A linear map of the mean over positions of the map that one path ends with."""

    def __init__(self, path: int, channels: int, outputs: int) -> None:
        super().__init__()
        self.path = path
        self.head = nn.Sequential(MeanOverMap(), linear(channels, outputs))

    def forward(self, seen: _Seen) -> Tensor:
        """Return logits (B, outputs)."""
        logits: Tensor = self.head(seen.ends[self.path])
        return logits


def _rank_task(architecture: Architecture, pools: list[Visit]) -> _RankTask:
    scorers = {
        pool.path: FrameScore(pool.context.channels)
        for pool in pools
        if not isinstance(pool.part, Scored)
    }
    read = {pool.path: INPUTS[architecture.paths[pool.path].inputs[0]] for pool in pools}
    rising = {pool.path: read[pool.path].rising or pool.context.frames for pool in pools}
    return _RankTask(scorers, rising)


def _image_task(decoder: Visit) -> _DynamicImageTask:
    frames = decoder.context.frames
    assert frames is not None
    return _DynamicImageTask(decoder.build(), decoder.path, frames)


def _rank_loss(scores: Tensor) -> Tensor:
    """Return the mean over clips and pairs t < u of max(0, 1 / T - (s_u - s_t)), scores (B, T)."""
    count = scores.shape[1]
    rise = scores[:, None, :] - scores[:, :, None]  # (B, t, u)
    later = torch.ones(count, count, device=scores.device).triu(1)
    return ((1 / count - rise).relu() * later).sum((1, 2)).mean() / later.sum()


def _dynamic_image(frames: Tensor, weights: Tensor) -> Tensor:
    """Return the dynamic image (B, H, W) of frames (B, T, C, H, W), from 0 to 1 in every clip.

    Colours are averaged. The image of a clip without motion is 0.
    """
    image = (weights[:, None, None] * frames.mean(2)).sum(1)
    low, high = image.amin((1, 2), keepdim=True), image.amax((1, 2), keepdim=True)
    return (image - low) / (high - low).clamp_min(_STILL)


def _resize_by_area(images: Tensor, size: Sequence[int]) -> Tensor:
    """Return images (B, H, W) at another size, each pixel the mean of the area it covers."""
    if tuple(images.shape[1:]) == tuple(size):
        return images
    rows, columns = (
        _areas(before, after, images) for before, after in zip(images.shape[1:], size, strict=True)
    )
    return rows @ images @ columns.T


def _areas(before: int, after: int, like: Tensor) -> Tensor:
    """Return (after, before): which share of each new pixel every old one covers."""
    edges = torch.arange(before + 1, dtype=like.dtype, device=like.device) / before * after
    row = torch.arange(after, dtype=like.dtype, device=like.device)[:, None]
    return edges[1:].clamp(row, row + 1) - edges[:-1].clamp(row, row + 1)
