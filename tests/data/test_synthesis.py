"""Synthetic clips in official form: as many as the real sets have, and as odd."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import Result
from openpyxl import load_workbook

from mer_nas.data import load
from mer_nas.data.annotations.layouts import Layout
from mer_nas.data.annotations.locate import Location
from mer_nas.data.annotations.read_records import DataSet, labelled
from mer_nas.data.checks.check import check_data
from mer_nas.data.config import RecordedData
from mer_nas.data.preprocess.config import Pipeline
from mer_nas.data.protocols import divide
from mer_nas.data.synthesis import Synthesis
from mer_nas.data.synthesis.official import synthesize
from mer_nas.errors import DataError
from mer_nas.inputs import FLOW

Call = Callable[..., Result]


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CASME II, SAMM and SMIC with their official counts, side by side."""
    root = tmp_path_factory.mktemp("official")
    for layout in ("casme2", "samm", "smic"):
        synthesize(Synthesis(layout=layout, out=root / layout, counts="official"))
    return root


def cells(file: Path, sheet: str) -> list[tuple[Any, ...]]:
    return list(load_workbook(file)[sheet].iter_rows(values_only=True))


def recorded(root: Path, *layouts: str, labels: str = "three") -> RecordedData:
    drawn = Pipeline(align=None)  # no detector knows drawn faces
    return RecordedData(name="a", layouts=layouts, root=root, labels=labels, pipeline=drawn)


def read(root: Path, layout: str) -> DataSet:
    return DataSet.read(Location.of(recorded(root, layout), Layout.read(layout)))


def test_the_composite_is_442_clips_of_68_subjects(official: Path) -> None:
    clips = labelled(recorded(official, "casme2", "samm", "smic", labels="megc2019"))
    assert clips.counts() == {
        "clips": 442,
        "subjects": 68,
        "negative": 250,
        "positive": 109,
        "surprise": 83,
    }
    sets = clips.datasets.tolist()
    assert [sets.count(name) for name in ("casme2", "samm", "smic")] == [145, 133, 164]
    names = {clip.id for clip in clips.records}
    assert not {"casme2:sub04/EP12_01f", "casme2:sub05/EP09_05f"} & names
    assert {"casme2:sub10", "casme2:sub18", "samm:025"}.isdisjoint(clips.subjects)
    assert len(divide(clips, "loso").folds) == 68
    assert [fold.name for fold in divide(clips, "lodo").folds] == ["smic", "casme2", "samm"]


@pytest.mark.parametrize(
    ("layout", "labels", "clips", "subjects", "classes"),
    [
        ("casme2", "three", 147, 24, [90, 32, 25]),
        ("casme2", "five", 246, 26, [32, 63, 27, 25, 99]),
        ("casme2", "seven", 255, 26, [99, 63, 32, 27, 25, 7, 2]),
        ("samm", "three", 133, 28, [92, 26, 15]),
        ("samm", "five", 136, 27, [57, 26, 26, 15, 12]),
        ("smic", "three", 164, 16, [70, 51, 43]),
    ],
)
def test_each_label_map_gives_the_official_counts(
    official: Path, layout: str, labels: str, clips: int, subjects: int, classes: list[int]
) -> None:
    found = labelled(recorded(official / layout, layout, labels=labels))
    assert len(found.records) == clips
    assert len({record.subject for record in found.records}) == subjects
    assert [found.labels.tolist().count(label) for label in range(len(found.classes))] == classes


def test_a_check_finds_no_count_that_differs(official: Path) -> None:
    report = check_data(recorded(official, "casme2", "samm", "smic", labels="megc2019"))
    assert report.errors == report.differing == 0
    assert sum(line.official is not None for line in report.counts) > 30
    assert "subjects that differ" not in {finding.kind for finding in report.findings}


def test_casme3_has_860_clips_of_94_subjects_of_which_88_have_one_of_three_classes(
    tmp_path: Path,
) -> None:
    synthesize(Synthesis(layout="casme3", out=tmp_path, counts="official"))
    found = read(tmp_path, "casme3")
    assert not found.errors
    assert (len(found.records), len({record.subject for record in found.records})) == (860, 94)
    three = labelled(recorded(tmp_path, "casme3"))
    assert [three.labels.tolist().count(label) for label in range(3)] == [457, 55, 187]
    assert len({record.subject for record in three.records}) == 88
    assert {record.name for record in found.records if record.subject == "spNO.216"} >= {"d_2647"}
    table = tmp_path / "annotation/partA/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
    rows = cells(table, "label")
    assert all(isinstance(cell, str) for row in rows for cell in row)
    assert [row[7] for row in rows].count("Others") == 3


def test_casme_squared_has_57_clips_of_22_subjects_and_300_rows_that_are_none(
    tmp_path: Path,
) -> None:
    synthesize(Synthesis(layout="casme_sq", out=tmp_path, counts="official"))
    found = read(tmp_path, "casme_sq")
    assert not found.errors
    assert (len(found.records), len({record.subject for record in found.records})) == (57, 22)
    assert len(cells(tmp_path / "CAS(ME)^2code_final(Updated).xlsx", "CASFEcode_final")) == 357
    misfiled = next(
        r for r in found.records if r.frames[0].path.parent.name == "23_0502funnyerrors"
    )
    assert misfiled.subject == "s23"
    assert misfiled.frames[0].path.parent.parent.name == "s19"


