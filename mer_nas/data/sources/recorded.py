"""Recorded clips as networks see them: read from disk, and prepared where the cache lacks them.

A clip is prepared by itself, in any process, and what is made of it lies in the cache at once, so
nothing has to be done again when the work is interrupted.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache as once
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import get_args

import cv2
import numpy as np

from mer_nas.data.annotations.read_records import labelled
from mer_nas.data.clips import Array, ClipSet
from mer_nas.data.config import RecordedData
from mer_nas.data.findings import Finding
from mer_nas.data.needs import Needs
from mer_nas.data.own_inputs import OWN_INPUTS, code_of
from mer_nas.data.preprocess.cache import Cache
from mer_nas.data.preprocess.config import ApexBy, Pipeline, Preparation
from mer_nas.data.preprocess.frame_readers import FrameReader, Stills, Video
from mer_nas.data.preprocess.images import IMAGE_ENDINGS
from mer_nas.data.preprocess.make_inputs import MEASURED, SCALING, needs_apex
from mer_nas.data.preprocess.pipeline import Keyframes, prepare, refuse_unready
from mer_nas.data.records import Record
from mer_nas.errors import DataError
from mer_nas.files import digest
from mer_nas.inputs import FLOW
from mer_nas.wording import lines

_SIZE = 28
"""Height and width of inputs, in pixels, where nothing asks for any."""
_FRAMES = 8
"""Frames from onset to apex where nothing asks for any; a dynamic image is made of them."""

APEX = "apex"
"""Kept like an input: the place of a clip's apex, and which of `WAYS` found it."""
WAYS: tuple[str, ...] = get_args(ApexBy)

_ALIGNERS = ("dlib", "dlib-bin", "face_recognition_models")
"""What finds faces and their landmarks, as pip calls it; dlib has two names."""

UNPREPARED = "cannot be prepared"
"""The kind of finding about a clip whose frames make no inputs."""

Work = Callable[[Record], str]
"""Prepares a clip and keeps it; returns why it could not be done, or ""."""
Runner = Callable[[Work, Sequence[Record]], Iterator[tuple[Record, str]]]
"""Does the work of each clip, in any order and any process; yields each with what it returned."""
_Keys = Sequence[dict[str, str]]
"""Of each clip, the key of each input and of the apex."""


def load_recorded(config: RecordedData, needs: Needs, run: Runner) -> ClipSet:
    """Return the clips, prepared as far as they are not in the cache.

    Args:
        config: Which data sets, and how inputs are made from their frames.
        needs: Which inputs.
        run: Prepares what the cache lacks.

    Raises:
        DataError: A root, a table or clips are not what they should be.
        ConfigError: A layout or label map is unknown, or they do not go together.
    """
    how = Preparation(
        pipeline=config.pipeline,
        size=size_asked(needs),
        frames=frames_asked(needs),
    )
    folder = config.cache.expanduser() if config.cache else None
    found = prepared(labelled(config), how, needs.inputs, folder, config.skip_missing, run)
    if needs.action_units:
        return found
    bare = (replace(record, action_units=None) for record in found.records)
    return replace(found, records=tuple(bare))


def prepared(
    clips: ClipSet,
    how: Preparation,
    names: Sequence[str],
    folder: Path | None,
    skip: bool,
    run: Runner,
) -> ClipSet:
    """Return clips with the inputs called `names`, mapped into memory.

    Args:
        clips: The clips on disk.
        how: How inputs are made from frames.
        names: Which inputs.
        folder: Of the cache; None: where the system wants caches.
        skip: Leave out clips that cannot be prepared instead of refusing.
        run: Prepares what the cache lacks.

    Raises:
        DataError: Clips cannot be prepared; the message names them, and the others are kept.
    """
    cache = Cache.open(folder)
    apex = _apex_key(names)
    keys = [_entry_keys(record, how, (*names, apex)) for record in clips.records]
    arrays = _sets(cache, keys)
    if arrays is None:
        failed = _fill(cache, clips, keys, partial(_keep, how=how, names=names, cache=cache), run)
        if failed and (not skip or len(failed) == len(keys)):
            raise DataError(_refusal(clips, failed, skip))
        kept = [index for index, record in enumerate(clips.records) if record.id not in failed]
        lost = [Finding("error", UNPREPARED, clip, reason) for clip, reason in failed.items()]
        clips = replace(clips.subset(kept), left_out=(*clips.left_out, *lost))
        keys = [keys[index] for index in kept]
        arrays = _joined(cache, keys)
    apexes = arrays.pop(apex)
    measured = [name for name in names if name in MEASURED]
    return replace(
        clips,
        records=tuple(map(_seen, clips.records, apexes)),
        inputs=arrays,
        scaling={name: scaling_of(name, how.pipeline) for name in names},
        how=how,
        by_fold=frozenset(measured if how.pipeline.values == "magnitude" else ()),
    )


