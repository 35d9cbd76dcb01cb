"""What a reader learns of an ensemble: that it is one, of whom, at which price, and what else."""

import html
import re
from pathlib import Path

import pytest

from mer_nas.cli.closing import closing
from mer_nas.export.manifest import Exported
from mer_nas.report import EnsembleSummary, StudySummary, build_report, write_report
from mer_nas.report.files import Written, as_markdown


def words(written: Written) -> str:
    """Return the page as a reader sees it, in one line."""
    text = re.sub(
        r"(?<=</t[dh]>)|<[^>]+>",
        lambda tag: "" if tag[0] else " ",
        written.html.read_text(encoding="utf-8"),
    )
    return " ".join(html.unescape(text).split())


def lines(facts: StudySummary) -> list[str]:
    return closing(build_report(facts), Path("runs/moe")).splitlines()


def test_the_page_opens_with_the_corrected_score_of_the_ensemble_and_the_candidate_beside_it(
    whole_ensembled: Written,
) -> None:
    page = words(whole_ensembled)
    for said in (
        "Winner: ensemble of 3 (mean of probabilities), UF1 0.841 on new subjects",
        "The class probabilities of 3 candidates as one answer. The alternative: trial 27 alone",
        "Against it the ensemble has +0.051 UF1 (\N{MINUS SIGN}0.019 to +0.122, 95 % interval over "
        "subjects, paired over 2 seeds), which may be chance.",
        "A clip takes 7.5 ms instead of 2.5 ms: through the ensemble 3 times as long.",
        "by which the choice of its members among 19 trials flatters it",
    ):
        assert said in page
    text = whole_ensembled.markdown.read_text(encoding="utf-8")
    assert "**Winner: ensemble of 3 (mean of probabilities). On new subjects" in text


def test_an_ensemble_that_is_not_handed_over_is_named_with_what_it_would_cost(
    whole_beside_an_ensemble: Written,
) -> None:
    page = words(whole_beside_an_ensemble)
    for said in (
        "Winner: trial 27, UF1 ",
        "One candidate. The alternative: ensemble of 3 (mean of probabilities), UF1 ",
        "Against it the winner has +0.051 UF1",
        "A clip takes 2.5 ms instead of 7.5 ms: through the ensemble 3 times as long.",
        "The ensemble, not handed over",
        "What the winner gets right and wrong",
    ):
        assert said in page


def test_members_stand_with_weight_score_and_cost_above_their_sums(
    whole_ensembled: Written,
) -> None:
    page = words(whole_ensembled)
    assert "trial 27 tpe 0.333 0.829 0.760 ± 0.065 300,001 21.5 M 2.5 ms" in page
    assert "900,003 64.4 M 7.5 ms" in page
    assert "The 9 trials stopped early left no predictions, so they could not be members." in page


def test_best_alone_and_ensemble_stand_naive_and_corrected(
    whole_ensembled: Written,
) -> None:
    page = words(whole_ensembled)
    for row in (
        "the best one alone 0.831 0.789 0.512 to 0.901 0.042",
        "ensemble of 3 mean of probabilities 0.841 0.831 0.512 to 0.901 0.010",
    ):
        assert row in page
    assert "the pool is what the pruner left" in page


def test_errors_are_of_the_ensemble_and_network_and_losses_of_the_best_candidate_alone(
    whole_ensembled: Written,
) -> None:
    page = words(whole_ensembled)
    for heading in (
        "What the ensemble gets right and wrong",
        "The network of the best candidate alone",
        "the folds of the best candidate alone.",
        "what the best candidate alone would have scored",
        "What the best candidate alone looks at",
        "The best candidate alone is exported to",
    ):
        assert heading in page


def test_the_last_lines_say_the_corrected_score_first_then_members_and_the_alternative(
    ensembled: StudySummary, beside_an_ensemble: StudySummary
) -> None:
    said = [line for line in lines(ensembled) if not line.startswith("failed")]
    assert said[1].startswith("headline  UF1 0.841 ")
    assert said[2] == "winner    ensemble of 3 (mean of probabilities), 900,003 weights, 64.4 MMAC"
    assert said[3] == (
        "          0.333 of trial 27 (tpe), 300,001 weights, 21.5 MMAC, UF1 0.829 in the search"
    )
    alone = next(place for place, line in enumerate(said) if line.startswith("beside    trial 27"))
    assert said[alone].endswith(
        "against it the ensemble has +0.051 [-0.019, +0.122] over 2 seeds, LOSO"
    )
    assert said[alone + 1] == (
        "          a clip takes 7.5 ms instead of 2.5, through the ensemble 3.0 times as long"
    )
    other = [line for line in lines(beside_an_ensemble) if not line.startswith("failed")]
    assert other[2].startswith("winner    trial 27 (tpe), ")
    assert any(
        line.startswith("beside    ensemble of 3 (mean of probabilities), UF1 ") for line in other
    )


