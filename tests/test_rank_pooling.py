"""The weights of approximate rank pooling, worked out from their paper."""

import pytest

from mer_nas.rank_pooling import coefficients


def test_eight_frames_have_the_coefficients_of_the_paper() -> None:
    # alpha_t = sum_{k=t..8} (2 k - 9) / k, each worked out by hand.
    expected = [-8.4607, -1.4607, 1.0393, 2.0393, 2.2893, 2.0893, 1.5893, 0.8750]
    assert coefficients(8) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("frames", [2, 3, 8, 16])
def test_what_stands_still_cancels(frames: int) -> None:
    assert sum(coefficients(frames)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("frames", [2, 3, 5, 8, 16])
def test_coefficients_are_the_sums_that_define_them(frames: int) -> None:
    # alpha_t = sum over k = t..T of (2 k - T - 1) / k
    times = range(1, frames + 1)
    sums = [sum((2 * k - frames - 1) / k for k in range(t, frames + 1)) for t in times]
    assert coefficients(frames) == pytest.approx(sums, abs=1e-12)
