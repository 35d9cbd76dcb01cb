"""What the embedded data promise, so that a search on them means something."""

import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.base import ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    BaseCrossValidator,
    LeaveOneGroupOut,
    StratifiedKFold,
    cross_val_predict,
)

from mer_nas.data import load
from mer_nas.data.clips import ClipSet
from mer_nas.data.config import SyntheticData
from mer_nas.data.needs import Needs
from mer_nas.data.sources.faces import PIXELS, Face
from mer_nas.data.sources.motions import BLINK, EXPRESSIONS, UNITS, Motion
from mer_nas.data.sources.synthetic import Recording, recordings
from mer_nas.errors import DataError
from mer_nas.evaluation.metrics import scores
from mer_nas.inputs import ACTION_UNITS, FLOW, INPUTS

FINGERPRINT = """
from mer_nas.data import load
from mer_nas.data.config import SyntheticData
print(load(SyntheticData(subjects=3, clips=9)).fingerprint)
"""


@pytest.fixture(scope="module")
def clips() -> ClipSet:
    return load(SyntheticData())


@pytest.fixture(scope="module")
def linear(clips: ClipSet) -> Callable[..., float]:
    """UF1 of logistic regression on every pixel, under LOSO or another division."""
    pixels = clips.inputs[FLOW].reshape(len(clips), -1)
    model: ClassifierMixin = LogisticRegression(max_iter=500)

    def uf1(labels: np.ndarray, division: BaseCrossValidator) -> float:
        groups = clips.groups if isinstance(division, LeaveOneGroupOut) else None
        predicted = cross_val_predict(model, pixels, labels, groups=groups, cv=division)
        return scores(labels, predicted, classes=3).uf1

    return uf1


def test_classes_are_as_frequent_as_in_the_composite(clips: ClipSet) -> None:
    # 108 clips in the proportion 250 : 109 : 83 are 61.1, 26.6 and 20.3.
    assert clips.counts() == {
        "clips": 108, "subjects": 12, "negative": 61, "positive": 27, "surprise": 20,
    }  # fmt: skip


