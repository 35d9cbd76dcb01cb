"""Recorded clips as networks see them: read by `readers`, prepared by `pipeline`."""

from dataclasses import replace

from mer_nas.data.annotations.records import labelled
from mer_nas.data.clips import ClipSet
from mer_nas.data.config import RecordedData
from mer_nas.data.needs import Needs
from mer_nas.data.preprocess.cache import default_folder
from mer_nas.data.preprocess.config import Preparation
from mer_nas.data.sources.prepared import Runner, prepared

SIZE = 28
"""Height and width of inputs, in pixels, where nothing asks for any."""
FRAMES = 8
"""Frames from onset to apex where nothing asks for any; a dynamic image is made of them."""


def load(config: RecordedData, needs: Needs, run: Runner) -> ClipSet:
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
        size=needs.sizes[0] if needs.sizes else SIZE,
        frames=needs.frames or FRAMES,
    )
    folder = config.cache.expanduser() if config.cache else default_folder()
    records = labelled(config)
    found = prepared(records, how, needs.inputs, folder, config.skip_missing, run)
    if needs.action_units:
        return found
    return replace(found, clips=tuple(replace(clip, action_units=None) for clip in found.clips))
