"""A clip through the pipeline: known motions, on frames that lie in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mer_nas.data.preprocess.alignment import Crop
from mer_nas.data.preprocess.config import (
    DIS,
    TVL1,
    Alignment,
    Farneback,
    Flow,
    Magnification,
    Pipeline,
    Preparation,
)
from mer_nas.data.preprocess.pipeline import Keyframes, prepare
from mer_nas.errors import DataError
from mer_nas.inputs import INPUTS

SIDE = 64
PLAIN = Preparation(
    pipeline=Pipeline(align=None, face=SIDE, flow=Farneback(), apex=("annotated",)),
    size=16,
    frames=3,
)
FLOW_ONLY = ("flow_uvs",)


def surface(right: float = 0, down: float = 0, side: int = SIDE) -> NDArray[np.uint8]:
    """Return a texture that has moved, exact to fractions of a pixel, in three colours."""
    y, x = np.mgrid[:side, :side] * (SIDE / side)
    waves = [(9, 0.3, 1), (13, 1.9, 2), (17, 1.1, 3), (11, 2.6, 4), (23, 0.8, 5)]
    total = np.zeros((side, side))
    for length, angle, phase in waves:
        along = np.cos(angle) * (x - right) + np.sin(angle) * (y - down)
        total += np.sin(2 * np.pi * along / length + phase)
    grey = 128 + 24 * total
    return np.rint(np.stack([grey, 0.8 * grey, 0.6 * grey], -1)).astype(np.uint8)


def changed(**settings: object) -> Preparation:
    """Return the plain preparation with other settings of its pipeline."""
    return PLAIN.model_copy(update={"pipeline": PLAIN.pipeline.model_copy(update=settings)})


@dataclass
class StudyState:
    """A reader whose frames lie in memory; remembers which were read."""

    images: list[NDArray[np.uint8]]
    fps: float | None = 100.0
    name: str = "sub01/EP02"
    seen: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, places: Iterable[int]) -> Iterator[NDArray[np.uint8]]:
        for place in places:
            self.seen.append(place)
            yield self.images[place]


def moving(to: tuple[float, float], apex: int = 4, frames: int = 9) -> StudyState:
    """Return a texture that moves there until the apex, and back until the last frame."""
    size = np.interp(range(frames), (0, apex, frames - 1), (0, 1, 0))
    return StudyState([surface(share * to[0], share * to[1]) for share in size])


@pytest.mark.parametrize("flow", [Farneback(), TVL1(), DIS()], ids=lambda flow: flow.kind)
def test_a_known_shift_is_the_flow(flow: Flow) -> None:
    reader = moving((1.5, -0.75))
    how = changed(flow=flow)
    found = prepare(reader, Keyframes(0, 8, apex=4), how, FLOW_ONLY).inputs["flow_uvs"]
    u, v, strain = found[:, 3:-3, 3:-3]
    assert u.mean() == pytest.approx(1.5, abs=0.05)
    assert v.mean() == pytest.approx(-0.75, abs=0.05)
    assert strain.mean() < 0.05


def test_no_frame_is_read_that_no_input_is_made_of() -> None:
    reader = moving((1, 0))
    prepare(reader, Keyframes(0, 8, apex=4), PLAIN, FLOW_ONLY)
    assert reader.seen == [0, 4]


def test_every_input_is_made_in_one_pass() -> None:
    reader = moving((1, 0))
    found = prepare(reader, Keyframes(0, 8, apex=4), PLAIN, tuple(INPUTS))
    assert set(found.inputs) == set(INPUTS)
    assert reader.seen == [0, 2, 4, 6, 8]
    assert found.inputs["frames"].shape == (3, 1, 16, 16)


def test_the_frames_of_a_whole_clip_go_to_its_offset_and_need_no_apex() -> None:
    # Nine frames, the apex the third: key frames would be crowded before it.
    reader, how = (
        moving((1, 0), apex=2),
        changed(apex=("annotated",)).model_copy(update={"frames": 5}),
    )
    found = prepare(reader, Keyframes(0, 8), how, ["clip_frames"])
    assert reader.seen == [0, 2, 4, 6, 8]
    assert found.inputs["clip_frames"].shape == (5, 1, 16, 16)
    given = prepare(moving((1, 0), apex=2), Keyframes(0, 8, apex=2), how, ["clip_frames"])
    np.testing.assert_array_equal(given.inputs["clip_frames"], found.inputs["clip_frames"])


@pytest.mark.parametrize(
    ("apex", "marked", "place", "source"),
    [
        (("annotated", "spotted"), 2, 2, "annotated"),
        (("annotated", "spotted"), None, 5, "spotted"),
        (("spotted",), 2, 5, "spotted"),
        (("annotated", "middle"), None, 4, "middle"),
    ],
)
def test_the_apex_is_found_by_the_first_way_that_gives_one(
    apex: tuple[str, ...], marked: int | None, place: int, source: str
) -> None:
    reader = StudyState([surface() for _ in range(9)])
    for at, size in ((3, 1.0), (4, 1.5), (5, 3.0), (6, 2.0)):
        middle = np.s_[24:40, 24:40]
        reader.images[at][middle] = surface(right=size)[middle]
    how = changed(apex=apex)
    found = prepare(reader, Keyframes(0, 8, apex=marked), how, FLOW_ONLY)
    assert (found.apex, found.apex_source) == (place, source)


def test_an_apex_that_nobody_gave_is_not_made_up() -> None:
    with pytest.raises(
        DataError,
        match=r"^sub01/EP02: its apex is not annotated, and data\.pipeline\.apex allows nothing else; "
        r"data\.pipeline\.apex=\[annotated,spotted\] finds",
    ):
        prepare(moving((1, 0)), Keyframes(0, 8), PLAIN, FLOW_ONLY)


@pytest.mark.parametrize(("onset", "offset"), [(4, 4), (5, 4), (0, 9), (-1, 4)])
def test_marks_outside_the_reel_are_refused(onset: int, offset: int) -> None:
    with pytest.raises(DataError, match=rf"onset {onset} and offset {offset} are no stretch of 9"):
        prepare(moving((1, 0)), Keyframes(onset, offset, apex=4), PLAIN, FLOW_ONLY)


def test_frames_of_any_size_become_faces_and_flow_is_in_their_pixels() -> None:
    reader = StudyState(
        [surface(side=2 * SIDE), surface(right=1.0, side=2 * SIDE)]
    )  # 2 of 128 pixels
    found = prepare(reader, Keyframes(0, 1, apex=1), PLAIN, FLOW_ONLY).inputs["flow_uvs"]
    assert found[0, 3:-3, 3:-3].mean() == pytest.approx(1.0, abs=0.05)


def test_one_crop_is_found_in_the_onset_and_serves_every_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shift = Crop(np.array([[1.0, 0.0, -4.0], [0.0, 1.0, 0.0]]), SIDE)
    asked = []

    def found(frame: NDArray[np.uint8], *_: object) -> Crop:
        asked.append(frame)
        return shift

    monkeypatch.setattr(Crop, "of", found)
    whole = PLAIN.model_copy(update={"size": SIDE})
    how = changed(align=Alignment()).model_copy(update={"size": SIDE})
    reader = moving((1, 0))
    wanted = ("keyframes_rgb",)
    aligned = prepare(reader, Keyframes(1, 8, apex=4), how, wanted).inputs["keyframes_rgb"]
    assert len(asked) == 1
    np.testing.assert_array_equal(asked[0], reader.images[1])
    plain = prepare(reader, Keyframes(1, 8, apex=4), whole, wanted).inputs["keyframes_rgb"]
    np.testing.assert_allclose(aligned[..., :-4], plain[..., 4:], atol=1e-6)
    cropped = prepare(reader, Keyframes(1, 8, apex=4), how, wanted, cropped=True)
    np.testing.assert_array_equal(cropped.inputs["keyframes_rgb"], plain)
    assert len(asked) == 1


def test_without_colour_every_channel_is_the_grey_one() -> None:
    how = changed(colour=False)
    wanted = ("keyframes_rgb", "keyframes")
    keyframes = Keyframes(0, 8, apex=4)
    found = prepare(moving((1, 0)), keyframes, how, wanted).inputs
    np.testing.assert_allclose(found["keyframes_rgb"], np.repeat(found["keyframes"], 3, 1))
    colour = prepare(moving((1, 0)), keyframes, PLAIN, wanted).inputs["keyframes_rgb"]
    assert np.abs(colour[:, 0] - colour[:, 2]).min() > 0.01


def test_min_max_stretches_each_channel_of_flow_and_leaves_faces_alone() -> None:
    how = changed(values="min_max")
    keyframes = Keyframes(0, 8, apex=4)
    found = prepare(moving((1, 0)), keyframes, how, tuple(INPUTS)).inputs
    plain = prepare(moving((1, 0)), keyframes, PLAIN, tuple(INPUTS)).inputs
    assert found["flow_uvs"].min((1, 2)).tolist() == pytest.approx([-1, -1, -1])
    assert found["flow_uvs"].max((1, 2)).tolist() == pytest.approx([1, 1, 1])
    for name in ("keyframes", "keyframes_rgb", "frames", "flow_rgb"):
        np.testing.assert_array_equal(found[name], plain[name])
    still = StudyState([surface(), surface()])
    nothing = prepare(still, Keyframes(0, 1, apex=1), how, ("difference",))
    assert not nothing.inputs["difference"].any()


def test_magnified_motion_is_larger_and_begins_at_the_onset() -> None:
    settings = Magnification(factor=4, low=1, high=20, levels=5, wavelength=4)
    reader = moving((0.4, 0), apex=5, frames=11)
    louder = changed(magnify=settings)
    keyframes = Keyframes(2, 10, apex=5)
    plain = prepare(reader, keyframes, PLAIN, FLOW_ONLY).inputs["flow_uvs"][0, 3:-3, 3:-3].mean()
    reader.seen.clear()
    more = prepare(reader, keyframes, louder, FLOW_ONLY).inputs["flow_uvs"][0, 3:-3, 3:-3].mean()
    assert reader.seen == [2, 3, 4, 5]
    assert more > 1.5 * plain > 0


def test_opencv_works_in_one_thread_and_gets_its_threads_back() -> None:
    before = cv2.getNumThreads()
    prepare(moving((1, 0)), Keyframes(0, 8, apex=4), PLAIN, FLOW_ONLY)
    assert cv2.getNumThreads() == before