def test_subjects_are_of_unequal_size_and_none_has_a_single_clip(clips: ClipSet) -> None:
    sizes = sorted(np.unique(clips.groups, return_counts=True)[1].tolist())
    assert sizes[0] >= 2
    assert sizes[-1] >= 2 * sizes[len(sizes) // 2]


def test_another_process_renders_the_same_bits() -> None:
    here = load(SyntheticData(subjects=3, clips=9)).fingerprint
    there = subprocess.run(
        [sys.executable, "-c", FINGERPRINT], capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == here


def test_another_seed_is_another_set() -> None:
    one, two = (load(SyntheticData(subjects=2, clips=4, seed=seed)) for seed in (0, 1))
    assert one.fingerprint != two.fingerprint


def test_the_size_of_the_images_is_the_one_asked_for() -> None:
    assert load(SyntheticData(subjects=2, clips=4, size=14)).inputs[FLOW].shape == (4, 3, 14, 14)


def test_fewer_than_two_clips_a_subject_are_refused() -> None:
    with pytest.raises(DataError) as refused:
        load(SyntheticData(subjects=12, clips=20))
    assert str(refused.value) == (
        "synthetic: data.clips=20 leaves fewer than 2 clips for each of 12 subjects; at least 24"
    )


def test_inputs_are_of_the_order_of_one(clips: ClipSet) -> None:
    assert np.all(np.isfinite(clips.inputs[FLOW]))
    assert np.all(np.abs(clips.inputs[FLOW].std(axis=(0, 2, 3)) - 0.6) < 0.4)


def test_strain_is_never_negative(clips: ClipSet) -> None:
    assert clips.inputs[FLOW][:, 2].min() >= 0


def test_pixels_weighed_one_by_one_do_not_tell_the_classes_apart(
    clips: ClipSet, linear: Callable[..., float]
) -> None:
    assert linear(clips.labels, LeaveOneGroupOut()) < 0.70


def test_clips_divided_at_random_flatter_because_subjects_are_recognised(
    clips: ClipSet, linear: Callable[..., float]
) -> None:
    at_random = StratifiedKFold(len(clips.subjects), shuffle=True, random_state=0)
    assert linear(clips.labels, at_random) > linear(clips.labels, LeaveOneGroupOut()) + 0.05


def test_labels_that_mean_nothing_are_not_learned(
    clips: ClipSet, linear: Callable[..., float]
) -> None:
    rng = np.random.default_rng(0)
    found = [linear(rng.permutation(clips.labels), LeaveOneGroupOut()) for _ in range(4)]
    assert 0.28 < np.mean(found) < 0.40


def test_harder_clips_move_less_and_easier_ones_more() -> None:
    def strain(difficulty: float) -> float:
        small = SyntheticData(subjects=4, clips=24, difficulty=difficulty)
        return float(np.quantile(load(small).inputs[FLOW][:, 2], 0.99))

    assert strain(0.0) > strain(1.0)


def test_every_expression_is_made_of_known_units_around_eyes_and_mouth() -> None:
    for ways in EXPRESSIONS.values():
        assert {unit for way in ways for unit in way} <= set(UNITS)
        heights = {UNITS[way[0]][0].part.startswith("lip") for way in ways}
        assert heights == {True, False}


def test_a_smile_draws_the_corners_of_the_mouth_up() -> None:
    face = Face.draw(np.random.default_rng(0))
    _, down = Motion.of_units(face, ("12",), pixels=3.0, balance=0.0)
    for side in ("left", "right"):
        x, y = face.landmarks[f"lip_{side}"]
        row, column = (round((value + 1) / 2 * (PIXELS - 1)) for value in (y, x))
        assert down[row, column] == pytest.approx(-3.0, rel=0.1)


def test_one_side_can_move_alone() -> None:
    face = Face.draw(np.random.default_rng(0))
    right, _ = Motion.of_units(face, ("20",), pixels=3.0, balance=1.0)
    assert right.max() == pytest.approx(3.0, rel=0.1)
    assert right.min() > -0.1


def test_a_face_that_does_not_move_stays_the_same_but_for_noise() -> None:
    rng = np.random.default_rng(0)
    image = Face.draw(rng).portrait()
    still = np.zeros((PIXELS, PIXELS), np.float32)
    motion = Motion(still, still)
    one, two = (motion.render(image, gain=1.0, noise=0.0, rng=rng) for _ in range(2))
    assert np.array_equal(one, two)
    assert one.std() > 20


@pytest.fixture(scope="module")
def filmed() -> list[Recording]:
    """Clips whose heads stand still before a camera without noise."""
    return list(recordings(SyntheticData(subjects=4, clips=40, difficulty=0.0)))


def at(field: np.ndarray, place: tuple[float, float]) -> float:
    row, column = (round((value + 1) / 2 * (PIXELS - 1)) for value in (place[1], place[0]))
    return float(field[row, column])


def test_the_skin_moves_where_the_annotated_units_pull_and_nowhere_else(
    filmed: list[Recording],
) -> None:
    parts = {
        unit: tuple(displacement.part for displacement in pulls) for unit, pulls in UNITS.items()
    }
    still = 0
    for clip in filmed:
        size, marks = np.hypot(*clip.skin), clip.person.face.landmarks
        pulled = [
            [place for name, place in marks.items() if name.startswith(parts[unit])]
            for unit in clip.units
        ]
        assert min(max(at(size, place) for place in places) for places in pulled) > 1.0
        for place in marks.values():
            if min(math.dist(place, other) for places in pulled for other in places) > 0.5:
                assert at(size, place) < 0.3
                still += 1
    assert still > 100


def test_action_units_are_those_of_the_class_and_perhaps_a_blink(clips: ClipSet) -> None:
    annotated = load(SyntheticData(), Needs(action_units=True))
    assert all(clip.action_units is None for clip in clips.records)
    for clip in annotated.records:
        assert clip.action_units is not None
        ways = EXPRESSIONS[clip.emotion or ""]
        assert tuple(unit for unit in clip.action_units if unit != BLINK) in ways
    seen = dict(zip(ACTION_UNITS, annotated.action_units.sum(0), strict=True))
    assert min(seen[unit] for unit in ("1", "2", "4", "5", "6", "12")) >= 5
    assert seen["17"] == 0


def test_an_expression_comes_and_goes(filmed: list[Recording]) -> None:
    for clip in filmed[:8]:
        first, last = clip.gains
        gains = np.array([first, (first + last) / 2, last, last])[:, None, None]
        onset, *others = clip.grey([0, 0.5, 1, 2]) / gains
        halfway, apex, offset = (float(np.abs(frame - onset).mean()) for frame in others)
        assert halfway < apex
        assert offset < 0.5 * apex


def test_a_frame_does_not_depend_on_which_others_are_asked_for() -> None:
    one, two = (next(iter(recordings(SyntheticData(subjects=2, clips=4)))) for _ in range(2))
    alone = one.grey([0.5])
    np.testing.assert_array_equal(two.grey([0.25, 0.5, 2.0])[1:2], alone)


def test_grey_is_the_brightness_of_the_colours(filmed: list[Recording]) -> None:
    clip = filmed[0]
    (grey,), (colour,) = clip.grey([1]), clip.colour([1])
    brightness = colour @ np.array([0.299, 0.587, 0.114])
    dim = colour.max(-1) < 255
    assert dim.mean() > 0.8
    np.testing.assert_allclose(brightness[dim], grey[dim], atol=1)


def test_every_subject_has_a_skin_of_its_own_colour(filmed: list[Recording]) -> None:
    tints = {clip.person.name: clip.person.tint for clip in filmed}
    assert len(set(tints.values())) == len(tints) == 4
    for red, green, blue in tints.values():
        assert red > green > blue


@pytest.mark.parametrize("size", [28, 128])
def test_every_input_loads_and_none_changes_another(size: int) -> None:
    config = SyntheticData(subjects=2, clips=6, size=size, frames=4)
    everything = load(config, Needs(inputs=tuple(INPUTS)))
    assert {name: array.shape[1:-2] for name, array in everything.inputs.items()} == {
        "flow_uvs": (3,),
        "flow_rgb": (3,),
        "difference": (3,),
        "dynamic_image": (1,),
        "keyframes": (3, 1),
        "keyframes_rgb": (3, 3),
        "frames": (4, 1),
        "clip_frames": (4, 1),
    }
    assert set(everything.scaling) == set(INPUTS)
    for name, array in everything.inputs.items():
        assert array.shape[-2:] == (size, size)
        assert array.dtype == np.float32
        alone = load(config, Needs(inputs=(name,))).inputs
        assert list(alone) == [name]
        np.testing.assert_array_equal(alone[name], array)


def test_a_finer_camera_sees_the_same_motion() -> None:
    coarse, fine = (
        load(SyntheticData(subjects=2, clips=8, difficulty=0.2, size=size)).inputs[FLOW]
        for size in (112, 224)
    )
    averaged = fine.reshape(8, 3, 112, 2, 112, 2).mean((3, 5))
    inner = (slice(None), slice(0, 2), slice(20, -20), slice(20, -20))
    assert np.corrcoef(averaged[inner].ravel(), coarse[inner].ravel())[0, 1] > 0.8
    assert averaged[inner].std() == pytest.approx(coarse[inner].std(), rel=0.25)


def test_frames_that_nobody_needs_are_not_rendered() -> None:
    clip = next(iter(recordings(SyntheticData(subjects=2, clips=4))))
    assert set(clip.taken) == {0.0, 1.0}
