"""Candidates side by side, against scores that scikit-learn and scipy give from the same answers."""

import json
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from scipy.stats import PermutationMethod, wilcoxon
from sklearn.metrics import accuracy_score, f1_score, recall_score

from mer_nas.errors import StudyError
from mer_nas.report import (
    ComputeSummary,
    DataSummary,
    EnsembleSummary,
    FinalistSummary,
    Headline,
    MemberSummary,
    SeedScores,
    StudySummary,
    TrialSummary,
    build_report,
)
from mer_nas.search.lock import refuse_driven
from mer_nas.search.processes import Process
from mer_nas.statistics import Correction, Estimate
from mer_nas.study.compare import compare_candidates

Call = Callable[..., Result]
CLASSES = ("negative", "positive", "surprise")
SUBJECTS = 6
LABELS = np.array([[0, 0, 0, 1, 1, 2, 2, 0]] * SUBJECTS)
"""The true class of each subject's clips."""
ARCHITECTURE: dict[str, Any] = {
    "paths": [
        {
            "input": "flow_uvs",
            "size": 28,
            "stem": {"kind": "conv", "kernel": 3, "stride": 2, "pool": False, "width": 8,
                     "multi_scale": {"kind": "none"}},
            "stages": [{"growth": 1, "down": {"kind": "none"}, "global": {"kind": "none"},
                        "local": {"kind": "res_basic", "blocks": 1}, "gate": {"kind": "none"}}],
        }
    ],
    "head": {"kind": "gap", "norm": False},
}  # fmt: skip


def answers(skill: float, seed: int, subjects: int = SUBJECTS) -> Any:
    """Return a class for each clip (S, N), right as often as `skill` says."""
    chance = np.random.default_rng(seed)
    labels = LABELS[:subjects]
    right = chance.random(labels.shape) < skill
    return np.where(right, labels, (labels + chance.integers(1, 3, labels.shape)) % 3)


def scored(chosen: Any, repetition: int = 0, labels: Any = None) -> SeedScores:
    labels = LABELS[: len(chosen)] if labels is None else labels
    counts = np.zeros((len(chosen), 3, 3), dtype=int)
    for subject, (true, said) in enumerate(zip(labels, chosen, strict=True)):
        np.add.at(counts[subject], (true, said), 1)
    flat = labels.ravel(), chosen.ravel()
    every: dict[str, Any] = {"labels": [0, 1, 2], "average": "macro", "zero_division": 0}
    return SeedScores(
        repetition=repetition,
        uf1=f1_score(*flat, **every),
        uar=recall_score(*flat, **every),
        accuracy=accuracy_score(*flat),
        confusion=counts.sum(0).tolist(),
        subjects=counts.tolist(),
    )


def trial(number: int, scores: SeedScores | None, point: str = "") -> TrialSummary:
    return TrialSummary(
        number=number,
        outcome="complete" if scores else "pruned",
        value=scores.uf1 if scores else None,
        scores=scores,
        origin=point or "tpe",
        warm_start=bool(point),
        parameters=1000 + number,
        macs=2_000_000,
    )


def finalist(rank: int, number: int, *scores: SeedScores, point: str = "") -> FinalistSummary:
    return FinalistSummary(
        rank=rank,
        label=f"trial {number}",
        key=f"{number:012x}",
        trial=number,
        origin=point or "tpe",
        warm_start=bool(point),
        architecture=ARCHITECTURE,
        trainer={},
        parameters=1000 + number,
        macs=2_000_000,
        scores=scores,
    )


