"""The clips that a command works on, with what its networks read of them and nothing else."""

from __future__ import annotations

from mer_nas import data, systems
from mer_nas.data.clips import ClipSet
from mer_nas.data.config import RecordedData
from mer_nas.data.needs import Needs
from mer_nas.search.events import Listener, ignore
from mer_nas.search.preparing import preparer
from mer_nas.settings import Settings


def load_clips(
    settings: Settings, point: str | None = None, on_event: Listener = ignore
) -> ClipSet:
    """Return the clips of `settings.data` as its space needs them, or one point of the space.

    Clips that were never prepared before are, on the workers that `settings.ray` names.

    Args:
        settings: What the command resolved to.
        point: A point of the space that alone is meant.
        on_event: Is told how far the preparation is.

    Raises:
        ConfigError: The data do not provide what is needed; nothing has been read then.
        DataError: The data are missing, incomplete, or not what they should be.
    """
    run = preparer(settings.ray, on_event)
    return data.load(settings.data, _needs(settings, point), run)


def refuse_undivided(settings: Settings, point: str | None = None) -> None:
    """Refuse recordings that the study cannot divide, before they are prepared for hours.

    Raises:
        ConfigError: The data do not provide what is needed.
        DataError: They are not what they should be, or cannot be divided.
    """
    if isinstance(settings.data, RecordedData):
        settings.study.divided(list_clips(settings, point))


def list_clips(settings: Settings, point: str | None = None) -> ClipSet:
    """Return the clips that `load_clips` would return, as far as that is known unprepared.

    Args:
        settings: What the command resolved to.
        point: A point of the space that alone is meant.

    Raises:
        ConfigError: The data do not provide what is needed.
        DataError: The data are missing, incomplete, or not what they should be.
    """
    return data.listed(settings.data, _needs(settings, point))


def _needs(settings: Settings, point: str | None) -> Needs:
    space = settings.space
    if point is None:
        return systems.needs(space)
    one = systems.candidate(space, point, settings.trainer, settings.trainer_words)
    return one.needs(f"{space.place}: {point}")
