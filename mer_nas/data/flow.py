"""Optical flow between two frames, and the strain that a face undergoes by it.

The dense flow is Farnebäck's (2003), by OpenCV. The optical strain of a pixel is the norm of the
symmetric part of the flow's gradient, sqrt(u_x² + v_y² + (u_y + v_x)² / 2): it is zero where the
head moves as a whole, and large where skin is stretched (Shreve et al. 2011).

u is positive to the right of the image, v is positive downwards.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Field = NDArray[np.float32]


def flow_uvs(onset: Image, apex: Image, size: int) -> Field:
    """Return u, v and strain from `onset` to `apex`, both (H, W) grey, as (3, size, size).

    u and v are in pixels of the frames, strain has no unit; the motion keeps its magnitude.
    """
    flow: Any = cv2.calcOpticalFlowFarneback(
        onset,
        apex,
        None,  # type: ignore[call-overload]
        pyr_scale=0.5,
        levels=3,
        winsize=15,
        iterations=3,
        poly_n=5,
        poly_sigma=1.2,
        flags=0,
    )
    u, v = flow[..., 0], flow[..., 1]
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
