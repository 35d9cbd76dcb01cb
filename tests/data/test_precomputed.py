"""Flow images in the layout that HTNet published, here drawn by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_nas.data import load
from mer_nas.data.config import PrecomputedFlow
from mer_nas.errors import DataError
from mer_nas.inputs import FLOW

CSV = "combined_3_class2_for_optical_flow.csv"
FOLDER = "STSNet_whole_norm_u_v_os"
ROWS = [
    ("casme2", "sub06", "EP01_01", 0),
    ("samm", "006", "006_1_2", 1),
    ("smic", "s06", "s06_sur_01", 2),
]


def config(root: Path | None, **changes: object) -> PrecomputedFlow:
    return PrecomputedFlow.model_validate({"name": "flow", "root": root, "size": 4, **changes})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with three clips whose red, green and blue are 0, 255 and 51."""
    images = tmp_path / "somewhere" / "below" / FOLDER
    images.mkdir(parents=True)
    lines = [f"{dataset},{sub},{name},{label},," for dataset, sub, name, label in ROWS]
    header = "dataset,sub,filename_o,label,apex,imagename"
    (tmp_path / CSV).write_text("\n".join([header, *lines]), encoding="utf-8-sig")
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:] = (51, 255, 0)  # OpenCV writes blue first
    for _, sub, name, _ in ROWS:
        cv2.imwrite(str(images / f"{sub}_{name} .png"), picture)
    return tmp_path


def test_red_is_u_green_is_v_blue_is_strain_from_minus_one_to_one(root: Path) -> None:
    flow = load(config(root)).inputs[FLOW]
    assert flow.shape == (3, 3, 4, 4)
    assert flow.dtype == np.float32
    assert np.unique(flow[:, 0]).tolist() == [-1.0]
    assert np.unique(flow[:, 1]).tolist() == [1.0]
    np.testing.assert_allclose(flow[:, 2], 2 * 51 / 255 - 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (np.zeros((4, 4), np.uint8), "grey"),
        (np.zeros((4, 4, 4), np.uint8), "red, green, blue and alpha"),
        (np.zeros((4, 4, 3), np.uint16), "16 bits a value"),
        (np.zeros((4, 4), np.uint16), "16 bits a value"),
    ],
)
def test_an_image_that_holds_no_three_channels_of_8_bits_is_no_flow(
    root: Path, picture: np.ndarray, kind: str
) -> None:
    file = root / "somewhere" / "below" / FOLDER / "006_006_1_2 .png"
    cv2.imwrite(str(file), picture)
    with pytest.raises(
        DataError,
        match=rf"'006_006_1_2 \.png': an image of {kind}; one of red, green and blue, 8 bits each, "
        r"would be right$",
    ):
        load(config(root))


def test_subjects_are_read_as_text(root: Path) -> None:
    assert load(config(root)).subjects == ("casme2:sub06", "samm:006", "smic:s06")


def test_labels_and_emotions_follow_the_csv(root: Path) -> None:
    clips = load(config(root))
    assert clips.labels.tolist() == [0, 1, 2]
    assert [clip.emotion for clip in clips.records] == ["negative", "positive", "surprise"]


def refused(settings: PrecomputedFlow) -> str:
    with pytest.raises(DataError) as error:
        load(settings)
    return str(error.value)


def test_a_root_that_is_not_set_is_asked_for() -> None:
    assert refused(config(None)) == (
        f"data.root: flow needs the folder that holds {CSV} and the image folder {FOLDER}; "
        "data.root=DIR names it"
    )


def test_a_root_that_does_not_exist_is_named(tmp_path: Path) -> None:
    assert refused(config(tmp_path / "no")) == f"data.root: there is no folder {tmp_path / 'no'}"


def test_an_empty_root_is_told_from_a_missing_one(tmp_path: Path) -> None:
    assert refused(config(tmp_path)) == (
        f"data.root: {tmp_path} is empty; it should hold {CSV} and the image folder {FOLDER}"
    )


def test_a_root_without_the_table_is_refused(root: Path) -> None:
    (root / CSV).unlink()
    assert refused(config(root)) == f"data.root: {root} does not hold the table {CSV}"


def test_a_root_without_the_image_folder_is_refused(root: Path) -> None:
    (root / "somewhere" / "below" / FOLDER).rename(root / "somewhere" / "other")
    assert refused(config(root)) == (
        f"data.root: there is no image folder {FOLDER} anywhere below {root}"
    )


