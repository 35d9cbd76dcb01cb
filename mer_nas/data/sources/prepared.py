"""The clips of a data set, prepared: from the cache, or from their frames where it lacks them.

What is missing is divided into one task a clip. A task can be carried out in any process, keeps
what it makes in the cache at once, and so need not be done again when the work is interrupted.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache as once
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import cv2
import numpy as np

from mer_nas.data.clips import Clip, ClipSet
from mer_nas.data.findings import Finding
from mer_nas.data.preprocess.cache import Array, Cache, digest
from mer_nas.data.preprocess.config import ApexBy, Pipeline, Preparation
from mer_nas.data.preprocess.frame_readers import frame_reader
from mer_nas.data.preprocess.make_inputs import MEASURED, SCALING
from mer_nas.data.preprocess.pipeline import Keyframes, prepare, refuse_unready
from mer_nas.data.records import Record, RecordSet
from mer_nas.errors import DataError
from mer_nas.inputs import FLOW

APEX = "apex"
"""Kept like an input: the place of a clip's apex, and which of `WAYS` found it."""
WAYS: tuple[str, ...] = get_args(ApexBy)

SHOWN = 10
"""Clips that a message names."""

UNPREPARED = "cannot be prepared"
"""The kind of finding about a clip whose frames make no inputs."""


@dataclass(frozen=True)
class Task:
    """A clip that is to be prepared and kept."""

    record: Record
    how: Preparation
    names: tuple[str, ...]
    """The inputs that are missing."""
    folder: Path
    """Of the cache."""


Runner = Callable[[Sequence[Task]], Iterator[tuple[Task, str]]]
"""Carries tasks out, in any order and any process; yields each with why it failed, or ""."""


def prepared(
    records: RecordSet,
    how: Preparation,
    names: Sequence[str],
    folder: Path,
    skip: bool,
    run: Runner,
) -> ClipSet:
    """Return clips with the inputs called `names`, mapped into memory.

    Args:
        records: The clips on disk.
        how: How inputs are made from frames.
        names: Which inputs.
        folder: Of the cache.
        skip: Leave out clips that cannot be prepared instead of refusing.
        run: Prepares what the cache lacks.

    Raises:
        DataError: Clips cannot be prepared; the message names them, and the others are kept.
    """
    cache = Cache.open(folder)
    keys = [entry_keys(record, how, (*names, APEX)) for record in records.records]
    arrays = _sets(cache, keys)
    if arrays is None:
        failed = _fill(cache, records, keys, how, run)
        if failed and (not skip or len(failed) == len(keys)):
            raise DataError(_refusal(records, failed, skip))
        kept = [index for index, record in enumerate(records.records) if record.id not in failed]
        records = _subset(records, kept, failed)
        keys = [keys[index] for index in kept]
        arrays = _joined(cache, keys)
    apexes = arrays.pop(APEX)
    clips = [_found(*each) for each in zip(records.records, records.clips, apexes, strict=True)]
    measured = [name for name in names if name in MEASURED]
    return ClipSet(
        records.name,
        records.classes,
        tuple(clips),
        arrays,
        official=records.official,
        scaling={name: _scaling(name, how.pipeline) for name in names},
        left_out=records.left_out,
        findings=records.findings,
        how=how,
        by_fold=frozenset(measured if how.pipeline.values == "magnitude" else ()),
    )


def work(task: Task) -> str:
    """Prepare a clip and keep it; return why it could not be done, or nothing."""
    record, cache = task.record, Cache(task.folder)
    keys = entry_keys(record, task.how, (*task.names, APEX))
    try:
        found = prepare(
            frame_reader(record), _keyframes(record), task.how, task.names, record.cropped
        )
    except DataError as error:
        return str(error)
    for name, array in found.inputs.items():
        cache.keep(keys[name], array)
    cache.keep(keys[APEX], np.array([found.apex, WAYS.index(found.apex_source)]))
    return ""


def unready(record: Record, pipeline: Pipeline) -> str:
    """Return why a clip could not be prepared, as far as that is quickly known."""
    try:
        refuse_unready(frame_reader(record), _keyframes(record), pipeline, record.cropped)
    except DataError as error:
        return str(error)
    return ""


def _keyframes(record: Record) -> Keyframes:
    onset, apex, offset = (record.frames.index(frame) for frame in record.keyframes)
    return Keyframes(onset, offset, apex if record.apex_source == "annotated" else None)


