"""What a report says of a study whose answers can be counted by hand."""

from typing import Any

import pytest

from mer_nas.report import Report, Spread, StudySummary, build_report


def changed(facts: StudySummary, **fields: Any) -> StudySummary:
    return facts.model_copy(update=fields)


def without_winners(facts: StudySummary) -> StudySummary:
    return changed(facts, finalists=(), final_protocol=None, export=None)


def only(facts: StudySummary, *numbers: int) -> StudySummary:
    return changed(without_winners(facts), trials=tuple(facts.trials[n] for n in numbers))


def test_spread_is_mean_deviation_and_range() -> None:
    found = Spread.of([0.5, 0.6, 0.7])
    assert found.mean == pytest.approx(0.6)
    assert found.deviation == pytest.approx(0.1)
    assert (found.low, found.high, found.seeds) == (0.5, 0.7, 3)


def test_of_several_objectives_the_front_is_ranked_and_of_equals_the_cheapest_wins(
    facts: StudySummary,
) -> None:
    costs = [(0.50, 30), (0.50, 10), (0.49, 40), (0.45, 5)]
    trials = tuple(
        facts.trials[0].model_copy(update={"number": number, "value": uf1, "macs": macs})
        for number, (uf1, macs) in enumerate(costs)
    )
    report = build_report(
        changed(without_winners(facts), trials=trials, objectives=("uf1", "macs"))
    )
    # The first costs more than the second, which is as good; the third is worse than both.
    assert [(row.search_score, row.macs) for row in report.ranking] == [(0.50, 10), (0.45, 5)]
    assert report.study.best == trials[1]


def test_the_literature_stands_beside_scores_of_its_protocol_alone(facts: StudySummary) -> None:
    counts = {**facts.data.counts, "clips": 442, "subjects": 68}
    composite = changed(facts, data=facts.data.model_copy(update={"counts": counts}))
    assert build_report(composite).literature is not None
    # Before the final stage under LOSO there are scores of four groups.
    assert build_report(changed(composite, finalists=())).literature is None


def test_one_seed_has_no_deviation() -> None:
    assert Spread.of([0.5]).deviation is None


def test_the_answer_is_the_first_finalist_over_its_seeds(facts: StudySummary) -> None:
    answer = build_report(facts).answer
    assert answer is not None
    assert (answer.label, answer.stage, answer.protocol) == ("trial 27", "final", "LOSO")
    # Hits of the three seeds among 100 clips: 50 + 16 + 15, 52 + 15 + 14, 49 + 17 + 14.
    assert answer.accuracy is not None
    assert answer.accuracy.mean == pytest.approx((0.81 + 0.81 + 0.80) / 3)


def test_scores_count_as_corrected_only_where_the_optimism_is_an_estimate(
    facts: StudySummary,
) -> None:
    corrected = "the headline is corrected for being the best of many; what earlier studies learned from these subjects is not"
    plain = "selected on these subjects; expect less on new ones"
    bound = facts.headline.model_copy(update={"upper_bound": True})  # type: ignore[union-attr]
    said = [
        build_report(facts.model_copy(update={"headline": headline})).answer.honesty  # type: ignore[union-attr]
        for headline in (facts.headline, bound, None)
    ]
    assert said == [corrected, plain, plain]


def test_the_winner_is_compared_with_the_warm_start_of_its_own_stage(facts: StudySummary) -> None:
    answer = build_report(facts).answer
    assert answer is not None
    assert answer.against is not None
    assert (answer.against.label, answer.against.protocol) == ("prog_s", "LOSO")
    assert answer.against.winner == answer.uf1.mean


def test_without_a_warm_start_among_finalists_the_search_scores_are_compared(
    facts: StudySummary,
) -> None:
    answer = build_report(changed(facts, finalists=facts.finalists[:2])).answer
    assert answer is not None
    assert answer.against is not None
    assert answer.against.protocol == "4 subject groups"
    assert answer.against.warm_start == facts.trials[1].value  # the best of the three points
    assert answer.against.winner == facts.trials[27].value


def test_a_published_point_that_wins_is_compared_with_nothing(facts: StudySummary) -> None:
    winner = facts.finalists[2].model_copy(update={"rank": 1})
    answer = build_report(changed(facts, finalists=(winner,))).answer
    assert answer is not None
    assert answer.warm_start
    assert answer.against is None


