"""A nested estimate: what the outer subjects cannot reach, and what they are then asked."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from sklearn.metrics import f1_score

from mer_nas.cli.closing import closing
from mer_nas.data.clips import ClipSet
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.evaluation.results import FoldResult
from mer_nas.report import Report, read_report
from mer_nas.search.events import Event, Note
from mer_nas.settings import Settings, resolve
from mer_nas.study.clips import load_clips
from mer_nas.study.folder import StudyFolder, create, outer_plan
from mer_nas.study.plans.resume import plan_resume
from mer_nas.study.run import run

Call = Callable[..., Result]
OUTER = ("1-of-2", "2-of-2")
SMALL = (
    "data.subjects=6",
    "data.clips=36",
    "ray.workers=0",
    "study.trials=2",
    "study.final.candidates=1",
    "study.final.seeds=1",
    "study.final.best_epoch=false",
)


def ledger(file: Path) -> list[dict[str, Any]]:
    """The folds of a ledger but for how long they took, and the checksums over that."""
    rows = [json.loads(line) for line in file.read_text().splitlines()[1:]]
    return [
        {name: value for name, value in row.items() if name not in {"seconds", "crc32"}}
        for row in rows
    ]


@dataclass
class Nested:
    """A study with two outer groups that was interrupted in the second, and gone on with."""

    settings: Settings
    clips: ClipSet
    folder: StudyFolder
    said: list[str]
    """Notes, until it was interrupted."""
    trained: int
    """Folds, in both sessions."""

    @property
    def report(self) -> dict[str, Any]:
        tree: dict[str, Any] = json.loads((self.folder.path / "report.json").read_text())
        return tree

    @property
    def asked_first(self) -> tuple[str, ...]:
        """The subjects of the first outer group."""
        return outer_plan(self.settings.study, self.clips).folds[0].subjects


def searched(settings: Settings, clips: ClipSet, said: list[str], until: str = "\0") -> None:
    """Run the study in `settings.study.folder` until a note that begins with `until`."""

    def hear(event: Event) -> None:
        if isinstance(event, Note):
            if event.text.startswith(until):
                raise KeyboardInterrupt
            said.append(event.text)

    assert settings.study.folder is not None
    folder = StudyFolder(settings.study.folder)
    if not folder.settings_file.is_file():
        create(settings, clips, "mer-nas search study.outer=2")
    run(folder, clips, hear)


@pytest.fixture(scope="module")
def alone() -> Iterator[list[int]]:
    """The folds that were trained, for the whole module; no export and no page."""
    trained: list[int] = []
    fold = Evaluator.fold

    def counted(self: Evaluator, candidate: Any, index: int, *rest: Any) -> FoldResult:
        trained.append(index)
        return fold(self, candidate, index, *rest)

    def no_export(*_: Any) -> None:
        """What the study itself leaves in the end is tested where there is no nested estimate."""

    def no_page(folder: Path, report: Report) -> None:
        (folder / "report.json").write_text(report.to_json())

    run = import_module("mer_nas.study.run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Evaluator, "fold", counted)
        patch.setattr(run, "export_winner", no_export)
        patch.setattr(run.report, "write_report", no_page)
        yield trained


@pytest.fixture(scope="module")
def nested(
    alone: list[int],
    tmp_path_factory: pytest.TempPathFactory,
    write_tiny: Callable[[Path], list[str]],
) -> Nested:
    folder = tmp_path_factory.mktemp("nested")
    words = [word.replace("./", f"{folder}/") for word in write_tiny(folder)]
    settings = resolve([*words, *SMALL, "study.outer=2", f"study.folder={folder / 'study'}"])
    clips = replace(load_clips(settings), by_fold=frozenset({"flow_uvs"}))
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        searched(settings, clips, said, until="outer group 2 of 2: final stage")
    searched(settings, clips, [])
    return Nested(settings, clips, StudyFolder(folder / "study"), said, len(alone))


def test_no_inner_search_sees_a_subject_of_its_outer_group(nested: Nested) -> None:
    everyone, groups = set(nested.clips.subjects), []
    for name, fold in zip(
        OUTER, outer_plan(nested.settings.study, nested.clips).folds, strict=True
    ):
        inner = nested.folder.path / "outer" / name
        origin = json.loads((inner / "origin.json").read_text())
        assert set(origin["data"]["subjects"]) == everyone - set(fold.subjects)
        seen = {subject for row in ledger(inner / "ledger.jsonl") for subject in row["subjects"]}
        assert seen == everyone - set(fold.subjects)
        groups.append(set(fold.subjects))
    assert groups[0] | groups[1] == everyone
    assert not groups[0] & groups[1]


def test_poisoned_labels_and_pixels_of_outer_subjects_change_nothing_that_leads_to_them(
    nested: Nested, tmp_path: Path
) -> None:
    clips, first = nested.clips, nested.asked_first
    outside = np.isin(clips.groups, first)
    loud = clips.groups == first[0]
    pixels = clips.inputs["flow_uvs"].copy()
    pixels[loud] *= 7
    poisoned = replace(
        clips,
        records=tuple(
            replace(clip, label=(clip.label + 1) % 3) if out else clip
            for clip, out in zip(clips.records, outside, strict=True)
        ),
        inputs={"flow_uvs": pixels},
    )
    study = nested.settings.study.model_copy(update={"folder": tmp_path / "study"})
    with pytest.raises(KeyboardInterrupt):
        searched(replace(nested.settings, study=study), poisoned, [], until="outer group 2 of 2")
    clean, dirty = nested.folder.path, tmp_path / "study"
    # The poison works: the study's own search, which sees everybody, comes out otherwise.
    assert ledger(clean / "ledger.jsonl") != ledger(dirty / "ledger.jsonl")
    inner = Path("outer") / "1-of-2" / "ledger.jsonl"
    assert ledger(clean / inner) == ledger(dirty / inner)
    (asked, again) = (ledger(path / "outer" / "ledger.jsonl")[0] for path in (clean, dirty))
    assert asked["candidate"] == again["candidate"]
    assert asked["subjects"] == again["subjects"] == list(first)
    assert asked["labels"] != again["labels"]
    for clip, before, after in zip(
        asked["clips"], asked["probabilities"], again["probabilities"], strict=True
    ):
        assert (before == after) == (not clip.startswith(f"{first[0]}/")), clip


def test_the_outer_score_is_that_of_the_pooled_answers(nested: Nested) -> None:
    rows = ledger(nested.folder.answers)
    assert [row["fold_name"] for row in rows] == ["group 1 (3 subjects)", "group 2 (3 subjects)"]
    assert sorted(clip for row in rows for clip in row["clips"]) == sorted(
        clip.id for clip in nested.clips.records
    )
    labels = [label for row in rows for label in row["labels"]]
    chosen = [int(np.argmax(clip)) for row in rows for clip in row["probabilities"]]
    score = f1_score(labels, chosen, labels=[0, 1, 2], average="macro", zero_division=0)
    found = nested.report["study"]["nested"]
    assert found["uf1"]["value"] == pytest.approx(score)
    assert found["scores"][0]["uf1"] == pytest.approx(score)
    assert found["uf1"]["low"] <= score <= found["uf1"]["high"]
    assert nested.report["study"]["nested_note"] == ""


def test_each_winner_is_the_best_of_its_own_search(nested: Nested) -> None:
    found = nested.report["study"]["nested"]
    for name, group in zip(OUTER, found["groups"], strict=True):
        rows = ledger(nested.folder.path / "outer" / name / "ledger.jsonl")
        ours = [row for row in rows if row["candidate"] == group["key"]]
        loso = [row for row in ours if len(row["subjects"]) == 1]
        labels = [label for row in loso for label in row["labels"]]
        chosen = [int(np.argmax(clip)) for row in loso for clip in row["probabilities"]]
        score = f1_score(labels, chosen, labels=[0, 1, 2], average="macro", zero_division=0)
        assert group["chosen_by"] == pytest.approx(score)
    inside = [group["chosen_by"] for group in found["groups"]]
    assert found["inside"] == pytest.approx(sum(inside) / 2)


def test_the_total_is_said_first_and_an_interrupted_estimate_trains_nothing_twice(
    nested: Nested,
) -> None:
    assert nested.said[0].startswith(
        "nested estimate: each of 2 outer groups is left out of a further search with the whole "
        "budget; in all 3 searches, 6 trials, 3 final stages, at most about "
    )
    # Two trials in 2 groups, then one finalist under LOSO of 6 or 3 subjects, and two questions. The
    # halves of 3 subjects are 1 and 2, and the one is a fold of LOSO, too.
    assert nested.trained == (2 * 2 + 6) + 2 * (2 * 2 + 3 - 1) + 2


def test_the_report_with_its_estimate_comes_back_byte_for_byte(
    nested: Nested, written_anew: Callable[[Path], bool], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(nested.folder.path, tmp_path / "study"))
    assert nested.report["study"]["nested"] is not None
    assert written_anew(copy)


def test_the_plan_counts_the_groups_of_the_division_that_holds_from_now_on(
    nested: Nested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(nested.folder.path, tmp_path / "study"))

    def not_asked(groups: int | None, *, anew: bool = False) -> object:
        study = nested.settings.study.model_copy(update={"outer": groups, "folder": copy})
        settings = replace(nested.settings, study=study)
        plan = plan_resume(StudyFolder(copy), settings, nested.clips, anew=anew)
        return plan.tree["outer_groups"]

    # Six subjects: what two groups of three were told says nothing of pairs, nor of single ones.
    assert [not_asked(groups) for groups in (2, 3, 6, None)] == [0, 3, 6, 0]
    with monkeypatch.context() as patch:
        patch.setattr("mer_nas.study.plans.resume.code_version", lambda _: "0123456789ab")
        assert not_asked(2, anew=True) == 2
    shutil.rmtree(copy / "outer" / "1-of-2")
    assert not_asked(2) == 1


def test_what_the_estimate_takes_is_said_again_where_other_code_asks_anew(
    nested: Nested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hear(event: Event) -> None:
        if isinstance(event, Note) and event.text.startswith("nested estimate: each of 2 outer"):
            raise KeyboardInterrupt

    copy = Path(shutil.copytree(nested.folder.path, tmp_path / "study"))
    monkeypatch.setattr("mer_nas.study.resume.code", lambda _: {"mer_nas.training.fit": "0" * 64})
    with pytest.raises(KeyboardInterrupt):
        run(StudyFolder(copy), nested.clips, hear, anew=True)


def test_the_last_lines_say_what_the_outer_groups_came_to(nested: Nested) -> None:
    found = nested.report["study"]["nested"]
    uf1 = found["uf1"]
    lines = closing(
        read_report(nested.folder.path / "report.json"), nested.folder.path
    ).splitlines()
    assert (
        f"nested    UF1 {uf1['value']:.3f} [{uf1['low']:.3f}, {uf1['high']:.3f}] on 2 outer groups "
        "that their searches never saw, 1 seed"
    ) in lines
    inside = f"          inside, the same searches chose their winners at {found['inside']:.3f}"
    assert inside in lines


def test_a_file_in_the_place_of_the_inner_searches_is_one_message(
    call: Call, tiny: list[str]
) -> None:
    assert call("search", *tiny, *SMALL, "study.name=mine").exit_code == 0
    Path("runs/mine/outer").touch()
    refused = call("resume", "mine", "study.outer=2")
    assert refused.exit_code == 2
    assert refused.stderr.endswith(
        "mer-nas: runs/mine/outer: no folder can be made there: file exists\n"
    )


def test_the_plan_counts_every_search(call: Call, tiny: list[str]) -> None:
    result = call("search", *tiny, *SMALL, "study.outer=3", "--plan", "--json")
    tree = json.loads(result.stdout)
    one = tree["search_seconds"] + tree["final_seconds"]
    assert (tree["searches"], tree["total_seconds"]) == (4, pytest.approx(4 * one))


def test_groups_that_leave_an_inner_search_nothing_to_divide_are_refused_before_anything(
    call: Call, tiny: list[str]
) -> None:
    for words, message in (
        (["study.outer=1"], "study.outer: input should be greater than or equal to 2, not 1"),
        (
            ["study.outer=5"],
            "faces: study.outer=5 asks for more groups than there are subjects (4); at most 4",
        ),
        (
            ["study.outer=4", "study.folds=4"],
            "faces without group 1 (1 subject): study.folds=4 asks for more groups than there are "
            "subjects (3); at most 3, or loso",
        ),
    ):
        result = call("search", *tiny, *words)
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        assert result.stderr == f"mer-nas: {message}\n"
    assert not Path("runs").exists()
