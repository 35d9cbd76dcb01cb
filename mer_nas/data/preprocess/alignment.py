"""The face of a clip's first frame, upright and cropped; every frame of the clip moves alike.

One transform for the whole clip: aligning each frame by itself would add a jitter as large as a
micro-expression. dlib finds the face and its 68 landmarks (Kazemi and Sullivan 2014); the line
through the middles of the eyes is turned level, and a square around the landmarks is cut out.

Landmarks are (68, 2), x to the right and y downwards, in pixels.
"""

import importlib.util
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_nas.data.preprocess.config import Alignment
from mer_nas.data.preprocess.images import Image
from mer_nas.errors import DataError

Points = NDArray[np.float64]

EYES = (slice(36, 42), slice(42, 48))
"""The landmarks of the eyes: the one on the left of the image, then the other."""

MODEL = Path("models", "shape_predictor_68_face_landmarks.dat")
"""Where the package face_recognition_models keeps the landmark model."""


@dataclass(frozen=True, eq=False)
class Crop:
    """A turn and a cut, the same for all frames of a clip."""

    matrix: NDArray[np.float64]
    """(2, 3): where a pixel of the frame comes to lie in the face."""
    size: int
    """Height and width of the face."""

    @classmethod
    def of(cls, frame: Image, settings: Alignment, size: int, place: str) -> "Crop":
        """Return the crop of the face in a clip's first frame; of several, the largest.

        Args:
            frame: (H, W, 3), red first.
            settings: The crop.
            size: Height and width of the face in pixels.
            place: How people know the clip, for messages.

        Raises:
            DataError: dlib or the landmark model is not installed, or there is no face.
        """
        return cls.around(_landmarks(frame, place), size, settings.margin)

    @classmethod
    def around(cls, points: Points, size: int, margin: float) -> "Crop":
        """Return the crop that turns the eyes level and holds all landmarks.

        Args:
            points: (68, 2), the landmarks of the first frame.
            size: Height and width of the face in pixels.
            margin: Added on every side, as a share of the longer side of the landmarks' box.
        """
        left, right = (points[eye].mean(0) for eye in EYES)
        angle = math.atan2(right[1] - left[1], right[0] - left[0])
        cosine, sine = math.cos(angle), math.sin(angle)
        turn = np.array([[cosine, sine], [-sine, cosine]])
        level = points @ turn.T
        low, high = level.min(0), level.max(0)
        side = (high - low).max() * (1 + 2 * margin)
        scale = size / side
        shift = (size - 1) / 2 - scale * (low + high) / 2
        return cls(np.hstack([scale * turn, shift[:, None]]), size)

    def __call__(self, frame: Image) -> Image:
        """Return the face in `frame` (H, W, 3) as (size, size, 3)."""
        # A large face is first cut out larger and then averaged down, so that nothing aliases.
        times = max(1, round(1 / math.hypot(self.matrix[0, 0], self.matrix[0, 1])))
        side = (self.size * times, self.size * times)
        large = cv2.warpAffine(
            frame,
            self.matrix * times + _centred(times),
            side,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        face = cv2.resize(large, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return np.asarray(face, dtype=np.uint8)


def _centred(times: int) -> NDArray[np.float64]:
    """Return the shift that keeps pixel centres in place when the grid becomes `times` finer."""
    by = (times - 1) / 2
    return np.array([[0.0, 0.0, by], [0.0, 0.0, by]])


def _landmarks(frame: Image, place: str) -> Points:
    """Return the 68 landmarks (68, 2) of the largest face in `frame`.

    Raises:
        DataError: dlib or the landmark model is not installed, or there is no face.
    """
    detector, predictor = _models()
    frame = np.ascontiguousarray(frame)  # dlib reads the memory as it lies
    for enlarged in (0, 1):  # small faces are found when the frame is enlarged, which takes longer
        if found := detector(frame, enlarged):
            largest = max(found, key=lambda box: box.area())
            shape = predictor(frame, largest)
            return np.array([(part.x, part.y) for part in shape.parts()], dtype=np.float64)
    height, width = frame.shape[:2]
    raise DataError(
        f"{place}: no face found in the first frame ({width} by {height} pixels); where frames "
        "are already cropped to faces, data.pipeline.align=none (to predict: --cropped) is right"
    )


def _model_file() -> Path:
    """Return the file of the landmark model, without importing the package that holds it.

    Raises:
        DataError: The package is not installed.
    """
    found = importlib.util.find_spec("face_recognition_models")
    for place in (found and found.submodule_search_locations) or ():
        if (file := Path(place) / MODEL).is_file():
            return file
    raise DataError(_missing("the landmark model of face_recognition_models"))


@cache
def _models() -> tuple[Any, Any]:
    try:
        import dlib
    except ImportError:
        raise DataError(_missing("dlib")) from None
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(_model_file()))


def _missing(what: str) -> str:
    return (
        f"data.pipeline.align: aligning faces needs {what}, which is not installed; "
        "pip install 'mer-nas[align]' brings it, and data.pipeline.align=none (to predict: "
        "--cropped) does without, where frames are already cropped to faces"
    )