def test_two_image_folders_are_not_chosen_between(root: Path) -> None:
    (root / "copy" / FOLDER).mkdir(parents=True)
    assert f"there are 2 folders {FOLDER} below {root}" in refused(config(root))
    assert len(load(config(root, images=f"somewhere/below/{FOLDER}"))) == 3


def test_missing_columns_are_named_beside_those_found(root: Path) -> None:
    (root / CSV).write_text("dataset,subject,label\ncasme2,sub06,0\n")
    assert refused(config(root)) == (
        f"{root / CSV}: the columns sub, filename_o are missing in line 1; found: dataset, subject, "
        "label. Give them their official names again. Perhaps 'subject' for 'sub'?"
    )


def test_a_table_without_clips_is_refused(root: Path) -> None:
    (root / CSV).write_text("dataset,sub,filename_o,label\n")
    assert refused(config(root)) == f"{root / CSV}: the table has a header but no clips"


def test_a_table_that_is_no_text_is_refused(root: Path) -> None:
    (root / CSV).write_bytes(b"dataset,sub\n\xff\xfe\xfa")
    assert refused(config(root)).startswith(f"{root / CSV}: this is no csv in UTF-8: ")


def test_wrong_rows_are_listed_with_their_lines(root: Path) -> None:
    rows = ["casme2,sub06,EP01_01,0", "samm,006,006_1_2,3", "smic,s06,x,happy", "smic,,y,1"]
    (root / CSV).write_text("\n".join(["dataset,sub,filename_o,label", *rows]))
    assert refused(config(root)) == (
        f"{CSV}: 3 of 4 rows are wrong; labels are 0 negative, 1 positive, 2 surprise:\n"
        "  line 3: '3'\n"
        "  line 4: 'happy'\n"
        "  line 5: dataset, sub or filename_o is empty"
    )


def test_missing_and_unreadable_images_are_told_apart(root: Path) -> None:
    images = root / "somewhere" / "below" / FOLDER
    (images / "006_006_1_2 .png").unlink()
    (images / "s06_s06_sur_01 .png").write_bytes(b"no image")
    assert refused(config(root)) == (
        f"flow: 2 of 3 clips have no readable image in {images}; "
        "data.skip_missing=true leaves them out:\n"
        "  '006_006_1_2 .png': cannot be read: no such file or directory\n"
        "  's06_s06_sur_01 .png': this is no image that can be decoded; copy it again"
    )


def test_an_empty_image_cannot_be_read(root: Path) -> None:
    image = root / "somewhere" / "below" / FOLDER / "006_006_1_2 .png"
    image.write_bytes(b"")
    assert "'006_006_1_2 .png': this image file is empty (0 bytes); copy it again" in refused(
        config(root)
    )


def test_only_the_first_ten_missing_images_are_listed(root: Path) -> None:
    rows = [f"casme2,sub{n:02d},EP,0" for n in range(12)]
    (root / CSV).write_text("\n".join(["dataset,sub,filename_o,label", *rows]))
    message = refused(config(root))
    assert message.startswith("flow: 12 of 12 clips have no readable image")
    assert message.splitlines()[1:] == [
        *(f"  'sub{n:02d}_EP .png': cannot be read: no such file or directory" for n in range(10)),
        "  ...",
    ]


def test_clips_without_an_image_are_left_out_on_request_and_counted(root: Path) -> None:
    (root / "somewhere" / "below" / FOLDER / "006_006_1_2 .png").unlink()
    clips = load(config(root, skip_missing=True))
    assert clips.describe().splitlines()[:2] == [
        "flow: 2 clips, 2 subjects, negative 1, positive 0, surprise 1",
        "  left out: no readable image (1)",
    ]


def test_no_image_at_all_is_refused_even_where_missing_ones_are_left_out(root: Path) -> None:
    for image in (root / "somewhere" / "below" / FOLDER).iterdir():
        image.unlink()
    assert refused(config(root, skip_missing=True)).startswith("flow: 3 of 3 clips have no")


def test_images_of_another_size_are_named_with_their_size(root: Path) -> None:
    assert refused(config(root, size=28)) == (
        "flow: 3 of 3 images are not 28 by 28 pixels (data.size): 'sub06_EP01_01 .png' 4 by 4, "
        "'006_006_1_2 .png' 4 by 4, 's06_s06_sur_01 .png' 4 by 4"
    )


