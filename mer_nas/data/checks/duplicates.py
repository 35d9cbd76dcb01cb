"""Pictures that two clips share, whoever they are said to be of.

Two clips are the same where any of their frames, or what networks see of them, is the same to the
last value; and nearly the same where little more than another encoding lies between them. What is
shared by two subjects makes scores wrong, and within one it counts a clip twice.

Thresholds are correlations of small pictures less their mean, so that no brightness or contrast
counts. Measured: of 309 published flow images (7 by 7 cells of u, v and strain) no two distinct
ones reach .974 within a subject or .914 across; of copies saved anew as JPEG of quality 95, or
with noise of 2 grey levels, none falls below .984. Frames of one person are alike by nature, so
within a subject their motion has to be the same too; of synthetic faces (32 by 32 cells) no two
people reach .90, and no two clips of one person .9975.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_nas.data.clips import ClipSet
from mer_nas.data.findings import Finding
from mer_nas.data.records import Frame
from mer_nas.inputs import FLOW
from mer_nas.wording import count

SAME_FLOW = 0.98
"""From this correlation on two flows are nearly the same."""
SAME_FACE = 0.998
"""From this correlation on two frames are nearly the same."""
FLOW_CELLS = 7
FACE_CELLS = 32
LEAST = 2 * FACE_CELLS
"""Pixels of the shorter side from which on a frame shows enough to be compared."""
ROWS = 512
"""Clips that are compared with all earlier ones at a time."""

Vectors = NDArray[np.float32]
"""(N, D), each of length 1; zeros where there is nothing to compare."""


@dataclass(frozen=True)
class ClipView:
    """What is kept of a clip's frames to tell it from others."""

    clip: str
    subject: str
    pair: tuple[Frame, Frame]
    """Onset and apex."""
    seen: dict[Frame, bytes] = field(default_factory=dict)
    """Of each frame that shows anything, what stands for its values."""
    small: dict[Frame, NDArray[np.float32]] = field(default_factory=dict)
    """(cells, cells): onset and apex, grey, as far as they could be read and are large enough."""

    def see(self, frame: Frame, values: NDArray[Any]) -> None:
        """Take in what a frame holds, (H, W) or (H, W, C)."""
        if values.size and values.min() != values.max():
            head = f"{values.dtype.str} {values.shape}".encode()
            content = np.ascontiguousarray(values).tobytes()
            self.seen[frame] = hashlib.sha256(head + content).digest()
        if frame in self.pair and min(values.shape[:2]) >= LEAST:
            grey = values.astype(np.float32)
            grey = grey.mean(axis=2) if grey.ndim == 3 else grey
            cells = (FACE_CELLS, FACE_CELLS)
            small = cv2.resize(grey, cells, interpolation=cv2.INTER_AREA)
            self.small[frame] = np.asarray(small, np.float32)

    @property
    def frames(self) -> set[bytes]:
        """What stands for the frames; those that are the same count once."""
        return set(self.seen.values())


def shared_frames(views: Sequence[ClipView]) -> Iterator[Finding]:
    """Yield the clips whose frames another clip has too, or nearly; each with one such clip."""
    owners: dict[bytes, dict[str, int]] = {}
    told: set[int] = set()
    for place, view in enumerate(views):
        shared: dict[int, int] = {}
        for frame in view.frames:
            for other in owners.setdefault(frame, {}).values():
                shared[other] = shared.get(other, 0) + 1
            owners[frame].setdefault(view.subject, place)
        across = [other for other in shared if views[other].subject != view.subject]
        least = len(view.frames) / 2
        within = [other for other in shared if other not in across and shared[other] > least]
        for other in (across or within)[:1]:
            told.add(place)
            what = f"{count(shared[other], 'frame')} of {len(view.frames)} the same"
            yield _finding(view.clip, views[other].clip, what, across=bool(across))
    yield from _nearly_shared([view for place, view in enumerate(views) if place not in told])


def shared_inputs(clips: ClipSet) -> Iterator[Finding]:
    """Yield the clips of which networks see what they see of another clip too, or nearly."""
    first: dict[bytes, int] = {}
    kept: list[int] = []
    for index in range(len(clips)):
        rows = (np.ascontiguousarray(array[index]) for array in clips.inputs.values())
        seen = hashlib.sha256(b"".join(row.tobytes() for row in rows)).digest()
        other = first.setdefault(seen, index)
        if other == index:
            kept.append(index)
        else:
            yield _of_clips(clips, index, other, "the same to the last value")
    if FLOW in clips.inputs:
        vectors = _unit(np.stack([_cells(clips.inputs[FLOW][index]) for index in kept]))
        groups = clips.groups[kept]
        for index, other, likeness in _nearest(vectors, groups, SAME_FLOW):
            what = f"nearly the same (correlation {likeness:.3f})"
            yield _of_clips(clips, kept[index], kept[other], what)


def _nearest(
    vectors: Vectors, groups: NDArray[np.str_], least: float
) -> Iterator[tuple[int, int, float]]:
    """Yield each vector that resembles an earlier one, that one, and their correlation.

    One of another group comes before one of the same.
    """
    for begin in range(0, len(vectors), ROWS):
        rows = vectors[begin : begin + ROWS]
        likeness = rows @ vectors[: begin + len(rows)].T
        for row in range(len(rows)):
            index = begin + row
            earlier = likeness[row, :index]
            alike = np.flatnonzero(earlier >= least)
            across = alike[groups[alike] != groups[index]]
            found = across if len(across) else alike
            if len(found):
                other = int(found[np.argmax(earlier[found])])
                yield index, other, float(earlier[other])


def _nearly_shared(views: Sequence[ClipView]) -> Iterator[Finding]:
    seen = [view for view in views if set(view.pair) <= set(view.small)]
    if not seen:
        return
    pictures = np.stack([[view.small[frame] for frame in view.pair] for view in seen])
    onsets = _unit(pictures[:, :1])
    motions = _unit(np.stack([_cells(both[1:] - both[:1]) for both in pictures]))
    groups = np.array([view.subject for view in seen])
    for index, other, likeness in _nearest(onsets, groups, SAME_FACE):
        across = bool(groups[index] != groups[other])
        same_motion = float(motions[index] @ motions[other]) >= SAME_FLOW
        if across or same_motion:
            what = f"the first frames are nearly the same (correlation {likeness:.4f})"
            yield _finding(seen[index].clip, seen[other].clip, what, across=across)


def _cells(flow: NDArray[Any]) -> NDArray[np.float32]:
    """Return a flow (C, H, W) as (C, cells, cells)."""
    cells = (FLOW_CELLS, FLOW_CELLS)
    channels = [np.asarray(channel, np.float32) for channel in flow]
    return np.stack([cv2.resize(c, cells, interpolation=cv2.INTER_AREA) for c in channels])


def _unit(pictures: NDArray[np.float32]) -> Vectors:
    """Return (N, C, H, W) as vectors of length 1, each channel less its mean."""
    centred = pictures - pictures.mean(axis=(2, 3), keepdims=True)
    flat = centred.reshape(len(pictures), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(np.where(length > 1e-6, flat / np.maximum(length, 1e-6), 0), np.float32)


def _of_clips(clips: ClipSet, index: int, other: int, what: str) -> Finding:
    one, two = clips.records[index], clips.records[other]
    return _finding(one.id, two.id, what, across=one.group != two.group)


def _finding(clip: str, other: str, what: str, *, across: bool) -> Finding:
    text = f"as {other}: {what}"
    if across:
        return Finding("error", "two subjects with the same pictures", clip, text, True)
    return Finding("warning", "two clips with the same pictures", clip, text)