def facts(name: str = "one", subjects: int = SUBJECTS, **changes: Any) -> StudySummary:
    """Return a study of two trials and a point, the point and trial 2 with two seeds under LOSO."""
    known = {
        "space": "moe",
        "command": "mer-nas search",
        "settings": {"data": {"name": "faces"}},
        "seed": 0,
        "written": datetime(2026, 11, 20, tzinfo=UTC),
        "code_version": "0123456789ab",
        "environment": {},
        "data": DataSummary(
            name="faces",
            fingerprint="fedcba9876543210",
            classes=CLASSES,
            counts={"clips": subjects * LABELS.shape[1], "subjects": subjects},
            subjects={f"faces:{s:02}": LABELS.shape[1] for s in range(subjects)},
            inputs={"flow_uvs": (3, 28, 28)},
        ),
        "search_protocol": "2 subject groups",
        "final_protocol": "LOSO",
        "sampler": "tpe",
        "pruner": "none",
        "trials": (
            trial(0, scored(answers(0.6, 0, subjects)), "prog_s"),
            trial(1, scored(answers(0.5, 1, subjects))),
            trial(2, scored(answers(0.8, 2, subjects))),
            trial(3, None),
        ),
        "finalists": (
            finalist(1, 2, *(scored(answers(0.85, 20 + r, subjects), r) for r in (0, 1))),
            finalist(
                2, 0, *(scored(answers(0.6, 30 + r, subjects), r) for r in (0, 1)), point="prog_s"
            ),
        ),
        "headline": Headline(
            uf1=Estimate(value=0.7, low=0.6, high=0.8), mean=0.75, seeds=2, optimism=0.05
        ),
        "compute": ComputeSummary(
            folds_run=1, folds_possible=1, saved=0, search_seconds=1, wall_seconds=1
        ),
    }
    return StudySummary(name=name, folder=f"runs/{name}", **{**known, **changes})


def write(found: StudySummary) -> Path:
    folder = Path("runs") / found.name
    folder.mkdir(parents=True)
    (folder / "origin.json").write_text("{}")
    (folder / "report.json").write_text(build_report(found).to_json())
    return folder


def other(**changes: Any) -> StudySummary:
    return facts("two", **changes)


@pytest.fixture
def one(here: Path) -> Path:
    return write(facts())


# What is said


def test_a_winner_and_a_point_under_the_final_protocol(one: Path) -> None:
    found = compare_candidates([str(one), "prog_s"])
    first, second = found.rows
    assert (first.name, second.name) == ("one:trial 2", "one:prog_s")
    assert (found.protocol, first.stage, first.seeds, first.parameters) == (
        "LOSO",
        "final",
        2,
        1002,
    )
    seeds = {name: [answers(skill, s + r) for r in (0, 1)]
             for name, skill, s in (("first", 0.85, 20), ("second", 0.6, 30))}  # fmt: skip
    uf1 = {
        name: [f1_score(LABELS.ravel(), chosen.ravel(), average="macro") for chosen in some]
        for name, some in seeds.items()
    }
    assert first.uf1.value == pytest.approx(np.mean(uf1["first"]))
    assert first.deviation == pytest.approx(np.std(uf1["first"], ddof=1))
    assert second.uf1.value == pytest.approx(np.mean(uf1["second"]))
    right = [accuracy_score(LABELS.ravel(), chosen.ravel()) for chosen in seeds["second"]]
    assert second.accuracy.value == pytest.approx(np.mean(right))
    assert first.against is None
    assert second.against is not None
    assert second.against.difference.value == pytest.approx(second.uf1.value - first.uf1.value)
    assert second.against.difference.low < second.against.difference.value
    ahead = sum((chosen == LABELS).sum(1) for chosen in seeds["second"]) - sum(
        (chosen == LABELS).sum(1) for chosen in seeds["first"]
    )
    p = wilcoxon(ahead, zero_method="zsplit", method=PermutationMethod(n_resamples=1e6)).pvalue
    assert (second.against.p, second.against.adjusted) == pytest.approx((p, p))


def test_the_order_of_two_turns_the_difference_round_and_keeps_the_p_value(one: Path) -> None:
    (_, a), (_, b) = (
        compare_candidates(words).rows for words in (["one", "prog_s"], ["one:prog_s", "one"])
    )
    assert a.against is not None
    assert b.against is not None
    there, back = a.against.difference, b.against.difference
    assert (there.value, there.low, there.high) == pytest.approx(
        (-back.value, -back.high, -back.low), abs=0.02  # the draws of another first one
    )  # fmt: skip
    assert a.against.p == pytest.approx(b.against.p)


