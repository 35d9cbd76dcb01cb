"""What a reproduction will train."""

from __future__ import annotations

from mer_nas.config import presets
from mer_nas.data.clips import ClipSet
from mer_nas.provenance import code_version
from mer_nas.search.ledger import read
from mer_nas.study.folder import RUNS
from mer_nas.study.plans.forecast import measuring_seconds, workers_here
from mer_nas.study.plans.plan import Plan
from mer_nas.study.reproduction.changes import changes, held_against
from mer_nas.study.reproduction.reported_result import ReportedResult
from mer_nas.study.reproduction.reproduce import folder_of
from mer_nas.wording import count, duration, some


def plan_reproduction(reported: ReportedResult, clips: ClipSet) -> Plan:
    """Return what a reproduction would train and how long that takes here; train nothing.

    Args:
        reported: What the report says.
        clips: The data that its settings name, which may be listed only.

    Raises:
        DataError: The clips are others than the report's.
        ConfigError: The machine has no such device as the report trained on.
    """
    study, report, answer = reported.settings.study, reported.report.study, reported.answer
    protocol = study.divided(clips, reported.folds)
    other = (*changes(reported), *held_against(reported, clips))
    ledger = folder_of(reported, RUNS) / "ledger.jsonl"
    version = code_version(reported.settings.space.extensions)
    done = sum(each.code == version for each in read(ledger)) if ledger.is_file() else 0
    folds = len(reported.members) * reported.repetitions * len(protocol.folds)
    candidates = [member.candidate for member in reported.members]
    once = measuring_seconds(candidates, protocol, len(clips.classes), reported.ray)
    refuted = len(reported.contradictions)
    seconds = 0.0 if refuted else once * reported.repetitions * max(0, folds - done) / folds
    text = "\n".join(
        [
            f"{report.name}: {answer.label} ({answer.origin}) again, on {clips.describe()}",
            f"{count(len(candidates), 'network')} x {count(reported.repetitions, 'seed')} x "
            f"{count(len(protocol.folds), 'fold')} ({protocol.name})"
            + (f", {count(done, 'fold')} of which are there" if done else ""),
            f"the report contradicts itself in {count(refuted, 'number')}, so nothing is trained"
            if refuted
            else f"about {duration(seconds)} on {count(workers_here(reported.ray), 'worker')}; "
            f"it took {duration(reported.seconds)} then, on one",
            f"not as it was: {some((change.what for change in other), most=5)}"
            if other
            else "settings, code and packages are as they were",
        ]
    )
    members = {member.trial.label: member.candidate.dump() for member in reported.members}
    tree = {
        "name": report.name,
        "data": clips.counts(),
        "protocol": protocol.name,
        "members": members,
        "seeds": reported.repetitions,
        "folds": folds,
        "folds_done": done,
        "changes": [str(change) for change in other],
        "contradictions": refuted,
        "seconds": seconds,
        "seconds_then": reported.seconds,
    }
    return Plan(text, presets.dump(members), tree)
