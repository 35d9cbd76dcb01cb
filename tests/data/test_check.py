"""`mer-nas data check`: goes through to the end of a damaged copy and says what differs."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from trees import CASME2_HEADER, images, workbook

from mer_nas.data.checks.check import CheckReport, check_data
from mer_nas.data.config import DataConfig, RecordedData, SyntheticData
from mer_nas.data.preprocess import alignment
from mer_nas.errors import ConfigError

Call = Callable[..., Result]

WORDS = ("data=casme2", "data.labels=as_annotated", "data.pipeline.align=none", "study.folds=loso")


@pytest.fixture
def casme2(tmp_path: Path) -> Path:
    """Four clips of CASME II without a fault."""
    workbook(
        tmp_path / "CASME2-coding-20140508.xlsx",
        Sheet1=[
            CASME2_HEADER,
            ("01", "EP02_01f", None, 46, 50, 56, None, "4+L10", "happiness"),
            ("01", "EP03_02", None, 2, 4, 6, None, 4, "disgust"),
            ("04", "EP12_01f", None, 261, 263, 265, None, 4, "surprise"),
            ("05", "EP03_06", None, 5, 7, 9, None, "?", "others"),
        ],
    )
    images(
        tmp_path / "CASME2_RAW_selected",
        "sub01/EP02_01f/img46..56.jpg",
        "sub01/EP03_02/img2..6.jpg",
        "sub04/EP12_01f/img261..265.jpg",
        "sub05/EP03_06/img5..9.jpg",
    )
    return tmp_path


def looked(
    root: Path | None, *layouts: str, labels: str = "three", **words: object
) -> CheckReport:
    names = layouts or ("casme2",)
    tree = {"name": "a", "layouts": names, "root": root, "labels": labels}
    tree |= {"pipeline": {"align": "none"}, **words}
    return check_data(RecordedData.model_validate(tree))


def kinds(report: CheckReport, severity: str) -> list[str]:
    return [finding.kind for finding in report.findings if finding.severity == severity]


def test_a_part_of_a_set_may_lack_what_a_map_of_ours_excludes(casme2: Path) -> None:
    report = looked(casme2, labels="megc2019")
    # sub04/EP12_01f is there, and sub05/EP09_05f is not.
    (told,) = [f for f in report.findings if f.kind == "an exclusion of no clip"]
    assert (told.severity, told.where) == ("warning", "data.labels=megc2019")
    assert told.text.startswith("casme2: no annotated clip is called 'sub05/EP09_05f'; known: ")


def test_a_map_that_goes_with_no_clip_is_told_before_the_frames_are_looked_through(
    casme2: Path, tmp_path: Path
) -> None:
    mine, seen = tmp_path / "mine.yaml", list[int]()
    mine.write_text(
        "emotions: {casme2: {good: [happiness], bad: [disgust]}}\n"
        "exclude: {casme2: {sub99/EP01: it blinks}}\n"
    )
    tree = {"name": "a", "layouts": ["casme2"], "root": casme2, "labels": str(mine)}
    with pytest.raises(ConfigError, match="no annotated clip is called 'sub99/EP01'"):
        check_data(RecordedData.model_validate(tree), lambda done, of: seen.append(done))
    assert seen == []


def test_a_part_of_a_set_has_warnings_about_counts_and_no_errors(casme2: Path) -> None:
    report = looked(casme2)
    assert report.errors == 0
    counts = {(line.what): (line.found, line.official) for line in report.counts}
    assert counts["clips annotated"] == (4, 255)
    assert counts["clips usable"] == (4, None)
    assert counts["frames"] == (11 + 5 + 5 + 5, None)
    assert counts["disgust"] == (1, 63)
    assert counts["three: clips"] == (3, 147)
    assert counts["three: surprise"] == (1, 25)
    differing = [str(f) for f in report.findings if f.kind == "subjects that differ"]
    assert differing[0] == "casme2:sub01: 2 clips, not 9: EP02_01f, EP03_02"


def test_it_goes_on_after_every_kind_of_fault(casme2: Path) -> None:
    frames = casme2 / "CASME2_RAW_selected"
    whole = (frames / "sub01/EP02_01f/img46.jpg").read_bytes()
    (frames / "sub01/EP02_01f/img47.jpg").write_bytes(whole[: len(whole) // 2])
    (frames / "sub01/EP03_02/img4.jpg").write_bytes(b"")
    (frames / "sub04/EP12_01f/img262.png").write_bytes(whole)
    for frame in (frames / "sub05/EP03_06").iterdir():
        frame.rename(frame.with_name(f"x{frame.name}x.jpg"))
    report = looked(casme2)
    errors = {
        finding.where: finding.kind for finding in report.findings if finding.severity == "error"
    }
    assert errors == {
        "casme2:sub01/EP02_01f": "unreadable images",
        "casme2:sub01/EP03_02": "empty images",
        "casme2:sub04/EP12_01f": "two files for one frame",
        "casme2:sub05/EP03_06": "no frames",
    }
    told = next(str(f) for f in report.findings if f.kind == "unreadable images")
    assert told == (
        f"casme2:sub01/EP02_01f: 1 of 11: {frames}/sub01/EP02_01f/img47.jpg: this image is cut off; "
        "copy it again"
    )


def test_missing_frames_and_folders_are_told_apart(casme2: Path) -> None:
    frames = casme2 / "CASME2_RAW_selected"
    (frames / "sub01/EP02_01f/img50.jpg").unlink()  # the apex: 51 stands in
    for number in (2, 3, 4, 5):
        (frames / f"sub01/EP03_02/img{number}.jpg").unlink()
    (frames / "sub04/EP12_01f").rename(frames / "sub04/EP12_01")
    report = looked(casme2)
    assert kinds(report, "error") == ["frames are missing", "a clip without frames"]
    told = {finding.kind: str(finding) for finding in report.findings}
    assert told["a frame that stands in"].endswith("apex 50 is missing: frame 51 is taken")
    assert told["a clip without frames"] == (
        f"casme2:sub04/EP12_01f: there is no folder sub04/EP12_01f in {frames}"
    )
    assert told["a clip without annotation"] == "casme2:sub04/EP12_01: passed over"


def test_what_the_table_has_wrong(casme2: Path) -> None:
    workbook(
        casme2 / "CASME2-coding-20140508.xlsx",
        Sheet1=[
            CASME2_HEADER,
            ("01", "EP02_01f", None, 46, 99, 56, None, "4", "happyness"),
            (1, "EP03_02", None, 2, 4, 6, None, 4, "Disgust "),
            (1, "EP03_02", None, 2, 4, 6, None, 4, "disgust"),
            ("04", "EP12_01f", None, 265, 263, 261, None, 4, "surprise"),
            ("average", "EP03_06", None, 5, 7, 9, None, 4, "others"),
            ("coded by two coders", None, None, None, None, None, None, None, None),
        ],
    )
    report = looked(casme2)
    told = {finding.kind: str(finding) for finding in report.findings}
    assert told["an unknown emotion"] == (
        "casme2:sub01/EP02_01f: 'happyness' (CASME2-coding-20140508.xlsx, row 2); known: others, "
        "disgust, happiness, repression, surprise, sadness, fear; a label map gives it a class by the "
        "line emotions: {casme2: {CLASS: [happyness]}}"
    )
    assert told["an estimated apex"] == (
        "casme2:sub01/EP02_01f: apex '99' is not between 46 and 56: the middle frame 51 is taken"
    )
    table = "CASME2-coding-20140508.xlsx"
    assert told["subjects written in several ways"] == (
        f"casme2:sub01: taken for one: '01' ({table}, row 2), '1' ({table}, row 3, {table}, row 4)"
    )
    assert told["a clip is named twice"] == (
        "casme2:sub01/EP03_02: named again; the first is taken"
    )
    assert told["no interval"] == "casme2:sub04/EP12_01f: onset 265 is not before offset 261"
    assert told["a row names no clip"] == (
        "casme2:CASME2-coding-20140508.xlsx, row 6: a subject such as sub01 and a clip are needed, "
        "not 'average | EP03_06 | 5 | 7 | 9 | 4 | others'"
    )
    assert told["a row is no clip"].startswith("casme2:CASME2-coding-20140508.xlsx, row 7: ")


def test_a_clip_whose_frames_nobody_numbered_is_an_error_and_no_remark(casme2: Path) -> None:
    row = ("01", "EP02_01f", None, "", None, "?", None, 4, "happiness")
    workbook(casme2 / "CASME2-coding-20140508.xlsx", Sheet1=[CASME2_HEADER, row])
    told = {finding.kind: str(finding) for finding in looked(casme2).findings}
    assert told["no interval"] == "casme2:sub01/EP02_01f: onset '' is no number of a frame"


def test_a_workbook_that_is_open_is_read_and_told(casme2: Path) -> None:
    lock = casme2 / "~$CASME2-coding-20140508.xlsx"
    lock.write_bytes(b"\x05anna")
    report = looked(casme2)
    told = {finding.kind: str(finding) for finding in report.findings}
    assert told["a workbook is open in Excel"] == f"casme2:{lock}: close it, so that it is saved"
    assert report.errors == 0


def test_a_frame_rate_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,subject,label,fps\na,anna,smile,slow\n")
    images(tmp_path, "a/1..3.png")
    report = looked(tmp_path, "manifest", labels="as_annotated")
    assert [str(finding) for finding in report.findings] == [
        "manifest:anna/a: fps 'slow' is no number above 0 and below 10,000: it is taken for unknown"
    ]


def test_one_set_that_is_not_there_does_not_hide_another(casme2: Path) -> None:
    report = looked(casme2, "casme2", "samm")
    assert [finding.where for finding in report.findings if finding.severity == "error"] == [
        "samm"
    ]
    assert {line.dataset for line in report.counts} == {"casme2"}


def test_images_of_several_sizes_and_kinds(casme2: Path) -> None:
    import cv2
    import numpy as np

    folder = casme2 / "CASME2_RAW_selected/sub01/EP03_02"
    (folder / "img4.jpg").unlink()
    cv2.imwrite(str(folder / "img4.png"), np.zeros((3, 2), np.uint8))
    report = looked(casme2)
    told = {finding.kind: str(finding) for finding in report.findings}
    assert told["mixed kinds of image"] == (f"casme2:sub01/EP03_02: 4 .jpg, 1 .png in {folder}")
    assert told["images of several sizes"] == (
        f"casme2:sub01/EP03_02: 4 of 2 by 2, 1 of 3 by 2 pixels in {folder}; "
        "one size would be right"
    )


@pytest.mark.parametrize("config", [SyntheticData(subjects=2, clips=6)])
def test_data_that_need_no_reader_are_counted(config: DataConfig) -> None:
    report = check_data(config)
    assert report.errors == 0
    assert {line.what: line.found for line in report.counts}["clips"] == 6


def test_the_command_prints_one_table_and_leaves_with_0(call: Call, casme2: Path) -> None:
    result = call("data", "check", *WORDS, f"data.root={casme2}")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == (
        f"casme2: CASME II, raw frames in {casme2}/CASME2_RAW_selected, table "
        f"{casme2}/CASME2-coding-20140508.xlsx"
    )
    (annotated,) = [line.split() for line in lines if "clips annotated" in line]
    assert annotated == ["casme2", "clips", "annotated", "4", "255", "differs"]
    kinds = [line for line in lines if line.startswith("warning: ")]
    assert len(kinds) > 1
    assert lines[-1].startswith("0 errors, ")
    assert f" warnings of {len(kinds)} kinds, " in lines[-1]


def test_the_command_leaves_with_2_where_a_clip_cannot_be_used(call: Call, casme2: Path) -> None:
    (casme2 / "CASME2_RAW_selected/sub01/EP03_02/img4.jpg").write_bytes(b"")
    result = call("data", "check", *WORDS, f"data.root={casme2}", "--json")
    assert result.exit_code == 2
    tree = json.loads(result.stdout)
    assert tree["errors"] == 1
    (error,) = [finding for finding in tree["findings"] if finding["severity"] == "error"]
    assert error["where"] == "casme2:sub01/EP03_02"


def test_faces_that_cannot_be_found_are_errors_as_in_a_search(casme2: Path) -> None:
    report = looked(casme2, pipeline={})
    errors = [finding for finding in report.findings if finding.severity == "error"]
    assert [finding.where for finding in errors][:2] == [
        "casme2:sub01/EP02_01f",
        "casme2:sub01/EP03_02",
    ]
    assert {finding.kind for finding in errors} == {"cannot be prepared"}
    assert "no face found in the first frame (2 by 2 pixels)" in errors[0].text


def test_that_no_face_can_be_looked_for_is_one_error(
    casme2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    alignment._models.cache_clear()
    report = looked(casme2, pipeline={})
    assert kinds(report, "error") == ["cannot be prepared"]


def test_a_frame_that_stands_in_for_two_key_frames_is_an_error_as_in_a_search(
    tmp_path: Path,
) -> None:
    (tmp_path / "manifest.csv").write_text(
        "path,subject,label,onset,apex,offset\na,anna,smile,10,11,20\nb,bo,frown,11,12,20\n"
    )
    images(tmp_path, "a/11..20.png", "b/11..20.png")
    report = looked(tmp_path, "manifest", labels="as_annotated")
    (told,) = [finding for finding in report.findings if finding.severity == "error"]
    assert (told.kind, told.where) == ("cannot be prepared", "manifest:anna/a")
    assert told.text.startswith("the apex 0 is not after the onset 0 and up to the offset 9")


def test_an_apex_that_is_not_annotated_and_may_not_be_found_is_an_error(casme2: Path) -> None:
    file = casme2 / "CASME2-coding-20140508.xlsx"
    workbook(file, Sheet1=[CASME2_HEADER, ("01", "EP02_01f", None, 46, "/", 56, None, 4, "fear")])
    report = looked(
        casme2, pipeline={"align": "none", "apex": ["annotated"]}, labels="as_annotated"
    )
    assert kinds(report, "error") == ["cannot be prepared"]


def test_a_misspelt_verb_of_data_is_guessed(call: Call) -> None:
    result = call("data", "chekc")
    assert result.exit_code == 2
    assert result.stderr.startswith("mer-nas: no verb is called 'chekc'; known: check")
