"""Clips of people's own, in the tables and folders that their programs make."""

from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

import pytest
from trees import images

from mer_nas.data.annotations.read_records import labelled
from mer_nas.data.checks.check import CheckReport, check_data
from mer_nas.data.config import RecordedData
from mer_nas.data.protocols import Scheme
from mer_nas.errors import DataError


def manifest(root: Path, *rows: str, folders: bool = True, **words: object) -> RecordedData:
    """Write a manifest of these rows, and the frames of each."""
    (root / "manifest.csv").write_text("\n".join(["path,subject,label", *rows]) + "\n", "utf-8")
    if folders:
        images(root, *(f"{row.split(',')[0]}/f1..5.png" for row in rows))
    tree = {"name": "m", "layouts": ["manifest"], "root": root, "labels": "as_annotated"}
    return RecordedData.model_validate({**tree, "pipeline": {"align": "none"}, **words})


def refused(config: RecordedData) -> str:
    with pytest.raises(DataError) as error:
        labelled(config)
    return str(error.value)


def found(report: CheckReport, kind: str) -> Iterator[str]:
    return (str(finding) for finding in report.findings if finding.kind == kind)


def test_a_person_written_in_two_ways_is_one_and_it_is_said(tmp_path: Path) -> None:
    config = manifest(tmp_path, "a,Anna,x", "b,anna ,y", "c,bo,x")
    assert [record.group for record in labelled(config).records] == [
        "manifest:Anna",
        "manifest:Anna",
        "manifest:bo",
    ]
    assert [*found(check_data(config), "subjects written in several ways")] == [
        "manifest:Anna: taken for one: 'Anna' (manifest.csv, line 2), 'anna' (manifest.csv, line 3)"
    ]


def test_people_who_may_be_one_are_refused_even_where_faults_are_passed_over(
    tmp_path: Path,
) -> None:
    config = manifest(tmp_path, "a,01,x", "b,1,y", "c,2,x", skip_missing=True)
    assert "'01' (manifest.csv, line 2); '1' (manifest.csv, line 3): one person " in refused(
        config
    )
    report = check_data(config)
    assert len([*found(report, "subjects that may be one person")]) == 1
    assert report.errors == 1


def test_folders_that_a_mac_wrote_are_found_and_it_is_said(tmp_path: Path) -> None:
    images(tmp_path, f"{normalize('NFD', 'été 클립')}/f1..5.png")
    config = manifest(tmp_path, "été 클립,anna,x", folders=False)
    (record,) = labelled(config).records
    assert record.name == "été 클립"
    (told,) = found(check_data(config), "a path spelled otherwise")
    assert told.endswith("its letters are composed otherwise on disk, another form of Unicode")


def test_a_folder_in_another_case_is_found_and_it_is_said(tmp_path: Path) -> None:
    images(tmp_path, "Clip1/f1..5.png")
    (told,) = found(
        check_data(manifest(tmp_path, "clip1,a,x", folders=False)), "a path spelled otherwise"
    )
    assert told.endswith("in the table 'clip1', on disk 'Clip1'")


def test_of_two_folders_the_one_that_is_spelled_so_is_taken(tmp_path: Path) -> None:
    config = manifest(tmp_path, "Clip1,a,x", "clip1,b,y", "clip01,c,x")
    folders = [record.frames[0].path.parent.name for record in labelled(config).records]
    assert folders == ["Clip1", "clip1", "clip01"]


def test_semicolons_are_read_and_said(tmp_path: Path) -> None:
    config = manifest(tmp_path, "a,anna,x", "b,bo,y")
    file = tmp_path / "manifest.csv"
    file.write_text(file.read_text().replace(",", ";").replace("path", " Path "))
    assert len(labelled(config).records) == 2
    (told,) = found(check_data(config), "an unusual table")
    assert told == "manifest:manifest.csv: separated by semicolons"


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    config = manifest(tmp_path, "a,anna,x")
    (tmp_path / "manifest.csv").write_text("path,subject,label,Subject\na,anna,x,bo\n")
    assert "the column subject stands 2 times in line 1" in refused(config)


def test_a_clip_without_a_label_is_refused(tmp_path: Path) -> None:
    config = manifest(tmp_path, "a,anna,", "b,bo,x", "c,cy,y")
    assert "nothing is annotated (manifest.csv, line 2)" in refused(config)
    assert [*found(check_data(config), "no emotion")]


def test_what_a_map_leaves_out_is_said_by_emotion(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("emotions: {manifest: {up: [x], down: [y]}}\n")
    config = manifest(tmp_path, "a,s,x", "b,t,y", "c,u,z", labels=str(mine))
    (left_out,) = labelled(config).left_out
    assert left_out.kind == f"'z' has no class in data.labels={mine}"


@pytest.mark.parametrize("folds", [2, 4])
def test_the_check_finds_what_a_search_would_refuse_about_folds(
    tmp_path: Path, folds: Scheme
) -> None:
    config = manifest(tmp_path, "a,s0,x", "b,s1,y", "c,s2,x", "d,s3,y")
    told = [*found(check_data(config, folds=folds), "clips that cannot be divided")]
    assert told == [
        f"study.folds={folds}: m: study.folds=4 asks for more groups than any class has clips (x 2, "
        "y 2); at most 2, or loso"
    ] * (folds == 4)


def test_a_class_that_one_subject_alone_shows_is_said(tmp_path: Path) -> None:
    config = manifest(tmp_path, "a,s0,x", "b,s1,y", "c,s2,x")
    assert [*found(check_data(config, folds="loso"), "a class of one fold")] == [
        "y: without manifest:s1 nobody shows it, so that fold cannot learn it"
    ]


@pytest.mark.parametrize("apex", ["x", "99", "99999999999999", "3.5"])
def test_an_apex_that_is_none_is_said_where_the_middle_is_taken(tmp_path: Path, apex: str) -> None:
    config = manifest(tmp_path, "a,anna,x", "b,bo,y")
    table = f"path,subject,label,onset,apex,offset\na,anna,x,1,{apex},5\nb,bo,y,1,,5\n"
    (tmp_path / "manifest.csv").write_text(table, "utf-8")
    assert [*found(check_data(config), "an estimated apex")] == [
        f"manifest:anna/a: apex {apex!r} is not between 1 and 5: the middle frame 3 is taken"
    ]


def test_a_path_too_long_for_the_disk_is_one_clip_that_cannot_be_used(tmp_path: Path) -> None:
    config = manifest(tmp_path, "a,anna,x", "b,bo,y")
    with (tmp_path / "manifest.csv").open("a", encoding="utf-8") as file:
        file.write(f"{'c' * 300},bo,x\n")
    report = check_data(config)
    (told,) = found(report, "a clip without frames")
    assert "no disk holds a name as long as" in told


def test_an_empty_manifest_is_not_said_to_be_elsewhere(tmp_path: Path) -> None:
    config = manifest(tmp_path)
    (tmp_path / "manifest.csv").write_text("\n\n", "utf-8")
    assert "this table is empty; it needs the headers path, subject, label" in refused(config)
