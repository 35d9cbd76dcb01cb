"""From a data set on disk to what networks see, by the words of the command line."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_nas import data
from mer_nas.data.config import DataConfig, RecordedData
from mer_nas.data.needs import Needs
from mer_nas.data.preprocess.config import Alignment
from mer_nas.data.records import Record
from mer_nas.data.sources.recorded import Work, one_by_one
from mer_nas.errors import DataError
from mer_nas.settings import resolve


def film(folder: Path, seed: int) -> None:
    """Write 5 frames in which a texture moves to the right, a pixel a frame."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(seed).standard_normal((64, 64))
    texture = np.clip(128 + 300 * cv2.GaussianBlur(noise, (0, 0), 2.0), 0, 255)
    for place in range(5):
        frame = np.roll(texture, place, axis=1).astype(np.uint8)
        cv2.imwrite(str(folder / f"{place + 1}.png"), frame)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    """The words of a manifest of two clips, whose cache is in the user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    rows = [
        "path,subject,label,onset,apex,offset,aus",
        "a,anna,smile,1,4,5,6+12",
        "b,ben,frown,1,,5,",
    ]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "manifest.csv").write_text("\n".join(rows))
    film(tmp_path / "data" / "a", 1)
    film(tmp_path / "data" / "b", 2)
    words = ["align=none", "face=64", "flow.kind=farneback", "apex=[annotated,middle]"]
    return resolve(
        ["data=manifest", f"data.root={tmp_path / 'data'}"]
        + [f"data.pipeline.{word}" for word in words]
    ).data


def test_a_video_gives_what_the_same_frames_in_a_folder_give(
    own: DataConfig, tmp_path: Path
) -> None:
    needs = Needs(inputs=("flow_uvs", "frames"), sizes=(16,), frames=3)
    expected = data.load(own, needs)
    root = tmp_path / "data"
    for clip in ("a", "b"):
        # A codec that loses nothing; the numbers of its frames are one lower.
        code = cv2.VideoWriter.fourcc(*"FFV1")
        writer = cv2.VideoWriter(str(root / f"{clip}.avi"), code, 25, (64, 64))
        for number in range(1, 6):
            writer.write(cv2.imread(str(root / clip / f"{number}.png")))
        writer.release()
        shutil.rmtree(root / clip)
    rows = ["path,subject,label,onset,apex,offset", "a.avi,anna,smile,0,3,4", "b.avi,ben,frown,,,"]
    (root / "manifest.csv").write_text("\n".join(rows))
    found = data.load(own, needs)
    assert {clip.subject: clip.apex for clip in found.records} == {"anna": 3, "ben": 2}
    for name, array in expected.inputs.items():
        np.testing.assert_array_equal(found.inputs[name], array)


def test_clips_on_disk_become_what_a_network_asks_for(own: DataConfig, tmp_path: Path) -> None:
    needs = Needs(inputs=("flow_uvs", "frames"), sizes=(16,), frames=3, action_units=True)
    found = data.load(own, needs)
    assert found.inputs["flow_uvs"].shape == (2, 3, 16, 16)
    assert found.inputs["frames"].shape == (2, 3, 1, 16, 16)
    right = found.inputs["flow_uvs"][:, 0, 3:-3, 3:-3].mean((1, 2))
    assert right == pytest.approx([3, 2], abs=0.1)
    assert [(clip.apex, clip.apex_source) for clip in found.records] == [
        (4, "annotated"),
        (3, "middle"),
    ]
    assert found.records[0].action_units == ("6", "12")
    assert (tmp_path / "home" / "mer-nas" / "sets").is_dir()


def test_action_units_are_left_out_unless_they_are_asked_for(own: DataConfig) -> None:
    assert {clip.action_units for clip in data.load(own).records} == {None}


def test_a_second_load_prepares_nothing(own: DataConfig) -> None:
    asked: list[int] = []

    def run(work: Work, records: Sequence[Record]) -> Iterator[tuple[Record, str]]:
        asked.append(len(records))
        return one_by_one(work, records)

    first = data.load(own, run=run)
    second = data.load(own, run=run)
    assert asked == [2]
    assert second.fingerprint == first.fingerprint


def test_the_cache_may_lie_elsewhere(own: DataConfig, tmp_path: Path) -> None:
    data.load(own.model_copy(update={"cache": tmp_path / "there"}))
    assert (tmp_path / "there" / "sets").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"prepared clips cannot be kept here: not a directory"):
        data.load(own.model_copy(update={"cache": tmp_path / "file" / "x"}))


def test_faces_that_are_not_found_are_named_clip_by_clip(own: DataConfig) -> None:
    assert isinstance(own, RecordedData)
    pipeline = own.pipeline.model_copy(update={"align": Alignment()})
    with pytest.raises(
        DataError,
        match=r"manifest: 2 of 2 clips cannot be prepared; data\.skip_missing=true leaves them out:"
        r"\n  manifest:anna/a: no face found in the first frame \(64 by 64 pixels\)",
    ):
        data.load(own.model_copy(update={"pipeline": pipeline}))