def _keep(record: Record, how: Preparation, names: Sequence[str], cache: Cache) -> str:
    """Prepare what the cache lacks of a clip and keep it there; return why it failed, or ""."""
    apex = _apex_key(names)
    keys = _entry_keys(record, how, (*names, apex))
    lacking = [name for name in names if cache.entry(keys[name]) is None]
    if needs_apex(names) and not needs_apex(lacking) and cache.entry(keys[apex]) is None:
        lacking = list(names)  # what needs no apex would not have it found
    try:
        reader, keyframes = frame_reader(record), _keyframes(record)
        found = prepare(reader, keyframes, how, lacking, record.cropped)
    except DataError as error:
        return str(error)
    for name, array in found.inputs.items():
        cache.keep(keys[name], array)
    if needs_apex(lacking) or not needs_apex(names):
        cache.keep(keys[apex], np.array([found.apex, WAYS.index(found.apex_source)]))
    return ""


def _apex_key(names: Sequence[str]) -> str:
    """Return what the apex is kept as: apart where none of the inputs needed it to be found."""
    return APEX if needs_apex(names) else f"{APEX} or middle"


def one_by_one(work: Work, records: Sequence[Record]) -> Iterator[tuple[Record, str]]:
    """Do the work of each clip in this process."""
    return ((record, work(record)) for record in records)


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


def frame_reader(record: Record) -> FrameReader:
    """Return the frames of a record: image files, or some frames of a video."""
    file = record.frames[0].path
    if file.suffix.lower() in IMAGE_ENDINGS:
        return Stills(record.id, tuple(frame.path for frame in record.frames), record.fps)
    numbers = tuple(frame.number for frame in record.frames)
    return Video(record.id, file, numbers[-1] + 1, record.fps, numbers)


def _entry_keys(record: Record, how: Preparation, names: Sequence[str]) -> dict[str, str]:
    """Return under which key each input of a clip is kept.

    It follows from the names, sizes and times of the clip's files, its annotation, the pipeline,
    the code, and what finds the face where one is looked for; not from the folder in which the
    data set lies.
    """
    facts = [
        (frame.number, frame.path.name, *_state(frame.path)) for frame in sorted(record.frames)
    ]
    keyframes = (record.onset, record.apex, record.offset, record.apex_source, record.fps)
    text = json.dumps([record.id, facts, keyframes, record.cropped])
    own = {name: code_of(name) for name in names if name in OWN_INPUTS}
    text += how.model_dump_json()
    if how.pipeline.align is not None and not record.cropped:
        text += _aligners()
    return {name: Cache.key([name, text, own.get(name, ""), _code()]) for name in names}


@once
def _code() -> str:
    """Return what stands for the code that prepares clips, and the libraries that it uses."""
    here = Path(__file__)
    data = here.parents[1]
    beside = (data / "own_inputs.py", data / "records.py", data.parent / "rank_pooling.py")
    files = [here, *beside, *sorted((data / "preprocess").glob("*.py"))]
    sums = [digest(file) for file in files]
    return Cache.key([*sums, cv2.__version__, version("scikit-image")])


@once
def _aligners() -> str:
    """Return the versions of what aligns faces, as far as it is installed."""
    found = []
    for name in _ALIGNERS:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found)


def _state(path: Path) -> tuple[int, int]:
    """Return size and time of a file; of one that is gone, what no file has."""
    try:
        found = os.stat(path)  # noqa: PTH116 - called for each frame of a data set
    except OSError:
        return (-1, -1)
    return found.st_size, found.st_mtime_ns


def _sets(cache: Cache, keys: _Keys) -> dict[str, Array] | None:
    """Return the inputs of all clips and their apexes; None where one is not in the cache."""
    arrays = {name: cache.set([key[name] for key in keys]) for name in keys[0]}
    whole = {name: array for name, array in arrays.items() if array is not None}
    return whole if len(whole) == len(arrays) else None


def _fill(cache: Cache, clips: ClipSet, keys: _Keys, work: Work, run: Runner) -> dict[str, str]:
    """Prepare what the cache lacks; return, by id, the clips that could not be, and why."""
    lacking = [
        record
        for record, key in zip(clips.records, keys, strict=True)
        if any(cache.entry(key[name]) is None for name in key)
    ]
    return {record.id: reason for record, reason in run(work, lacking) if reason}


def _joined(cache: Cache, keys: _Keys) -> dict[str, Array]:
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


def _refusal(clips: ClipSet, failed: dict[str, str], skip: bool) -> str:
    hint = "" if skip else "; data.skip_missing=true leaves them out"
    return (
        f"{clips.name}: {len(failed)} of {len(clips)} clips cannot be prepared{hint}:"
        f"\n  {lines(failed.values())}"
    )


def _seen(record: Record, apex: Array) -> Record:
    """Return a record whose inputs are there: with the apex that was found, without frames."""
    place, way = apex.tolist()
    number = record.frames[place].number
    return replace(record, apex=number, apex_source=WAYS[way], frames=())


def size_asked(needs: Needs) -> int:
    """Return height and width of inputs, in pixels."""
    return needs.sizes[0] if needs.sizes else _SIZE


def frames_asked(needs: Needs) -> int:
    """Return how many frames there are from onset to apex."""
    return needs.frames or _FRAMES


def scaling_of(name: str, pipeline: Pipeline) -> str:
    """Return how the values of an input follow from frames, in words."""
    if name in OWN_INPUTS:
        return "as the user's function gives it"
    own = {FLOW: f"u, v (pixels of a face of {pipeline.face}) and strain", **SCALING}[name]
    if name not in MEASURED:
        return own
    if pipeline.values == "min_max":
        return f"{own}; each clip stretched to -1..1"
    return f"{own}; divided by its root mean square over the training clips"