# Who is one person ------------------------------------------------------------------------------


def written(root: Path, *rows: str) -> None:
    """Write the table, and an image of its own grey for each row."""
    lines = ["dataset,sub,filename_o,label", *rows]
    (root / CSV).write_text("\n".join(lines) + "\n", encoding="utf-8")
    for grey, row in enumerate(rows):
        _, sub, name, _ = (cell.strip() for cell in row.split(","))
        picture = np.full((4, 4, 3), 20 * grey, np.uint8)
        cv2.imwrite(str(root / "somewhere" / "below" / FOLDER / f"{sub}_{name} .png"), picture)


def test_a_known_data_set_and_its_subjects_have_one_name_however_they_are_written(
    root: Path,
) -> None:
    rows = ("CASME II,6,a,0", "casme2,sub06,b,1", "smic,S6,c,2", "SAMM,6,d,0", "samm,006,e,1")
    written(root, *rows)
    clips = load(config(root))
    assert clips.subjects == ("casme2:sub06", "samm:006", "smic:s06")
    assert "subjects written in several ways: casme2:sub06: taken for one: '6' (line 2), " in (
        clips.describe()
    )


def test_a_person_of_an_unknown_set_is_not_told_by_case_blanks_or_unicode(root: Path) -> None:
    written(root, "mine,Jose\u0301,a,0", "Mine ,jos\u00e9,b,1", "mine,bo,c,2")
    assert load(config(root)).subjects == ("mine:José", "mine:bo")


def test_it_is_not_guessed_whether_01_and_1_are_one_person(root: Path) -> None:
    written(root, "mine,01,a,0", "mine,1,b,1", "mine,2,c,2")
    assert refused(config(root)) == (
        f"{CSV}: it cannot be told who is one person:\n  '01' (line 2); '1' (line 3): one person "
        "needs one spelling; two people need names that differ in more than zeros, signs, accents or "
        "a word such as sub"
    )


def test_two_cameras_of_the_same_people_are_not_put_together(root: Path) -> None:
    written(root, "smic,s06,a,0", "SMIC-VIS,s06,b,1")
    assert "smic and smic_vis show the same people" in refused(config(root))


def test_a_clip_that_is_named_twice_is_named_with_its_lines(root: Path) -> None:
    written(root, "casme2,sub06,a,0", "casme2,sub07,b,1", "CASME2,sub06,a,0")
    assert refused(config(root)) == (
        f"{CSV}: 1 clip is named more than once: casme2:sub06/a (line 2, line 4)"
    )


def test_images_are_found_where_excel_took_the_zeros_from_the_table(root: Path) -> None:
    (root / CSV).write_text("Dataset;SUB;filename_o;label\nsamm;6;006_1_2;1\n", encoding="utf-16")
    assert [clip.id for clip in load(config(root)).records] == ["samm:006/006_1_2"]


def test_an_image_is_found_whose_name_a_mac_wrote_in_another_form(root: Path) -> None:
    written(root, "mine,Jose\u0301,a,0", "mine,bo,b,1")
    (root / CSV).write_text("dataset,sub,filename_o,label\nmine,Jos\u00e9,a,0\nmine,bo,b,1\n")
    assert len(load(config(root))) == 2


def test_a_comma_too_many_moves_no_cell(root: Path) -> None:
    (root / CSV).write_text("dataset,sub,filename_o,label\nmine,a,clip 1, take 2,0\n")
    assert "1 row with more cells than the header's 4: line 2; " in refused(config(root))


@pytest.mark.parametrize("label", ["9" * 5000, "-1", "1.0", "\u00b2"])
def test_a_label_that_is_no_number_of_a_class_is_refused(root: Path, label: str) -> None:
    table = (root / CSV).read_text("utf-8-sig").replace("EP01_01,0", f"EP01_01,{label}")
    (root / CSV).write_text(table, "utf-8")
    with pytest.raises(DataError, match="1 of 3 rows are wrong; labels are 0 negative"):
        load(config(root))


@pytest.mark.parametrize("name", ["../EP01_01", "/etc/EP01_01", "a\\b"])
def test_the_name_of_a_clip_leads_nowhere(root: Path, name: str) -> None:
    table = (root / CSV).read_text("utf-8-sig").replace("EP01_01", name)
    (root / CSV).write_text(table, "utf-8")
    with pytest.raises(DataError, match=r"line 2: 'sub06', .* is a path; a name would be right"):
        load(config(root))
