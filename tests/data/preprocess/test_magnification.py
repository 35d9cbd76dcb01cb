"""Eulerian magnification: a known motion grows by the known factor, and nothing else does."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from mer_nas.data.preprocess.config import Magnification
from mer_nas.data.preprocess.magnification import magnified
from mer_nas.errors import DataError

FPS = 100.0
BAND = Magnification(factor=5, low=2, high=12, levels=5, wavelength=4)
WAVELENGTH = 24.0


def grating(shifts: NDArray[np.float64]) -> Iterator[NDArray[np.uint8]]:
    """Yield a grating of 24 pixels that is moved to the right by `shifts`."""
    x = np.arange(96)
    for by in shifts:
        row = 128 + 60 * np.sin(2 * np.pi * (x - by) / WAVELENGTH)
        yield np.rint(np.broadcast_to(row[None, :, None], (96, 96, 3))).astype(np.uint8)


def positions(frames: Iterator[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Return by how much the grating is moved in each frame, in pixels, from its phase."""
    x = np.arange(12, 84)  # 3 wavelengths
    wave = np.exp(-2j * np.pi * x / WAVELENGTH)
    phases = [np.angle((frame[48, 12:84, 0] * wave).sum() * 1j) for frame in frames]
    return -np.unwrap(phases) * WAVELENGTH / (2 * np.pi)


def swing(signal: NDArray[np.float64], hertz: float) -> float:
    """Return the amplitude of a frequency in the second half of a signal of 4 s."""
    late = signal[200:]
    time = np.arange(200, 400) / FPS
    return float(2 * np.abs((late * np.exp(-2j * np.pi * hertz * time)).mean()))


def test_a_sine_in_the_band_grows_by_one_plus_the_factor() -> None:
    shifts = 0.2 * np.sin(2 * np.pi * 5 * np.arange(400) / FPS)
    moved = positions(magnified(grating(shifts), BAND, FPS, "clip"))
    # What two first-order low-passes let through at 5 Hz, each k / (k + i t) with t = tan(pi f/fps).
    t = math.tan(math.pi * 5 / FPS)
    high, low = (math.tan(math.pi * f / FPS) for f in (BAND.high, BAND.low))
    passed = high / (high + 1j * t) - low / (low + 1j * t)
    # A part of the grating is in the finest band, which is left: 1 - cos(pi / 24)^8.
    expected = 0.2 * abs(1 + BAND.factor * math.cos(math.pi / 24) ** 8 * passed)
    assert expected > 0.8
    assert swing(moved, 5) == pytest.approx(expected, rel=0.03)


def test_a_slow_drift_and_a_still_picture_stay_as_they_are() -> None:
    shifts = 0.2 * np.sin(2 * np.pi * 0.25 * np.arange(400) / FPS)
    moved = positions(magnified(grating(shifts), BAND, FPS, "clip"))
    assert swing(moved, 0.25) < 2 * 0.2
    still = list(magnified(grating(np.zeros(5)), BAND, FPS, "clip"))
    for frame, before in zip(still, grating(np.zeros(5)), strict=True):
        np.testing.assert_array_equal(frame, before)


def test_a_still_picture_of_odd_sides_stays_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 255, (37, 50, 3)).astype(np.uint8)
    for frame in magnified(iter([image, image]), Magnification(), FPS, "clip"):
        np.testing.assert_array_equal(frame, image)


def test_short_waves_take_less_than_the_full_factor_and_the_outer_bands_nothing() -> None:
    # 300 by 400 pixels: the coarsest band stands for 500 / 3 pixels, the others for 83.3, 41.7, ...
    # With the factor 9 and 80 pixels the motion that is just borne is 80 / 8 / 10 = 1 pixel.
    settings = Magnification(factor=9, levels=5, wavelength=80)
    assert settings.factors(300, 400) == pytest.approx(
        [0, 500 / 3 / 8 / 8 - 1, 500 / 3 / 4 / 8 - 1, 9, 0]
    )


def test_frames_are_taken_one_by_one() -> None:
    taken = []

    def watched() -> Iterator[NDArray[np.uint8]]:
        for number, frame in enumerate(grating(np.zeros(1000))):
            taken.append(number)
            yield frame

    louder = magnified(watched(), BAND, FPS, "clip")
    next(louder)
    next(louder)
    assert taken == [0, 1]


def test_a_frame_rate_that_cannot_hold_the_band_is_refused() -> None:
    with pytest.raises(
        DataError,
        match=r"^s1: 20 frames per second hold no motion of 12 Hz; data\.pipeline\.magnify\.high "
        r"must be below 10$",
    ):
        magnified(iter(()), BAND, 20.0, "s1")
    with pytest.raises(DataError, match=r"^s1: magnification needs the frame rate, which is unkn"):
        magnified(iter(()), BAND, None, "s1")


def test_a_band_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="low 5 Hz is not below high 3 Hz"):
        Magnification(low=5)
