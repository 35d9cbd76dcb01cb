"""Pictures that two clips share are named, and pictures that are merely alike are not."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mer_nas.data import load
from mer_nas.data.checks.check import CheckReport, check_data
from mer_nas.data.checks.duplicates import shared_inputs
from mer_nas.data.clips import ClipSet
from mer_nas.data.config import PrecomputedFlow, RecordedData
from mer_nas.data.records import Record
from mer_nas.inputs import FLOW

ACROSS, WITHIN = "two subjects with the same pictures", "two clips with the same pictures"


def texture(seed: int, size: int = 28) -> NDArray[np.uint8]:
    grain = np.random.default_rng(seed).normal(0, 1, (size, size, 3))
    smooth = cv2.GaussianBlur(grain, (0, 0), size / 12)
    return np.asarray(cv2.normalize(smooth, np.empty(0), 20, 235, cv2.NORM_MINMAX), np.uint8)


def resaved(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def flows(*pictures: NDArray[np.uint8], subjects: str) -> ClipSet:
    clips = tuple(Record("a", who, f"c{at}", at % 2) for at, who in enumerate(subjects))
    arrays = np.stack([picture.transpose(2, 0, 1) / 127.5 - 1 for picture in pictures])
    return ClipSet("s", ("no", "yes"), clips, {FLOW: arrays.astype(np.float32)})


def told(clips: ClipSet) -> list[tuple[str, str, str]]:
    return [
        (finding.kind, finding.where, finding.text.partition(":  ")[0])
        for finding in shared_inputs(clips)
    ]


def test_flows_that_are_the_same_are_an_error_across_subjects_and_a_warning_within_one() -> None:
    one, two, three = texture(1), texture(2), texture(3)
    clips = flows(one, two, one, two, three, subjects="pppqr")
    assert told(clips) == [
        (WITHIN, "a:p/c2", "as a:p/c0: the same to the last value"),
        (ACROSS, "a:q/c3", "as a:p/c1: the same to the last value"),
    ]


def test_a_flow_that_was_saved_anew_is_found_and_others_are_not() -> None:
    pictures = [texture(seed) for seed in range(60)]
    clips = flows(*pictures, resaved(pictures[7], 95), subjects="p" * 30 + "q" * 30 + "r")
    (found,) = shared_inputs(clips)
    assert (found.kind, found.where) == (ACROSS, "a:r/c60")
    assert found.text.startswith("as a:p/c7: nearly the same (correlation 0.9")


def test_flows_without_any_motion_are_not_nearly_the_same() -> None:
    flat = [np.full((28, 28, 3), grey, np.uint8) for grey in (10, 20)]
    assert told(flows(*flat, subjects="pq")) == []


def test_a_search_says_so_in_its_first_lines_and_the_check_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "datasets" / "STSNet_whole_norm_u_v_os"
    folder.mkdir(parents=True)
    for sub, picture in (("sub01", texture(1)), ("sub02", texture(2)), ("sub03", texture(1))):
        cv2.imwrite(str(folder / f"{sub}_EP .png"), picture)
    rows = "".join(f"casme2,sub0{n},EP,{n - 1}\n" for n in (1, 2, 3))
    (tmp_path / "t.csv").write_text("dataset,sub,filename_o,label\n" + rows)
    config = PrecomputedFlow(name="flow", root=tmp_path, csv="t.csv")
    assert load(config).describe().splitlines()[1:] == [
        f"  warnings: {ACROSS} (1); `mer-nas data check` lists them",
        f"  {ACROSS}: casme2:sub03/EP: as casme2:sub01/EP: the same to the last value",
    ]
    assert check_data(config).errors == 1


# Frames -----------------------------------------------------------------------------------------


def film(folder: Path, seed: int, quality: int = 0, frames: int = 5) -> None:
    """Write frames of a face of its own, with a motion of its own."""
    folder.mkdir()
    face, motion = texture(seed, 96), texture(seed + 1000, 96).astype(float) / 40
    for at in range(frames):
        frame = np.clip(face + motion * at, 0, 255).astype(np.uint8)
        frame = resaved(frame, quality) if quality else frame
        cv2.imwrite(str(folder / f"f{at + 1}.png"), frame)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    for seed in range(3):
        film(tmp_path / f"c{seed}", seed)
    return tmp_path


def looked(root: Path, *rows: str) -> CheckReport:
    (root / "manifest.csv").write_text("\n".join(["path,subject,label", *rows]))
    tree = {"layouts": ["manifest"], "root": root, "labels": "as_annotated"}
    return check_data(RecordedData.model_validate({**tree, "pipeline": {"align": "none"}}))


def shared(report: CheckReport) -> list[tuple[str, str, str]]:
    return [(f.kind, f.where, f.text) for f in report.findings if f.kind in (ACROSS, WITHIN)]


def test_different_films_share_nothing(films: Path) -> None:
    assert shared(looked(films, "c0,p,x", "c1,p,y", "c2,q,x")) == []


def test_a_copied_film_is_named(films: Path) -> None:
    shutil.copytree(films / "c0", films / "copy")
    text = "as manifest:p/c0: 5 frames of 5 the same"
    assert shared(looked(films, "c0,p,x", "c1,q,y", "copy,q,x")) == [
        (ACROSS, "manifest:q/copy", text)
    ]
    assert shared(looked(films, "c0,p,x", "c1,q,y", "copy,p,x")) == [
        (WITHIN, "manifest:p/copy", text)
    ]


def test_a_film_that_was_cut_and_renumbered_is_named(films: Path) -> None:
    (films / "cut").mkdir()
    for at in (1, 2, 3):
        shutil.copy(films / f"c0/f{at + 2}.png", films / f"cut/g{at}.png")
    assert shared(looked(films, "c0,p,x", "c1,q,y", "cut,q,x")) == [
        (ACROSS, "manifest:q/cut", "as manifest:p/c0: 3 frames of 3 the same")
    ]


@pytest.mark.parametrize(("subject", "kind"), [("q", ACROSS), ("p", WITHIN)])
def test_a_film_that_was_compressed_is_named(films: Path, subject: str, kind: str) -> None:
    film(films / "small", 0, quality=90)
    ((found, where, text),) = shared(looked(films, "c0,p,x", "c1,q,y", f"small,{subject},x"))
    assert (found, where) == (kind, f"manifest:{subject}/small")
    assert text.startswith("as manifest:p/c0: the first frames are nearly the same (correlation ")
