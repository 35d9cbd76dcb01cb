"""Every official layout, typed by hand: paths and cells as the data sets have them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from trees import CASME2_HEADER, images, workbook

from mer_nas.data.annotations.layouts import Layout
from mer_nas.data.annotations.locate import Location
from mer_nas.data.annotations.read_records import DataSet, labelled
from mer_nas.data.config import RecordedData
from mer_nas.data.records import Record
from mer_nas.errors import ConfigError


def reading(layout: str, root: Path, **words: Any) -> DataSet:
    config = RecordedData(name=layout, layouts=(layout,), root=root, **words)
    return DataSet.read(Location.of(config, Layout.read(layout)))


def told(record: Record) -> tuple[object, ...]:
    units = " ".join(map(str, record.action_units or ()))
    return (record.id, record.onset, record.apex, record.offset, record.emotion, units)


def test_casme2(tmp_path: Path) -> None:
    workbook(
        tmp_path / "CASME2-coding-20140508.xlsx",
        Sheet1=[
            CASME2_HEADER,
            ("01", "EP02_01f", None, 46, 59, 86, None, "4+L10", "happiness"),
            ("04", "EP12_01f", None, 261, "/", 321, None, 4, "disgust"),
            ("05", "EP03_06", None, 5, 9, 9, None, "?", "others"),
        ],
        Sheet2=[],
        Sheet3=[],
    )
    images(
        tmp_path / "CASME2_RAW_selected",
        "sub01/EP02_01f/img46..86.jpg",
        "sub04/EP12_01f/img261..321.jpg",
        "sub05/EP03_06/img5..9.jpg",
    )
    found = reading("casme2", tmp_path)
    assert [told(record) for record in found.records] == [
        ("casme2:sub01/EP02_01f", 46, 59, 86, "happiness", "4 10"),
        ("casme2:sub04/EP12_01f", 261, 291, 321, "disgust", "4"),
        ("casme2:sub05/EP03_06", 5, 9, 9, "others", ""),
    ]
    first, _, third = found.records
    assert [record.apex_source for record in found.records] == [
        "annotated",
        "estimated",
        "annotated",
    ]
    assert (first.fps, first.cropped, len(first.frames)) == (200, False, 41)
    assert first.frame(59).path == tmp_path / "CASME2_RAW_selected/sub01/EP02_01f/img59.jpg"
    assert third.action_units is None
    assert [finding.kind for finding in found.findings] == ["an estimated apex"]


UNITS = {
    "4": "4",
    "4+L10": "4 10",
    "R6+R12": "6 12",
    "1+R2+25": "1 2 25",
    "15A+17": "15 17",
    "10A/B": "10",
    "ref(7B)+43": "7 43",
    "A/L12": "12",
    "B18+25": "18 25",
    "T23": "23",
    "R14+17+soft focus": "14 17",
    "A14C": "14",
    "R14A or 17A or 24A": "14",
    "12+15 ": "12 15",
    "T28+14": "28 14",
    "4\uff0c7": "4 7",
    "AU4(k)+L7": "4 7",
    "R4+AD38": "4 38",
    "1+2+5+M58": "1 2 5 58",
    "?": "",
    "/": "",
    "soft focus": "",
    "": "",
}
"""Of each cell as coders wrote it, the numbers of its action units."""


def test_action_units_are_read_as_coders_wrote_them(tmp_path: Path) -> None:
    rows = [
        ("01", f"EP{at:02}", None, 1, 2, 3, None, cell, "fear") for at, cell in enumerate(UNITS)
    ]
    workbook(tmp_path / "CASME2-coding-20140508.xlsx", Sheet1=[CASME2_HEADER, *rows])
    for at in range(len(UNITS)):
        images(tmp_path / "CASME2_RAW_selected", f"sub01/EP{at:02}/img1..3.jpg")
    found = reading("casme2", tmp_path)
    assert [" ".join(record.action_units or ()) for record in found.records] == [*UNITS.values()]
    assert {f.text for f in found.findings if f.kind == "action units with an or"} == {
        "'R14A or 17A or 24A': the first is taken"
    }
    no_units = [record.action_units for record in found.records][-4:]
    assert no_units == [None] * 4


def test_casme2_cropped_by_its_authors(tmp_path: Path) -> None:
    workbook(
        tmp_path / "CASME2-coding-20140508.xlsx",
        Sheet1=[CASME2_HEADER, ("16", "EP01_08", None, 65, 78, 110, None, 4, "others")],
    )
    images(tmp_path / "Cropped", "sub16/EP01_08/reg_img65..96.jpg")
    found = reading("casme2", tmp_path, frames="cropped")
    (record,) = found.records
    assert (record.onset, record.apex, record.offset, record.cropped) == (65, 78, 96, True)
    assert [str(finding) for finding in found.findings] == [
        "sub16/EP01_08: offset 110: the last frame is 96"
    ]


def test_samm_with_its_header_on_row_14_and_frames_of_any_padding(tmp_path: Path) -> None:
    top: list[Sequence[object]] = [("SAMM Micro-Expression FACS codes v2",), *[()] * 10]
    header = (
        "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration",
        "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
    )  # fmt: skip
    rows = [
        ("006", "006_1_2", 1, 562, 567, 572, "=F15-D15+1", "Micro - 1/2", "12+15 ", "Anger", 7, None),
        ("009", "009_6_3", 6, 3577, 3580, 3590, "=F16-D16+1", "Micro - 1/2", "R14A or 17A or 24A", "Other", 7, None),
        ("028", "028_4_1", 4, 30, 99, 40, "=F17-D17+1", "Micro - 1/2", 4, "Happiness", 6, None),
    ]  # fmt: skip
    workbook(
        tmp_path / "SAMM_Micro_FACS_Codes_v2.xlsx",
        MICRO_ONLY=[*top, ("Key:", "? = unclear offset"), (), header, *rows],
    )
    images(
        tmp_path / "SAMM",
        "006/006_1_2/006_00562..00572.jpg",
        "009/009_6_3/009_3577..3590.jpg",
        "028/028_4_1/028_030..040.jpg",
    )
    found = reading("samm", tmp_path)
    assert [told(record) for record in found.records] == [
        ("samm:006/006_1_2", 562, 567, 572, "anger", "12 15"),
        ("samm:009/009_6_3", 3577, 3580, 3590, "others", "14"),
        ("samm:028/028_4_1", 30, 35, 40, "happiness", "4"),
    ]
    assert found.records[0].keyframes[1].path.name == "006_00567.jpg"
    assert sorted(finding.kind for finding in found.findings) == [
        "action units with an or",
        "an estimated apex",
    ]


def test_smic_clips_say_everything_by_their_folders(tmp_path: Path) -> None:
    images(
        tmp_path / "SMIC_all_raw/HS",
        "s1/micro/negative/s1_ne_01/image092367..092379.bmp",
        "s1/non_micro/s1_non_01/image000001..000003.bmp",
        "s20/micro/surprise/s20_sur_01/image00000010..00000012.bmp",
    )
    found = reading("smic", tmp_path)
    assert [told(record) for record in found.records] == [
        ("smic:s1/s1_ne_01", 92367, 92373, 92379, "negative", ""),
        ("smic:s20/s20_sur_01", 10, 11, 12, "surprise", ""),
    ]
    assert found.findings == ()
    assert {record.apex_source for record in found.records} == {"estimated"}


@pytest.mark.parametrize("camera", ["VIS", "NIR"])
def test_each_camera_of_smic_is_read_by_itself(tmp_path: Path, camera: str) -> None:
    root = tmp_path / "SMIC_all_raw"
    for folder, frames in (("HS", "1..90"), ("VIS", "11..22"), ("NIR", "11..22")):
        first, last = frames.split("..")
        clip = f"s11/micro/negative/s11_ne_01/image{int(first):06d}..{last}.bmp"
        images(root / folder, clip)
    found = reading(f"smic_{camera.lower()}", tmp_path)
    assert [told(record) for record in found.records] == [
        (f"smic_{camera.lower()}:s11/s11_ne_01", 11, 16, 22, "negative", "")
    ]
    (record,) = found.records
    assert record.fps == 25
    assert {frame.path.parts[-6] for frame in record.frames} == {camera}
    both = RecordedData(name="both", layouts=("smic", f"smic_{camera.lower()}"), root=tmp_path)
    with pytest.raises(ConfigError, match="show the same people"):
        labelled(both)


@pytest.mark.parametrize("inner", ["HS/", ""])
def test_smic_e_long_videos_whose_frames_may_be_counted_anew(tmp_path: Path, inner: str) -> None:
    header = ("Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", None, "FirstF", "LastF",
              "TotalMF1", "TotalMF2", "TotalVL", "Emotion")  # fmt: skip
    long = tmp_path / "SMIC-E_raw image" / "HS_long"
    workbook(
        long / "SMIC-HS-E_annotation.xlsx",
        VIS=[header],
        HS=[
            header,
            (3, "s3_ne_03", None, 120, 130, 140, 146, None, 101, 160, 11, 7, 60, "negative"),
            (4, "s4_po_01", None, 5020, 5030, None, None, None, 5001, 5040, 11, None, 40, "positive"),
            ("frame rate 100 fps",),
        ],
    )  # fmt: skip
    images(
        long / "SMIC-HS-E",
        f"{inner}s03/s3_ne_03/image000101..000160.jpg",
        f"{inner}s04/s4_po_01/image000001..000040.jpg",
    )
    found = reading("smic_e", tmp_path)
    assert [told(record) for record in found.records] == [
        ("smic_e:s03/s3_ne_03", 120, 125, 130, "negative", ""),
        ("smic_e:s03/s3_ne_03_2", 140, 143, 146, "negative", ""),
        ("smic_e:s04/s4_po_01", 20, 25, 30, "positive", ""),
    ]
    assert [finding.kind for finding in found.findings] == [
        "a row is no clip",
        "frames counted anew",
    ]


def test_casme_squared_has_no_headers_and_names_by_two_rules(tmp_path: Path) -> None:
    workbook(
        tmp_path / "CAS(ME)^2code_final(Updated).xlsx",
        CASFEcode_final=[
            (1, "disgust1_2", 8, 10, 14, "4+9", "negative", "micro-expression", "disgust"),
            (1, "disgust1_3", 20, 25, 40, "4", "negative", "macro-expression", "disgust"),
            (7, "happy1_1", 30, 33, 0, "6\uff0c12", "positive", "micro-expression", "happiness"),
            (5, "anger1_1", 3, 5, 9, 4, "others", "micro-expression", "anger"),
        ],
        naming_rule1=[(15, "s15", 1), (22, "s22", 5), (23, "s23", 7)],
        naming_rule2=[("0101", "disgust1"), (401, "anger1"), ("0502", "happy1")],
    )
    images(
        tmp_path / "rawpic",
        "s15/15_0101disgustingteeth/img001..020.jpg",
        "s15/15_0102eatingworms/img001..002.jpg",
        "s22/22_0401girlcrashing/img001..009.jpg",
        "s19/19_0502funnyerrors/img001..002.jpg",
        "s19/23_0502funnyerrors/img001..040.jpg",
    )
    found = reading("casme_sq", tmp_path)
    assert [told(record) for record in found.records] == [
        ("casme_sq:s15/disgust1_2_8", 8, 10, 14, "negative", "4 9"),
        ("casme_sq:s23/happy1_1_30", 30, 33, 33, "positive", "6 12"),
        ("casme_sq:s22/anger1_1_3", 3, 5, 9, "others", "4"),
    ]
    assert found.records[1].frames[0].path.parent.name == "23_0502funnyerrors"
    assert [finding.kind for finding in found.findings] == ["no offset"]


CASME3_HEADER = (
    "Subject",
    "Filename",
    "Onset",
    "Apex",
    "Offset",
    "AU",
    "Objective class",
    "emotion",
)
CASME3_ROWS = [
    ("spNO.1", "a", "355", "357", "361", "R12", "III", "Others"),
    ("spNO.1", "a", "400", "402", "0", "4", "VII", "sad"),
    ("spNO.216", "d", "3647", "2650", "2655", "4+7", "II", "disgust"),
]


def test_casme3_long_videos_hold_several_clips(tmp_path: Path) -> None:
    workbook(
        tmp_path / "annotation/partA/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
        label=[CASME3_HEADER, *CASME3_ROWS],
    )
    images(
        tmp_path / "part_A/data/part_A_split/part_A",
        "spNO.1/a/color/350..410.jpg",
        "spNO.1/a/depth/350..410.png",
        "spNO.216/d/color/2640..2660.jpg",
    )
    found = reading("casme3", tmp_path)
    assert [told(record) for record in found.records] == [
        ("casme3:spNO.1/a_355", 355, 357, 361, "others", "12"),
        ("casme3:spNO.1/a_400", 400, 402, 402, "sadness", "4"),
        ("casme3:spNO.216/d_2647", 2647, 2650, 2655, "disgust", "4 7"),
    ]
    assert sorted(finding.kind for finding in found.findings) == [
        "a known fault is put right",
        "no offset",
    ]


def test_casme3_cut_to_its_clips_spells_its_folders_otherwise(tmp_path: Path) -> None:
    workbook(
        tmp_path / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
        label=[CASME3_HEADER, *CASME3_ROWS],
    )
    images(
        tmp_path / "Part_A_ME_clip/frame",
        "spNo.1_a_355/355..361.jpg",
        "spNo.1_a_400/400..402.jpg",
        "spNo.216_d_3647/2647..2655.jpg",
    )
    found = reading("casme3", tmp_path)
    assert [record.name for record in found.records] == ["a_355", "a_400", "d_2647"]
    assert not found.errors


def test_casme_takes_the_first_apex_or_the_second(tmp_path: Path) -> None:
    header = (
        "Subject",
        "Filename",
        None,
        "OnsetF",
        "ApexF1",
        "ApexF2",
        "OffsetF",
        None,
        "AU",
        "Emotion",
    )
    workbook(
        tmp_path / "casme.xlsx",
        Sheet1=[
            header,
            (1, "EP01_5", None, 98, 102, 104, 113, None, "14", "tense"),
            (1, "EP01_6", None, 8, "/", 10, 13, None, "R14", "contempt"),
        ],
    )
    images(
        tmp_path / "CASME_raw_selected/sub01",
        "EP01_5/EP01_5-98..113.jpg",
        "EP01_6/EP01_6-008..013.jpg",
    )
    found = reading("casme", tmp_path)
    assert [told(record) for record in found.records] == [
        ("casme:sub01/EP01_5", 98, 102, 113, "tense", "14"),
        ("casme:sub01/EP01_6", 8, 10, 13, "contempt", "14"),
    ]


@pytest.mark.parametrize("folder", ["anger/S03-07-001", "S03/anger/S03-07-001"])
def test_mmew_lies_by_emotion(tmp_path: Path, folder: str) -> None:
    header = (
        "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion", "remarks",
    )  # fmt: skip
    workbook(
        tmp_path / "MMEW_Micro_Exp.xlsx",
        Sheet1=[header, ("S03", "S03-07-001", 1, 12, 20, "4", "anger", None)],
    )
    images(tmp_path / "MMEW_Final/Micro_Expression", f"{folder}/1..20.jpg")
    (record,) = reading("mmew", tmp_path).records
    assert told(record) == ("mmew:S03/S03-07-001", 1, 12, 20, "anger", "4")


def test_4dme(tmp_path: Path) -> None:
    workbook(
        tmp_path / "4DME_Labelling_Micro_release v1.xlsx",
        Sheet1=[
            ("sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs"),
            ("p01", "clip_7", "Positive", 3, 6, 9, "AU4(k)+L7"),
        ],
    )
    images(tmp_path / "gray_micro", "p01/clip_7/003..009.png")
    (record,) = reading("4dme", tmp_path).records
    assert told(record) == ("4dme:p01/clip_7", 3, 6, 9, "positive", "4 7")


def test_dfme_has_a_frame_rate_for_every_clip(tmp_path: Path) -> None:
    workbook(
        tmp_path / "DFME_train.xlsx",
        Sheet1=[
            ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU"),
            ("sub0003", "sub0003_01", 109, 115, 120, "disgust", 2, 500, "R4+AD38"),
        ],
    )  # fmt: skip
    images(tmp_path / "DFME_train", "sub0003_01/00109..00120.png")
    (record,) = reading("dfme", tmp_path).records
    assert told(record) == ("dfme:sub0003/sub0003_01", 109, 115, 120, "disgust", "4 38")
    assert record.fps == 500


def test_a_manifest_of_own_clips(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(
        "path,subject,label,apex,aus,fps\nmonday/a,anna,smile,4,6+12,25\nmonday\\b,ben,frown,,,\n"
    )
    images(tmp_path / "monday", "a/f001..009.png", "b/f1..3.png")
    found = reading("manifest", tmp_path, labels="as_annotated")
    assert [told(record) for record in found.records] == [
        ("manifest:anna/monday/a", 1, 4, 9, "smile", "6 12"),
        ("manifest:ben/monday/b", 1, 2, 3, "frown", ""),
    ]
    assert [record.fps for record in found.records] == [25, None]
    config = RecordedData(name="own", layouts=("manifest",), root=tmp_path, labels="as_annotated")
    assert labelled(config).classes == ("frown", "smile")


def test_what_nobody_can_know_of_own_clips_is_said(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(
        'path,subject,label,fps\na,anna,smile,"1,000"\nb,ben,frown,23.976\n'
    )
    images(tmp_path, "a/f001..009.png", "b/f1..3.png")
    (tmp_path / "mine.yaml").write_text(
        "emotions: {manifest: {good: [smiel, smile], bad: [frown]}}"
    )
    labels = str(tmp_path / "mine.yaml")
    config = RecordedData(name="own", layouts=("manifest",), root=tmp_path, labels=labels)
    found = labelled(config)
    assert [record.fps for record in found.records] == [None, 23.976]
    assert [(f.kind, f.text) for f in found.findings] == [
        (
            "a frame rate that is none",
            "fps '1,000' may be more than a thousand, or less than ten: it is taken for unknown",
        ),
        (
            "an emotion that no clip has",
            "manifest: no emotion is called 'smiel'; known: frown, smile. Did you mean 'smile'?",
        ),
    ]


def test_a_folder_of_a_manifest_may_be_called_as_a_pattern_is(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,subject,label\nwhy*,anna,a\nwh[o]?,ben,b\n")
    images(tmp_path, "why*/f1..3.png", "whynot/f1..3.png", "wh[o]?/f1..3.png")
    found = reading("manifest", tmp_path, labels="as_annotated")
    folders = [record.frames[0].path.parent.name for record in found.records]
    assert folders == ["why*", "wh[o]?"]


@pytest.mark.skipif(os.name == "nt", reason="a name with a colon is a drive's there")
def test_a_folder_may_have_a_colon_where_it_names_no_drive(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,subject,label\na:b,anna,a\n")
    images(tmp_path, "a:b/f1..3.png")
    assert len(reading("manifest", tmp_path, labels="as_annotated").records) == 1


@pytest.mark.parametrize("target", ["nowhere.png", "f2.png"], ids=["nothing", "itself"])
def test_a_frame_that_links_to_nothing_costs_its_clip(tmp_path: Path, target: str) -> None:
    (tmp_path / "manifest.csv").write_text("path,subject,label\na,anna,a\nb,ben,b\n")
    images(tmp_path, "a/f1..3.png", "b/f1..3.png")
    (tmp_path / "a/f2.png").unlink()
    (tmp_path / "a/f2.png").symlink_to(target)
    found = reading("manifest", tmp_path, labels="as_annotated")
    assert [record.subject for record in found.records] == ["ben"]
    assert [str(error) for error in found.errors] == [
        f"anna/a: in {tmp_path}/a there is nothing behind f2.png; copy what it links to"
    ]


def test_a_manifest_of_videos(tmp_path: Path) -> None:
    (tmp_path / "monday").mkdir()
    writer = cv2.VideoWriter(
        str(tmp_path / "monday/a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (16, 16)
    )
    for level in range(8):
        writer.write(np.full((16, 16, 3), 20 * level, np.uint8))
    writer.release()
    (tmp_path / "broken.mp4").write_text("no video")
    rows = [
        "path,subject,label,onset,apex,offset,fps",
        "monday/a.avi,anna,smile,1,3,6,",
        "monday\\a.avi,ben,smile,,,,50",
        "monday/a.avi,anna,frown,4,,,",
        "monday/a.avi,anna,frown,4,,,",
        "monday/a.avi,carl,smile,2,,40,",
        "broken.mp4,anna,smile,,,,",
        "none.mp4,anna,smile,,,,",
    ]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    found = reading("manifest", tmp_path, labels="as_annotated")
    assert [(told(record), record.fps) for record in found.records] == [
        (("manifest:anna/monday/a.avi", 1, 3, 6, "smile", ""), 25),
        (("manifest:ben/monday/a.avi", 0, 3, 7, "smile", ""), 50),
        (("manifest:anna/monday/a.avi_4", 4, 5, 7, "frown", ""), 25),
    ]
    assert [f.number for f in found.records[0].frames] == [1, 2, 3, 4, 5, 6]
    assert [str(error) for error in found.errors] == [
        "anna/monday/a.avi: named again; the first is taken",
        "carl/monday/a.avi: there is no frame 21 nor one within 2 of it in "
        f"{tmp_path}/monday/a.avi, which holds 0 to 7",
        f"anna/broken.mp4: {tmp_path}/broken.mp4: this is no video that OpenCV can read",
        f"anna/none.mp4: there is no folder or video none.mp4 in {tmp_path}",
    ]


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A folder with one clip and more of each set of the composite, subjects numbered alike."""
    workbook(
        tmp_path / "one/CASME2-coding-20140508.xlsx",
        Sheet1=[
            CASME2_HEADER,
            ("06", "EP01_01", None, 1, 2, 3, None, 4, "repression"),
            ("04", "EP12_01f", None, 261, "/", 263, None, 4, "disgust"),
            ("05", "EP09_05f", None, 69, 69, 71, None, 4, "disgust"),
            ("06", "EP02_01", None, 1, 2, 3, None, 4, "sadness"),
        ],
    )
    images(
        tmp_path / "one/CASME2_RAW_selected/CASME2_RAW_selected",
        "sub06/EP01_01/img1..3.jpg",
        "sub06/EP02_01/img1..3.jpg",
        "Sub4/EP12_01f/img261..263.jpg",
        "sub05/EP09_05f/img69..71.jpg",
    )
    workbook(
        tmp_path / "two/SAMM_Micro_FACS_Codes_v2.xlsx",
        MICRO_ONLY=[
            ("Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame", "Action Units", "Estimated Emotion"),
            (6, "006_1_2", 1, 2, 3, 12, "Happiness"),
        ],
    )  # fmt: skip
    images(tmp_path / "two", "006/006_1_2/006_0001..0003.jpg")
    images(tmp_path / "three/SMIC_all_raw/HS", "s6/micro/surprise/s6_sur_01/image1..3.bmp")
    return tmp_path