def test_a_trial_that_no_final_stage_reached_is_compared_where_all_were_measured(
    one: Path,
) -> None:
    found = compare_candidates(["one", "1", "prog_s"])
    assert found.protocol == "2 subject groups, study.seed=0"
    assert [row.name for row in found.rows] == ["one:trial 2", "one:trial 1", "one:prog_s"]
    assert {row.stage for row in found.rows} == {"search"}
    p, adjusted = zip(
        *((row.against.p, row.against.adjusted) for row in found.rows if row.against), strict=True
    )
    low, high = sorted(p)
    assert sorted(adjusted) == pytest.approx(  # Holm, by hand
        [min(1, 2 * low), max(min(1, 2 * low), high)]
    )


def test_studies_and_reports_of_different_folders(one: Path, here: Path) -> None:
    write(other(trials=(trial(5, scored(answers(0.7, 40))),), finalists=(), headline=None))
    assert [
        row.name
        for words in (["one", "two"], ["runs/one:1", "runs/two/report.json"])
        for row in compare_candidates(words).rows
    ] == ["one:trial 2", "two:trial 5", "one:trial 1", "two:trial 5"]
    (here / "lone").mkdir()
    (one / "report.json").rename(here / "lone" / "report.json")
    found = compare_candidates(["lone", "rank2", "lone/report.json:trial 1"])
    assert [row.name for row in found.rows] == ["one:trial 2", "one:prog_s", "one:trial 1"]


def test_subjects_in_another_order_are_the_same_subjects(one: Path) -> None:
    turned = facts().data.model_copy(
        update={"subjects": dict(reversed(facts().data.subjects.items()))}
    )
    rows = tuple(
        entry.model_copy(
            update={
                "scores": tuple(
                    scores.model_copy(update={"subjects": scores.subjects[::-1]})
                    for scores in entry.scores
                )
            }
        )
        for entry in facts().finalists
    )
    write(other(data=turned, finalists=rows))
    straight = compare_candidates(["one", "prog_s"]).rows[1]
    across = compare_candidates(["one", "two:prog_s"]).rows[1]
    assert across.against == straight.against


def test_who_was_chosen_is_said_to_be_flattered_and_by_how_much(one: Path) -> None:
    (note,) = compare_candidates(["one", "prog_s"]).notes
    assert note == (
        "chosen by its score on these subjects, which flatters it; the scores and differences are "
        "not corrected for that: one:trial 2 by 0.050"
    )
    (note,) = compare_candidates(["one:prog_s", "1"]).notes
    assert note == (
        "chosen by its score on these subjects, and by how much that flatters it is not known: "
        "one:trial 1"
    )


def together(*, handed_over: bool) -> EnsembleSummary:
    """Return an ensemble of trials 2 and 0, whose choice flatters by 0.03, and 0.04 for the best."""

    def worth(optimism: float) -> Correction:
        uf1 = Estimate(value=0.8, low=0.7, high=0.9)
        return Correction(
            candidates=3, score=0.8 + optimism, optimism=optimism, uf1=uf1, uar=uf1, accuracy=uf1
        )

    return EnsembleSummary(
        rule="mean",
        key="together",
        members=tuple(
            MemberSummary(
                trial=number,
                origin="tpe",
                key=f"{number:012x}",
                weight=0.5,
                deployed=1000,
                macs=2_000_000,
            )
            for number in (2, 0)
        ),
        handed_over=handed_over,
        stage="final",
        protocol="LOSO",
        scores=tuple(scored(answers(0.9, 60 + r), r) for r in (0, 1)),
        search_score=0.83,
        correction=worth(0.03),
        alone=worth(0.04),
    )


