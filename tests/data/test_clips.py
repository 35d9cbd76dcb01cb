"""What is known of clips, and what a set of them refuses."""

import dataclasses

import numpy as np
import pytest

from mer_nas.data.clips import ClipSet
from mer_nas.data.records import Record
from mer_nas.errors import DataError
from mer_nas.inputs import FLOW


@pytest.fixture
def three() -> ClipSet:
    clips = (Record("a", "06", "x", 0), Record("b", "06", "x", 1), Record("b", "6", "y", 1))
    flow = np.arange(3 * 3 * 2 * 2, dtype=np.float32).reshape(3, 3, 2, 2)
    return ClipSet("three", ("no", "yes"), clips, {FLOW: flow})


def test_subjects_of_one_number_in_two_data_sets_are_two_subjects(three: ClipSet) -> None:
    assert three.subjects == ("a:06", "b:06", "b:6")


def test_counts_name_every_class(three: ClipSet) -> None:
    assert three.counts() == {"clips": 3, "subjects": 3, "no": 1, "yes": 2}


def test_counts_of_the_full_set_stand_beside_those_found(three: ClipSet) -> None:
    part = dataclasses.replace(three, official={"clips": 9, "subjects": 4, "no": 3, "yes": 6})
    whole = dataclasses.replace(three, official=three.counts())
    assert part.describe() == (
        "three: 3 clips, 3 subjects, no 1, yes 2 (the full set: 9 clips, 4 subjects, no 3, yes 6)"
    )
    assert whole.describe() == "three: 3 clips, 3 subjects, no 1, yes 2 (the full set)"


def test_a_fingerprint_changes_with_a_pixel_a_label_a_name_and_a_class(three: ClipSet) -> None:
    flow = three.inputs[FLOW].copy()
    flow[0, 0, 0, 0] += 1
    first, *rest = three.records
    others = [
        dataclasses.replace(three, inputs={FLOW: flow}),
        dataclasses.replace(three, records=(dataclasses.replace(first, label=1), *rest)),
        dataclasses.replace(three, records=(dataclasses.replace(first, name="z"), *rest)),
        dataclasses.replace(three, classes=("no", "perhaps")),
    ]
    assert len({three.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert dataclasses.replace(three, name="again").fingerprint == three.fingerprint


def test_action_units_are_a_row_of_zeros_and_ones_and_none_where_nobody_looked() -> None:
    clips = (
        Record("a", "1", "x", 0, action_units=("4", "20")),
        Record("a", "1", "y", 0, action_units=()),
        Record("a", "1", "z", 0),
    )
    found = ClipSet("s", ("no",), clips, {}).action_units
    #                       1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17
    assert found[0].tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert found[1].tolist() == [0] * 12
    assert found.shape == (3, 12)
    assert np.isnan(found[2]).all()


def test_a_fingerprint_tells_no_action_units_from_none_annotated() -> None:
    known: list[tuple[str, ...] | None] = [(), ("1",), None]
    sets = [
        ClipSet("s", ("no",), (Record("a", "1", "x", 0, action_units=units),), {})
        for units in known
    ]
    assert len({clips.fingerprint for clips in sets}) == 3


def test_a_subset_keeps_clips_and_pixels_together(three: ClipSet) -> None:
    part = three.subset([2, 0])
    assert [clip.id for clip in part.records] == ["b:6/y", "a:06/x"]
    assert part.inputs[FLOW].tolist() == three.inputs[FLOW][[2, 0]].tolist()


def test_a_label_without_a_class_is_refused() -> None:
    with pytest.raises(DataError, match=r"s: a:1/x has label 2; labels go from 0 to 1"):
        ClipSet("s", ("no", "yes"), (Record("a", "1", "x", 2),), {})


def test_two_clips_of_one_name_are_refused() -> None:
    clips = (Record("a", "1", "x", 0), Record("a", "1", "x", 0))
    with pytest.raises(DataError, match="s: 1 clip is named twice: a:1/x"):
        ClipSet("s", ("no", "yes"), clips, {})


def test_an_input_of_another_length_is_refused() -> None:
    with pytest.raises(DataError, match="s: input 'flow_uvs' has 2 clips, not 1"):
        ClipSet("s", ("no",), (Record("a", "1", "x", 0),), {FLOW: np.zeros((2, 3, 4, 4))})