def test_casme2s_workbook_is_as_odd_as_the_official_one(official: Path) -> None:
    header, *rows = cells(official / "casme2/CASME2-coding-20140508.xlsx", "Sheet1")
    assert header[2] is header[6] is None
    assert {type(row[0]) for row in rows} == {str}
    assert [row[1] for row in rows if row[4] == "/"] == ["EP12_01f"]
    assert [row[1] for row in rows if row[4] == row[3]] == ["EP09_05f"]
    assert {type(row[7]) for row in rows} == {int, str}
    assert sum(row[7] == "?" for row in rows) == 5


def test_samms_workbook_has_its_header_in_row_14_and_frames_of_two_paddings(
    official: Path,
) -> None:
    rows = cells(official / "samm/SAMM_Micro_FACS_Codes_v2.xlsx", "MICRO_ONLY")
    assert [row[0] for row in rows].index("Subject") == 13
    assert rows[14][6] == "=F15-D15+1"
    digits = {len(f.stem.split("_")[1]) for f in (official / "samm/SAMM").rglob("*.jpg")}
    assert digits == {4, 5}


@pytest.mark.parametrize("layout", ["casme2", "samm", "smic", "casme_sq", "casme3"])
def test_a_few_clips_move_and_come_back(tmp_path: Path, layout: str) -> None:
    made = synthesize(Synthesis(layout=layout, out=tmp_path, difficulty=0, frames=5))
    found = read(tmp_path, layout)
    assert not found.errors
    assert len(found.records) == made
    record = found.records[-1]
    onset, apex, _ = (
        cv2.imread(str(frame.path), cv2.IMREAD_GRAYSCALE).astype(np.int64)
        for frame in record.keyframes
    )
    assert onset.shape == (112, 112)
    assert np.abs(apex - onset).mean() > 0.5


@pytest.mark.parametrize("layout", ["casme2", "samm", "smic", "casme_sq", "casme3"])
def test_clips_of_every_layout_become_tensors(tmp_path: Path, layout: str) -> None:
    synthesize(Synthesis(layout=layout, out=tmp_path / "set", frames=5, size=32))
    tree = {
        "name": "a",
        "layouts": [layout],
        "root": tmp_path / "set",
        "cache": tmp_path / "cache",
        "pipeline": {"align": "none", "flow": {"kind": "farneback"}},
    }
    clips = load(RecordedData.model_validate(tree))
    assert clips.inputs[FLOW].shape == (len(clips), 3, 28, 28)
    assert clips.classes == ("negative", "positive", "surprise")
    assert set(clips.labels.tolist()) == {0, 1, 2}
    assert len(clips.subjects) == len({group.lower() for group in clips.subjects}) >= 2
    # Two apexes; two apexes and an "or"; an offset of 0; two of these and a known fault.
    odd = {"casme2": 2, "samm": 3, "smic": 0, "casme_sq": 1, "casme3": 3}[layout]
    assert len(clips.findings) == odd
    assert ("warnings: " in clips.describe()) == bool(odd)


@pytest.mark.parametrize("layout", ["casme2", "samm", "smic", "casme_sq", "casme3"])
def test_the_command_writes_and_names_next_steps_that_work(
    layout: str, call: Call, here: Path
) -> None:
    result = call("data", "synthesize", f"layout={layout}", "out=set", "frames=3", "size=16")
    words = f"data={layout} data.root=set data.pipeline.align=none study.folds=2"
    said, *steps = result.stdout.splitlines()
    assert said.endswith(" clips in set; next:"), result.output
    assert steps == [f"  mer-nas data check {words}", f"  mer-nas search {words}"]
    checked = call("data", "check", *words.split())
    assert checked.exit_code == 0, checked.output


def test_recordings_that_cannot_be_divided_are_told_before_they_are_prepared(
    call: Call, tiny: list[str]
) -> None:
    synthesize(Synthesis(layout="samm", out=Path("set"), frames=3, size=16))
    words = ["data=samm", "data.root=set", "data.pipeline.align=none", "study.folds=4"]
    for verb in (["search"], ["evaluate", "point=seed"]):
        refused = call(*verb, *tiny, *words, "data.cache=kept")
        assert refused.exit_code == 2
        assert refused.stderr.startswith("mer-nas: samm: study.folds=4 asks for more groups")
        assert not Path("kept").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(DataError) as refused:
        synthesize(Synthesis(layout="smic", out=tmp_path))
    assert str(refused.value) == (
        f"out: {tmp_path} is not empty; a folder that is, or a new one, would be right"
    )


def test_wrong_words_are_refused(call: Call, here: Path) -> None:
    result = call("data", "synthesize", "layout=casme", "out=set", "count=few")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "mer-nas: synthesize.layout: input should be 'casme2', 'samm', 'smic', 'casme_sq' or "
        "'casme3', not 'casme'",
        "synthesize: no setting is called 'count'; known: counts, difficulty, frames, layout, out, "
        "seed, size. Did you mean 'counts'?",
    ]
    assert not list(here.iterdir())