def test_a_study_stands_for_the_ensemble_that_it_hands_over(here: Path) -> None:
    write(facts(ensemble=together(handed_over=True)))
    found = compare_candidates(["one", "one:rank1", "prog_s"])
    assert [row.name for row in found.rows] == ["one:ensemble of 2", "one:trial 2", "one:prog_s"]
    first = found.rows[0]
    both = [
        f1_score(LABELS.ravel(), answers(0.9, 60 + r).ravel(), average="macro") for r in (0, 1)
    ]
    assert (first.uf1.value, first.seeds) == (pytest.approx(np.mean(both)), 2)
    assert (first.stage, first.deployed, first.macs) == ("final", 2000, 4_000_000)
    assert [row.optimism for row in found.rows] == [0.05, 0.04, None]  # 0.05: the headline's


def test_an_ensemble_that_is_not_handed_over_is_named_as_such(here: Path, call: Call) -> None:
    write(facts(ensemble=together(handed_over=False)))
    found = compare_candidates(["one:ensemble", "one"])
    assert [row.name for row in found.rows] == ["one:ensemble of 2", "one:trial 2"]
    assert [row.optimism for row in found.rows] == [0.03, 0.05]
    table = call("compare", "one:ensemble", "one").stdout.splitlines()
    assert [cell for cell in table[1].split() if cell == "2,000"] == ["2,000"]
    assert "one:ensemble of 2 by 0.030, one:trial 2 by 0.050" in table[-1]


def test_the_best_candidate_alone_has_rank_one_without_a_final_stage_too(here: Path) -> None:
    write(facts(finalists=(), final_protocol=None))
    found = compare_candidates(["one:rank1", "one:rank2"])
    assert [row.name for row in found.rows] == ["one:trial 2", "one:prog_s"]


def test_a_study_without_an_ensemble_says_why(here: Path, call: Call) -> None:
    write(facts(ensemble_note="a grid study compares its rows"))
    write(other())
    told = call("compare", "one", "one:ensemble")
    assert told.exit_code == 2
    assert "one:ensemble: one has no ensemble: a grid study compares its rows" in told.stderr
    told = call("compare", "two", "two:ensemble")
    assert "two:ensemble: two has no ensemble: none was asked for" in told.stderr


def test_what_limits_the_comparison_is_said(one: Path) -> None:
    data = facts().data.model_copy(
        update={"fingerprint": "0" * 16, "inputs": {"frames": (8, 1, 28, 28)}}
    )
    write(other(data=data, code_version="ba9876543210", headline=None))
    notes = compare_candidates(["one:prog_s", "two:prog_s"]).notes
    assert notes == (
        "the networks read other inputs of the same clips, so the fingerprints differ: "
        "0000000000000000, fedcba9876543210",
        "measured by different versions of the code that decides scores, files of a space's own "
        "among it: 0123456789ab, ba9876543210",
    )


def test_the_table_and_the_json_say_the_same(one: Path, call: Call) -> None:
    tree = json.loads(call("compare", "one", "prog_s", "--json").stdout)
    assert tree["schema"] == "mer-nas comparison 1"
    head, first, second, where, how, note = call("compare", "one", "prog_s").stdout.splitlines()
    rows = tree["rows"]
    for line, row in ((first, rows[0]), (second, rows[1])):
        assert line.startswith(row["name"])
        for number in (row["uf1"]["value"], row["uar"]["value"], row["accuracy"]["value"]):
            assert f"  {number:.3f}" in line
        assert f"[{row['uf1']['low']:.3f}, {row['uf1']['high']:.3f}]" in line
    lead = rows[1]["against"]["difference"]
    assert f"{lead['value']:+.3f}  [{lead['low']:+.3f}, {lead['high']:+.3f}]" in second
    assert head.split()[-1] == "p"
    assert where == "faces: 48 clips, 6 subjects; LOSO"
    assert how.endswith("corrected for 1 comparison")
    assert note == f"note: {tree['notes'][0]}"


