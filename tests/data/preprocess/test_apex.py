"""The apex is the frame that has moved most since the onset, whatever the head does."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_nas.data.preprocess.apex import spot

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


def clip(mouths: list[float], heads: list[float]) -> Iterator[NDArray[np.uint8]]:
    return map(face, mouths, heads)


def test_the_frame_of_the_largest_motion_is_the_apex() -> None:
    mouths = [0.5, 1.0, 2.0, 3.0, 2.2, 1.0]
    assert spot(face(0), clip(mouths, [0.0] * 6)) == 3


def test_a_head_that_moves_on_as_a_whole_does_not_count() -> None:
    mouths = [0.5, 1.5, 3.0, 1.5, 0.5]
    assert spot(face(0), clip(mouths, [0.0, 1.0, 2.0, 3.0, 4.0])) == 2


def test_of_equal_frames_the_first_is_taken() -> None:
    assert spot(face(0), clip([0.0, 2.0, 2.0], [0.0] * 3)) == 1
