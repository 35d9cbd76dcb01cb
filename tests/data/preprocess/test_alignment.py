"""The face of the first frame, turned upright: by hand-made landmarks, and on a real photograph."""

import importlib.util
import math
import sys

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from mer_nas.data.preprocess import alignment
from mer_nas.data.preprocess.alignment import Crop
from mer_nas.data.preprocess.config import Alignment
from mer_nas.errors import DataError


def points(*rows: tuple[float, float]) -> NDArray[np.float64]:
    """Return 68 landmarks: the eyes where the first two rows say, the others at the rest."""
    left, right, *others = rows
    found = np.array([others[index % len(others)] for index in range(68)], dtype=np.float64)
    found[36:42], found[42:48] = left, right
    return found


def placed(found: NDArray[np.float64], at: tuple[float, float]) -> list[float]:
    moved: NDArray[np.float64] = found[:, :2] @ np.array(at) + found[:, 2]
    return moved.round(6).tolist()


SQUARE = ((0.0, 0.0), (40.0, 0.0), (0.0, 40.0), (40.0, 40.0))


def test_level_eyes_are_only_cropped_with_the_margin_on_every_side() -> None:
    # The box of the landmarks is 40 wide; a quarter on each side makes 60, shown in 60 pixels.
    found = Crop.around(points((10, 15), (30, 15), *SQUARE), size=60, margin=0.25)
    assert placed(found.matrix, (20, 20)) == [29.5, 29.5]
    assert placed(found.matrix, (0, 0)) == [9.5, 9.5]
    assert placed(found.matrix, (40, 40)) == [49.5, 49.5]


def test_a_face_that_lies_on_its_side_is_turned_upright() -> None:
    # The head is turned by a quarter clockwise: its left eye is above, its chin to the left.
    found = Crop.around(
        points((15, 10), (15, 30), *((-y, x) for x, y in SQUARE)), size=40, margin=0.0
    )
    left, right = placed(found.matrix, (15, 10)), placed(found.matrix, (15, 30))
    assert left[1] == right[1]
    assert right[0] - left[0] == pytest.approx(20 * 40 / 55)  # the box is 55 long, from -40 to 15


def test_pixels_go_where_their_landmarks_go() -> None:
    frame = np.zeros((120, 120, 3), np.uint8)
    eyes = ((40, 62), (72, 50))
    for x, y in eyes:
        cv2.circle(frame, (x, y), 3, (255, 255, 255), -1)
    corners = ((30.0, 30.0), (90.0, 30.0), (30.0, 90.0), (90.0, 90.0))
    found = Crop.around(points(*eyes, *corners), size=64, margin=0.1)
    face = found(frame)
    assert face.shape == (64, 64, 3)
    for eye in eyes:
        x, y = placed(found.matrix, eye)
        patch = face[..., 0].astype(float)
        near = patch[round(y) - 5 : round(y) + 6, round(x) - 5 : round(x) + 6]
        rows, columns = np.mgrid[-5:6, -5:6]
        assert (near * columns).sum() / near.sum() + round(x) == pytest.approx(x, abs=0.2)
        assert (near * rows).sum() / near.sum() + round(y) == pytest.approx(y, abs=0.2)


def test_a_large_face_is_averaged_down_and_not_thinned_out() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 200
    corners = ((0.0, 0.0), (399.0, 0.0), (0.0, 399.0), (399.0, 399.0))
    found = Crop.around(points((100, 150), (300, 150), *corners), size=50, margin=0.0)
    assert found(stripes)[5:-5, 5:-5].astype(float) == pytest.approx(100, abs=30)


@pytest.fixture(scope="module")
def photograph() -> NDArray[np.uint8]:
    """A woman who looks into the camera; public domain, part of scikit-image."""
    return np.ascontiguousarray(data.astronaut()[:300, 60:400])


def test_a_rotated_photograph_comes_upright_to_the_same_face(
    photograph: NDArray[np.uint8],
) -> None:
    settings = Alignment()
    upright = Crop.of(photograph, settings, 128, "photograph")(photograph)
    turn = cv2.getRotationMatrix2D((160, 130), 20, 1.0)
    turned = np.asarray(cv2.warpAffine(photograph, turn, photograph.shape[1::-1]), np.uint8)
    again = Crop.of(turned, settings, 128, "turned")(turned)
    middle = np.s_[32:96, 32:96]
    assert np.corrcoef(upright[middle].ravel(), again[middle].ravel())[0, 1] > 0.9
    level = Crop.of(again, settings, 128, "again").matrix  # its eyes are level already
    assert math.degrees(math.atan2(level[0, 1], level[0, 0])) == pytest.approx(0, abs=3)
    assert np.corrcoef(upright[middle].ravel(), turned[98:162, 128:192].ravel())[0, 1] < 0.7


def test_a_picture_without_a_face_is_refused_with_its_name_and_the_way_out() -> None:
    blank = np.full((80, 100, 3), 127, np.uint8)
    with pytest.raises(
        DataError,
        match=r"^sub01/EP02: no face found in the first frame \(100 by 80 pixels\); where frames "
        r"are already cropped to faces, data\.pipeline\.align=none \(to predict: --cropped\) is "
        r"right$",
    ):
        Crop.of(blank, Alignment(), 64, "sub01/EP02")


def test_the_landmark_file_is_found_without_importing_its_package(
    photograph: NDArray[np.uint8],
) -> None:
    alignment._models.cache_clear()
    Crop.of(photograph, Alignment(), 64, "photograph")
    assert "face_recognition_models" not in sys.modules


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    how = (
        r"not installed; pip install 'mer-nas\[align\]' brings it, and data\.pipeline\.align=none"
    )
    blank = np.zeros((8, 8, 3), np.uint8)
    alignment._models.cache_clear()
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "dlib", None)
        with pytest.raises(DataError, match=rf"aligning faces needs dlib, which is {how}"):
            Crop.of(blank, Alignment(), 64, "clip")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DataError, match=rf"model of face_recognition_models, which is {how}"):
        Crop.of(blank, Alignment(), 64, "clip")
