"""Looking back at a fold: what earlier epochs would have said, after the fold is read for good."""

import dataclasses
from typing import Any

import pytest

from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import divide
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.evaluation.hindsight import Hindsight, best_of_each, learning_curve
from mer_nas.evaluation.results import FoldResult

STEADY = {"schedule": "constant", "warmup": 0.0, "lr": 5e-3, "epochs": 3}
"""With it, the first epochs of a long training are those of a short one."""


@pytest.fixture
def evaluator(clips: ClipSet) -> Evaluator:
    return Evaluator(clips, divide(clips), seed=7)


def trained(candidate: Candidate, **words: Any) -> Candidate:
    trainer = candidate.trainer.model_copy(update=STEADY | words)
    return dataclasses.replace(candidate, trainer=trainer)


def test_being_watched_changes_no_bit_of_the_result(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    alone = evaluator.fold(candidate, 1)
    recorder = evaluator.recording().fold(candidate, 1)
    assert dataclasses.replace(recorder, seconds=alone.seconds) == alone


def test_each_epoch_says_what_a_training_that_ended_there_says(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    recorder = evaluator.recording()
    result = recorder.fold(trained(candidate), 0)
    back = recorder.look_back()
    assert back.key == result.key
    assert back.epochs == (1, 2, 3)
    short = [evaluator.fold(trained(candidate, epochs=epochs), 0) for epochs in (1, 2)]
    assert back.predicted == (*(each.predicted for each in short), result.predicted)
    assert Hindsight.from_json(back.to_json()) == back


def test_a_fold_is_looked_back_at_once(evaluator: Evaluator, candidate: Candidate) -> None:
    recorder = evaluator.recording()
    recorder.fold(candidate, 0)
    recorder.look_back()
    with pytest.raises(RuntimeError, match="no fold has been trained"):
        recorder.look_back()


def result(fold: str, labels: tuple[int, ...], last: tuple[int, ...]) -> FoldResult:
    return FoldResult(
        candidate="c",
        fold=fold,
        fold_name=fold,
        subjects=(fold,),
        repetition=0,
        seed=0,
        data="d",
        code="v",
        protocol="LOSO",
        clips=tuple(f"{fold}/{number}" for number in range(len(labels))),
        labels=labels,
        probabilities=tuple(tuple(float(k == said) for k in range(2)) for said in last),
        epochs=1,
        seconds=0.0,
    )


def seen(of: FoldResult, *predicted: tuple[int, ...]) -> tuple[FoldResult, Hindsight]:
    epochs = tuple(range(1, len(predicted) + 1))
    return of, Hindsight(*of.key, epochs=epochs, predicted=predicted, seconds=0.0)


A = result("a", labels=(0, 1, 1), last=(0, 0, 0))
B = result("b", labels=(0, 1), last=(1, 1))
FOLDS = [
    seen(A, (1, 1, 1), (0, 0, 1), (0, 0, 0)),  # 2, 2 and 1 right: the second of two equal ones
    seen(B, (0, 1), (1, 0), (1, 1)),  # 2, 0 and 1 right: the first
]


def test_each_fold_takes_its_own_best_epoch_and_of_equal_ones_the_last() -> None:
    assert best_of_each(FOLDS).confusion == ((2, 0), (1, 2))


def test_a_fold_that_was_not_looked_back_at_keeps_its_last_epoch() -> None:
    assert best_of_each([FOLDS[0], (B, None)]).confusion == ((1, 1), (1, 2))


def test_the_course_is_pooled_after_each_epoch_and_ends_with_what_counts() -> None:
    after = [scores.confusion for scores in learning_curve(FOLDS, 3)]
    assert after == [((1, 1), (0, 3)), ((1, 1), (2, 1)), ((1, 1), (2, 1))]


def test_folds_of_unequal_length_are_compared_at_equal_shares_of_their_training() -> None:
    long = seen(A, (0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1))
    short = seen(B, (1, 0), (0, 1))
    hits = [scores.accuracy * 5 for scores in learning_curve([long, short], 4)]
    # 1, 2, 2, 3 right of one; of the other 0 until half of it is done, then 0, and 2 at the end.
    assert hits == pytest.approx([1 + 0, 2 + 0, 2 + 0, 3 + 2])
