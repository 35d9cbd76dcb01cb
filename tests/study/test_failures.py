"""What cannot be trained: who stops when, what is said of it, and how the command ends."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.report import read_report
from mer_nas.study.folder import StudyFolder
from mer_nas.study.run import rewrite_report

Call = Callable[..., Result]
HOPELESS = "trainer.lr=1e30"
"""The loss overflows."""


def test_a_search_whose_first_three_trials_fail_alike_is_given_up(
    call: Call, tiny: list[str]
) -> None:
    ended = call("search", *tiny, HOPELESS, "study.trials=40", "study.name=mine")
    assert ended.exit_code == 1
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("3 trials: 0 complete, 0 pruned, 3 failed; ")
    assert lines[1].startswith("failed    ")
    assert "TrainingDiverged: " in lines[1]
    assert "search ended: 3 trials in a row failed for the same reason: Training" in ended.stderr
    assert "best.yaml" not in ended.stdout  # which nobody wrote
    assert not Path("runs/mine/best.yaml").exists()
    report = read_report(Path("runs/mine/report.json"))
    assert report.study.stopped.startswith("3 trials in a row failed")
    # What they failed of may have been mended: whoever goes on tries ten more.
    again = call("resume", "mine")
    assert again.exit_code == 1
    assert again.stdout.startswith("13 trials: 0 complete, 0 pruned, 13 failed; ")


def test_a_final_stage_that_fails_is_told_by_the_report_in_all_its_forms(
    call: Call, tiny: list[str]
) -> None:
    words = ["study.trials=1", "study.final.candidates=1", "study.final.seeds=2"]
    ended = call("search", *tiny, *words, "study.final.trainer={lr: 1e30}", "study.name=mine")
    assert ended.exit_code == 1, ended.output
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("1 trial: 1 complete, 0 pruned, 0 failed; ")
    assert [line for line in lines if " of the final stage: TrainingDiverged: " in line]
    assert "          so there is no finalist and no export, only the search's best" in lines
    folder = StudyFolder(Path("runs/mine"))
    for report in (read_report(folder.path / "report.json"), rewrite_report(folder)):
        failures = report.study.final_failures
        assert list(failures) == ["trial 0, seed 1 of 2", "trial 0, seed 2 of 2"]
        assert all(reason.startswith("TrainingDiverged: ") for reason in failures.values())
    for name in ("report.md", "report.html"):
        text = re.sub("<[^>]*>", "", (folder.path / name).read_text())
        assert "of the final stage failed, so there is no finalist and no export." in text
        assert "trial 0, seed 2 of 2: TrainingDiverged: " in text
    assert "there was no final stage" not in (folder.path / "report.html").read_text()


def test_a_finalist_that_failed_ranks_last_and_a_resume_tries_it_again(
    call: Call, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two finalists the better one fails with its second seed of three, and so gets no third."""
    fold = Evaluator.fold
    failed: list[str] = []

    def unlucky(self: Evaluator, candidate: Candidate, index: int, seed: int, *rest: Any) -> Any:
        if seed == 1 and candidate.key in (failed or [candidate.key]):
            failed.append(candidate.key)
            raise RuntimeError("no such luck")
        return fold(self, candidate, index, seed, *rest)

    monkeypatch.setattr(Evaluator, "fold", unlucky)
    words = ["study.final.seeds=3", "study.final.ensemble=none", "study.name=mine"]
    ended = call("search", *tiny, *words)
    assert ended.exit_code == 1, ended.output
    first, last = read_report(Path("runs/mine/report.json")).study.finalists
    assert (len(first.scores), first.left) == (3, "")
    assert (len(last.scores), last.left) == (1, "a seed of it failed")
    plan = json.loads(call("resume", "mine", "--plan", "--json").stdout)
    assert plan["final_repetitions"] == 2
    monkeypatch.setattr(Evaluator, "fold", fold)
    assert call("resume", "mine").exit_code == 0
    found = read_report(Path("runs/mine/report.json")).study.finalists
    assert [len(each.scores) for each in found if not each.left] == [3, 3]


def test_an_evaluation_that_cannot_be_trained_says_which_fold_and_ends_with_1(
    call: Call, tiny: list[str]
) -> None:
    ended = call("evaluate", *tiny, "point=seed", HOPELESS)
    assert (ended.exit_code, ended.stdout) == (1, "")
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(
        "mer-nas: seed, seed 1 of 1 cannot be trained: TrainingDiverged: group 1 (2 subjects): "
    )


def test_what_cannot_be_trained_is_neither_exported_nor_reproduced_and_leaves_its_report(
    call: Call, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(Evaluator, "train", broken)
    ended = call("export", str(study))
    assert ended.exit_code == 1
    assert ended.stderr.splitlines()[-1].endswith(
        " cannot be trained on all clips: RuntimeError: no such luck"
    )
    (study / "export" / "rank1" / "model.onnx").unlink()
    (study / "report.json").unlink()
    ended = call("resume", str(study))
    assert ended.exit_code == 1
    assert "the winner is not exported: trial" in ended.stderr
    assert json.loads((study / "report.json").read_text())["study"]["export"] is None
    monkeypatch.setattr(Evaluator, "fold", broken)
    ended = call("reproduce", str(study), "ray.workers=0")
    assert ended.exit_code == 1
    assert "cannot be trained here: RuntimeError: no such luck" in ended.stderr