def test_a_published_point_among_the_finalists_is_called_by_its_name(facts: StudySummary) -> None:
    point = facts.finalists[2].model_copy(update={"label": "trial 1"})
    report = build_report(changed(facts, finalists=(*facts.finalists[:2], point)))
    assert [row.label for row in report.ranking] == ["trial 27", "trial <script>", "prog_s"]
    assert report.answer is not None
    assert report.answer.against is not None
    assert report.answer.against.label == "prog_s"


def test_confusion_is_summed_over_seeds_and_shared_by_row(facts: StudySummary) -> None:
    matrix = build_report(facts).confusion
    assert matrix is not None
    assert matrix.counts == ((151, 17, 12), (12, 48, 6), (7, 4, 43))
    assert matrix.totals == (180, 66, 54)
    assert matrix.shares[1] == pytest.approx((12 / 66, 48 / 66, 6 / 66))
    assert matrix.seeds == 3


def test_every_outcome_is_counted_and_only_trained_ones_count(facts: StudySummary) -> None:
    report = build_report(facts)
    assert report.outcomes == {
        "complete": 18,
        "pruned": 9,
        "failed": 1,
        "infeasible": 1,
        "duplicate": 1,
    }
    assert report.counted == 28


def test_the_best_so_far_never_falls_and_ends_with_the_best(facts: StudySummary) -> None:
    course = [step.uf1 for step in build_report(facts).course]
    assert course == sorted(course)
    assert course[-1] == max(trial.value or 0 for trial in facts.trials)


def test_without_a_final_stage_the_best_trial_wins_by_its_search_score(
    facts: StudySummary,
) -> None:
    report = build_report(without_winners(facts))
    assert report.answer is not None
    assert (report.answer.label, report.answer.stage) == ("trial 27", "search")
    assert report.answer.uf1.deviation is None
    assert report.answer.uar is None
    assert report.confusion is None
    assert [row.rank for row in report.ranking] == [1, 2, 3, 4, 5]


def test_the_winning_trial_brings_its_confusion_where_the_ledger_has_it(
    facts: StudySummary,
) -> None:
    measured = facts.finalists[0].scores[0]
    best = facts.trials[27].model_copy(update={"scores": measured})
    report = build_report(changed(without_winners(facts), trials=(best,)))
    assert report.confusion is not None
    assert report.confusion.counts == measured.confusion
    assert report.answer is not None
    assert report.answer.uar is not None
    assert report.answer.uar.mean == measured.uar


def test_without_a_complete_trial_there_is_no_answer(facts: StudySummary) -> None:
    report = build_report(only(facts, 4, 9, 14))
    assert report.answer is None
    assert not report.ranking
    assert not report.course
    assert not report.stages
    assert report.outcomes["pruned"] == report.outcomes["failed"] == 1


def test_a_study_of_one_trial_has_an_answer(facts: StudySummary) -> None:
    report = build_report(changed(only(facts, 5), importance=None))
    assert report.answer is not None
    assert report.answer.against is None
    assert len(report.course) == 1


def test_parameters_that_explain_nothing_get_no_slice(facts: StudySummary) -> None:
    report = build_report(changed(facts, importance={"trainer.lr": 0.0, "trainer.epochs": 0.0}))
    assert [entry.relative for entry in report.important] == [0.0, 0.0]
    assert report.slices == ()


def test_slices_show_the_two_most_important_parameters(facts: StudySummary) -> None:
    gate, rate = build_report(facts).slices
    assert gate.parameter == "architecture.paths.0.stages.1.gate.kind"
    assert gate.choice
    assert rate.parameter == "trainer.lr"
    assert not rate.choice
    assert len(rate.points) == 18


def test_a_parameter_that_only_some_trials_have_is_shown_over_those(facts: StudySummary) -> None:
    some = tuple(
        trial if trial.number % 2 else trial.model_copy(update={"params": {}})
        for trial in facts.trials
    )
    piece = build_report(changed(facts, trials=some)).slices[0]
    complete = [trial for trial in some if trial.outcome == "complete" and trial.params]
    assert len(piece.points) == len(complete)


def test_a_finished_report_is_the_same_from_the_same_facts(facts: StudySummary) -> None:
    assert build_report(facts).to_json() == build_report(facts).to_json()
    assert isinstance(build_report(facts), Report)