def test_the_picture_has_text_that_can_be_selected_and_is_the_same_each_time(
    one: Path, call: Call
) -> None:
    pictures = []
    for file in ("a.svg", "b.svg", "c.png"):
        done = call("compare", "one", "prog_s", "--picture", file)
        assert (done.exit_code, done.stderr) == (0, f"picture: {file}\n")
        pictures.append(Path(file).read_bytes())
    assert pictures[0] == pictures[1]
    for text in (b"one:trial 2", b"one:prog_s", b"faces: 48 clips, 6 subjects, LOSO"):
        assert text in pictures[0]
    assert pictures[2].startswith(b"\x89PNG")


# What is refused


def refusal(call: Call, *words: str) -> str:
    done = call("compare", *words)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert done.stderr.startswith("mer-nas: ")
    return done.stderr.removeprefix("mer-nas: ").rstrip("\n")


HOW = (
    "STUDY, STUDY:POINT, STUDY:17 for a trial, STUDY:rank1, STUDY:ensemble, a report.json, a "
    "folder or name of `mer-nas evaluate`, a leaderboard, or a bare POINT of the first study"
)


def test_words_that_name_nothing_or_one_thing(one: Path, call: Call) -> None:
    assert refusal(call, "noe", "prog_s") == (
        f"no study or report is called 'noe'; known: one. Did you mean 'one'?; right: {HOW}"
    )
    assert refusal(call, "one", "prog") == (
        "prog: no candidate of one is called 'prog'; known: prog_s, trial 1, trial 2. "
        "Did you mean 'prog_s'?"
    )
    assert refusal(call, "one", "3").startswith("3: no candidate of one is called '3'")  # pruned
    assert refusal(call, "one") == (
        f"one: one candidate compares with nothing; name two or more: {HOW}"
    )
    assert refusal(call, "one", "one:2") == "one and one:2 are the same candidate, one:trial 2"
    for file, told in (("a.gif", "ends in .gif"), ("away/a.svg", "there is no folder away")):
        assert told in refusal(call, "one", "prog_s", "--picture", file)


def test_the_form_of_the_help_compares_the_others_where_a_point_has_won(
    call: Call, here: Path
) -> None:
    found = facts()
    first, second = found.finalists
    won = (second.model_copy(update={"rank": 1}), first.model_copy(update={"rank": 2}))
    write(found.model_copy(update={"finalists": won}))
    told = call("compare", "one", "prog_s", "2")
    assert told.exit_code == 0, told.output
    assert [line.split()[0] for line in told.stdout.splitlines()[1:3]] == [
        "one:prog_s",
        "one:trial",
    ]
    assert "note: one and prog_s are the same candidate, one:prog_s" in told.stdout


def test_a_study_is_not_compared_with_a_copy_of_its_own_report(one: Path, call: Call) -> None:
    copy = Path("elsewhere/report.json")
    copy.parent.mkdir()
    copy.write_bytes((one / "report.json").read_bytes())
    told = refusal(call, "one", str(copy))
    assert told == f"one and {copy} are the same candidate, one:trial 2"
    both = call("compare", "one", str(copy), "prog_s", "--json")
    assert len(json.loads(both.stdout)["rows"]) == 2
    assert "-0.0," not in both.stdout


def test_other_data_are_refused_and_both_named(one: Path, call: Call) -> None:
    data = facts().data.model_copy(update={"fingerprint": "0" * 16, "name": "casme2"})
    write(other(data=data, settings={"data": {"name": "casme2"}}))
    assert refusal(call, "one", "two") == (
        "not the same data: one:trial 2 on faces (48 clips of 6 subjects, negative, positive, "
        "surprise; fingerprint fedcba9876543210), two:trial 2 on casme2 (48 clips of 6 subjects, "
        "negative, positive, surprise; fingerprint 0000000000000000); candidates compare over the "
        "same clips only"
    )


def test_other_labels_of_the_same_subjects_are_other_data(one: Path, call: Call) -> None:
    turned = (LABELS + 1) % 3
    scores = scored(turned, labels=turned)
    write(other(finalists=(finalist(1, 2, scores),)))
    assert refusal(call, "one", "two").startswith("not the same data: one:trial 2 on faces")


