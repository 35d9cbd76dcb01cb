"""Which frame of a clip shows its expression most."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_nas.data.preprocess.flow import farneback

Grey = NDArray[np.uint8]

SPOTTING = 64
"""Height and width, in pixels, at which motion is compared."""


def spot(onset: Grey, later: Iterable[Grey]) -> int:
    """Return the place in `later` of the frame that has moved most since `onset`.

    How far a frame has moved is the mean length of its flow, once the median flow, which is the
    head's, is taken off. Of equal frames it is the first. Frames are (H, W); one is in memory at a
    time.

    Raises:
        ValueError: There is no later frame.
    """
    start = _small(onset)
    return int(np.argmax([_motion(start, _small(frame)) for frame in later]))


def _motion(onset: Grey, frame: Grey) -> float:
    flow = farneback(onset, frame)
    own = flow - np.median(flow, axis=(1, 2), keepdims=True)
    return float(np.hypot(*own).mean())


def _small(frame: Grey) -> Grey:
    side = (SPOTTING, SPOTTING)
    return np.asarray(cv2.resize(frame, side, interpolation=cv2.INTER_AREA), dtype=np.uint8)
