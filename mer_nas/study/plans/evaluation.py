"""What a measurement of one candidate will do."""

from __future__ import annotations

from mer_nas.config import presets
from mer_nas.data.clips import ClipSet
from mer_nas.settings import Settings
from mer_nas.study.evaluate import chosen
from mer_nas.study.plans.forecast import measuring_seconds
from mer_nas.study.plans.plan import Plan
from mer_nas.wording import count, duration


def plan_evaluation(settings: Settings, clips: ClipSet, point: str | None, seeds: int) -> Plan:
    """Return what would be measured and how long that takes; nothing is made or trained.

    Args:
        settings: What was asked for.
        clips: The data that the settings mean.
        point: A point or reference of the space; without, the space must have no open leaf.
        seeds: Repetitions of the protocol.

    Raises:
        ConfigError: The space is open and no point is named.
    """
    name, candidate = chosen(settings, point)
    study = settings.study
    protocol = study.divided(clips)
    once = measuring_seconds([candidate], protocol, len(clips.classes), settings.ray)
    seconds = seeds * once
    text = "\n".join(
        [
            clips.describe(),
            f"{name}: {count(len(protocol.folds), 'fold')} ({protocol.name}) x "
            f"{count(seeds, 'seed')}, about {duration(seconds)}",
        ]
    )
    tree = {
        "name": name,
        "data": clips.counts(),
        "protocol": protocol.name,
        "folds": len(protocol.folds),
        "seeds": seeds,
        "seconds": seconds,
        **candidate.dump(),
    }
    return Plan(text, presets.dump(candidate.dump()), tree)
