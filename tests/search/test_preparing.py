"""Clips prepared on Ray's workers: the same arrays, told of one by one, and few without Ray."""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import ray

from mer_nas.data.clips import ClipSet
from mer_nas.data.preprocess.config import Farneback, Pipeline, Preparation
from mer_nas.data.records import Frame, Record
from mer_nas.data.sources.recorded import Runner, Work, one_by_one, prepared
from mer_nas.errors import DataError
from mer_nas.search import preparing
from mer_nas.search.config import RayConfig, Shares
from mer_nas.search.events import Event, Note, Preparing
from mer_nas.search.interrupts import SIGNALS, interruptible
from mer_nas.search.preparing import MAX_ALONE, by_workers, preparer
from mer_nas.search.ray_watch import RayDied

HOW = Preparation(pipeline=Pipeline(align=None, face=16, flow=Farneback()), size=8, frames=2)


def records(folder: Path, count: int) -> ClipSet:
    made = []
    folder.mkdir()
    for number in range(count):
        frames = []
        for place in range(2):
            noise = np.random.default_rng([number, place]).integers(0, 255, (16, 16))
            path = folder / f"{number}_{place}.png"
            cv2.imwrite(str(path), noise.astype(np.uint8))
            frames.append(Frame(place, path))
        made.append(
            Record(
                "demo",
                "s1",
                f"c{number}",
                0,
                onset=0,
                apex=1,
                offset=1,
                apex_source="annotated",
                fps=25.0,
                frames=tuple(frames),
            )
        )
    return ClipSet("demo", ("no",), tuple(made), {})


def load(found: ClipSet, folder: Path, run: Runner) -> ClipSet:
    return prepared(found, HOW, ("flow_uvs",), folder, skip=False, run=run)


def test_workers_prepare_what_one_process_does_and_name_what_they_cannot(tmp_path: Path) -> None:
    found = records(tmp_path / "data", MAX_ALONE + 4)
    heard: list[Event] = []
    broken = found.records[3].frames[1].path
    content = broken.read_bytes()
    broken.write_bytes(b"")
    with pytest.raises(DataError, match=r"demo: 1 of 20 clips cannot be prepared(?s:.*)3_1\.png"):
        load(found, tmp_path / "ray", preparer(RayConfig(workers=2), heard.append))
    assert heard == [Preparing(done, MAX_ALONE + 4) for done in range(MAX_ALONE + 5)]
    broken.write_bytes(content)
    again: list[Event] = []
    by_workers = load(found, tmp_path / "ray", preparer(RayConfig(workers=2), again.append))
    assert again == [Preparing(0, 1), Preparing(1, 1)]  # the others were kept
    alone = load(found, tmp_path / "alone", one_by_one)
    assert by_workers.fingerprint == alone.fingerprint


def test_few_clips_do_not_wait_for_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> Runner:
        pytest.fail("Ray was started")

    monkeypatch.setattr(preparing, "_on_ray", never)
    load(records(tmp_path / "a", MAX_ALONE), tmp_path / "cache", preparer(RayConfig()))
    many = records(tmp_path / "b", MAX_ALONE + 1)
    load(many, tmp_path / "cache", preparer(RayConfig(workers=1)))
    heard: list[Event] = []
    load(many, tmp_path / "cache", preparer(RayConfig(), heard.append))
    assert heard == []


def test_what_was_prepared_before_an_interruption_is_kept(tmp_path: Path) -> None:
    found = records(tmp_path / "data", 5)

    def stop(event: Event) -> None:
        if event == Preparing(3, 5):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(found, tmp_path / "cache", preparer(RayConfig(), stop))
    left: list[Sequence[Record]] = []

    def run(work: Work, records: Sequence[Record]) -> Iterator[tuple[Record, str]]:
        left.append(records)
        return one_by_one(work, records)

    load(found, tmp_path / "cache", run)
    assert [record.name for record in left[0]] == ["c3", "c4"]


def test_where_ray_does_not_start_this_process_prepares_the_clips_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", init)
    heard: list[Event] = []
    load(
        records(tmp_path / "data", MAX_ALONE + 1),
        tmp_path / "cache",
        preparer(RayConfig(workers=2), heard.append),
    )
    begun, again, alone, *done = heard
    assert [begun, *done] == [Preparing(n, MAX_ALONE + 1) for n in range(MAX_ALONE + 2)]
    assert isinstance(again, Note)
    assert isinstance(alone, Note)
    assert again.text.endswith("; it is tried again, without dashboard and for longer")
    assert alone.text.endswith("; this process prepares one clip after another itself")


def test_whoever_stops_between_two_clips_has_the_handlers_of_signals_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextmanager
    def cluster(*_: object) -> Iterator[None]:
        with interruptible():
            yield

    def all_well(_: object, work: Work, records: Sequence[Record]) -> Iterator[tuple[Record, str]]:
        return one_by_one(work, records)

    monkeypatch.setattr(preparing, "cluster", cluster)
    monkeypatch.setattr(preparing, "by_workers", all_well)
    before = [signal.getsignal(number) for number in SIGNALS]
    clips = [Record("demo", "s1", f"c{number}", 0) for number in range(MAX_ALONE + 1)]
    running = preparer(RayConfig(workers=2))(lambda record: "", clips)
    next(running)
    del running
    assert [signal.getsignal(number) for number in SIGNALS] == before


class RayError(Exception):
    """What Ray raises of a task whose worker died."""


@pytest.fixture
def two_workers(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A cluster without Ray; the worker of the clip c1 dies."""

    class Remote:
        def remote(self, work: Work, record: Record) -> tuple[Work, Record]:
            return work, record

    def get(task: tuple[Work, Record]) -> str:
        work, record = task
        if record.name == "c1":
            raise RayError("The worker died unexpectedly\nwith pages of advice")
        return work(record)

    def wait(running: list[object], timeout: float) -> tuple[list[object], list[object]]:
        assert len(running) <= 2
        return running[:1], running[1:]

    fake = SimpleNamespace(
        remote=lambda **_: lambda _: Remote(),
        get=get,
        wait=wait,
        exceptions=SimpleNamespace(RayError=RayError),
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    return SimpleNamespace(shares=Shares(workers=2, cpu=1.0, gpu=0.0), missing=lambda: "")


def test_a_clip_whose_worker_dies_is_named_and_the_others_go_on(
    tmp_path: Path, two_workers: Any
) -> None:
    with pytest.raises(
        DataError,
        match=r"1 of 3 clips cannot be prepared[^\n]*\n"
        r"  demo:s1/c1: its worker died: The worker died unexpectedly$",
    ):
        load(
            records(tmp_path / "data", 3),
            tmp_path / "cache",
            partial(by_workers, two_workers),
        )


def test_where_ray_itself_has_died_that_is_said_and_no_clip_is_blamed(
    tmp_path: Path, two_workers: Any
) -> None:
    two_workers.missing = lambda: "raylet (7) is gone"
    with pytest.raises(RayDied, match=r"raylet \(7\) is gone.*the same command"):
        load(
            records(tmp_path / "data", 3),
            tmp_path / "cache",
            partial(by_workers, two_workers),
        )
