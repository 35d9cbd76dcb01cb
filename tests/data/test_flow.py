"""Optical flow and strain, on motions whose answer is known."""

import cv2
import numpy as np
import pytest

from mer_nas.data.preprocess.flow import dense_flow, flow_uvs, one_thread


@pytest.fixture
def textured() -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((112, 112))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("right", "down"), [(2, 0), (0, 2), (-1, 1)])
def test_u_is_positive_to_the_right_and_v_downwards(
    textured: np.ndarray, right: int, down: int
) -> None:
    moved = np.roll(textured, (down, right), axis=(0, 1))
    flow = flow_uvs(textured, moved, 28, dense_flow())[:, 6:-6, 6:-6]
    assert flow[0].mean() == pytest.approx(right, abs=0.1)
    assert flow[1].mean() == pytest.approx(down, abs=0.1)


def strain(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the strain of a flow that is known."""
    nothing = np.zeros(u.shape, np.uint8)
    return flow_uvs(nothing, nothing, len(u), lambda *_: np.stack([u, v]))[2]


def test_a_head_that_moves_as_a_whole_is_not_strained() -> None:
    assert strain(np.full((9, 9), 2.0), np.full((9, 9), -1.0)).max() == 0


def test_a_turning_head_is_not_strained() -> None:
    y, x = np.mgrid[:9, :9].astype(np.float32)
    np.testing.assert_allclose(strain(-0.1 * y, 0.1 * x), 0, atol=1e-6)


def test_stretched_skin_is_strained_by_what_it_is_stretched() -> None:
    y, x = np.mgrid[:9, :9].astype(np.float32)
    np.testing.assert_allclose(strain(0.3 * x, 0.4 * y), 0.5, rtol=1e-5)
    np.testing.assert_allclose(strain(0.2 * y, 0.0 * x), 0.2 / np.sqrt(2), rtol=1e-5)


def test_opencv_gets_its_threads_back() -> None:
    before = cv2.getNumThreads()
    with one_thread():
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == before
