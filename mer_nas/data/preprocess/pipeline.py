"""All steps for one clip: from its frames to what a network sees.

The frames are read once, twice where the apex has to be spotted, and no more of them are kept than
the inputs are made of.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_nas.data.preprocess.alignment import Crop
from mer_nas.data.preprocess.config import Pipeline, Preparation
from mer_nas.data.preprocess.flow import dense_flow, one_thread
from mer_nas.data.preprocess.frame_readers import FrameReader, grey
from mer_nas.data.preprocess.images import Image
from mer_nas.data.preprocess.magnification import magnified
from mer_nas.data.preprocess.make_inputs import (
    MEASURED,
    Moment,
    Pixels,
    Share,
    make_inputs,
    moments_needed,
    needs_apex,
)
from mer_nas.errors import DataError
from mer_nas.inputs import FLOW

_Grey = NDArray[np.uint8]
_SPOTTING = 64
"""Height and width, in pixels, at which motion is compared."""


@dataclass(frozen=True)
class Keyframes:
    """Where an expression is in a reader, by places from 0."""

    onset: int
    offset: int
    apex: int | None = None
    """None where nobody gave it."""


@dataclass(frozen=True, eq=False)
class Clip:
    """The tensors of one record: what networks see of it."""

    inputs: dict[str, Pixels]
    """By name, as `make_inputs` makes them."""
    apex: int
    """The place of the apex."""
    apex_source: str
    """How it was found: "annotated", "middle", "spotted"."""


def prepare(
    reader: FrameReader,
    keyframes: Keyframes,
    how: Preparation,
    names: Sequence[str],
    cropped: bool = False,
) -> Clip:
    """Take a clip through the pipeline.

    Args:
        reader: Its frames.
        keyframes: Where the expression is.
        how: The steps, and the form of the inputs.
        names: The inputs to be made.
        cropped: Whether the frames show nothing but the face, so that alignment is skipped.

    Raises:
        DataError: A frame is missing or unreadable, key frames are not in order, there is no face,
            or the apex is unknown though an input needs it.
    """
    _refuse_unordered(reader, keyframes)
    with one_thread():
        faces = _Faces(reader, keyframes, how.pipeline, cropped)
        apex, source = _apex(faces) if needs_apex(names) else _apex_or_middle(keyframes)
        footage = faces.at(apex, moments_needed(names, how.frames))
        dense = dense_flow(how.pipeline.flow)
        inputs = make_inputs(names, footage, how.size, how.frames, dense)
    if how.pipeline.values == "min_max":
        inputs = {name: _stretched(name, values) for name, values in inputs.items()}
    return Clip(inputs, apex, source)


def refuse_unready(
    reader: FrameReader, keyframes: Keyframes, pipeline: Pipeline, cropped: bool
) -> None:
    """Refuse what `prepare` would refuse of a clip whose frames can be read.

    Raises:
        DataError: Key frames are not in order, there is no face, the apex is unknown, or the frame
            rate that is needed.
    """
    _refuse_unordered(reader, keyframes)
    faces = _Faces(reader, keyframes, pipeline, cropped)
    if set(pipeline.apex) == {"annotated"}:
        _apex(faces)
    faces.read([keyframes.onset])


def _refuse_unordered(reader: FrameReader, keyframes: Keyframes) -> None:
    """Refuse key frames that are not in order by their places.

    By their numbers they are, but one key frame may stand in for another that is missing.

    Raises:
        DataError: They are not.
    """
    if not 0 <= keyframes.onset < keyframes.offset < len(reader):
        raise DataError(
            f"{reader.name}: onset {keyframes.onset} and offset {keyframes.offset} are no stretch "
            f"of {len(reader)} frames, counted from 0; onset < offset < {len(reader)} would be "
            "right"
        )
    if keyframes.apex is not None and not keyframes.onset < keyframes.apex <= keyframes.offset:
        raise DataError(
            f"{reader.name}: the apex {keyframes.apex} is not after the onset {keyframes.onset} "
            f"and up to the offset {keyframes.offset}, counted from 0"
        )


class _Faces:
    """The aligned faces of a reader, read anew each time they are asked for."""

    def __init__(
        self, reader: FrameReader, keyframes: Keyframes, pipeline: Pipeline, cropped: bool
    ) -> None:
        self.reader, self.keyframes, self.pipeline = reader, keyframes, pipeline
        self.crop: Crop | None = None
        if pipeline.align is not None and not cropped:
            (first,) = reader.read([keyframes.onset])
            self.crop = Crop.of(first, pipeline.align, pipeline.face, reader.name)

    def read(self, places: Sequence[int]) -> Iterator[Image]:
        """Yield the faces at `places`, which ascend from the onset or later."""
        settings = self.pipeline.magnify
        if settings is None:
            return map(self._face, self.reader.read(places))
        every = range(self.keyframes.onset, places[-1] + 1)
        frames = map(self._face, self.reader.read(every))
        louder = magnified(frames, settings, self.reader.fps, self.reader.name)
        wanted = frozenset(places)
        return (face for place, face in zip(every, louder, strict=True) if place in wanted)

    def at(self, apex: int, moments: Iterable[Moment]) -> "_Kept":
        """Return the footage that holds the faces at `moments` and no others."""
        keyframes = (self.keyframes.onset, apex, self.keyframes.offset)
        places = {moment: _place(moment, keyframes) for moment in moments}
        ascending = sorted(set(places.values()))
        faces = dict(zip(ascending, self.read(ascending), strict=True))
        return _Kept({moment: faces[place] for moment, place in places.items()})

    def _face(self, frame: Image) -> Image:
        size = self.pipeline.face
        face = self.crop(frame) if self.crop else _resized(frame, size)
        return face if self.pipeline.colour else np.stack([grey(face)] * 3, axis=-1)


@dataclass(frozen=True, eq=False)
class _Kept:
    """Faces by their moment; what `make_inputs` calls footage."""

    faces: dict[Moment, Image]

    def grey(self, moments: Sequence[Moment]) -> NDArray[np.uint8]:
        return np.stack([grey(self.faces[moment]) for moment in moments])

    def colour(self, moments: Sequence[Moment]) -> NDArray[np.uint8]:
        return np.stack([self.faces[moment] for moment in moments])


def _apex_or_middle(keyframes: Keyframes) -> tuple[int, str]:
    """Return the apex as somebody gave it, or the middle; nothing is looked for."""
    if keyframes.apex is not None:
        return keyframes.apex, "annotated"
    return (keyframes.onset + keyframes.offset + 1) // 2, "middle"


def _apex(faces: _Faces) -> tuple[int, str]:
    keyframes = faces.keyframes
    for way in faces.pipeline.apex:
        if way == "annotated" and keyframes.apex is not None:
            return keyframes.apex, way
        if way == "middle":
            return (keyframes.onset + keyframes.offset + 1) // 2, way
        if way == "spotted":
            onset, *_ = faces.read([keyframes.onset])
            later = range(keyframes.onset + 1, keyframes.offset + 1)
            return later[_spot(grey(onset), map(grey, faces.read(later)))], way
    raise DataError(
        f"{faces.reader.name}: its apex is not annotated, and data.pipeline.apex allows nothing "
        "else; data.pipeline.apex=[annotated,spotted] finds the frame of the largest motion"
    )


def _spot(onset: _Grey, later: Iterable[_Grey]) -> int:
    """Return the place in `later` of the frame that has moved most since `onset`.

    How far a frame has moved is the mean length of its flow, once the median flow, which is the
    head's, is taken off. Of equal frames it is the first. Frames are (H, W); one is in memory at a
    time.

    Raises:
        ValueError: There is no later frame.
    """
    start = _small(onset)
    return int(np.argmax([_motion(start, _small(frame)) for frame in later]))


def _motion(onset: _Grey, frame: _Grey) -> float:
    flow = dense_flow()(onset, frame)
    own = flow - np.median(flow, axis=(1, 2), keepdims=True)
    return float(np.hypot(*own).mean())


def _small(frame: _Grey) -> _Grey:
    side = (_SPOTTING, _SPOTTING)
    return np.asarray(cv2.resize(frame, side, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _place(moment: Moment, keyframes: tuple[int, int, int]) -> int:
    """Return the place of a moment, by onset, apex and offset.

    >>> [_place(moment, (10, 14, 24)) for moment in (0, 0.5, 1, 1.5, 2)]
    [10, 12, 14, 19, 24]
    >>> [_place(Share(share), (10, 14, 24)) for share in (0, 0.5, 1)]
    [10, 17, 24]
    """
    if isinstance(moment, Share):
        onset, _, offset = keyframes
        return round(onset + moment.of_clip * (offset - onset))
    return round(float(np.interp(moment, (0, 1, 2), keyframes)))


def _stretched(name: str, values: Pixels) -> Pixels:
    """Return what was measured stretched to -1..1; pictures stay as they are.

    The channels of flow_uvs are stretched each by itself, others together, so that colours stay.
    """
    if name not in MEASURED:
        return values
    axes = (-2, -1) if name == FLOW else None
    low, high = values.min(axes, keepdims=True), values.max(axes, keepdims=True)
    span = np.where(high > low, high - low, 1)
    return np.asarray(np.where(high > low, 2 * (values - low) / span - 1, 0), dtype=np.float32)


def _resized(frame: Image, size: int) -> Image:
    if frame.shape[:2] == (size, size):
        return frame
    way = cv2.INTER_AREA if size <= min(frame.shape[:2]) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, (size, size), interpolation=way), dtype=np.uint8)
