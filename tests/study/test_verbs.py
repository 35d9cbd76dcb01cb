"""What the command line does with studies: search in this process, export, report, exit status."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from click.testing import Result

from mer_nas import api
from mer_nas.report import read_report
from mer_nas.search.ray_watch import heard

Call = Callable[..., Result]


def test_json_holds_the_report_and_nothing_else_goes_to_stdout(
    call: Call, tiny: list[str]
) -> None:
    words = [*tiny, "study.trials=1", "study.final=none", "study.name=mine"]
    result = call("search", *words, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(Path("runs/mine/report.json").read_text())
    assert "mine: 2 subject groups instead of LOSO, for speed and no final stage" in result.stderr


def test_quiet_prints_the_result_only(call: Call, tiny: list[str]) -> None:
    result = call("search", *tiny, "study.trials=1", "study.final=none", "--quiet")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.startswith("1 trial: 1 complete, 0 pruned, 0 failed; ")


def test_a_space_without_open_leaf_is_searched_by_measuring_its_single_candidate(
    call: Call, tiny: list[str]
) -> None:
    words = [
        "space.architecture.paths.0.stem.width=8",
        "space.architecture.paths.0.stages.repeat=1",
        "space.trainer.lr=5e-3",
        "study.final.candidates=1",
        "study.final.seeds=1",
    ]
    result = call("search", *tiny, *words)
    assert result.exit_code == 0
    assert result.stdout.startswith("1 trial: 1 complete, 0 pruned, 0 failed; ")
    report = json.loads(Path("runs/small-faces-1/report.json").read_text())
    assert report["answer"]["origin"] == "seed"
    assert report["study"]["stopped"].endswith("the same as trial 0")


def test_a_failed_trial_is_told_apart_and_gives_exit_status_1(call: Call, tiny: list[str]) -> None:
    result = call("search", *tiny, "study.trials=1", "trainer.lr=1e30")  # the loss overflows
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("1 trial: 0 complete, 0 pruned, 1 failed; ")
    assert lines[1].startswith("failed    1 trial: TrainingDiverged: ")
    assert lines[2] == "no trial was complete, so there is no winner"
    assert "trial 0: failed after 0 of 2 folds: TrainingDiverged: " in result.stderr
    (trial,) = json.loads(Path("runs/small-faces-1/report.json").read_text())["study"]["trials"]
    assert trial["outcome"] == "failed"
    assert trial["error"].startswith("TrainingDiverged: ")


def test_ctrl_c_says_how_to_go_on_and_exits_130(
    call: Call,
    tiny: list[str],
    monkeypatch: pytest.MonkeyPatch,
    written_anew: Callable[[Path], bool],
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mer_nas.search.local.run", interrupted)
    result = call("search", *tiny, "study.name=mine")
    assert result.exit_code == 130
    assert result.stderr.endswith("interrupted; `mer-nas resume runs/mine` goes on from here\n")
    assert Path("runs/mine/origin.json").is_file()
    assert written_anew(Path("runs/mine"))


@pytest.mark.parametrize("at", ["folder.copy_files", "folder.write", "run.opened"])
def test_ctrl_c_before_a_study_is_announced_leaves_nothing_of_it_and_the_same_command_goes_on(
    at: str, call: Call, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    words = [*tiny, "study.trials=1", "study.final=none", "study.name=mine"]
    with monkeypatch.context() as patch:
        patch.setattr(f"mer_nas.study.{at}", interrupted)
        result = call("search", *words)
    assert result.exit_code == 130
    assert "the same command goes on" in result.stderr
    assert not Path("runs/mine").exists()
    assert call("search", *words).exit_code == 0


def test_a_study_whose_ray_has_died_before_its_first_fold_goes_on(
    call: Call, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_work(*_: object) -> None:
        with heard(lambda: "raylet (7) is gone", lambda: None):
            for _ in range(1000):
                time.sleep(0.01)

    with monkeypatch.context() as patch:
        patch.setattr("mer_nas.search.local.run", at_work)
        died = call("search", *tiny, "study.trials=1", "study.final=none", "study.name=mine")
    assert died.exit_code == 1
    assert "raylet (7) is gone; what was finished is kept" in died.stderr
    assert call("resume", "mine").exit_code == 0


def test_export_of_another_rank_and_of_one_that_there_is_not(call: Call, study: Path) -> None:
    result = call("export", str(study), "rank=2")
    assert result.exit_code == 0
    assert result.stdout == f"{study}/export/rank2\n"
    assert (study / "export/rank2/model.onnx").is_file()
    refused = call("export", str(study), "rank=3")
    assert refused.exit_code == 2
    assert refused.stderr == (f"mer-nas: rank=3: {study} has 2 finalists; 1 is the winner\n")
    for word, message in [
        ("rank=first", "rank=first: a whole number of 1 or more would be right"),
        ("rank=", "rank=: a whole number of 1 or more would be right"),
        (
            "rnk=2",
            "no key is called 'rnk'; known: data.cache, data.root, data.roots, rank. Did you mean 'rank'?",
        ),
        (
            "trainer.lr=1",
            "no key is called 'trainer.lr'; known: data.cache, data.root, data.roots, rank",
        ),
    ]:
        result = call("export", str(study), word)
        assert (result.exit_code, result.stderr) == (2, f"mer-nas: {message}\n")


def test_report_writes_the_same_report_anew_whichever_version_wrote_it(
    call: Call, study: Path
) -> None:
    text = (study / "report.json").read_text()
    before = json.loads(text)
    assert before["study"]["export"] is not None
    (study / "report.json").write_text(text.replace(before["schema"], "mer-nas report 1"))
    (study / "report.html").unlink()
    result = call("report", str(study), "--json")
    assert result.exit_code == 0
    after = json.loads(result.stdout)
    assert (study / "report.html").is_file()
    for tree in (before, after):
        tree["study"]["settings"].pop("ray")  # other workers go on with the copy
        tree["study"]["next_steps"].pop(2)  # names the storage by its absolute path
    assert after == before


def test_a_report_that_was_deleted_comes_back_byte_for_byte(
    study: Path, written_anew: Callable[[Path], bool]
) -> None:
    report = read_report(study / "report.json").study
    assert report.export is not None
    assert report.stopped == "3 trials are done"
    assert written_anew(study)
    assert read_report(study / "report.json").study.written == report.written


def test_a_study_that_was_broken_off_before_its_report_knows_its_workers(
    call: Call, study: Path
) -> None:
    (study / "report.json").unlink()
    result = call("report", str(study), "--json")
    assert json.loads(result.stdout)["study"]["compute"]["workers"] == 1
    sessions = study / "sessions.jsonl"
    sessions.write_text('{"seconds": 60.0, "command": "an older version wrote this"}\n')
    (study / "report.json").unlink()
    result = call("report", str(study), "--json")
    compute = json.loads(result.stdout)["study"]["compute"]
    assert (compute["workers"], compute["wall_seconds"]) == (None, 60.0)
    assert "worker" not in (study / "report.html").read_text().partition("training time")[2][:400]


def test_a_report_that_was_edited_into_something_else_is_written_anew(
    call: Call, study: Path
) -> None:
    file = study / "report.json"
    before = file.read_text()
    file.write_text(before.replace('"counted": ', '"conted": '))
    assert call("report", str(study)).exit_code == 0
    assert '"counted": ' in file.read_text()


def test_evaluate_measures_a_point_once(call: Call, tiny: list[str]) -> None:
    words = ["evaluate", *tiny, "point=seed", "seeds=2", "study.folds=loso"]
    first = call(*words, "--json")
    assert first.exit_code == 0
    found = json.loads(first.stdout)
    assert (found["name"], found["protocol"], len(found["scores"])) == ("seed", "LOSO", 2)
    assert sum(map(sum, found["scores"][0]["confusion"])) == 24
    assert first.stderr.count(" folds; about ") == 8
    again = call(*words)
    assert again.stderr.splitlines() == [
        "faces: 24 clips, 4 subjects, " + again.stderr.split("subjects, ")[1].strip()
    ]
    assert again.stdout.splitlines()[0] == (
        "seed 1: UF1 {uf1:.4f}, UAR {uar:.4f}, accuracy {accuracy:.4f}".format(
            **found["scores"][0]
        )
    )
    assert again.stdout.splitlines()[2] == (
        f"seed, LOSO: mean UF1 {found['uf1']:.4f}; folds in {found['folder']}"
    )
    assert again.stdout.splitlines()[3] == "seed is reading: none: for tests"


def test_the_plan_of_an_evaluation_says_what_it_takes_and_trains_nothing(
    call: Call, tiny: list[str]
) -> None:
    words = ["evaluate", *tiny, "point=seed", "seeds=2", "study.folds=loso", "--plan"]
    lines = call(*words).stdout.splitlines()
    assert lines[-1].startswith("seed: 4 folds (LOSO) x 2 seeds, about ")
    found = json.loads(call(*words, "--json").stdout)
    assert (found["folds"], found["seeds"], found["protocol"]) == (4, 2, "LOSO")
    assert found["seconds"] > 0
    assert not Path("runs").exists()


def test_what_was_begun_can_be_planned_too_and_nothing_of_it_is_touched(
    call: Call, study: Path
) -> None:
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}

    whole = call("resume", str(study), "--plan").stdout.splitlines()
    assert whole[1:4] == [
        "done: 3 complete",
        "search: over (3 trials are done)",
        "final stage: nothing left to train",
    ]
    plan = json.loads(
        call(
            "resume", str(study), "study.trials=8", "study.final.seeds=3", "--plan", "--json"
        ).stdout
    )
    assert (plan["done"], plan["trials"], plan["final_repetitions"]) == ({"complete": 3}, 5, 6)
    spent = api.Study(study).trials_dataframe()["seconds"]
    assert plan["seconds_per_trial"] == pytest.approx(spent.mean())
    assert plan["search_seconds"] == pytest.approx(5 * spent.mean())
    more = json.loads(call("resume", str(study), "study.final.seeds=3", "--plan", "--json").stdout)
    assert (more["trials"], more["final_repetitions"]) == (0, 2)

    assert call("export", str(study), "rank=2", "--plan").stdout.splitlines()[-1] == (
        f"then exported to {study}/export/rank2"
    )
    again = json.loads(call("reproduce", str(study), "--plan", "--json").stdout)
    assert (again["seeds"], again["folds"], again["folds_done"]) == (2, 8, 0)
    assert again["seconds"] > 0

    after = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    assert after == before
    assert [path.name for path in Path("runs").iterdir()] == [study.name]


def test_what_was_evaluated_can_be_compared(call: Call, tiny: list[str]) -> None:
    architecture = "space.architecture.paths.0"
    closed = [f"{architecture}.stem.width=16", f"{architecture}.stages.repeat=1"]
    point, wider = ["point=seed"], [*closed, "space.trainer.lr=5e-3"]
    for words in ([*point, "study.folds=2"], [*point, "seeds=2"], wider):
        loso = [] if "study.folds=2" in words else ["study.folds=loso"]
        assert call("evaluate", *tiny, *words, *loso, "--quiet").exit_code == 0
    seed, small = sorted(Path("runs/evaluations").iterdir())
    told = json.loads((seed / "evaluation.json").read_text())["protocols"]
    assert {name: len(scores) for name, scores in told.items()} == {
        "2 subject groups, study.seed=0": 1,
        "LOSO": 2,
    }
    found = json.loads(call("compare", str(seed), str(small), "--json").stdout)
    one, other = found["rows"]
    assert (found["protocol"], found["clips"], found["subjects"]) == ("LOSO", 24, 4)
    assert [row["name"] for row in (one, other)] == ["evaluated:seed", "evaluated:small"]
    assert [(row["stage"], row["seeds"]) for row in (one, other)] == [
        ("evaluation", 2),
        ("evaluation", 1),
    ]
    assert one["uf1"]["value"] == pytest.approx(np.mean([s["uf1"] for s in told["LOSO"]]))
    assert one["parameters"] == 1443  # as counted in the tests of `check`
    assert found["notes"] == []  # a point was named, and so was a network of one's own
    file = small / "evaluation.json"
    file.write_text(file.read_text().replace("mer-nas evaluation 1", "mer-nas evaluation 0"))
    refused = call("compare", str(seed), str(small))
    assert (refused.exit_code, refused.stderr) == (
        2,
        f"mer-nas: {file}: schema is 'mer-nas evaluation 0', but this version reads 'mer-nas "
        "evaluation 1'; the command that evaluated it writes it anew, and trains no fold twice\n",
    )


# A study that cannot say what others can


def test_with_fewer_than_three_subjects_a_search_says_why_there_is_no_headline(
    call: Call, tiny: list[str]
) -> None:
    words = [*tiny, "data.subjects=2", "study.trials=2", "study.final=none", "study.name=two"]
    result = call("search", *words)
    assert result.exit_code == 0, result.output
    why = "statistics draw subjects again, and 2 are too few for it; at least 3 are needed"
    assert f"headline  unknown: {why}" in result.stdout.splitlines()
    study = json.loads(Path("runs/two/report.json").read_text())["study"]
    assert (study["headline"], study["selection_note"], study["comparisons"]) == (None, why, [])


def test_of_a_study_without_a_complete_trial_there_is_nothing_to_export_but_a_report(
    call: Call, tiny: list[str]
) -> None:
    call("search", *tiny, "study.trials=1", "trainer.lr=1e30", "study.name=none")
    refused = call("export", "none")
    assert (refused.exit_code, refused.stderr.splitlines()[-1]) == (
        2,
        "mer-nas: runs/none: no trial is complete, so there is nothing to export",
    )
    told = call("report", "none")
    assert told.exit_code == 0
    assert "no trial was complete, so there is no winner" in told.stdout.splitlines()


def test_a_study_whose_data_root_is_gone_is_told_where_to_look(
    call: Call, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mer_nas.search.local.run", interrupted)
    images = Path("faces/STSNet_whole_norm_u_v_os")
    images.mkdir(parents=True)
    rows = [("casme2", f"sub{s:02}", f"EP{c}", c) for s in range(3) for c in range(3)]
    lines = ["dataset,sub,filename_o,label", *(",".join(map(str, row)) for row in rows)]
    Path("faces/combined_3_class2_for_optical_flow.csv").write_text("\n".join(lines) + "\n")
    for _, subject, name, label in rows:
        image = np.full((28, 28, 3), 80 * label, np.uint8)
        cv2.imwrite(str(images / f"{subject}_{name} .png"), image)
    words = ["data=megc2019_flow", "data.root=faces", "study.name=gone"]
    assert call("search", *tiny, *words).exit_code == 130
    Path("faces").rename("moved")
    for verb in ("resume", "export"):
        result = call(verb, "gone")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == "mer-nas: data.root: there is no folder faces\n"
    assert call("resume", "gone", "data.root=moved").exit_code == 130


def test_a_study_on_several_data_sets_goes_on_where_they_and_their_cache_have_moved(
    call: Call, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def named(folder: str, samm: str = "samm") -> list[str]:
        places = {"casme2": "casme2", "samm": samm, "smic": "smic"}
        roots = [f"data.roots.{name}={folder}/{place}" for name, place in places.items()]
        return [*roots, f"data.cache={folder}/kept"]

    monkeypatch.setattr("mer_nas.search.local.run", interrupted)
    for layout in ("casme2", "samm", "smic"):
        api.synthesize(layout=layout, out=f"old/{layout}", size=32, frames=3)
    api.synthesize(layout="samm", out="old/other", size=32, frames=3, seed=1)
    words = ["data=megc2019", "data.pipeline.align=none", "study.name=gone"]
    assert call("search", *tiny, *words, *named("old")).exit_code == 130
    Path("old").rename("new")
    for verb in ("resume", "export"):
        refused = call(verb, "gone")
        assert refused.stderr == "mer-nas: data.roots.casme2: there is no folder old/casme2\n"
    assert call("resume", "gone", *named("new"), "--plan").exit_code == 0
    exported = call("export", "gone", *named("new"))
    assert exported.stderr == (
        "mer-nas: runs/gone: no trial is complete, so there is nothing to export\n"
    )
    other = call("resume", "gone", *named("new", samm="other"))
    assert other.exit_code == 2
    assert "the study was made with other clips: " in other.stderr
    assert call("resume", "gone", *named("new")).exit_code == 130
    data = yaml.safe_load(Path("runs/gone/settings.yaml").read_text())["data"]
    assert (data["roots"]["samm"], data["cache"]) == ("new/samm", "new/kept")
    shutil.rmtree("new/other")
    assert call("resume", "gone", "data.root=new").exit_code == 130
    data = yaml.safe_load(Path("runs/gone/settings.yaml").read_text())["data"]
    assert (data["root"], data["roots"], data["cache"]) == ("new", {}, "new/kept")
