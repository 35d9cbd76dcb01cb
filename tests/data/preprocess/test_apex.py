"""The apex is the frame that has moved most since the onset, whatever the head does."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_nas.data.preprocess.config import Pipeline, Preparation
from mer_nas.data.preprocess.pipeline import Keyframes, prepare

SURFACE = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 255, (160, 160)).astype(np.float32), (0, 0), 2
)
SURFACE = 255 * (SURFACE - SURFACE.min()) / np.ptp(SURFACE)


def face(mouth: float, head: float = 0.0) -> NDArray[np.uint8]:
    """Return a surface whose middle has moved down, and which has moved to the right as a whole."""
    y, x = np.mgrid[:128, :128].astype(np.float32)
    down = mouth * np.exp(-((x - 64) ** 2 + (y - 80) ** 2) / (2 * 12**2))
    moved = cv2.remap(SURFACE, x + 16 - head, y + 16 - down, cv2.INTER_LINEAR)
    return np.rint(moved).astype(np.uint8)


class Clip:
    """Frames in memory, the face at rest before them."""

    name, fps = "clip", None

    def __init__(self, mouths: list[float], heads: list[float]) -> None:
        self.frames = [face(0), *map(face, mouths, heads)]

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, places: Iterable[int]) -> Iterator[NDArray[np.uint8]]:
        return (np.stack([self.frames[place]] * 3, axis=-1) for place in places)


def spot(mouths: list[float], heads: list[float]) -> int:
    """Return the place of the apex, counted from the frame behind the onset."""
    pipeline = Pipeline(align=None, face=128, apex=("spotted",))
    how = Preparation(pipeline=pipeline, size=8, frames=2)
    return prepare(Clip(mouths, heads), Keyframes(0, len(mouths)), how, ["keyframes"]).apex - 1


def test_the_frame_of_the_largest_motion_is_the_apex() -> None:
    mouths = [0.5, 1.0, 2.0, 3.0, 2.2, 1.0]
    assert spot(mouths, [0.0] * 6) == 3


def test_a_head_that_moves_on_as_a_whole_does_not_count() -> None:
    mouths = [0.5, 1.5, 3.0, 1.5, 0.5]
    assert spot(mouths, [0.0, 1.0, 2.0, 3.0, 4.0]) == 2


def test_of_equal_frames_the_first_is_taken() -> None:
    assert spot([0.0, 2.0, 2.0], [0.0] * 3) == 1
