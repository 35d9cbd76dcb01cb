"""Augmented inputs are those of augmented frames: what a mirror or a turn does to a face, it does to
what is measured of it."""

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mer_nas.data.preprocess.make_inputs import Moment, Share, make_inputs
from mer_nas.inputs import DIFFERENCE, DYNAMIC_IMAGE, FLOW, FLOW_RGB, INPUTS
from mer_nas.training.augment import move, rotate

SIDE, SIZE = 96, 32
Frames = NDArray[np.uint8]


class Clip:
    """A texture that is pushed to the upper right in the middle of the picture."""

    def __init__(self, frames: dict[float, Frames]) -> None:
        self.frames = frames

    def grey(self, moments: list[Moment]) -> Frames:
        return self.colour(moments)[..., 1]

    def colour(self, moments: list[Moment]) -> Frames:
        placed = [2 * m.of_clip if isinstance(m, Share) else m for m in moments]
        return np.stack([self.frames[moment] for moment in placed])


@pytest.fixture(scope="module")
def frames() -> dict[float, Frames]:
    noise = np.random.default_rng(0).standard_normal((SIDE, SIDE, 3)).astype(np.float32)
    texture = np.clip(128 + 300 * cv2.GaussianBlur(noise, (0, 0), 2.5), 0, 255).astype(np.float32)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    push = np.exp(-((x - 48) ** 2 + (y - 48) ** 2) / (2 * 14**2))
    sizes = {0.0: 0.0, 0.5: 1.0, 1.0: 2.0, 1.5: 1.0, 2.0: 0.0}
    return {
        moment: np.rint(
            cv2.remap(texture, x - 1.0 * size * push, y + 0.7 * size * push, cv2.INTER_CUBIC)
        )
        .clip(0, 255)
        .astype(np.uint8)
        for moment, size in sizes.items()
    }


def seen(frames: dict[float, Frames]) -> dict[str, torch.Tensor]:
    found = make_inputs(tuple(INPUTS), Clip(frames), SIZE, 3)  # type: ignore[arg-type]
    return {name: torch.from_numpy(values)[None] for name, values in found.items()}


@pytest.mark.parametrize("name", INPUTS)
def test_a_mirrored_face_has_mirrored_inputs(name: str, frames: dict[float, Frames]) -> None:
    faces = {moment: np.ascontiguousarray(face[:, ::-1]) for moment, face in frames.items()}
    expected = seen(faces)[name]
    found = move(name, seen(frames)[name], torch.tensor([True]))
    assert (found - expected).abs().mean() < 0.02 * expected.abs().mean()
    assert (seen(frames)[name] - expected).abs().mean() > 0.2 * expected.abs().mean()


@pytest.mark.parametrize("name", [FLOW, FLOW_RGB, DIFFERENCE, DYNAMIC_IMAGE])
def test_a_turned_face_has_turned_inputs(name: str, frames: dict[float, Frames]) -> None:
    middle = ((SIDE - 1) / 2, (SIDE - 1) / 2)
    turn = cv2.getRotationMatrix2D(middle, -25, 1.0)  # OpenCV counts against the clock
    faces = {
        moment: np.asarray(cv2.warpAffine(face, turn, (SIDE, SIDE), flags=cv2.INTER_CUBIC))
        for moment, face in frames.items()
    }
    inner = np.s_[..., 8:-8, 8:-8]
    expected = seen(faces)[name][inner]
    found = rotate(name, seen(frames)[name], torch.tensor([np.deg2rad(25.0)]).float())[inner]
    off = (found - expected).abs().mean() / expected.abs().mean()
    before = (seen(frames)[name][inner] - expected).abs().mean() / expected.abs().mean()
    assert off < 0.5 * before
    if name in (FLOW, FLOW_RGB):
        assert off < 0.2
