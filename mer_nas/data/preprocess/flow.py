"""Optical flow between two frames, and the strain that a face undergoes by it.

Three algorithms for the dense flow: Farnebäck's (2003) and dense inverse search (Kroeger et al.
2016) by OpenCV, TV-L1 (Zach et al. 2007) by scikit-image. The optical strain of a pixel is the
norm of the symmetric part of the flow's gradient, sqrt(u_x² + v_y² + (u_y + v_x)² / 2): it is zero
where the head moves as a whole, and large where skin is stretched (Shreve et al. 2011).

u is positive to the right of the image, v is positive downwards.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Field = NDArray[np.float32]
Dense = Callable[[Image, Image], Field]
"""From two grey frames (H, W) the flow (2, H, W) from the first to the second, in pixels."""


def farneback(
    onset: Image, apex: Image, levels: int = 3, window: int = 15, iterations: int = 3
) -> Field:
    """Return Farnebäck's flow (2, H, W) from `onset` to `apex`, both (H, W) grey.

    Args:
        onset: The first frame.
        apex: The second.
        levels: Of the pyramid, each half as large as the one below.
        window: Side of the averaging window in pixels.
        iterations: On each level.
    """
    flow: Any = cv2.calcOpticalFlowFarneback(
        onset,
        apex,
        None,  # type: ignore[call-overload]
        pyr_scale=0.5,
        levels=levels,
        winsize=window,
        iterations=iterations,
        poly_n=5,
        poly_sigma=1.2,
        flags=0,
    )
    planes: Field = flow.transpose(2, 0, 1)
    return planes


def tvl1(
    onset: Image,
    apex: Image,
    attachment: float = 15,
    tightness: float = 0.3,
    warps: int = 5,
    iterations: int = 10,
) -> Field:
    """Return the TV-L1 flow (2, H, W) from `onset` to `apex`, both (H, W) grey.

    Args:
        onset: The first frame.
        apex: The second.
        attachment: Weight of the data, for grey levels in [0, 1]; the smaller, the smoother.
        tightness: How closely data and smoothness are tied.
        warps: Of the second frame on each level of the pyramid.
        iterations: Of the fixed point for each warp.
    """
    from skimage.registration import optical_flow_tvl1  # takes a second to import

    found: Any = optical_flow_tvl1(  # type: ignore[no-untyped-call]
        onset.astype(np.float32) / 255,
        apex.astype(np.float32) / 255,
        attachment=attachment,
        tightness=tightness,
        num_warp=warps,
        num_iter=iterations,
        dtype=np.float32,
    )
    down, right = found
    return np.stack([right, down])


def dis(onset: Image, apex: Image, preset: str = "medium") -> Field:
    """Return the flow (2, H, W) by dense inverse search, from `onset` to `apex`, both (H, W) grey.

    Args:
        onset: The first frame.
        apex: The second.
        preset: One of `DIS_PRESETS`, the faster first.
    """
    search: Any = cv2.DISOpticalFlow.create(DIS_PRESETS[preset])
    # OpenCV takes only frames that lie in memory in one piece.
    flow = search.calc(np.ascontiguousarray(onset), np.ascontiguousarray(apex), None)
    planes: Field = flow.transpose(2, 0, 1)
    return planes


DIS_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


def flow_uvs(onset: Image, apex: Image, size: int, dense: Dense = farneback) -> Field:
    """Return u, v and strain from `onset` to `apex`, both (H, W) grey, as (3, size, size).

    u and v are in pixels of the frames, strain has no unit; the motion keeps its magnitude.
    """
    u, v = dense(onset, apex)
    planes = (u, v, strain(u, v))
    small = [cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA) for plane in planes]
    return np.stack(small).astype(np.float32)


def strain(u: Field, v: Field) -> Field:
    """Return the optical strain of a flow, (H, W), none of it negative."""
    u_y, u_x = np.gradient(u)
    v_y, v_x = np.gradient(v)
    result: Field = np.sqrt(u_x**2 + v_y**2 + (u_y + v_x) ** 2 / 2)
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
