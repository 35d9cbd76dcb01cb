"""A whole search: what it says, what it leaves, and whether its numbers follow from the ledger."""

import json
import re
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import pytest
from click.testing import Result
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from mer_nas import api
from mer_nas.search.ledger import Ledger
from mer_nas.study.folder import StudyFolder
from mer_nas.study.run import rewrite_report
from mer_nas.study.state import StudyState

if TYPE_CHECKING:
    from conftest import Searched

CLASSES = [0, 1, 2]


def ledger(study: Path) -> list[dict[str, Any]]:
    lines = (study / "ledger.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


def pooled(rows: list[dict[str, Any]]) -> tuple[list[int], list[int]]:
    """True and chosen classes of some folds, straight from the ledger's lines."""
    labels = [label for row in rows for label in row["labels"]]
    chosen = [int(np.argmax(clip)) for row in rows for clip in row["probabilities"]]
    return labels, chosen


def uf1(rows: list[dict[str, Any]]) -> float:
    labels, chosen = pooled(rows)
    return float(f1_score(labels, chosen, labels=CLASSES, average="macro", zero_division=0))


def test_it_ends_well_and_leaves_a_complete_study(searched: "Searched") -> None:
    assert searched.code == 0, searched.err
    files = {
        str(file.relative_to(searched.study))
        for file in searched.study.rglob("*")
        if file.is_file()
    }
    assert files - {"driver.lock"} == {
        "best.yaml",
        "export/rank1/card.md",
        "export/rank1/model.onnx",
        "export/rank1/model.safetensors",
        "export/rank1/model.yaml",
        "hindsight.jsonl",
        "ledger.jsonl",
        "looks.json",
        "origin.json",
        "predictions.parquet",
        "report.html",
        "report.md",
        "report.json",
        "sessions.jsonl",
        "settings.yaml",
        "study.db",
        "trials.jsonl",
    }


def test_the_first_line_says_that_groups_stand_in_for_loso(searched: "Searched") -> None:
    assert searched.err.splitlines()[0] == (
        "small-faces-1: 2 subject groups instead of LOSO, for speed; the best 2 then under full LOSO "
        "with 2 seeds"
    )


def test_it_says_how_to_stop_go_on_and_watch(searched: "Searched") -> None:
    lines = searched.err.splitlines()
    assert (
        "everything lies in runs/small-faces-1; Ctrl-C stops, `mer-nas resume runs/small-faces-1` "
        "goes on"
    ) in lines
    assert any(line.startswith("watch the trials: optuna-dashboard sqlite:///") for line in lines)
    assert any(line.startswith("Ray dashboard: http://127.0.0.1:") for line in lines)


def test_the_final_stage_is_announced_with_its_time_before_it_starts(searched: "Searched") -> None:
    lines = searched.err.splitlines()
    (announced,) = [n for n, line in enumerate(lines) if line.startswith("final stage: ")]
    assert lines[announced].startswith(
        "final stage: 2 candidates x 2 seeds under LOSO (4 folds), about "
    )
    ends = [n for n, line in enumerate(lines) if "seed 1 of 2: UF1" in line]
    assert ends
    assert announced < min(ends)


def test_nothing_of_ray_reaches_the_terminal(searched: "Searched") -> None:
    for noise in ("raylet", "WARNING", "ObjectRef", "pid=", "Traceback", "usage stat"):
        assert noise not in searched.err + searched.out


def test_the_last_lines_say_what_won_how_good_it_is_where_it_lies_and_what_is_next(
    searched: "Searched",
) -> None:
    report = json.loads((searched.study / "report.json").read_text())
    answer = report["answer"]
    lines = searched.out.splitlines()
    assert lines[0].startswith("3 trials: 3 complete, 0 pruned, 0 failed; pruning saved 0% of")
    assert lines[2].startswith(f"winner    {answer['label']} ({answer['origin']}), ")
    assert f"{answer['parameters']:,} weights" in lines[2]
    (score,) = [line for line in lines if line.startswith("UF1       ")]
    deviation = answer["uf1"]["deviation"]
    assert score.startswith(
        f"UF1       {answer['uf1']['mean']:.3f} +- {deviation:.3f} over 2 seeds, LOSO; "
    )
    assert "          selected on these subjects; expect less on new ones" in lines
    assert "report    runs/small-faces-1/report.html" in lines
    after = [" ".join(line.split("  #")[0].split()) for line in lines[lines.index("next:") + 1 :]]
    assert after[0] == "mer-nas resume runs/small-faces-1 study.trials=9"
    assert after[1] == (
        "mer-nas evaluate space=runs/small-faces-1/best.yaml data=./data.yaml study.folds=loso"
    )
    assert after[2].startswith("optuna-dashboard sqlite:///")
    assert after[3] == ("mer-nas search space=./space.yaml data=megc2019_flow data.root=DIR")


def test_every_score_of_the_report_follows_from_the_ledger(searched: "Searched") -> None:
    report, rows = json.loads((searched.study / "report.json").read_text()), ledger(searched.study)
    finalists = report["study"]["finalists"]
    assert [finalist["rank"] for finalist in finalists] == [1, 2]
    for finalist in finalists:
        for scores in finalist["scores"]:
            folds = [
                row
                for row in rows
                if row["candidate"] == finalist["key"]
                and row["repetition"] == scores["repetition"]
                and len(row["subjects"]) == 1
            ]
            assert len(folds) == 4
            labels, chosen = pooled(folds)
            assert len(labels) == 24
            assert scores["uf1"] == pytest.approx(uf1(folds), abs=1e-12)
            assert scores["accuracy"] == pytest.approx(accuracy_score(labels, chosen), abs=1e-12)
            recall = recall_score(labels, chosen, labels=CLASSES, average="macro", zero_division=0)
            assert scores["uar"] == pytest.approx(recall, abs=1e-12)
            counts = confusion_matrix(labels, chosen, labels=CLASSES)
            assert scores["confusion"] == counts.tolist()
            for subject, own in zip(
                report["study"]["data"]["subjects"], scores["subjects"], strict=True
            ):
                (fold,) = [row for row in folds if row["subjects"] == [subject]]
                counts = confusion_matrix(*pooled([fold]), labels=CLASSES)
                assert own == counts.tolist()
            weighted = f1_score(labels, chosen, average="weighted", zero_division=0)
            assert scores["weighted_f1"] == pytest.approx(weighted, abs=1e-12)
            each = [f1_score(*pooled([row]), average="macro", zero_division=0) for row in folds]
            assert scores["fold_f1"] == pytest.approx(statistics.fmean(each), abs=1e-12)
            assert scores["datasets"] == []  # there is only one
    means = [statistics.fmean(s["uf1"] for s in finalist["scores"]) for finalist in finalists]
    assert means == sorted(means, reverse=True)
    answer, seeds = report["answer"], [s["uf1"] for s in finalists[0]["scores"]]
    assert answer["uf1"]["mean"] == pytest.approx(statistics.fmean(seeds))
    assert answer["uf1"]["deviation"] == pytest.approx(statistics.stdev(seeds))
    assert answer["honesty"] == "selected on these subjects; expect less on new ones"


def test_every_trial_of_the_report_follows_from_the_ledger(searched: "Searched") -> None:
    report, rows = json.loads((searched.study / "report.json").read_text()), ledger(searched.study)
    trials = report["study"]["trials"]
    assert [trial["number"] for trial in trials] == [0, 1, 2]
    assert [trial["origin"] for trial in trials] == ["seed", "tpe", "tpe"]
    for trial in trials:
        folds = [
            row
            for row in rows
            if row["candidate"] == trial["key"] and row["protocol"] == "2 subject groups"
        ]
        assert len(folds) == 2
        assert trial["value"] == pytest.approx(uf1(folds), abs=1e-12)
        assert trial["clip_ms"] > 0


def test_what_the_final_stage_measured_of_a_pruned_trial_is_not_counted_as_searched(
    study: Path,
) -> None:
    folder = StudyFolder(study)
    state = StudyState(folder, folder.origin())
    first, key = state.trials[0], "of the fourth"
    fourth = state.optuna.ask()
    known = {**first.user_attrs, "candidate": key, "outcome": "pruned", "reason": "far behind"}
    for name in known.keys() - {"point"}:
        fourth.set_user_attr(name, known[name])
    fourth.report(0.1, step=1)
    state.optuna.tell(fourth, state=optuna.trial.TrialState.PRUNED)
    with Ledger(folder.ledger) as folds:
        for result in state.folds_of(first):
            folds.append(replace(result, candidate=key))
    assert api.load_study(study).trials_dataframe()["folds"].tolist() == [2, 2, 2, 1]
    compute = rewrite_report(folder).study.compute
    assert (compute.folds_run, compute.folds_possible) == (7, 8)


def test_the_report_knows_what_the_point_is_and_what_the_finalists_cost(
    searched: "Searched",
) -> None:
    report = json.loads((searched.study / "report.json").read_text())
    (point,) = report["warm_starts"]
    assert (point["fidelity"], point["source"]) == ("reading", "none: for tests")
    assert point["parameters"] == point["deployed"] == 1443  # as counted in the tests of `check`
    assert all(row["step_ms"] > row["clip_ms"] > 0 for row in report["ranking"])
    assert report["study"]["timed_on"].endswith(", one thread")


def test_no_fold_is_in_the_ledger_twice(searched: "Searched") -> None:
    rows = ledger(searched.study)
    keys = [(row["candidate"], row["fold"], row["repetition"]) for row in rows]
    assert len(keys) == len(set(keys)) == 3 * 2 + 2 * 2 * 4


def test_the_best_candidate_is_a_space_that_evaluates_to_the_same_score(
    searched: "Searched", study: Path
) -> None:
    report = json.loads((study / "report.json").read_text())
    found = api.evaluate(
        f"space={study / 'best.yaml'}",
        "data=./data.yaml",
        "study.folds=loso",
        "trainer=./trainer.yaml",
        seeds=2,
    )
    assert found.candidate.key == report["answer"]["key"]
    assert found.uf1 == pytest.approx(report["answer"]["uf1"]["mean"], abs=1e-12)
    notes = api.compare(found.folder, study).notes  # the search has chosen it
    assert "that flatters it is not known: evaluated:best-of-small-faces-1" in "\n".join(notes)


def test_the_public_functions_read_what_the_command_line_left(
    searched: "Searched", study: Path
) -> None:
    loaded = api.load_study("small-faces-1")
    assert loaded.report.answer is not None
    assert [candidate.key for candidate in loaded.finalists] == [
        finalist.key for finalist in loaded.report.study.finalists
    ]
    network = api.build(loaded.finalists[0], classes=3)
    weights = sum(weight.numel() for weight in network.parameters())
    assert weights == loaded.report.answer.parameters
    model = api.load_model(study / "export" / "rank1")
    assert sum(weight.numel() for weight in model.network.parameters()) == weights
    point = api.point("seed", "space=./space.yaml", "trainer=./trainer.yaml", "data=./data.yaml")
    assert point.trainer.lr == 5e-3
    assert api.settings("space=./space.yaml", "trainer=./trainer.yaml").trainer.epochs == 1


def test_a_study_that_was_moved_names_where_it_lies_now_and_what_a_shell_takes_for_a_path(
    study: Path, here: Path
) -> None:
    moved = study.rename("-moved")
    found = api.load_study(moved).write_report()
    assert found.study.export is not None
    assert found.study.export.folder == moved / "export" / "rank1"
    assert found.study.next_steps[0].command == "mer-nas resume ./-moved study.trials=9"
    for name in ("report.md", "report.html"):
        assert "mer-nas reproduce ./-moved/report.json" in (moved / name).read_text()


def test_a_second_search_in_the_folder_gets_the_next_number_and_may_skip_the_final_stage(
    searched: "Searched", study: Path, written_anew: Callable[[Path], bool]
) -> None:
    heard: list[object] = []
    words = [*searched.words, "study.final=none", "study.trials=1", "ray.workers=0"]
    second = api.search(*words, on_event=heard.append)
    assert second.folder == Path("runs/small-faces-2")
    report = second.report
    assert report.answer is not None
    assert (report.answer.stage, report.answer.protocol) == ("search", "2 subject groups")
    assert report.study.export is None
    assert len(ledger(second.folder)) == 2
    assert [candidate.key for candidate in second.finalists] == [report.answer.key]
    assert type(heard[-1]).__name__ == "SearchEnded"
    # one seed, one protocol: the same candidate scores the same to the last bit, Ray or not
    first = json.loads((study / "report.json").read_text())["study"]["trials"][0]
    assert report.answer.uf1.mean == first["value"]
    assert written_anew(second.folder)


def test_studies_that_share_a_storage_keep_apart_in_it(tiny: list[str]) -> None:
    url = f"sqlite:///{Path('shared.db').resolve().as_posix()}"
    words = [*tiny, f"study.storage={url}", "study.final=none", "study.trials=1"]
    first, second = (api.search(*words, f"study.seed={seed}") for seed in (0, 1))
    names = [json.loads((s.folder / "origin.json").read_text())["optuna"] for s in (first, second)]
    assert sorted(optuna.get_all_study_names(url)) == sorted(names)
    assert all(re.fullmatch("small-faces-[12]-[0-9a-f]{8}", name) for name in names)
    assert not (first.folder / "study.db").exists()
    before = second.report.study.trials
    assert len(first.resume("study.trials=2").report.study.trials) == 2
    assert second.resume().report.study.trials == before


def test_a_grid_of_two_objectives_reports_its_front(
    call: Callable[..., Result], tiny: list[str]
) -> None:
    space = Path("space.yaml")
    space.write_text(space.read_text().replace("{int: [1, 2]}", "{choice: [1, 2]}"))
    words = [
        "study.sampler=grid",
        "study.trials=4",
        "study.objectives=[uf1,macs]",
        "study.pruner=bound",
    ]
    result = call("search", *tiny, *words, "trainer.lr=5e-3", "study.final=none")
    assert result.exit_code == 0
    assert "study.pruner=bound has no effect: with several objectives" in result.stderr
    report = json.loads(Path("runs/small-faces-1/report.json").read_text())
    trials = report["study"]["trials"]
    assert len(trials) == 4  # two widths, one stage or two; one of them is the point
    assert [trial["origin"] for trial in trials] == ["seed", "grid", "grid", "grid"]
    front = {row["label"] for row in report["front"]}
    for trial in trials:
        bettered = any(
            other["value"] >= trial["value"]
            and other["macs"] <= trial["macs"]
            and (other["value"], other["macs"]) != (trial["value"], trial["macs"])
            for other in trials
        )
        label = "seed" if trial["warm_start"] else f"trial {trial['number']}"
        assert (label in front) != bettered
    study = StudyFolder(Path("runs/small-faces-1"))
    finalists = StudyState(
        study, study.origin()
    ).ranked()  # whom a final stage would take, in order
    assert [f"{entry.value:.4f}" for entry in finalists] == [
        f"{row['search_score']:.4f}" for row in report["front"]
    ]
    lines = [line for line in result.stdout.splitlines() if "MMAC" in line]
    assert len(lines) == 1 + len(front)  # the winner, and the front
    page = Path("runs/small-faces-1/report.html").read_text()
    assert "The search looked for uf1, macs together." in page
