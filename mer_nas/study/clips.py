"""The clips that a command works on, with what its networks read of them and nothing else."""

from __future__ import annotations

from mer_nas import catalogue, data
from mer_nas.data.clips import ClipSet
from mer_nas.settings import Settings


def load_clips(settings: Settings, point: str | None = None) -> ClipSet:
    """Return the clips of `settings.data` as its space needs them, or one point of the space.

    Raises:
        ConfigError: The data do not provide what is needed; nothing has been read then.
        DataError: The data are missing, incomplete, or not what they should be.
    """
    space = settings.space
    if point is None:
        return data.load(settings.data, catalogue.needs(space))
    one = catalogue.candidate(space, point, settings.trainer, settings.trainer_words)
    return data.load(settings.data, one.needs(f"{space.place}: {point}"))
