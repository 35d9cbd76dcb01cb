"""What an export will train."""

from __future__ import annotations

from mer_nas.config import presets
from mer_nas.data.clips import ClipSet
from mer_nas.search.lock import refuse_driven
from mer_nas.settings import Settings
from mer_nas.study.exports import ENSEMBLE, exportable
from mer_nas.study.folder import StudyFolder
from mer_nas.study.plans.plan import Plan
from mer_nas.study.state import StudyState
from mer_nas.study.timings import clip_seconds
from mer_nas.wording import count, duration


def plan_export(
    folder: StudyFolder,
    settings: Settings,
    clips: ClipSet,
    place: int | str,
    *,
    anew: bool = False,
) -> Plan:
    """Return what an export would train and how long that takes; nothing of the study is touched.

    Args:
        folder: The study.
        settings: With the data as they are here.
        clips: Its data, which may be listed only.
        place: As of `export`.
        anew: As of `export`.

    Raises:
        ExportError: There is no finalist of this rank, or no ensemble.
        StudyError: The study still runs, or the clips or the code are not its own.
    """
    refuse_driven(folder.path)
    state = StudyState(folder, folder.origin(), looking=True, settings=settings)
    exported = exportable(state, clips, place, anew=anew)
    seconds = sum(
        clip_seconds(state, member) * member.candidate.trainer.visits(len(clips))
        for member in exported.members
    )
    target = state.folder.export(ENSEMBLE if isinstance(place, str) else place)
    instead = ", in place of what is there" if target.exists() else ""
    several = len(exported.members) > 1
    names = f": {', '.join(member.label for member in exported.members)}" if several else ""
    text = "\n".join(
        [
            f"{folder.name}: {clips.describe()}",
            f"{exported.label} ({exported.origin}){names}, trained on all "
            f"{count(len(clips), 'clip')}{', one after another' if several else ''}"
            f", about {duration(seconds)}",
            f"then exported to {target}{instead}",
        ]
    )
    members = {member.label: member.candidate.dump() for member in exported.members}
    tree = {
        "name": exported.label,
        "data": clips.counts(),
        "members": members,
        "folder": str(target),
        "seconds": seconds,
    }
    return Plan(text, presets.dump(members), tree)
