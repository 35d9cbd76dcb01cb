"""The picture of a data set, of clips whose motions are known."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result
from matplotlib import rc_context

from mer_nas.data.clips import ClipSet
from mer_nas.data.records import Record
from mer_nas.report import gallery

LENGTHS = (5.0, 1.0, 3.0, 2.0)
"""How far everything moves in clips 0 to 3; the first three are of class no."""


@pytest.fixture
def clips() -> ClipSet:
    labels = (0, 0, 0, 2)
    flow = np.zeros((4, 3, 8, 8), np.float32)
    flow[:, 0] = np.reshape(LENGTHS, (4, 1, 1))
    return ClipSet(
        "four",
        ("no", "never", "yes"),
        tuple(
            Record("a", "1", f"clip{index}", label, action_units=("4", "7"))
            for index, label in enumerate(labels)
        ),
        {
            "flow_uvs": flow,
            "keyframes": np.zeros((4, 3, 1, 8, 8), np.float32),
            "dynamic_image": np.zeros((4, 1, 8, 8), np.float32),
        },
    )


def test_the_typical_clip_of_a_class_is_the_one_in_the_middle(clips: ClipSet) -> None:
    assert [gallery._typical(clips, label) for label in (0, 2)] == [2, 3]


def test_a_row_for_each_class_that_has_a_clip_and_text_that_can_be_selected(
    clips: ClipSet, tmp_path: Path
) -> None:
    pictures = [tmp_path / name for name in ("a.svg", "b.svg")]
    for file in pictures:
        gallery.draw_gallery(clips, file)
    text = pictures[0].read_text()
    assert text == pictures[1].read_text()
    for word in (">no<", ">yes<", ">AU 4 + 7<", ">onset<", ">apex<", ">dynamic image<"):
        assert word in text, word
    assert ">never<" not in text
    assert text.count("<image") == 2 * 5


def test_the_command_draws_synthetic_clips_and_says_where(
    here: Path, call: Callable[..., Result]
) -> None:
    words = ["data=synthetic", "data.subjects=2", "data.clips=12", "out=faces.png"]
    done = call("data", "picture", *words)
    assert (done.exit_code, done.stdout) == (0, "faces.png\n")
    assert cv2.imread("faces.png").std() > 10
    for word, told in (
        ("out=faces.bmp", "out=faces.bmp: ends in .bmp; one of .svg, .png, .pdf would be right"),
        ("out=away/faces.png", "out=away/faces.png: there is no folder away"),
    ):
        refused = call("data", "picture", *words[:3], word)
        assert (refused.exit_code, refused.stderr) == (2, f"mer-nas: {told}\n")
    refused = call("data", "picture", *words[:3])
    assert refused.stderr == (
        "mer-nas: data picture: out= is missing; out=FILE names the picture\n"
    )


def test_no_matplotlibrc_of_anybody_changes_a_picture(clips: ClipSet, tmp_path: Path) -> None:
    gallery.draw_gallery(clips, tmp_path / "a.svg")
    with rc_context({"text.usetex": True, "text.color": "red", "axes.titlesize": 40}):
        gallery.draw_gallery(clips, tmp_path / "b.svg")  # LaTeX would be asked for
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
