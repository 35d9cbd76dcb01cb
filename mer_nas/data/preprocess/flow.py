"""Optical flow between two frames, and the strain that a face undergoes by it.

Three algorithms for the dense flow: Farnebäck's (2003) and dense inverse search (Kroeger et al.
2016) by OpenCV, TV-L1 (Zach et al. 2007) by scikit-image. The optical strain of a pixel is the
norm of the symmetric part of the flow's gradient, sqrt(u_x² + v_y² + (u_y + v_x)² / 2): it is zero
where the head moves as a whole, and large where skin is stretched (Shreve et al. 2011).

u is positive to the right of the image, v is positive downwards.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_nas.data.preprocess.config import DIS, TVL1, Farneback, Flow

_Grey = NDArray[np.uint8]
_Field = NDArray[np.float32]
Dense = Callable[[_Grey, _Grey], _Field]
"""From two grey frames (H, W) the flow (2, H, W) from the first to the second, in pixels."""


_DIS_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


def dense_flow(settings: Flow | None = None) -> Dense:
    """Return the flow that `settings` name, or Farnebäck's, as a function of two frames."""
    match settings:
        case TVL1():
            return partial(_tvl1, settings)
        case DIS():
            return partial(_dis, settings)
        case _:
            return partial(_farneback, settings or Farneback())


def _farneback(settings: Farneback, onset: _Grey, apex: _Grey) -> _Field:
    flow: Any = cv2.calcOpticalFlowFarneback(
        onset,
        apex,
        None,  # type: ignore[call-overload]
        pyr_scale=0.5,
        levels=settings.levels,
        winsize=settings.window,
        iterations=settings.iterations,
        poly_n=5,
        poly_sigma=1.2,
        flags=0,
    )
    planes: _Field = flow.transpose(2, 0, 1)
    return planes


def _tvl1(settings: TVL1, onset: _Grey, apex: _Grey) -> _Field:
    from skimage.registration import optical_flow_tvl1  # takes a second to import

    found: Any = optical_flow_tvl1(  # type: ignore[no-untyped-call]
        onset.astype(np.float32) / 255,
        apex.astype(np.float32) / 255,
        attachment=settings.attachment,
        tightness=settings.tightness,
        num_warp=settings.warps,
        num_iter=settings.iterations,
        dtype=np.float32,
    )
    down, right = found
    return np.stack([right, down])


def _dis(settings: DIS, onset: _Grey, apex: _Grey) -> _Field:
    search: Any = cv2.DISOpticalFlow.create(_DIS_PRESETS[settings.preset])
    # OpenCV takes only frames that lie in memory in one piece.
    flow = search.calc(np.ascontiguousarray(onset), np.ascontiguousarray(apex), None)
    planes: _Field = flow.transpose(2, 0, 1)
    return planes


def flow_uvs(onset: _Grey, apex: _Grey, size: int, dense: Dense) -> _Field:
    """Return u, v and strain from `onset` to `apex`, both (H, W) grey, as (3, size, size).

    u and v are in pixels of the frames, strain has no unit; the motion keeps its magnitude.

    Args:
        onset: The first frame.
        apex: The second.
        size: Height and width of what is returned.
        dense: Computes the flow.
    """
    u, v = dense(onset, apex)
    planes = (u, v, _strain(u, v))
    small = [cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA) for plane in planes]
    return np.stack(small).astype(np.float32)


def _strain(u: _Field, v: _Field) -> _Field:
    """Return the optical strain of a flow, (H, W), none of it negative."""
    u_y, u_x = np.gradient(u)
    v_y, v_x = np.gradient(v)
    result: _Field = np.sqrt(u_x**2 + v_y**2 + (u_y + v_x) ** 2 / 2)
    return result


@contextmanager
def one_thread() -> Iterator[None]:
    """Let OpenCV work in one thread, so that what it computes depends on its input alone."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
