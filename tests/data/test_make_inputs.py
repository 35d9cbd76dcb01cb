"""Inputs from frames, on clips small enough to work out by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from mer_nas.data.preprocess.make_inputs import Moment, Share, flow_rgb, make_inputs
from mer_nas.inputs import (
    CLIP_FRAMES,
    DIFFERENCE,
    DYNAMIC_IMAGE,
    FLOW_RGB,
    FRAMES,
    INPUTS,
    KEYFRAMES,
    KEYFRAMES_RGB,
)


class Dots:
    """A clip in which one bright column moves to the right; remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[Moment, ...]]] = []

    def grey(self, moments: Sequence[Moment]) -> np.ndarray:
        self.asked.append(("grey", tuple(moments)))
        return np.stack([self._frame(moment) for moment in moments])

    def colour(self, moments: Sequence[Moment]) -> np.ndarray:
        self.asked.append(("colour", tuple(moments)))
        tint = np.array([1.0, 0.5, 0.25])
        frames = [self._frame(moment)[..., None] * tint for moment in moments]
        return np.stack(frames).astype(np.uint8)

    @staticmethod
    def _frame(moment: Moment) -> np.ndarray:
        moment = 2 * moment.of_clip if isinstance(moment, Share) else moment
        frame = np.zeros((32, 32), np.uint8)
        frame[:, 8 + round(4 * moment)] = 200
        return frame


class Given:
    """A clip of frames that are given, in the order in which they are asked for."""

    def __init__(self, frames: np.ndarray) -> None:
        self.frames = frames

    def grey(self, moments: Sequence[Moment]) -> np.ndarray:
        assert len(moments) == len(self.frames)
        return self.frames

    colour = grey


def test_a_dynamic_image_of_three_frames_by_hand() -> None:
    # Weights -4/3, 2/3, 2/3, their sizes add up to 8/3: -1/2, 1/4, 1/4. Levels 2 x / 255 - 1.
    frames = np.zeros((3, 2, 2), np.uint8)
    frames[:, 0, 0] = 255, 0, 0  # was there at first: (-1/2 - 1/4 - 1/4)
    frames[:, 0, 1] = 0, 255, 255  # came and stayed
    frames[:, 1, 0] = 0, 255, 0  # came and went
    frames[:, 1, 1] = 77  # stands still
    seen = make_inputs([DYNAMIC_IMAGE], Given(frames), 2, frames=2)[DYNAMIC_IMAGE]
    np.testing.assert_allclose(seen, [[[-1.0, 1.0], [0.5, 0.0]]], atol=1e-6)


def test_pictures_run_from_minus_one_to_one() -> None:
    frames = np.array([[[0, 255], [255, 0]]] * 3, np.uint8)
    seen = make_inputs([KEYFRAMES], Given(frames), 2, frames=2)[KEYFRAMES]
    assert seen.tolist() == [[[[-1.0, 1.0], [1.0, -1.0]]]] * 3


def test_colour_comes_before_rows_and_columns() -> None:
    frames = np.zeros((3, 6, 6, 3), np.uint8)
    frames[..., 2] = 255
    seen = make_inputs([KEYFRAMES_RGB], Given(frames), 3, frames=2)[KEYFRAMES_RGB]
    assert seen.shape == (3, 3, 3, 3)
    assert seen[:, 2].min() == 1.0
    assert seen[:, :2].max() == -1.0


def test_a_difference_is_the_apex_minus_the_onset_in_every_channel() -> None:
    colour = np.zeros((2, 2, 2, 3), np.uint8)
    colour[1, ..., 1], colour[1, ..., 2] = 255, 51
    seen = make_inputs([DIFFERENCE], Given(colour), 2, frames=2)[DIFFERENCE]
    np.testing.assert_allclose(seen[:, 0, 0], [0.0, 2.0, 0.4], atol=1e-6)


@pytest.mark.parametrize(
    ("u", "v", "colour"),
    [
        (0, 0, (0, 0, 0)),
        (0, 4, (1, 0, 0)),  # down: red
        (0, -4, (0, 1, 1)),  # up: cyan
        (-4, 0, (0.5, 1, 0)),  # left: yellow-green
        (4, 0, (0.5, 0, 1)),  # right: violet
        (0, 2, (0.5, 0, 0)),  # half as far: half as bright
        (0, 40, (1, 0, 0)),  # further than full: no brighter
    ],
)
def test_the_hue_of_a_flow_is_its_direction_and_the_value_its_length(
    u: float, v: float, colour: tuple[float, ...]
) -> None:
    flow = np.array([[[u]], [[v]]], np.float32)
    np.testing.assert_allclose(flow_rgb(flow, full=4)[:, 0, 0], colour, atol=1e-6)


def test_a_mirrored_flow_has_green_and_blue_exchanged() -> None:
    flow = np.random.default_rng(0).normal(size=(2, 9, 9)).astype(np.float32)
    mirrored = flow * np.array([-1, 1], np.float32)[:, None, None]
    np.testing.assert_allclose(
        flow_rgb(mirrored, full=2), flow_rgb(flow, full=2)[[0, 2, 1]], atol=1e-6
    )


def test_every_input_has_the_channels_and_frames_of_the_table() -> None:
    seen = make_inputs(tuple(INPUTS), Dots(), 16, frames=4)
    for name, known in INPUTS.items():
        assert seen[name].ndim == (4 if known.timed else 3)
        assert seen[name].shape[-3] == known.channels


@pytest.mark.parametrize("size", [16, 32, 64])
def test_every_input_has_its_shape(size: int) -> None:
    seen = make_inputs(tuple(INPUTS), Dots(), size, frames=5)
    assert {name: array.shape[:-2] for name, array in seen.items()} == {
        "flow_uvs": (3,),
        "flow_rgb": (3,),
        "difference": (3,),
        "dynamic_image": (1,),
        "keyframes": (3, 1),
        "keyframes_rgb": (3, 3),
        "frames": (5, 1),
        "clip_frames": (5, 1),
    }
    for array in seen.values():
        assert array.shape[-2:] == (size, size)
        assert array.dtype == np.float32
        assert np.isfinite(array).all()


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        (FLOW_RGB, ("grey", (0.0, 1.0))),
        (DIFFERENCE, ("colour", (0.0, 1.0))),
        (DYNAMIC_IMAGE, ("grey", (0.0, 0.5, 1.0, 1.5, 2.0))),
        (KEYFRAMES, ("grey", (0.0, 1.0, 2.0))),
        (KEYFRAMES_RGB, ("colour", (0.0, 1.0, 2.0))),
        (FRAMES, ("grey", (0.0, 0.5, 1.0))),
        (CLIP_FRAMES, ("grey", (Share(0.0), Share(0.5), Share(1.0)))),
    ],
)
def test_only_frames_that_an_input_needs_are_asked_for(
    name: str, asked: tuple[str, tuple[Moment, ...]]
) -> None:
    clip = Dots()
    assert list(make_inputs([name], clip, 32, frames=3)) == [name]
    assert clip.asked == [asked]


def test_the_difference_image_is_the_difference_of_the_key_frames() -> None:
    seen = make_inputs([DIFFERENCE, KEYFRAMES_RGB], Dots(), 16, frames=3)
    onset, apex, _ = seen[KEYFRAMES_RGB]
    np.testing.assert_array_equal(seen[DIFFERENCE], apex - onset)


def test_frames_are_evenly_spaced_from_onset_to_apex() -> None:
    frames = make_inputs([FRAMES], Dots(), 32, frames=3)[FRAMES]
    assert frames[:, 0, 0].argmax(1).tolist() == [8, 10, 12]
