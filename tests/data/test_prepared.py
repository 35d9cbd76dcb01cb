"""Prepared sets: from frames once, from the cache afterwards, and entry by entry in between."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_nas.data.clips import ClipSet
from mer_nas.data.preprocess import frame_readers
from mer_nas.data.preprocess.alignment import Crop
from mer_nas.data.preprocess.config import Alignment, Farneback, Pipeline, Preparation
from mer_nas.data.records import Frame, Record
from mer_nas.data.sources import recorded
from mer_nas.data.sources.recorded import Work, one_by_one, prepared
from mer_nas.errors import DataError

HOW = Preparation(
    pipeline=Pipeline(align=None, face=32, flow=Farneback(), apex=("annotated", "middle")),
    size=8,
    frames=2,
)
NAMES = ("flow_uvs", "keyframes")


def draw(place: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((48, 48))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return np.roll(np.clip(128 + 300 * smooth, 0, 255), place, axis=1).astype(np.uint8)


def record(folder: Path, number: int, apex_source: str = "annotated") -> Record:
    """Write a clip of frames 10 to 14 that moves to the right, and return it."""
    frames = []
    for place in range(5):
        path = folder / f"clip{number}" / f"img{10 + place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), draw(place, number))
        frames.append(Frame(10 + place, path))
    return Record(
        "demo",
        f"s{number % 2}",
        f"clip{number}",
        number % 2,
        onset=10,
        apex=13,
        offset=14,
        apex_source=apex_source,
        emotion="happiness",
        fps=100.0,
        frames=tuple(frames),
    )


@pytest.fixture
def records(tmp_path: Path) -> ClipSet:
    """Four clips of two subjects on disk."""
    made = tuple(record(tmp_path / "data", number) for number in range(4))
    return ClipSet("demo", ("no", "yes"), made, {})


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., ClipSet]:
    """Prepares a set in a cache of its own."""

    def run(records: ClipSet, **changes: object) -> ClipSet:
        given = {
            "how": HOW,
            "names": NAMES,
            "folder": tmp_path / "cache",
            "skip": False,
            "run": one_by_one,
        }
        return prepared(records, **{**given, **changes})  # type: ignore[arg-type]

    return run


class Counted:
    """Does the work of each clip and remembers which."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.ids: list[str] = []
        self.stop_after = stop_after

    def __call__(self, work: Work, records: Sequence[Record]) -> Iterator[tuple[Record, str]]:
        for record in records:
            if len(self.ids) == self.stop_after:
                raise KeyboardInterrupt
            self.ids.append(record.name)
            yield record, work(record)


def kept(folder: Path) -> dict[str, int]:
    """Return which file each entry of a cache is; one that is made anew is another."""
    return {file.stem: file.stat().st_ino for file in (folder / "entries").rglob("*.npy")}


def test_a_set_holds_what_its_frames_show(records: ClipSet, load: Callable[..., ClipSet]) -> None:
    found = load(records)
    assert found.inputs["flow_uvs"].shape == (4, 3, 8, 8)
    assert found.inputs["keyframes"].shape == (4, 3, 1, 8, 8)
    # The face is 32 of 48 pixels wide, so 3 pixels to the right are 2 of its own.
    assert found.inputs["flow_uvs"][:, 0, 2:-2, 2:-2].mean() == pytest.approx(2, abs=0.1)
    assert [clip.id for clip in found.records] == [record.id for record in records.records]
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert {(clip.apex, clip.apex_source) for clip in found.records} == {(13, "annotated")}
    assert found.how == HOW
    assert found.by_fold == {"flow_uvs"}
    assert "divided by its root mean square over the training clips" in found.scaling["flow_uvs"]


