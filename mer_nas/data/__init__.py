"""Clips: where they come from, what is known of each, and who is held out when.

The way of a recorded clip, in three records:

    Annotation   one row of a licensed table, put right: `annotations.annotation.read_annotations`
    Record       one clip as the product knows it, its subject, its frames:
                 `annotations.clip_frames.FrameFinder.record`; its class:
                 `annotations.read_records.classified`
    Clip         its tensors: `preprocess.pipeline.prepare`, which `sources.recorded` keeps in a
                 cache and joins to the arrays of a `clips.ClipSet`

A source returns a `ClipSet` with what is needed of it (`needs`) and nothing else;
`protocols.divide` divides it by subject; nothing above this package knows which data set it works
on. A new set of recorded clips is one YAML file in `annotations.layouts`; a new kind of data is
one module of `sources` with one function, a configuration that says what it provides, and one line
in `load`. What decides no score lies apart: `checks` of copies, and `synthesis`, which writes
clips in the official forms.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from mer_nas.data.clips import ClipSet
from mer_nas.data.config import DataConfig, OwnData, PrecomputedFlow, RecordedData, SyntheticData
from mer_nas.data.needs import Needs
from mer_nas.errors import ConfigError

if TYPE_CHECKING:
    from mer_nas.data.sources.recorded import Runner

FLOW_ALONE = Needs()


def load(config: DataConfig, needs: Needs = FLOW_ALONE, run: "Runner | None" = None) -> ClipSet:
    """Return the clips that `config` names, with what is needed of them.

    The loaders are imported when they are needed, so that reading a configuration stays quick.

    Args:
        config: Which data.
        needs: What is read of them.
        run: Prepares recorded clips that are not in the cache; by default this process does.

    Raises:
        ConfigError: The data do not provide what is needed; nothing has been read then.
        DataError: The data are missing, incomplete, or not what they should be.
    """
    needs.refuse_misfit(config.provides)
    clips = _read(config, needs, run)
    needs.refuse_misfit(clips.provides)
    if isinstance(config, SyntheticData):  # drawn people are who they are drawn to be
        return clips
    from mer_nas.data.checks.duplicates import shared_inputs

    return replace(clips, findings=(*clips.findings, *shared_inputs(clips)))


def listed(config: DataConfig, needs: Needs = FLOW_ALONE) -> ClipSet:
    """Return the clips that `config` names, those of recordings without the arrays of `load`.

    Nothing is prepared. Who is in the clips is known, and so is how they are divided.

    Raises:
        ConfigError: The data do not provide what is needed.
        DataError: The data are missing, incomplete, or not what they should be.
    """
    if not isinstance(config, RecordedData):
        return load(config, needs)
    from mer_nas.data.annotations.read_records import labelled

    needs.refuse_misfit(config.provides)
    return labelled(config)


def number_of_classes(config: DataConfig) -> int:
    """Return K; three, as MEGC2019 has them, where only the annotation says."""
    return len(_classes_of(config)) or 3


def _classes_of(config: DataConfig) -> tuple[str, ...]:
    """Return the classes that clips will have; none where only their annotation says."""
    match config:
        case SyntheticData():
            from mer_nas.data.sources.synthetic import CLASSES

            return CLASSES
        case RecordedData():
            from mer_nas.data.annotations.label_maps import LabelMap

            try:
                return LabelMap.read(config.labels).classes(config.layouts)
            except ConfigError:  # of data sets that a table names
                return ()
    return config.classes


def _read(config: DataConfig, needs: Needs, run: "Runner | None") -> ClipSet:
    match config:
        case SyntheticData():
            from mer_nas.data.sources.synthetic import load_synthetic

            return load_synthetic(config, needs)
        case PrecomputedFlow():
            from mer_nas.data.sources.precomputed import load_precomputed

            return load_precomputed(config)
        case OwnData():
            from mer_nas.data.sources.own import load_own

            return load_own(config, needs)
        case RecordedData():
            from mer_nas.data.sources.recorded import load_recorded, one_by_one

            return load_recorded(config, needs, run or one_by_one)
