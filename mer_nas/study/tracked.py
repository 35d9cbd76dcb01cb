"""A study as trackers are told of it: by its folder, and what it began with."""

from __future__ import annotations

from typing import get_args

from mer_nas.errors import ConfigError, unknown
from mer_nas.report import read_report
from mer_nas.search.config import TrackerName
from mer_nas.search.events import Listener
from mer_nas.search.lock import refuse_driven
from mer_nas.settings import Settings
from mer_nas.study.folder import Origin, StudyFolder
from mer_nas.tracking import StudyRuns, Tracking, track


def tracked(
    folder: StudyFolder, origin: Origin, settings: Settings, on_event: Listener
) -> Tracking:
    """Return what passes events on and tells the trackers that a study names.

    Args:
        folder: The study.
        origin: What it goes on with.
        settings: As they hold from now on.
        on_event: Whom events are passed on to.
    """
    return Tracking(_runs(folder, origin, settings), settings.study.track, on_event)


def track_study(folder: StudyFolder, name: TrackerName) -> int:
    """Tell a tracker all of a study, which does not run; return how many runs that is.

    Raises:
        StudyError: The study runs or has no trials; or the tracker is not installed, cannot be
            reached, or refuses.
    """
    refuse_driven(folder.path)
    report = folder.path / "report.json"
    found = read_report(report) if report.is_file() else None
    return track(_runs(folder, folder.origin(), folder.settings()), name, found)


def tracker_named(word: str) -> TrackerName:
    """Return the tracker of a name.

    Raises:
        ConfigError: There is none; the message lists those there are, and guesses.
    """
    names: dict[str, TrackerName] = {name: name for name in get_args(TrackerName)}
    if word not in list(names):
        raise ConfigError(unknown("tracker", word, names))
    return names[word]


def _runs(folder: StudyFolder, origin: Origin, settings: Settings) -> StudyRuns:
    belongs = (settings.study.seed, origin.data.fingerprint, origin.code)
    name = folder.path.resolve().name
    return StudyRuns(folder.path, name, origin.optuna, origin.search, belongs)