MEGC = ("casme2", "samm", "smic")


def composite(**words: Any) -> RecordedData:
    return RecordedData(name="megc2019", layouts=MEGC, labels="megc2019", **words)


def test_the_composite_is_found_below_one_root_and_leaves_two_clips_of_casme2_out(
    three: Path,
) -> None:
    found = labelled(composite(root=three))
    assert found.classes == ("negative", "positive", "surprise")
    assert [(clip.id, clip.label) for clip in found.records] == [
        ("casme2:sub06/EP01_01", 0),
        ("samm:006/006_1_2", 1),
        ("smic:s6/s6_sur_01", 2),
    ]
    assert found.official == {
        "clips": 442,
        "subjects": 68,
        "negative": 250,
        "positive": 109,
        "surprise": 83,
    }


def test_the_composite_takes_three_roots(three: Path) -> None:
    roots = {"casme2": three / "one", "samm": three / "two", "smic": three / "three"}
    assert labelled(composite(roots=roots)).records == labelled(composite(root=three)).records


def test_classes_are_chosen_by_name(three: Path) -> None:
    def names(labels: str) -> list[str]:
        found = RecordedData(name="a", layouts=("casme2",), root=three / "one", labels=labels)
        return [record.name for record in labelled(found).records]

    assert names("three") == ["EP01_01", "EP12_01f", "EP09_05f"]
    assert names("five") == ["EP01_01", "EP12_01f", "EP09_05f"]
    assert names("seven") == ["EP01_01", "EP12_01f", "EP09_05f", "EP02_01"]
