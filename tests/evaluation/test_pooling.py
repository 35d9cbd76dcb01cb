"""One set of predictions, pooled, by data set, and averaged over folds as some papers do."""

import pytest

from mer_nas.evaluation.metrics import Scores
from mer_nas.evaluation.results import FoldResult, fold_average, pool
from mer_nas.report import SeedScores


def fold(subject: str, *answers: tuple[int, int]) -> FoldResult:
    """Return the fold of a subject whose clips have a label and were given a class."""
    return FoldResult(
        candidate="c",
        fold=subject,
        fold_name=subject,
        subjects=(subject,),
        repetition=0,
        seed=0,
        data="d",
        code="v",
        protocol="LOSO",
        clips=tuple(f"{subject}/{number}" for number in range(len(answers))),
        labels=tuple(label for label, _ in answers),
        probabilities=tuple(tuple(float(k == said) for k in range(3)) for _, said in answers),
        epochs=1,
        seconds=0.0,
    )


FOLDS = (
    fold("samm:1", (0, 0), (0, 0)),  # one class, all right: 1
    fold("smic:1", (1, 1), (2, 1)),  # F1 of 2/3 and 0: 1/3
    fold("samm:2", (2, 0)),  # 0 and 0: 0
)


def test_the_average_over_folds_is_of_the_classes_that_occur_in_each() -> None:
    assert fold_average(FOLDS) == pytest.approx((1 + 1 / 3 + 0) / 3)


def test_pooled_the_same_predictions_say_something_else() -> None:
    # Class 0: 2 right, 1 claimed; class 1: 1 right, 1 claimed; class 2: 2 missed.
    assert pool(FOLDS).uf1 == pytest.approx((4 / 5 + 2 / 3 + 0) / 3)
    assert pool(FOLDS).weighted_f1 == pytest.approx((2 * 4 / 5 + 1 * 2 / 3 + 2 * 0) / 5)


def test_a_data_set_is_scored_on_its_clips_over_the_classes_that_it_has() -> None:
    subjects = [fold.subjects[0] for fold in FOLDS]
    found = SeedScores.pooled(FOLDS, subjects, repetition=2)
    assert {k: v for k, v in dict(found).items() if k in Scores.model_fields} == dict(pool(FOLDS))
    assert (found.repetition, found.fold_f1) == (2, fold_average(FOLDS))
    assert found.subjects[1] == ((0, 0, 0), (0, 1, 0), (0, 1, 0))
    samm, smic = found.datasets
    assert samm.confusion == ((2, 0, 0), (0, 0, 0), (1, 0, 0))
    assert smic.confusion == ((0, 0, 0), (0, 1, 0), (0, 1, 0))
    assert (samm.name, samm.uf1) == ("samm", pytest.approx((4 / 5 + 0) / 2))
    assert (smic.name, smic.accuracy) == ("smic", 0.5)
