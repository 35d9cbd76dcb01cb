"""Who is held out when."""

import warnings

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import divide, stratified_groups
from mer_nas.data.records import Record
from mer_nas.errors import DataError

SIZES = {"s1": 1, "s2": 5, "s3": 3, "s4": 3, "s5": 2, "s6": 6}


def clip_set(sizes: dict[str, int], classes: int = 2) -> ClipSet:
    """Return a set whose labels go round within every subject."""
    clips = [
        Record("d", subject, str(number), number % classes)
        for subject, size in sizes.items()
        for number in range(size)
    ]
    return ClipSet("d", tuple(f"class {n}" for n in range(classes)), tuple(clips), {})


def test_loso_holds_out_every_subject_once_and_whole() -> None:
    clips = clip_set(SIZES)
    protocol = divide(clips)
    assert sorted(fold.name for fold in protocol.folds) == [f"d:{name}" for name in SIZES]
    tested = np.concatenate([fold.test(clips) for fold in protocol.folds])
    assert sorted(tested.tolist()) == list(range(20))
    for fold in protocol.folds:
        assert sorted([*fold.train(clips), *fold.test(clips)]) == list(range(20))
        assert not set(clips.groups[fold.train(clips)]) & set(fold.subjects)


def test_large_folds_come_first_and_equal_ones_by_name() -> None:
    assert [fold.name for fold in divide(clip_set(SIZES)).folds] == [
        "d:s6", "d:s2", "d:s3", "d:s4", "d:s5", "d:s1",
    ]  # fmt: skip


def test_the_order_does_not_depend_on_the_order_of_the_clips() -> None:
    backwards = dict(reversed(SIZES.items()))
    for folds in ("loso", 3):
        there, back = divide(clip_set(SIZES), folds), divide(clip_set(backwards), folds)
        if folds == "loso":
            assert [f.subjects for f in there.folds] == [f.subjects for f in back.folds]
        assert [fold.clips for fold in there.folds] == [fold.clips for fold in back.folds]


def test_blocks_are_whole_folds_of_the_share_asked_for() -> None:
    # 20 clips in folds of 6, 5, 3, 3, 2, 1; a block closes once it has 5.
    protocol = divide(clip_set(SIZES), block=0.25)
    assert protocol.blocks == ((0,), (1,), (2, 3), (4, 5))


def test_groups_keep_subjects_together_and_classes_mixed() -> None:
    clips = clip_set({f"s{n:02d}": 6 for n in range(12)}, classes=3)
    protocol = divide(clips, folds=4, seed=3)
    assert protocol.name == "4 subject groups"
    assert [fold.clips for fold in protocol.folds] == [18] * 4
    held = [subject for fold in protocol.folds for subject in fold.subjects]
    assert sorted(held) == list(clips.subjects)
    for fold in protocol.folds:
        assert np.bincount(clips.labels[fold.test(clips)]).tolist() == [6, 6, 6]


def test_groups_follow_from_the_seed() -> None:
    clips = clip_set({f"s{n:02d}": 6 for n in range(12)}, classes=3)
    keys = [[fold.key for fold in divide(clips, 4, seed).folds] for seed in (0, 0, 1)]
    assert keys[0] == keys[1] != keys[2]


def test_groups_are_those_of_scikit_learn() -> None:
    chance = np.random.default_rng(0)
    for seed in range(60):
        subjects, classes, folds = (
            int(chance.integers(*ends)) for ends in ((4, 40), (1, 5), (2, 5))
        )
        people = np.array([f"s{n}" for n in chance.integers(subjects, size=200)])
        labels = chance.choice(classes, size=200, p=chance.dirichlet(np.ones(classes)))
        theirs = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        ours = stratified_groups(labels, people, folds, seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            for group, (_, test) in enumerate(theirs.split(people, labels, people)):
                assert np.flatnonzero(ours == group).tolist() == test.tolist()


def test_a_key_stands_for_the_held_out_subjects_alone() -> None:
    alone = {fold.subjects: fold.key for fold in divide(clip_set(SIZES)).folds}
    with_more = {fold.subjects: fold.key for fold in divide(clip_set(SIZES | {"s7": 4})).folds}
    assert alone.items() <= with_more.items()
    assert len(set(with_more.values())) == 7


def test_a_single_subject_is_refused() -> None:
    with pytest.raises(DataError, match="d: at least 2 subjects are needed, found 1"):
        divide(clip_set({"s1": 5}))


def test_a_single_class_is_refused() -> None:
    with pytest.raises(DataError, match="d: at least 2 classes are needed, found only: class 0"):
        divide(clip_set(SIZES, classes=1))


def test_a_class_without_a_clip_is_refused_by_name() -> None:
    clips = ClipSet("d", ("no", "yes"), (Record("d", "a", "x", 0), Record("d", "b", "y", 0)), {})
    with pytest.raises(DataError, match="d: every class needs a clip, but there is none of: yes"):
        divide(clips)


def test_more_groups_than_subjects_are_refused() -> None:
    with pytest.raises(DataError) as refused:
        divide(clip_set(SIZES), folds=7)
    assert str(refused.value) == (
        "d: study.folds=7 asks for more groups than there are subjects (6); at most 6, or loso"
    )


def test_a_fold_that_leaves_one_clip_to_learn_from_is_refused() -> None:
    with pytest.raises(DataError, match="d: without d:b there is 1 clip to learn from"):
        divide(clip_set({"a": 1, "b": 2}))


def several(*datasets: str) -> ClipSet:
    clips = [
        Record(dataset, "1", str(n), n % 2)
        for size, dataset in enumerate(datasets, start=2)
        for n in range(size)
    ]
    return ClipSet("several", ("no", "yes"), tuple(clips), {})


def test_lodo_holds_out_every_data_set_once_and_whole() -> None:
    clips = several("casme2", "samm", "smic")
    protocol = divide(clips, "lodo")
    assert protocol.name == "LODO"
    assert [(fold.name, fold.clips, len(fold.train(clips))) for fold in protocol.folds] == [
        ("smic", 4, 5),
        ("samm", 3, 6),
        ("casme2", 2, 7),
    ]
    assert [fold.subjects for fold in protocol.folds] == [("smic:1",), ("samm:1",), ("casme2:1",)]
    for fold in protocol.folds:
        assert set(clips.datasets[fold.test(clips)]) == {fold.name}
        assert fold.name not in clips.datasets[fold.train(clips)]


def test_lodo_needs_two_data_sets() -> None:
    with pytest.raises(DataError) as refused:
        divide(clip_set(SIZES), "lodo")
    assert str(refused.value) == (
        "d: study.folds=lodo holds out one data set at a time, but there is only d; loso, or data "
        "of several sets such as data=megc2019"
    )