def test_the_second_time_no_frame_is_opened(
    records: ClipSet, load: Callable[..., ClipSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(records)
    monkeypatch.setattr(frame_readers, "decode", lambda file: pytest.fail(f"{file} was opened"))
    run = Counted()
    second = load(records, run=run)
    assert run.ids == []
    assert second.fingerprint == first.fingerprint
    assert second.records == first.records
    assert isinstance(second.inputs["flow_uvs"].base, np.memmap)


def test_what_was_interrupted_goes_on_where_it_was(
    records: ClipSet, load: Callable[..., ClipSet]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        load(records, run=Counted(stop_after=3))
    rest = Counted()
    load(records, run=rest)
    assert rest.ids == ["clip3"]


def test_only_the_damaged_entry_is_made_anew(
    records: ClipSet, load: Callable[..., ClipSet], tmp_path: Path
) -> None:
    before = load(records)
    flow = before.inputs["flow_uvs"][2].tobytes()
    (file,) = (
        file
        for file in (tmp_path / "cache" / "entries").rglob("*.npy")
        if np.load(file).tobytes() == flow
    )
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    for joined in (tmp_path / "cache" / "sets").iterdir():
        joined.write_bytes(joined.read_bytes()[:-1] + b"?")
    run, whole = Counted(), kept(tmp_path / "cache")
    again = load(records, run=run)
    assert run.ids == ["clip2"]
    now = kept(tmp_path / "cache")
    anew = {key for key in now if now[key] != whole[key]}
    assert file.stem in anew
    assert len(anew) == 2  # the flow, and with it the place of the apex
    assert again.fingerprint == before.fingerprint


def test_an_apex_that_was_lost_with_the_frames_of_the_clip_is_found_again(
    records: ClipSet, load: Callable[..., ClipSet], tmp_path: Path
) -> None:
    names = ("flow_uvs", "clip_frames")
    spotted = HOW.pipeline.model_copy(update={"apex": ("spotted",)})
    how = HOW.model_copy(update={"pipeline": spotted})
    before = load(records, names=names, how=how)
    assert {clip.apex_source for clip in before.records} == {"spotted"}
    for file in (tmp_path / "cache").rglob("*.npy"):
        if file.parent.name == "sets" or np.load(file).shape != (3, 8, 8):
            file.unlink()
    assert load(records, names=names, how=how).records == before.records


def test_a_clip_more_is_one_task_more(
    records: ClipSet, load: Callable[..., ClipSet], tmp_path: Path
) -> None:
    load(records)
    more = (*records.records, record(tmp_path / "data", 4))
    run = Counted()
    load(replace(records, records=more), run=run)
    assert run.ids == ["clip4"]


def test_an_input_more_is_made_for_every_clip_and_the_others_are_kept(
    records: ClipSet, load: Callable[..., ClipSet], tmp_path: Path
) -> None:
    load(records, names=("flow_uvs",))
    before = kept(tmp_path / "cache")
    flows = {
        file.stem
        for file in (tmp_path / "cache" / "entries").rglob("*.npy")
        if np.load(file).shape == (3, 8, 8)
    }
    run = Counted()
    load(records, names=NAMES, run=run)
    assert len(run.ids) == len(flows) == 4
    now = kept(tmp_path / "cache")
    assert {key: now[key] for key in flows} == {key: before[key] for key in flows}


def test_what_is_kept_follows_files_annotation_and_pipeline_but_not_the_folder(
    tmp_path: Path, load: Callable[..., ClipSet]
) -> None:
    made = record(tmp_path / "here", 0)

    def anew(changed: Record, **changes: object) -> bool:
        """Return whether a clip is prepared again, though it has been."""
        run = Counted()
        load(ClipSet("demo", ("no",), (changed,), {}), run=run, **changes)
        return bool(run.ids)

    assert anew(made)
    assert not anew(made)
    moved = tmp_path / "there"
    (tmp_path / "here").rename(moved)
    frames = tuple(
        Frame(n, moved / path.relative_to(tmp_path / "here")) for n, path in made.frames
    )
    there = replace(made, frames=frames)
    assert not anew(there)
    assert anew(replace(there, apex=12))
    assert anew(there, how=HOW.model_copy(update={"size": 9}))
    assert anew(there, names=("difference",))
    moved.rename(tmp_path / "here")
    assert not anew(made)
    os.utime(made.frames[2].path, ns=(1, 1))
    assert anew(made)


def test_clips_that_cannot_be_prepared_are_all_named_and_the_others_kept(
    records: ClipSet, load: Callable[..., ClipSet]
) -> None:
    records.records[1].frames[3].path.write_bytes(b"")
    records.records[2].frames[0].path.unlink()
    with pytest.raises(
        DataError,
        match=r"(?s)^demo: 2 of 4 clips cannot be prepared; data\.skip_missing=true leaves them out:"
        r"\n  \S+clip1/img13\.png: this image file is empty \(0 bytes\)[^\n]*"
        r"\n  \S+clip2/img10\.png: cannot be read: no such file or directory$",
    ):
        load(records)
    run = Counted()
    found = load(records, skip=True, run=run)
    assert run.ids == ["clip1", "clip2"]
    assert [clip.name for clip in found.records] == ["clip0", "clip3"]
    assert [left.where for left in found.left_out] == ["demo:s1/clip1", "demo:s0/clip2"]
    assert "left out: cannot be prepared (2)" in found.describe()


def test_a_set_of_which_nothing_is_left_is_refused(
    records: ClipSet, load: Callable[..., ClipSet]
) -> None:
    for made in records.records:
        made.frames[0].path.unlink()
    with pytest.raises(DataError, match=r"^demo: 4 of 4 clips cannot be prepared:\n"):
        load(records, skip=True)


def test_an_estimated_apex_counts_as_none(tmp_path: Path, load: Callable[..., ClipSet]) -> None:
    made = record(tmp_path / "data", 0, apex_source="estimated")
    found = load(ClipSet("demo", ("no",), (made,), {}))
    assert [(clip.apex, clip.apex_source) for clip in found.records] == [(12, "middle")]


def test_values_that_were_stretched_are_not_scaled_again(
    records: ClipSet, load: Callable[..., ClipSet]
) -> None:
    pipeline = HOW.pipeline.model_copy(update={"values": "min_max"})
    found = load(records, how=HOW.model_copy(update={"pipeline": pipeline}))
    assert found.by_fold == frozenset()
    assert found.inputs["flow_uvs"].max() == pytest.approx(1)
    assert re.search("each clip stretched to -1..1$", found.scaling["flow_uvs"])


def test_the_code_that_prepares_is_part_of_the_key(
    records: ClipSet, load: Callable[..., ClipSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(records)
    monkeypatch.setattr(recorded, "_code", lambda: "other code")
    run = Counted()
    load(records, run=run)
    assert len(run.ids) == 4


@pytest.mark.parametrize("name", ["rank_pooling.py", "own_inputs.py", "records.py", "flow.py"])
def test_a_file_that_decides_what_is_kept_is_part_of_the_key(
    records: ClipSet, load: Callable[..., ClipSet], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    load(records)
    sums = recorded.digest
    with monkeypatch.context() as patched:
        patched.setattr(recorded, "digest", lambda f: "edited" if f.name == name else sums(f))
        recorded._code.cache_clear()
        run = Counted()
        load(records, run=run)
    recorded._code.cache_clear()
    assert len(run.ids) == 4


def test_what_finds_faces_is_part_of_the_key_where_one_is_looked_for(
    tmp_path: Path, load: Callable[..., ClipSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Crop(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), 32)
    monkeypatch.setattr(Crop, "of", lambda *_: whole)
    aligned = HOW.model_copy(
        update={"pipeline": HOW.pipeline.model_copy(update={"align": Alignment()})}
    )
    made = record(tmp_path / "data", 0)
    cropped = replace(made, cropped=True)

    def anew(changed: Record, how: Preparation) -> bool:
        run = Counted()
        load(ClipSet("demo", ("no",), (changed,), {}), how=how, run=run)
        return bool(run.ids)

    cases = [(made, aligned), (made, HOW), (cropped, aligned)]
    assert [anew(*case) for case in cases] == [True, True, True]
    monkeypatch.setattr(recorded, "version", lambda name: f"21.0 of {name}")
    recorded._aligners.cache_clear()
    updated = [anew(*case) for case in cases]
    recorded._aligners.cache_clear()
    assert updated == [True, False, False]
