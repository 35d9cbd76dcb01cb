"""Clips that a function of the user's yields, prepared as recorded ones are; nothing is kept."""

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, get_type_hints

import numpy as np
from pydantic import TypeAdapter, ValidationError

from mer_nas.data.annotations.identity import Names, plain
from mer_nas.data.clips import ClipSet
from mer_nas.data.config import OwnData
from mer_nas.data.needs import Needs
from mer_nas.data.own_sets import DATA_SETS, OwnClip
from mer_nas.data.preprocess.config import Preparation
from mer_nas.data.preprocess.images import Image
from mer_nas.data.preprocess.make_inputs import MEASURED
from mer_nas.data.preprocess.pipeline import Clip, Keyframes, prepare
from mer_nas.data.records import Record
from mer_nas.data.sources.recorded import frames_asked, scaling_of, size_asked
from mer_nas.errors import ConfigError, DataError, shown, told, unknown
from mer_nas.registry import place_of


@dataclass(frozen=True, eq=False)
class _Frames:
    """The frames of a clip as `prepare` reads them."""

    name: str
    fps: float | None
    frames: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, places: Iterable[int]) -> Iterator[Image]:
        for place in places:
            frame = self.frames[place]
            yield frame if frame.ndim == 3 else np.stack([frame] * 3, axis=-1)


def load_own(config: OwnData, needs: Needs) -> ClipSet:
    """Return the clips that a function of the user's yields.

    Raises:
        ConfigError: There is no such function, or its arguments are not what it takes.
        DataError: It fails, or yields something else than clips; with the line where it is.
    """
    how = Preparation(pipeline=config.pipeline, size=size_asked(needs), frames=frames_asked(needs))
    records, made = [], []
    for clip in _yielded(config):
        record = _record(config, clip)
        records.append(record)
        made.append(_prepared(config, clip, record, how, needs))
        records[-1] = replace(record, apex=made[-1].apex, apex_source=made[-1].apex_source)
    if not records:
        raise DataError(f"{_where(config)} yields no clip")
    people = Names.settled((record.subject, record.name) for record in records)
    if people.unsure:
        unsure = "\n  ".join(people.unsure)
        raise DataError(f"{_where(config)}: it cannot be told who is one person:\n  {unsure}")
    measured = [name for name in needs.inputs if name in MEASURED]
    return ClipSet(
        name=config.name,
        classes=config.classes,
        records=tuple(replace(record, subject=people.of[record.subject]) for record in records),
        inputs={name: np.stack([clip.inputs[name] for clip in made]) for name in needs.inputs},
        scaling={name: scaling_of(name, config.pipeline) for name in needs.inputs},
        findings=tuple(people.joined_findings("subjects")),
        how=how,
        by_fold=frozenset(measured if config.pipeline.values == "magnitude" else ()),
    )


def _prepared(
    config: OwnData, clip: OwnClip, record: Record, how: Preparation, needs: Needs
) -> Clip:
    last = len(clip.frames) - 1
    keyframes = Keyframes(clip.onset, last if clip.offset is None else clip.offset, clip.apex)
    reader = _Frames(record.id, clip.fps, clip.frames)
    try:
        return prepare(reader, keyframes, how, needs.inputs, config.frames == "cropped")
    except DataError as error:
        raise DataError(f"{_where(config)}: {error}") from error


def _record(config: OwnData, clip: OwnClip) -> Record:
    where = f"{_where(config)}: the clip {clip.subject}/{clip.name}"
    for what, name in (("subject", clip.subject), ("name", clip.name)):
        if not isinstance(name, str) or not plain(name):
            raise DataError(f"{where} has the {what} {name!r}; a text would be right")
    if clip.label not in config.classes:
        raise DataError(f"{where}: {unknown('class', clip.label, config.classes)}")
    form, kind = np.shape(clip.frames), getattr(clip.frames, "dtype", None)
    if kind != np.uint8 or len(form) not in (3, 4) or (len(form) == 4 and form[-1] != 3):
        raise DataError(
            f"{where} has frames {form} of {kind}; (T, H, W, 3) or (T, H, W) of uint8 would be "
            "right"
        )
    for name, place in (("onset", clip.onset), ("apex", clip.apex), ("offset", clip.offset)):
        if not isinstance(place, Integral) and (place is not None or name == "onset"):
            right = "the place of a frame" if name == "onset" else "the place of a frame, or None,"
            raise DataError(f"{where} has the {name} {place!r}; {right} would be right")
    return Record(config.name, clip.subject, clip.name, config.classes.index(clip.label))


def _yielded(config: OwnData) -> Iterator[OwnClip]:
    """Yield what the function yields, each of them a clip."""
    if config.function not in DATA_SETS:
        raise ConfigError(
            f"data.function: {unknown('data set', config.function, DATA_SETS)}; a file among the "
            "extensions of the space (space=FILE) would define it"
        )
    arguments = _arguments(config)
    if config.root is None or not (root := config.root.expanduser()).is_dir():
        raise DataError(f"data.root: there is no folder {config.root}; data.root=DIR names it")
    try:
        for clip in DATA_SETS[config.function](root, **arguments):
            if not isinstance(clip, OwnClip):
                raise DataError(f"{_where(config)} yields {shown(clip)}; an OwnClip is right")
            yield clip
    except DataError:
        raise
    except Exception as error:  # a user's function may fail of anything
        raise DataError(f"{_where(config)} fails: {told(error)}") from error


def _arguments(config: OwnData) -> dict[str, Any]:
    """Return `data.arguments` as the function's annotations have them."""
    function = DATA_SETS[config.function]
    hints, known = get_type_hints(function), inspect.signature(function).parameters
    names = [name for name in known if name != "root"]
    found = {}
    for name, value in config.arguments.items():
        if name not in names:
            raise ConfigError(f"data.arguments: {unknown('argument', name, names)}")
        try:
            found[name] = TypeAdapter(hints[name]).validate_python(value)
        except ValidationError as error:
            said = error.errors()[0]["msg"]
            raise ConfigError(f"data.arguments.{name}: {shown(value)}: {said}") from None
    lacking = [n for n in names if n not in found and known[n].default is inspect.Parameter.empty]
    if lacking:
        raise ConfigError(f"{_where(config)} needs data.arguments: {', '.join(lacking)}")
    return found


def _where(config: OwnData) -> str:
    return f"{place_of(DATA_SETS[config.function])}: the data set {config.function!r}"
