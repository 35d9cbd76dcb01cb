"""Writes planned clips: renders the frames of each, saves them, and says when what happened.

The faces, motions and difficulty are those of the synthetic data set. Of its three classes the one
is shown to which an emotion belongs; what fits none shows any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from openpyxl import Workbook

from mer_nas.data.sources.faces import Field
from mer_nas.data.sources.synthetic import (
    CLASSES,
    Difficulty,
    Recording,
    Subject,
)
from mer_nas.data.synthesis import Synthesis
from mer_nas.data.synthesis.population import PlannedClip

_SHOWN = {
    "positive": "positive",
    "happiness": "positive",
    "surprise": "surprise",
    **dict.fromkeys(
        ("negative", "disgust", "repression", "sadness", "fear", "anger", "contempt"), "negative"
    ),
}
"""By emotion, which class of the synthetic set is shown."""

Cell = str | int | None
"""What stands in a workbook."""


@dataclass(frozen=True)
class _WrittenClip:
    """When what happened in a clip, in numbers of frames."""

    onset: int
    apex: int
    offset: int
    units: tuple[str, ...]
    """The action units that moved."""


class SyntheticWriter:
    """Renders clips and saves their frames.

    Args:
        synthesis: How many frames of what size; how hard they are.
        out: The root of the data set.
    """

    def __init__(self, synthesis: Synthesis, out: Path) -> None:
        small = synthesis.counts == "official"
        self.out = out
        self.frames = synthesis.frames or (3 if small else 11)
        self._size = synthesis.size or (32 if small else 112)
        self._seed = synthesis.seed
        self._hardness = Difficulty.at(synthesis.difficulty)
        self._alike = small
        self._person = cache(self._draw_person)
        self._recording = cache(self._record)

    def write(
        self, clip: PlannedClip, onset: int, folder: Path, pattern: str, *, grey: bool = False
    ) -> _WrittenClip:
        """Save the frames of a clip.

        Args:
            clip: Who shows what.
            onset: Number of the first frame.
            folder: Where they go; it may hold other clips of the same video.
            pattern: File name with a place for the number: "img{:03d}.jpg".
            grey: Whether the camera sees no colour.
        """
        shown = _SHOWN.get(clip.emotion, CLASSES[clip.index % len(CLASSES)])
        recording = self._recording(clip.number, shown, 0 if self._alike else clip.index)
        half = (self.frames - 1) // 2
        moments = [
            place / half if place <= half else 1 + (place - half) / (self.frames - 1 - half)
            for place in range(self.frames)
        ]
        frames = recording.grey(moments) if grey else recording.colour(moments)
        folder.mkdir(parents=True, exist_ok=True)
        for number, frame in enumerate(frames, start=onset):
            _save_image(folder / pattern.format(number), self._sized(frame))
        return _WrittenClip(onset, onset + half, onset + self.frames - 1, recording.units)

    def save_workbook(self, name: str, sheets: Mapping[str, Sequence[Sequence[Cell]]]) -> None:
        """Save an xlsx with a sheet for each entry, by its path below the root."""
        book = Workbook()
        book.remove(book.worksheets[0])
        for title, rows in sheets.items():
            sheet = book.create_sheet(title)
            for row in rows:
                sheet.append(list(row))
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        book.save(path)

    def _record(self, number: int, shown: str, variant: int) -> Recording:
        person, image = self._person(number)
        label = CLASSES.index(shown)
        rng = np.random.default_rng([self._seed, 3, number, label, variant])
        return Recording.draw(f"{shown} {variant}", person, image, label, self._hardness, rng)

    def _draw_person(self, number: int) -> tuple[Subject, Field]:
        person = Subject.draw(self._seed, number)
        return person, person.face.portrait()

    def _sized(self, frame: cv2.typing.MatLike) -> cv2.typing.MatLike:
        return cv2.resize(frame, (self._size, self._size), interpolation=cv2.INTER_AREA)


def _save_image(path: Path, frame: cv2.typing.MatLike) -> None:
    """Save a grey frame (H, W), or one in colour (H, W, 3), red first."""
    ordered = frame if frame.ndim == 2 else frame[:, :, ::-1]
    path.write_bytes(cv2.imencode(path.suffix, ordered)[1].tobytes())
