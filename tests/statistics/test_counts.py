import numpy as np
import pytest

from mer_nas.errors import DataError
from mer_nas.evaluation.results import FoldResult
from mer_nas.statistics import by_subject, correct


def result(subjects: tuple[str, ...], answers: dict[str, tuple[int, int]]) -> FoldResult:
    """Return a fold in which each clip has a label and was given a class."""
    return FoldResult(
        candidate="c",
        fold="f",
        fold_name="f",
        subjects=subjects,
        repetition=0,
        seed=0,
        data="d",
        code="v",
        protocol="p",
        clips=tuple(answers),
        labels=tuple(label for label, _ in answers.values()),
        probabilities=tuple(
            tuple(float(k == said) for k in range(2)) for _, said in answers.values()
        ),
        epochs=1,
        seconds=0.0,
    )


def test_clips_count_for_the_subject_they_show_also_where_several_are_held_out() -> None:
    folds = [
        result(("a:1", "a:11"), {"a:1/x": (0, 0), "a:11/x": (1, 0), "a:11/y": (1, 1)}),
        result(("b:1",), {"b:1/x": (0, 1)}),
    ]
    found = by_subject(folds, ["b:1", "a:11", "a:1"], classes=2)
    assert found.tolist() == [[[0, 1], [0, 0]], [[0, 0], [1, 1]], [[1, 0], [0, 0]]]


def test_two_subjects_are_too_few() -> None:
    with pytest.raises(DataError, match="2 are too few for it; at least 3 are needed"):
        correct(np.ones((4, 2, 3, 3), dtype=np.int64), ("no", "yes", "oh"))


def test_a_class_that_no_clip_shows_is_named() -> None:
    counts = np.ones((4, 5, 3, 3), dtype=np.int64)
    counts[:, :, 1] = 0
    with pytest.raises(DataError, match="no clip of the predictions is of the class yes, so"):
        correct(counts, ("no", "yes", "oh"))


def test_without_a_complete_candidate_there_is_no_choice() -> None:
    with pytest.raises(DataError, match="no candidate is complete, so there is no choice"):
        correct(np.ones((0, 5, 3, 3), dtype=np.int64), ("no", "yes", "oh"))