def test_other_protocols_are_refused_and_all_named(one: Path, call: Call) -> None:
    write(other(search_protocol="4 subject groups", finalists=(), final_protocol=None))
    assert refusal(call, "one", "two") == (
        "no protocol that all were measured under: one:trial 2: LOSO and 2 subject groups, "
        "study.seed=0; two:trial 2: 4 subject groups, study.seed=0; the same study.folds or a "
        "final stage (study.final.warm_starts for points) would be right, or STUDY:rank1 instead "
        "of its ensemble"
    )


def test_groups_of_another_seed_are_another_protocol(one: Path, call: Call) -> None:
    write(other(seed=1, finalists=(), final_protocol=None))
    assert "two:trial 2: 2 subject groups, study.seed=1" in refusal(call, "one", "two")


def test_a_report_of_another_schema_version(one: Path, call: Call) -> None:
    Path("old.json").write_text('{"schema": "mer-nas report 2"}')
    assert refusal(call, "one", "old.json").startswith(
        "old.json: schema is 'mer-nas report 2', but this version reads 'mer-nas report "
    )


def test_a_report_without_results_by_subject(one: Path, call: Call) -> None:
    bare = tuple(
        entry.model_copy(
            update={"scores": tuple(s.model_copy(update={"subjects": ()}) for s in entry.scores)}
        )
        for entry in facts().finalists
    )
    write(other(finalists=bare))
    assert refusal(call, "one", "two") == (
        "runs/two/report.json: holds no results by subject; `mer-nas report runs/two` writes it "
        "anew from the study"
    )


def test_a_study_with_no_complete_trial(one: Path, call: Call) -> None:
    write(other(trials=(trial(0, None),), finalists=(), headline=None))
    assert refusal(call, "one", "two") == (
        "two: no trial is complete, so there is no winner to compare"
    )


def test_a_study_that_never_came_to_its_report(one: Path, call: Call) -> None:
    (one / "report.json").unlink()
    assert refusal(call, "one", "prog_s") == (
        "runs/one: the study never came to its report; `mer-nas resume runs/one` brings it to its "
        "end"
    )


def test_too_few_subjects(here: Path, call: Call) -> None:
    write(facts(subjects=2))
    assert refusal(call, "one", "prog_s") == (
        "faces: statistics draw subjects again, and 2 are too few for it; at least 3 are needed"
    )


def test_a_class_that_no_clip_shows(here: Path, call: Call) -> None:
    labels = np.where(LABELS == 2, 1, LABELS)
    scores = scored(answers(0.7, 0), labels=labels)
    write(facts(trials=(trial(0, scores), trial(1, scores)), finalists=(), final_protocol=None))
    assert refusal(call, "one", "1") == (
        "faces: no clip of the predictions is of the class surprise, so its F1 has no meaning; "
        "every class needs a clip"
    )


# A study that still runs


def driven(study: Path, pid: int, started: str) -> None:
    owner = {"host": socket.gethostname(), "pid": pid, "started": started}
    rest = {"since": "2026-11-20 12:00:00"}
    (study / "driver.lock").write_text(json.dumps(owner | rest) + "\n")


@pytest.mark.parametrize(
    "verb", [["compare", "one", "prog_s"], ["report", "one"], ["export", "one"]]
)
def test_a_study_that_still_runs(one: Path, call: Call, verb: list[str]) -> None:
    driven(one, os.getpid(), Process.of(os.getpid()).started)
    done = call(*verb)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"mer-nas: runs/one: the study is being driven by process {os.getpid()} on host "
        f"{socket.gethostname()}, since 2026-11-20 12:00:00; stop that one first (Ctrl-C there), "
        "or wait for its end\n"
    )


def test_a_study_whose_driver_has_died_does_not_run(one: Path) -> None:
    driven(one, os.getpid(), "long ago")
    refuse_driven(one)
    (one / "driver.lock").write_text("")
    refuse_driven(one)
    driven(one, os.getpid(), Process.of(os.getpid()).started)
    with pytest.raises(StudyError, match="is being driven by process"):
        refuse_driven(one)