def one_by_one(tasks: Sequence[Task]) -> Iterator[tuple[Task, str]]:
    """Carry tasks out in this process."""
    return ((task, work(task)) for task in tasks)


def entry_keys(record: Record, how: Preparation, names: Sequence[str]) -> dict[str, str]:
    """Return under which key each input of a clip is kept.

    It follows from the names, sizes and times of the clip's files, its annotation, the pipeline
    and the code; not from the folder in which the data set lies.
    """
    facts = [
        (frame.number, frame.path.name, *_state(frame.path)) for frame in sorted(record.frames)
    ]
    keyframes = (record.onset, record.apex, record.offset, record.apex_source, record.fps)
    text = json.dumps([record.id, facts, keyframes, record.cropped])
    return {name: digest([name, text, how.model_dump_json(), code()]) for name in names}


@once
def code() -> str:
    """Return what stands for the code that prepares clips, and the libraries that it uses."""
    here = Path(__file__)
    files = sorted([here, *(here.parents[1] / "preprocess").glob("*.py")])
    sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return digest([*sums, cv2.__version__, version("scikit-image")])


def _state(path: Path) -> tuple[int, int]:
    """Return size and time of a file; of one that is gone, what no file has."""
    try:
        found = os.stat(path)  # noqa: PTH116 - called for each frame of a data set
    except OSError:
        return (-1, -1)
    return found.st_size, found.st_mtime_ns


Keys = Sequence[dict[str, str]]
"""Of each clip, the key of each input and of the apex."""


def _sets(cache: Cache, keys: Keys) -> dict[str, Array] | None:
    """Return the inputs of all clips and their apexes; None where one is not in the cache."""
    arrays = {name: cache.set([key[name] for key in keys]) for name in keys[0]}
    whole = {name: array for name, array in arrays.items() if array is not None}
    return whole if len(whole) == len(arrays) else None


def _fill(
    cache: Cache, records: RecordSet, keys: Keys, how: Preparation, run: Runner
) -> dict[str, str]:
    """Prepare what the cache lacks; return, by id, the clips that could not be, and why."""
    tasks = []
    for record, key in zip(records.records, keys, strict=True):
        lacking = [name for name in key if cache.entry(key[name]) is None]
        if lacking:
            names = tuple(name for name in lacking if name != APEX)
            tasks.append(Task(record, how, names, cache.folder))
    return {task.record.id: reason for task, reason in run(tasks) if reason}


def _joined(cache: Cache, keys: Keys) -> dict[str, Array]:
    for name in keys[0]:
        rows = [key[name] for key in keys]
        if cache.set(rows) is None:
            cache.join(rows)
    arrays = _sets(cache, keys)
    if arrays is None:
        raise DataError(
            f"{cache.folder}: what was just prepared is damaged or gone; is the disk full, or "
            "does something else clear the folder?"
        )
    return arrays


def _refusal(records: RecordSet, failed: dict[str, str], skip: bool) -> str:
    hint = "" if skip else "; data.skip_missing=true leaves them out"
    return (
        f"{records.name}: {len(failed)} of {len(records.records)} clips cannot be prepared{hint}:"
        "\n  " + "\n  ".join([*failed.values()][:SHOWN] + ["..."] * (len(failed) > SHOWN))
    )


def _subset(records: RecordSet, kept: Sequence[int], failed: dict[str, str]) -> RecordSet:
    lost = [Finding("error", UNPREPARED, clip, reason) for clip, reason in failed.items()]
    return replace(
        records,
        records=tuple(records.records[index] for index in kept),
        labels=tuple(records.labels[index] for index in kept),
        left_out=(*records.left_out, *lost),
    )


def _found(record: Record, clip: Clip, apex: Array) -> Clip:
    place, way = apex.tolist()
    return replace(clip, apex=record.frames[place].number, apex_source=WAYS[way])


def _scaling(name: str, pipeline: Pipeline) -> str:
    own = {FLOW: f"u, v (pixels of a face of {pipeline.face}) and strain", **SCALING}[name]
    if name not in MEASURED:
        return own
    if pipeline.values == "min_max":
        return f"{own}; each clip stretched to -1..1"
    return f"{own}; divided by its root mean square over the training clips"