def test_a_report_of_when_the_best_one_was_chosen_over_an_ensemble_is_read(
    ensembled: StudySummary,
) -> None:
    assert ensembled.ensemble is not None
    tree = ensembled.ensemble.model_dump(mode="json")
    before = {**tree, "choice": tree["correction"]}
    assert EnsembleSummary.model_validate(before) == ensembled.ensemble


@pytest.mark.usefixtures("undrawn")
def test_an_exported_ensemble_is_named_beside_the_winner_with_its_own_time(
    ensembled: StudySummary, tmp_path: Path
) -> None:
    assert ensembled.ensemble is not None
    folder = Path("runs/moe-synthetic-1/export/ensemble")
    exported = Exported(folder=folder, files=("model.onnx",), max_difference=1e-6, clip_ms=6.4)
    timed = ensembled.ensemble.model_copy(update={"together_ms": 6.4})
    told = ensembled.model_copy(update={"ensemble": timed, "ensemble_export": exported})
    assert f"exported  {folder}: model.onnx" in lines(told)
    written = write_report(tmp_path, build_report(told))
    page = words(written)
    assert f"Exported to {folder} as one network: model.onnx." in page
    assert "64.4 M 6.4 ms" in page
    assert "time was measured through all of them when they were exported" in page
    assert f"Exported to `{folder}` as one network." in written.markdown.read_text("utf-8")


def test_without_a_final_stage_it_says_that_the_folds_of_the_search_served(
    ensembled: StudySummary,
) -> None:
    assert ensembled.ensemble is not None
    (first, *_) = ensembled.ensemble.scores
    searched = {"stage": "search", "protocol": "4 subject groups", "scores": (first,)}
    trials = tuple(
        trial.model_copy(update={"scores": first.model_copy(update={"repetition": 0})})
        if trial.outcome == "complete"
        else trial
        for trial in ensembled.trials
    )
    facts = ensembled.model_copy(
        update={
            "ensemble": ensembled.ensemble.model_copy(update=searched),
            "finalists": (),
            "final_protocol": None,
            "trials": trials,
        }
    )
    text = as_markdown(build_report(facts))
    assert "The folds of the search served: 4 subject groups, one seed." in text
    assert any("the folds of the search served for the ensemble" in line for line in lines(facts))


@pytest.mark.usefixtures("undrawn")
def test_where_there_is_no_ensemble_a_line_says_why_unless_none_was_asked_for(
    facts: StudySummary, tmp_path: Path
) -> None:
    why = "1 complete trial, and an ensemble needs two"
    told = facts.model_copy(update={"ensemble_note": why})
    assert f"One candidate; no ensemble: {why}." in words(
        write_report(tmp_path, build_report(told))
    )
    assert f"One candidate; no ensemble: {why}." in as_markdown(build_report(told))
    assert f"          no ensemble: {why}" in lines(told)
    for silent in (as_markdown(build_report(facts)), "\n".join(lines(facts))):
        assert "nsemble" not in silent


@pytest.mark.usefixtures("undrawn")
def test_an_outer_group_may_have_been_asked_of_an_ensemble(
    two_sets: StudySummary, tmp_path: Path
) -> None:
    assert two_sets.nested is not None
    first, *others = two_sets.nested.groups
    asked = first.model_copy(update={"winner": "ensemble of 5", "origin": "mean"})
    nested = two_sets.nested.model_copy(update={"groups": (asked, *others)})
    facts = two_sets.model_copy(update={"nested": nested})
    page = words(write_report(tmp_path, build_report(facts)))
    assert "handed over by that search" in page
    assert "group 1 (1 subject) 4 ensemble of 5 mean 0.823" in page
    assert "what each handed over, a candidate or an ensemble, was then asked" in page
