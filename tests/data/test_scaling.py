"""What was measured is divided by root mean squares of the training clips, and of no others."""

import numpy as np
import pytest

from mer_nas.data.clips import ClipSet, divided
from mer_nas.data.records import Record


@pytest.fixture
def clips() -> ClipSet:
    """Three clips of 2 by 2 pixels; in the third everything is a thousand times as large."""
    flow = np.zeros((3, 3, 2, 2), np.float32)
    flow[:, 0] = 3  # u
    flow[:, 1] = 4  # v
    flow[:, 2] = 0.5  # strain
    flow[2] *= 1000
    made = tuple(Record("a", str(number), "x", 0) for number in range(3))
    return ClipSet("tiny", ("no",), made, {"flow_uvs": flow, "difference": flow - 1})


def test_u_and_v_share_a_divisor_and_strain_has_its_own(clips: ClipSet) -> None:
    found = clips.divisors("flow_uvs", np.array([0, 1]))
    assert found == pytest.approx([12.5**0.5, 12.5**0.5, 0.5])
    scaled = divided(clips.inputs["flow_uvs"][:2], found)
    assert np.square(scaled[:, :2]).mean() == pytest.approx(1)
    assert np.square(scaled[:, 2]).mean() == pytest.approx(1)
    assert scaled.dtype == np.float32


def test_channels_of_one_unit_share_a_divisor(clips: ClipSet) -> None:
    found = clips.divisors("difference", np.array([0, 1]))
    assert found == pytest.approx([((4 + 9 + 0.25) / 3) ** 0.5] * 3)


def test_a_clip_that_is_held_out_changes_nothing(clips: ClipSet) -> None:
    assert clips.divisors("flow_uvs", np.array([0, 1])) == clips.divisors(
        "flow_uvs", np.array([1])
    )
    assert clips.divisors("flow_uvs", np.array([0, 2]))[0] > 1000


def test_what_never_moves_is_left_as_it_is() -> None:
    still = ClipSet(
        "s", ("no",), (Record("a", "1", "x", 0),), {"flow_uvs": np.zeros((1, 3, 2, 2))}
    )
    assert still.divisors("flow_uvs", np.array([0])) == (1, 1, 1)
