"""What people get wrong with licensed data: one message with the path, what is expected, what to do."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from trees import CASME2_HEADER, images, workbook

from mer_nas.data.annotations.read_records import labelled
from mer_nas.data.config import RecordedData
from mer_nas.errors import MerNasError

ROW = ("01", "EP02_01f", None, 46, 50, 56, None, "4+L10", "happiness")
TABLE = "CASME2-coding-20140508.xlsx"
RAW = "CASME2_RAW_selected"


def casme2_at(root: Path) -> Path:
    workbook(root / TABLE, Sheet1=[CASME2_HEADER, ROW])
    images(root / RAW, "sub01/EP02_01f/img46..56.jpg")
    return root


@pytest.fixture
def casme2(tmp_path: Path) -> Path:
    return casme2_at(tmp_path / "casme2")


def refused(root: Path | None, *layouts: str, labels: str = "three", **words: Any) -> str:
    config = RecordedData(
        name="a", layouts=layouts or ("casme2",), root=root, labels=labels, **words
    )
    with pytest.raises(MerNasError) as error:
        labelled(config)
    return str(error.value)


def test_the_fixture_is_right(casme2: Path) -> None:
    assert len(labelled(RecordedData(layouts=("casme2",), root=casme2)).records) == 1


# The root ---------------------------------------------------------------------------------------


def test_no_root() -> None:
    assert refused(None) == (
        f"data.root: CASME II needs the folder that holds {TABLE} and {RAW}; data.root=DIR names it"
    )


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "no") == f"data.root: there is no folder {tmp_path / 'no'}"


def test_a_root_with_something_else(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b" / "c"
    images(root, "holiday/img1.jpg")
    assert refused(root) == (
        f"data.root: {root} does not hold {RAW} with the clips of CASME II; it holds holiday. "
        "Unpack the archive there, or name the folder where it lies: data.root=DIR"
    )


def test_a_root_one_level_too_high(casme2: Path) -> None:
    above = casme2.parent
    assert refused(above) == (
        f"data.root: {above} does not hold {RAW} with the clips of CASME II; it holds casme2. "
        f"{casme2} does: data.root={casme2} would be right"
    )


def test_a_root_one_level_too_deep(casme2: Path) -> None:
    deep = casme2 / RAW
    assert refused(deep) == (
        f"data.root: {deep} does not hold {RAW} with the clips of CASME II; it holds sub01. "
        f"{casme2} does: data.root={casme2} would be right"
    )


def test_an_archive_that_was_unpacked_into_a_folder_of_its_own_name_is_entered(
    tmp_path: Path,
) -> None:
    workbook(tmp_path / TABLE, Sheet1=[CASME2_HEADER, ROW])
    images(tmp_path / RAW.lower() / RAW, "Sub1/EP02_01F/img46..56.jpg")
    found = labelled(RecordedData(layouts=("casme2",), root=tmp_path))
    assert [record.id for record in found.records] == ["casme2:sub01/EP02_01f"]


def test_two_data_sets_in_one_folder(casme2: Path) -> None:
    workbook(casme2 / "casme.xlsx", Sheet1=[("Subject", "Filename")])
    assert refused(casme2) == (
        f"data.root: {casme2} holds two data sets: CASME II ({TABLE}) and CASME (casme.xlsx). "
        "Give each a folder of its own"
    )


def test_two_copies_below_one_root_are_not_chosen_between(tmp_path: Path) -> None:
    one, two = casme2_at(tmp_path / "one"), casme2_at(tmp_path / "two")
    assert refused(tmp_path, "casme2", "samm", "smic", labels="megc2019") == (
        f"data.root: 2 folders below {tmp_path} hold CASME II: {one}, {two}; "
        "data.roots.casme2=DIR chooses one"
    )


def test_a_composite_of_which_one_set_is_missing(casme2: Path) -> None:
    above = casme2.parent
    assert refused(above, "casme2", "samm", "smic", labels="megc2019") == (
        f"data.root: {above} does not hold SAMM: neither it nor a folder in it has "
        "SAMM_Micro_FACS_Codes_v2.xlsx and SAMM; data.roots.samm=DIR names its folder"
    )


# The table --------------------------------------------------------------------------------------


def test_no_table(casme2: Path) -> None:
    (casme2 / TABLE).rename(casme2 / "my copy.xlsx")
    assert refused(casme2) == (
        f"data.root: {casme2} does not hold {TABLE}, the table of CASME II; other tables there: "
        "my copy.xlsx. Copy it there, or name another: data.annotations.casme2=FILE"
    )
    found = RecordedData(layouts=("casme2",), root=casme2, annotations={"casme2": "my copy.xlsx"})
    assert len(labelled(found).records) == 1
    assert refused(casme2, annotations={"casme2": "yours.xlsx"}) == (
        f"data.annotations.casme2: there is no file {casme2 / 'yours.xlsx'}"
    )


def test_the_table_of_another_set(casme2: Path) -> None:
    workbook(casme2 / TABLE, Sheet1=[("sub_ID", "fold_name", "Emotion")])
    assert refused(casme2) == (
        f"{casme2 / TABLE}: this is not the table of CASME II: no row holds the headers Subject, "
        "Filename, OnsetFrame, ApexFrame, OffsetFrame, Action Units, Estimated Emotion; found in "
        f"its first row: Sheet1: sub_ID, fold_name, Emotion. Put {TABLE} there, or name it: "
        "data.annotations.casme2=FILE"
    )


def test_columns_with_other_names(casme2: Path) -> None:
    header = [*CASME2_HEADER]
    header[4], header[8] = "Apex", "Emotion"
    workbook(casme2 / TABLE, Sheet1=[header, ROW])
    assert refused(casme2) == (
        f"{casme2 / TABLE}: the columns ApexFrame, Estimated Emotion are missing in row 1; found: "
        "Subject, Filename, OnsetFrame, Apex, OffsetFrame, Action Units, Emotion. Give them their "
        "official names again. Perhaps 'Apex' for 'ApexFrame', 'Emotion' for 'Estimated Emotion'?"
    )


def test_only_the_mark_that_excel_leaves(casme2: Path) -> None:
    (casme2 / TABLE).unlink()
    lock = casme2 / f"~${TABLE}"
    lock.write_bytes(b"\x05anna")
    assert refused(casme2) == (
        f"{lock}: this is the mark that Excel leaves while a workbook is open, not the workbook; "
        f"close it in Excel and copy {TABLE} to {casme2}"
    )


def test_a_file_that_is_no_workbook(casme2: Path) -> None:
    (casme2 / TABLE).write_bytes(b"<html>login</html>")
    assert refused(casme2) == (
        f"{casme2 / TABLE}: this is no workbook that can be read (File is not a zip file); copy "
        "the official file again"
    )


def test_a_workbook_whose_program_noted_a_wrong_size_is_read_whole(casme2: Path) -> None:
    file = casme2 / TABLE
    with zipfile.ZipFile(file) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    assert b'<dimension ref="A1:I2"' in parts[sheet]
    parts[sheet] = parts[sheet].replace(b'ref="A1:I2"', b'ref="A1:A1"')
    with zipfile.ZipFile(file, "w") as book:
        for name, part in parts.items():
            book.writestr(name, part)
    (record,) = labelled(RecordedData(layouts=("casme2",), root=casme2)).records
    assert record.emotion == "happiness"


def test_a_folder_that_may_not_be_read(casme2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = casme2 / RAW / "sub01" / "EP02_01f"

    def locked_up(folder: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("mer_nas.data.annotations.clip_frames.Listing.of", locked_up)
    assert refused(casme2) == (
        f"{locked}: this may not be read; give yourself the right to, or copy it"
    )


def test_the_format_of_excel_before_2007(casme2: Path) -> None:
    (casme2 / TABLE).unlink()
    old = casme2 / "CASME2_label_Ver_2.xls"
    old.write_bytes(b"\xd0\xcf")
    assert refused(casme2) == (
        f"{old}: this is the format of Excel before 2007; save it as .xlsx beside it"
    )


def test_a_sheet_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "HS_long/SMIC-HS-E_annotation.xlsx"
    workbook(file, VIS=[("Subject", "Filename")])
    images(tmp_path / "HS_long/SMIC-HS-E", "s03/s3_ne_03/image1..3.jpg")
    assert refused(tmp_path, "smic_e") == f"{file}: there is no sheet 'HS'; found: VIS"


def test_a_table_of_casme_squared_without_its_rules_or_its_kind(tmp_path: Path) -> None:
    file = tmp_path / "code_final.xlsx"
    images(tmp_path / "rawpic", "s15/15_0101disgustingteeth/img001..003.jpg")
    workbook(file, Sheet1=[(1, "disgust1_1", 1, 2, 3, 4, "negative", "micro", "disgust")])
    assert refused(tmp_path, "casme_sq") == (
        f"{file}: this is not the table of CAS(ME)^2: 3 sheets are needed, found Sheet1. Put "
        "CAS(ME)^2code_final(Updated).xlsx there, or name it: data.annotations.casme_sq=FILE"
    )
    workbook(file, Sheet1=[(1, "disgust1_1", 1, 2, 3)], a=[], b=[])
    assert refused(tmp_path, "casme_sq") == (
        f"{file}: this is not the table of CAS(ME)^2: no row of its first sheet has "
        "'micro-expression' in column 8. Put CAS(ME)^2code_final(Updated).xlsx there, or name it: "
        "data.annotations.casme_sq=FILE"
    )


# The frames -------------------------------------------------------------------------------------

START = "a: 1 fault; `mer-nas data check` with the same words shows everything, "
HINT = "data.skip_missing=true leaves these clips out:\n  "


def test_an_empty_image(casme2: Path) -> None:
    folder = casme2 / RAW / "sub01/EP02_01f"
    (folder / "img48.jpg").write_bytes(b"")
    assert refused(casme2) == (
        f"{START}{HINT}sub01/EP02_01f: 1 image in {folder} without content: img48.jpg; copy them again"
    )


def test_two_kinds_of_image_for_one_frame(casme2: Path) -> None:
    images(casme2 / RAW, "sub01/EP02_01f/img47.png", "sub01/EP02_01f/img48.bmp")
    assert refused(casme2) == (
        f"{START}{HINT}sub01/EP02_01f: in {casme2 / RAW}/sub01/EP02_01f: img47.png, img48.jpg "
        "beside another of that number; keep one of them"
    )


def test_a_path_that_leaves_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    images(tmp_path, "secret/f1..9.png", "root/mine/f1..9.png")
    for path in ("../secret", "mine/../../secret", str(tmp_path / "secret"), r"..\secret"):
        (root / "manifest.csv").write_text(f"path,subject,label\n{path},anna,smile\n")
        message = refused(root, "manifest", labels="as_annotated")
        assert message.endswith(f"{path!r} leads out of {root}; a path below it would be right")


def test_a_release_that_is_not_given_out_or_not_there(casme2: Path) -> None:
    assert refused(casme2, "casme3", frames="cropped") == (
        "data.frames=cropped: CAS(ME)^3 part A is given out raw only; data.frames=raw would be right"
    )
    (casme2 / RAW).rename(casme2 / "Cropped")
    assert refused(casme2) == (
        f"data.root: {casme2} does not hold {RAW} with the clips of CASME II; it holds {TABLE}, "
        "Cropped. Cropped frames are there: data.frames=cropped reads them"
    )


def test_clips_that_cannot_be_used_may_be_left_out(casme2: Path) -> None:
    workbook(
        casme2 / TABLE,
        Sheet1=[CASME2_HEADER, ROW, ("02", "EP01_01f", None, 1, 2, 3, None, 4, "disgust")],
    )
    assert refused(casme2).endswith(
        f"sub02/EP01_01f: there is no folder sub02/EP01_01f in {casme2 / RAW}"
    )
    found = labelled(RecordedData(layouts=("casme2",), root=casme2, skip_missing=True))
    assert len(found.records) == 1
    assert [finding.kind for finding in found.left_out] == ["a clip without frames"]


# The words --------------------------------------------------------------------------------------


def test_layouts_roots_and_labels_that_are_not_known(casme2: Path) -> None:
    assert refused(casme2, "casme22").startswith("data.layouts: no layout is called 'casme22'; ")
    assert refused(casme2, roots={"cosme2": casme2}) == (
        "data.roots: no layout is called 'cosme2'; known: casme2. Did you mean 'casme2'?"
    )
    assert refused(casme2, labels="fiv") == (
        "data.labels=fiv: no label map is called 'fiv'; known: as_annotated, five, four, megc2019, "
        "seven, three. Did you mean 'five'?"
    )
    assert refused(casme2, labels="no.yaml") == (
        "no.yaml: cannot be read: no such file or directory"
    )


def test_labels_that_do_not_fit_the_data(casme2: Path, tmp_path: Path) -> None:
    images(tmp_path / "samm", "006/006_1_2/006_1..3.jpg")
    header = (
        "Subject",
        "Filename",
        "Onset Frame",
        "Apex Frame",
        "Offset Frame",
        "Action Units",
        "Estimated Emotion",
    )
    workbook(
        tmp_path / "samm/SAMM_Micro_FACS_Codes_v2.xlsx",
        MICRO_ONLY=[header, (6, "006_1_2", 1, 2, 3, 4, "Anger")],
    )
    roots = {"casme2": casme2, "samm": tmp_path / "samm"}
    assert refused(None, "casme2", "samm", labels="five", roots=roots) == (
        "data.labels=five: casme2 has the classes happiness, disgust, repression, surprise, others, but "
        "samm has anger, others, happiness, surprise, contempt; a map that gives both the same is "
        "needed, such as three"
    )
    assert refused(casme2, labels="four") == (
        "data.labels=four: no data set is called 'casme2'; known: casme3, casme_sq. Did you mean "
        "'casme3'?; as_annotated takes any"
    )


def test_a_label_map_of_ones_own(casme2: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("emotions: {casme2: {good: [happiness], bad: [disgust, sadness]}}\n")
    found = labelled(RecordedData(layouts=("casme2",), root=casme2, labels=str(mine)))
    assert found.classes == ("good", "bad")
    mine.write_text("emotions: {casme2: {good: [happiness], bad: [happiness]}}\n")
    assert refused(casme2, labels=str(mine)) == (
        f"data.labels={mine}: casme2: happiness belongs to two classes"
    )


def test_a_misspelt_emotion_of_a_label_map_is_refused(casme2: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("emotions: {casme2: {good: [hapiness], bad: [disgust, sadness]}}\n")
    message = refused(casme2, labels=str(mine))
    assert message.startswith(
        f"data.labels={mine}: casme2: no emotion is called 'hapiness'; known: "
    )
    assert message.endswith("Did you mean 'happiness'?")


def test_a_misspelt_exclusion_of_a_label_map_is_refused(casme2: Path, tmp_path: Path) -> None:
    mine, classes = tmp_path / "mine.yaml", "emotions: {casme2: {good: [happiness], bad: [fear]}}"
    mine.write_text(f"{classes}\nexclude: {{casme2: {{sub1/EP02_01f: it blinks}}}}\n")
    assert refused(casme2, labels=str(mine)) == (
        f"data.labels={mine}: exclude: casme2: no annotated clip is called 'sub1/EP02_01f'; known: "
        "sub01/EP02_01f. Did you mean 'sub01/EP02_01f'?"
    )
    mine.write_text(f"{classes}\nexclude: {{casme: {{sub01/EP02_01f: it blinks}}}}\n")
    assert refused(casme2, labels=str(mine)) == (
        f"data.labels={mine}: exclude: no data set is called 'casme'; known: casme2. Did you mean "
        "'casme2'?"
    )


def test_an_exclusion_may_name_a_clip_that_cannot_be_used(casme2: Path, tmp_path: Path) -> None:
    lost = ("02", "EP01_01f", None, 1, 2, 3, None, 4, "disgust")
    workbook(casme2 / TABLE, Sheet1=[CASME2_HEADER, ROW, lost])
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "emotions: {casme2: {good: [happiness], bad: [disgust]}}\n"
        "exclude: {casme2: {sub02/EP01_01f: its frames are lost}}\n"
    )
    words = {"root": casme2, "labels": str(mine), "skip_missing": True}
    found = labelled(RecordedData.model_validate({"layouts": ["casme2"], **words}))
    assert [record.name for record in found.records] == ["EP02_01f"]
    assert found.findings == ()


def test_two_sets_of_the_same_people() -> None:
    assert refused(None, "smic", "smic_e") == (
        "data.layouts: smic and smic_e show the same people, who would be learned from and held out "
        "at once; one of them would be right"
    )
