"""What of settings, code, packages, machine and clips is not as a report has it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mer_nas.config.base import Tree
from mer_nas.data.clips import ClipSet
from mer_nas.errors import DataError
from mer_nas.provenance import PACKAGES, code_version, environment
from mer_nas.report import (
    DataSummary,
)
from mer_nas.search.config import RayConfig
from mer_nas.study.reproduction.followed import followed
from mer_nas.study.reproduction.members import ReportedMember, entry_of
from mer_nas.study.reproduction.reported_result import ReportedResult

MACHINE = ("python", "platform", "cpu", "cores", "gpu")
"""What the report knows of the machine besides its packages."""


@dataclass(frozen=True)
class Change:
    """Something that decides numbers and is not here as it was when the report was written."""

    what: str
    """"package torch", "code that decides scores"."""
    then: str
    now: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.what}: {self.then} in the report, {self.now} here"


def changes(reported: ReportedResult) -> tuple[Change, ...]:
    """Return what of settings, code, packages and machine is not as the study has it."""
    study = reported.report.study
    files = reported.settings.space.extensions
    then, now = dict(study.environment), environment(files)
    before, here = (_mapping(tree.pop("packages", None)) for tree in (then, now))
    pairs: list[tuple[str, Any, Any]] = [
        *_settings_changed(reported),
        ("code that decides scores", study.code_version, code_version(files)),
        *((f"key of {name}", m.key, m.candidate.key) for name, m in _named(reported)),
        *((name, then.get(name), now.get(name)) for name in MACHINE),
        *((f"package {k}", before[k], here.get(k)) for k in sorted(before) if k in PACKAGES),
    ]
    return tuple(
        Change(what, _written(before), _written(here))
        for what, before, here in pairs
        if before != here
    )


def _settings_changed(reported: ReportedResult) -> Iterable[tuple[str, Any, Any]]:
    """Yield settings as the study has them and as they are here: what, there, here."""
    stored = reported.report.study.settings
    yield from _unlike("data", stored["data"], reported.settings.data.model_dump(mode="json"))
    if reported.ray != RayConfig():
        yield from _unlike("ray", stored["ray"], reported.ray.model_dump(mode="json"))
    study = followed(reported.report)
    assert study.answer is not None
    yield "winner.protocol", study.answer.protocol, reported.answer.protocol
    for name, member in _named(reported):
        entry = entry_of(study, member.trial.number)
        if entry is not None:
            here, alone = member.candidate.dump(), name == "the winner"
            trainer, drawn = ("trainer", "winner") if alone else (f"{name}.trainer", name)
            yield from _unlike(trainer, entry.trainer, here["trainer"])
            yield from _unlike(f"{drawn}.architecture", entry.architecture, here["architecture"])
    told = ("space", "sampler", "pruner", "objectives", "search_protocol", "final_protocol")
    for name in told:
        yield name, getattr(study.study, name), getattr(reported.report.study, name)


def _named(reported: ReportedResult) -> Iterable[tuple[str, ReportedMember]]:
    """Yield who is trained again, by what it is called where something has changed."""
    for member in reported.members:
        yield member.trial.label if reported.answer.members else "the winner", member


def _unlike(name: str, then: Any, now: Any) -> Iterable[tuple[str, Any, Any]]:
    """Yield the settings of two trees that differ, by dotted name."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted({*then, *now}):
            yield from _unlike(f"{name}.{key}", then.get(key), now.get(key))
    elif then != now:
        yield name, then, now


def _mapping(found: object) -> Tree:
    return found if isinstance(found, dict) else {}


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None or value == "" else str(value)


def held_against(reported: ReportedResult, clips: ClipSet) -> tuple[Change, ...]:
    """Return whether the clips are those of the report, to the last pixel if they are prepared.

    Clips of the same names and classes may have been prepared otherwise; what was learned from
    them can still be compared.

    Raises:
        DataError: They are clips of other subjects or classes, so that nothing can be checked.
    """
    then, now = reported.report.study.data, DataSummary.of(clips)
    for name, what in (
        ("classes", "classes"),
        ("counts", "counts"),
        ("subjects", "clips of each subject"),
    ):
        before, here = getattr(then, name), getattr(now, name)
        if before != here:
            before, here = (list(v) if isinstance(v, tuple) else v for v in (before, here))
            raise DataError(
                f"{reported.path}: the report was made with other clips: {what} {before}, here "
                f"{here}; data.root= or data.roots= should name the same set"
            )
    old, new = then.model_dump(mode="json"), now.model_dump(mode="json")
    pairs = {"name": "name of the clips", "official": "counts of the full set"}
    if clips.inputs:
        pairs |= {"fingerprint": "clips (fingerprint)", "inputs": "shapes of the inputs"}
    return tuple(
        Change(what, str(old[name] or "none"), str(new[name] or "none"))
        for name, what in pairs.items()
        if old[name] != new[name]
    )
