"""Subjects, data sets, slots and parallel coordinates of a study that can be counted by hand."""

import re

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from mer_nas.evaluation.metrics import confusion_of
from mer_nas.report import DatasetScores, StudySummary, build_report
from mer_nas.report.charts.learning_curve import hindsight_chart
from mer_nas.report.parameters import Axis


def test_subjects_count_what_the_winner_got_right_over_its_seeds(two_sets: StudySummary) -> None:
    """Of 011's three clips the first seed gets all right, the second two."""
    rows = build_report(two_sets).subjects
    assert [(row.dataset, row.subject, row.clips, row.right) for row in rows] == [
        ("samm", "006", 4, 3.0),
        ("samm", "011", 3, 2.5),
        ("smic", "s1", 1, 0.0),
    ]
    assert [row.share for row in rows] == pytest.approx([3 / 4, 5 / 6, 0])


def test_each_data_set_has_its_own_clips_confusion_and_scores(two_sets: StudySummary) -> None:
    samm, smic = build_report(two_sets).datasets
    assert (samm.name, samm.subjects, samm.clips) == ("samm", 2, 7)
    assert samm.classes == {"negative": 4, "positive": 2, "surprise": 1}
    assert smic.classes == {"negative": 0, "positive": 1, "surprise": 0}
    assert samm.confusion is not None
    assert samm.confusion.counts == ((5, 3, 0), (0, 4, 0), (0, 0, 2))  # of both seeds
    assert samm.accuracy is not None
    assert samm.accuracy.mean == pytest.approx((6 + 5) / 14)
    assert smic.confusion is not None
    assert smic.confusion.shares[1] == (1, 0, 0)


def test_a_data_set_is_scored_by_the_classes_that_it_has() -> None:
    right = DatasetScores.of(np.diag([3, 2, 0]), name="b")
    assert (right.uf1, right.uar, right.accuracy) == (1, 1, 1)
    labels, predicted = [0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 2]
    mixed = DatasetScores.of(confusion_of(labels, predicted, 3), name="b")
    there = {"labels": [0, 1], "average": "macro"}
    assert mixed.uf1 == pytest.approx(f1_score(labels, predicted, **there))
    assert mixed.uar == pytest.approx(recall_score(labels, predicted, **there))


def test_the_leaky_chart_ends_with_the_last_epoch_also_where_only_some_were_kept(
    two_sets: StudySummary,
) -> None:
    first = two_sets.finalists[0]
    assert first.learning is not None
    losses = dict.fromkeys(("mean", "low", "high"), (0.5,) * 40)
    long = first.model_copy(update={"learning": first.learning.model_copy(update=losses)})
    report = build_report(two_sets.model_copy(update={"finalists": (long,)}))
    ticks = map(int, re.findall(r">(\d+)</text>", hindsight_chart(report)))
    assert 36 <= max(ticks) <= 40  # of 3 values, at 13, 27 and 40


def test_a_study_of_one_data_set_has_no_matrix_beside_the_pooled_one(facts: StudySummary) -> None:
    (only,) = build_report(facts).datasets
    assert (only.name, only.subjects, only.classes, only.confusion) == (
        "synthetic",
        14,
        None,
        None,
    )
    assert build_report(facts).subjects == ()


def test_papers_other_scores_are_told_where_every_seed_has_them(
    facts: StudySummary, two_sets: StudySummary
) -> None:
    answer = build_report(two_sets).answer
    assert answer is not None
    assert answer.weighted_f1 is not None
    assert answer.weighted_f1.mean == 0.75
    assert answer.fold_f1 is not None
    assert answer.fold_f1.mean == 0.5
    old = build_report(facts).answer
    assert old is not None
    assert old.weighted_f1 is old.fold_f1 is None


def test_slots_tell_which_blocks_the_good_networks_have(two_sets: StudySummary) -> None:
    """Networks of odd trials have no gate, the others a progressive one; the rest is the same."""
    found = build_report(two_sets).slots
    assert found is not None
    assert (found.complete, found.best) == (18, 4)
    complete = [trial for trial in two_sets.trials if trial.outcome == "complete"]
    best = sorted(complete, key=lambda trial: -(trial.value or 0))[:4]
    with_gate = [trial.value or 0 for trial in complete if trial.number % 2 == 0]
    prog = next(row for row in found.rows if row.block == "prog")
    assert {row.slot for row in found.rows} == {"gate"}
    assert prog.trials == len(with_gate)
    assert prog.best == sum(trial.number % 2 == 0 for trial in best)
    assert prog.uf1 == pytest.approx(sum(with_gate) / len(with_gate))
    assert prog.winner
    none = next(row for row in found.rows if row.block == "none")
    assert none.uf1 == prog.others
    assert not none.winner
    assert [row.uf1 for row in found.rows] == sorted([prog.uf1, none.uf1], reverse=True)


def test_where_all_networks_have_the_same_blocks_no_slot_is_told(facts: StudySummary) -> None:
    assert build_report(facts).slots is None


def test_parallel_coordinates_join_every_complete_trial_the_best_last(facts: StudySummary) -> None:
    found = build_report(facts).parallel
    assert found is not None
    assert [axis.parameter.rsplit(".", 1)[1] for axis in found.axes] == ["kind", "lr"]
    assert found.axes[0].choices == ("none", "prog")
    assert found.axes[1].log  # 1e-4 * 1.25**29 is 600 times the smallest
    assert len(found.lines) == 18
    assert found.lines[-1].number == 27
    assert found.lines[-1].places[0] == 0.0  # odd trials have no gate
    scores = [line.uf1 for line in found.lines]
    assert scores == sorted(scores)


def test_of_thousands_of_trials_the_best_and_one_in_so_many_are_lines(facts: StudySummary) -> None:
    some = facts.trials
    trials = tuple(
        trial.model_copy(update={"number": len(some) * turn + trial.number})
        for turn in range(50)
        for trial in some
    )
    report = build_report(facts.model_copy(update={"trials": trials}))
    assert report.outcomes["complete"] == 50 * 18
    assert report.parallel is not None
    assert len(report.parallel.lines) == 300  # every third
    assert report.parallel.lines[-1].uf1 == max(trial.value or 0.0 for trial in some)


def test_counts_that_come_again_are_choices_and_measures_never() -> None:
    assert Axis.of("heads", [2, 4, 4]).choices == ("2", "4")
    assert not Axis.of("lr", [3e-3, 3e-3, 1.4e-3]).choices
    assert not Axis.of("width", range(9)).choices


def test_a_parameter_that_fewer_than_half_of_the_trials_have_is_no_axis(
    facts: StudySummary,
) -> None:
    trials = tuple(
        trial
        if trial.number % 3 == 0
        else trial.model_copy(update={"params": {"trainer.lr": trial.params["trainer.lr"]}})
        for trial in facts.trials
    )
    found = build_report(facts.model_copy(update={"trials": trials})).parallel
    assert found is not None
    assert [axis.parameter for axis in found.axes] == ["trainer.lr"]


def test_without_importance_there_are_no_parallel_coordinates(facts: StudySummary) -> None:
    assert build_report(facts.model_copy(update={"importance": None})).parallel is None


def test_numbers_stand_where_they_lie_between_the_least_and_the_largest() -> None:
    width = Axis.of("width", [8.0, 12.0, 24.0])
    assert [width.place(value) for value in (8, 12, 24)] == [0, 0.25, 1]
    rate = Axis.of("lr", [1e-4, 1e-2, 1e-3])
    assert rate.place(1e-3) == pytest.approx(0.5)
