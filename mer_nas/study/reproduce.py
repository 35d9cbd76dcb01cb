"""A report taken at its word: its winner trained again, and every number held against the first.

First the report is held against itself: its numbers follow from the confusions that it holds, and
one that does not is named before anything is trained (`consistency`). Repeated is what the answer
of the report rests on: the winner, or every member of the ensemble, under the protocol and with
the seeds that gave its scores. The search is not, so the confusions of the other candidates are
taken from the report. Scores follow from candidate, clips, held-out subjects, seed and code alone;
on one machine they come out the same to the last bit. Another processor or another version of a
package rounds otherwise, and training makes much of little; so a number that differs is held
against how far the seeds of the report differ among themselves.

runs/reproductions/moe-synthetic-1-<digest of the report>-1/
├── ledger.jsonl       every finished fold: an interrupted reproduction goes on from here
└── reproduced.json    what came out; the next reproduction of the report begins anew beside it
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mer_nas import trust
from mer_nas.architectures import Cost
from mer_nas.architectures.extensions import load_extensions, stand_in
from mer_nas.config import overrides
from mer_nas.config.base import Config, Tree, file_name, validate
from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import plan
from mer_nas.errors import ConfigError, DataError, StudyError, TrainingFailed, unknown
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.evaluation.metrics import Confusion
from mer_nas.evaluation.results import FoldResult
from mer_nas.files import digest, write
from mer_nas.provenance import code_version, environment
from mer_nas.report import (
    DataSummary,
    FinalistSummary,
    LossCurve,
    Report,
    SeedScores,
    Spread,
    TrialSummary,
    Winner,
    read_report,
)
from mer_nas.report.files import JSON
from mer_nas.report.scores import counts_by_subject
from mer_nas.search.config import Folds, RayConfig
from mer_nas.search.events import Listener, Note, ignore
from mer_nas.search.patience import Patience
from mer_nas.search.workers import measure_in
from mer_nas.settings import Settings, validate_data
from mer_nas.statistics import estimate
from mer_nas.study.consistency import contradictions, differing, followed, numbers_of, why_taken
from mer_nas.study.folder import RUNS
from mer_nas.study.reported_members import ReportedMember, entry_of, members_of, together
from mer_nas.training.fit import pick_device
from mer_nas.wording import brief, count, duration

Verdict = Literal["identical", "within tolerance", "different"]
WORDS = ("data.root", "data.roots", "data.cache", "trainer.device", "ray")
"""What may be another here than in the report, with everything below it."""
MACHINE = ("python", "platform", "cpu", "cores", "gpu")
"""What the report knows of the machine besides its packages."""
NAMES = {
    "uf1": "UF1",
    "uar": "UAR",
    "macs": "multiply-accumulates",
    "weighted_f1": "weighted F1",
    "fold_f1": "F1, average of the folds",
}
"""What people call a number, where it is not the name of the field."""


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


@dataclass(frozen=True)
class Number:
    """A number of the report, and what came out here."""

    name: str
    """"UF1, seed 1"."""
    stored: float
    found: float | None
    """None where the report should not have it."""
    tolerance: float | None = 0.0
    """How far two seeds of the report lie apart; 0 where there is one seed, or no chance in it.
    None where it follows from numbers that have a tolerance of their own."""

    @property
    def difference(self) -> float | None:
        """Found less stored."""
        return None if self.found is None else self.found - self.stored

    @property
    def verdict(self) -> Verdict:
        """How the two compare."""
        if self.found == self.stored:
            return "identical"
        if self.difference is None:
            return "different"
        within = self.tolerance is None or abs(self.difference) <= self.tolerance
        return "within tolerance" if within else "different"

    def tree(self) -> Tree:
        """Return it as a plain tree."""
        return {**asdict(self), "difference": self.difference, "verdict": self.verdict}


@dataclass(frozen=True)
class ReportedResult:
    """What a report says of its winner, with all that it takes to say it again."""

    path: Path
    """Of the report."""
    report: Report
    answer: Winner
    scores: tuple[SeedScores, ...]
    """Of the answer, one a seed."""
    settings: Settings
    """The study's, with data and workers as they are here."""
    members: tuple[ReportedMember, ...]
    """Whose training gave these: the winner, or the members of the ensemble."""
    folds: Folds
    ray: RayConfig
    """The workers here; the report's are no matter of this machine."""

    def __repr__(self) -> str:
        """Return of whom something is claimed, and where."""
        return brief(self, [("path", str(self.path)), ("winner", self.answer.label)])

    @property
    def repetitions(self) -> int:
        """Number of repetitions to be trained."""
        return 1 + max(score.repetition for score in self.scores)

    @property
    def together(self) -> int:
        """How many folds were trained as one computation then; rounding follows from it."""
        compute = self.report.study.compute
        return compute.final_together if self.answer.stage == "final" else compute.together

    @property
    def seconds(self) -> float:
        """What training took then, on one worker."""
        return sum(member.seconds for member in self.members)

    @cached_property
    def contradictions(self) -> tuple[Number, ...]:
        """The numbers of the report that are not what follows from what it holds."""
        return tuple(
            Number(".".join(place), stored, found)
            for place, stored, found in contradictions(self.report)
        )

    @cached_property
    def following(self) -> int:
        """How many numbers of the report follow from others that it holds."""
        places = (place for place, _ in numbers_of(self.report.model_dump(mode="json")))
        return sum(not why_taken(place) for place in places)


@dataclass(frozen=True)
class Reproduction:
    """What came of training the winner of a report again."""

    reported: ReportedResult
    changes: tuple[Change, ...]
    """What is not as it was; empty where everything is."""
    numbers: tuple[Number, ...]
    """What training again gave; where the report contradicts itself, its contradictions."""
    folder: Path | None
    """Where the folds lie; None where the report contradicts itself, so that nothing was
    trained."""

    def __repr__(self) -> str:
        """Return what came out."""
        facts = [("study", self.reported.report.study.name), ("verdict", self.verdict)]
        counts = [("numbers", len(self.numbers)), ("changes", len(self.changes))]
        return brief(self, [*facts, *counts, ("folder", str(self.folder))])

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of a number."""
        found = {number.verdict for number in self.numbers}
        order: tuple[Verdict, ...] = ("different", "within tolerance", "identical")
        return next(verdict for verdict in order if verdict in found)

    def count(self, verdict: Verdict) -> int:
        """Return how many numbers have a verdict."""
        return sum(number.verdict == verdict for number in self.numbers)

    def tree(self) -> Tree:
        """Return everything as a plain tree."""
        return {
            "report": str(self.reported.path),
            "study": self.reported.report.study.name,
            "winner": self.reported.answer.label,
            "verdict": self.verdict,
            "changes": [asdict(change) for change in self.changes],
            "numbers": [number.tree() for number in self.numbers],
            "following": self.reported.following,
            "contradicts_itself": self.folder is None,
            "folder": None if self.folder is None else str(self.folder),
        }


def read_reported_result(word: str, words: Sequence[str] = ()) -> ReportedResult:
    """Return what a report claims.

    Args:
        word: The file, a folder that holds one, or the name of a study under `runs`.
        words: Such as "data.root=DIR"; see `WORDS`.

    Raises:
        StudyError: There is no report, another version wrote it, or it names no winner.
        ConfigError: A word may not change, or what the report says cannot be built.
    """
    path = _file(word)
    report = read_report(path)
    answer = report.answer
    if answer is None:
        raise StudyError(f"{path}: no trial was complete, so there is no winner to train again")
    read = overrides.parse(words)
    for key in (*read.plain, *read.dotted):
        if not any(key == allowed or key.startswith(f"{allowed}.") for allowed in WORDS):
            raise ConfigError(unknown("key to change", key, WORDS))
    trust.require(trust.to_reach(report.study.settings))
    settings = Settings.load(report.study.settings, f"{path}: study.settings")
    stand_in(settings.space.extensions, path.parent)
    load_extensions(settings.space.extensions)
    data = settings.data.model_dump(mode="json")
    if "cache" in data:
        data["cache"] = None  # where the report's writer kept clips is no place here
    data = overrides.apply(data, read.of("data"))
    final = settings.study.final
    members = members_of(path, report, answer, read.of("trainer"))
    ensemble = report.study.ensemble
    return ReportedResult(
        path,
        report,
        answer,
        ensemble.scores if answer.members and ensemble is not None else members[0].scores,
        replace(settings, data=validate_data(data, "data")),
        members,
        final.folds if answer.stage == "final" and final else settings.study.folds,
        validate(RayConfig, overrides.apply({}, read.of("ray")), "ray"),
    )


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
        *((f"package {k}", before.get(k), here.get(k)) for k in sorted({*before, *here})),
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
    """Return whether the clips are those of the report, to the last pixel.

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
                f"{here}; data.root= should name the same set"
            )
    old, new = then.model_dump(mode="json"), now.model_dump(mode="json")
    pairs = {"fingerprint": "clips (fingerprint)", "name": "name of the clips"}
    pairs |= {"inputs": "shapes of the inputs", "official": "counts of the full set"}
    return tuple(
        Change(what, str(old[name] or "none"), str(new[name] or "none"))
        for name, what in pairs.items()
        if old[name] != new[name]
    )


def contradicted(reported: ReportedResult, on_event: Listener = ignore) -> Reproduction | None:
    """Return what is to be said of a report whose numbers contradict one another, or None.

    Args:
        reported: What the report says.
        on_event: Is told what is looked at, and what is not here as it was.
    """
    answer, study = reported.answer, reported.report.study
    on_event(
        Note(
            f"{study.name}: {answer.label} ({answer.origin}) again, {answer.protocol} on "
            f"{study.data.name}, {count(len(reported.scores), 'seed')}; the search is not repeated"
        )
    )
    found = changes(reported)
    for change in found:
        on_event(Note(f"not as it was: {change}"))
    if numbers := reported.contradictions:
        return Reproduction(reported, found, numbers, None)
    on_event(Note(f"{reported.following:,} numbers of the report follow from one another"))
    return None


def reproduce(
    reported: ReportedResult, clips: ClipSet, on_event: Listener = ignore, runs: Path = RUNS
) -> Reproduction:
    """Train the winner again and compare every number that follows from it.

    Of a report that contradicts itself nothing is trained; its contradictions are the result.
    Folds of a reproduction that was interrupted are not trained twice.

    Args:
        reported: What the report says.
        clips: The data that its settings name.
        on_event: Is told what happens.
        runs: Below which folder the folds are kept.

    Raises:
        DataError: The clips are others than the report's.
        ConfigError: The machine has no such device as the report trained on.
        TrainingFailed: A fold cannot be trained, so that nothing can be compared.
    """
    study, files = reported.settings.study, reported.settings.space.extensions
    if (refuted := contradicted(reported)) is not None:
        return refuted
    other = held_against(reported, clips)
    for change in other:
        on_event(Note(f"not as it was: {change}"))
    found = (*changes(reported), *other)
    if not found:
        on_event(Note("settings, code, packages, machine and clips are as they were"))
    on_event(Note(f"training took {duration(reported.seconds)} then, on one worker"))
    protocol = plan(clips, reported.folds, study.seed, study.block)
    evaluator = Evaluator(clips, protocol, study.seed, files)
    evaluator.one_by_one = reported.together == 1
    if reported.ray.address is None:
        for member in reported.members:
            pick_device(member.candidate.trainer.device)  # refused before a fold begins
    folder = _folder(reported, runs)
    again = measure_in(
        folder,
        {_called(reported, member): member.candidate for member in reported.members},
        reported.repetitions,
        evaluator,
        reported.ray,
        on_event,
        Patience(study.fold_seconds),
    )
    if again.failures:
        label, reason = next(iter(again.failures.items()))
        raise TrainingFailed(f"{reported.path}: {label} cannot be trained here: {reason}")
    here = max(result.width for folds in again.results.values() for result in folds)
    if here != reported.together:
        change = Change("folds as one computation", str(reported.together), str(here))
        on_event(Note(f"not as it was: {change}"))
        found = (*found, change)
    done = Reproduction(reported, found, tuple(_numbers(reported, again.results)), folder)
    write(folder / "reproduced.json", json.dumps(done.tree(), indent=2) + "\n")
    return done


# What the report says ----------------------------------------------------------------------------


def _file(word: str) -> Path:
    path = Path(word)
    if not path.exists() and (RUNS / word).is_dir():
        path = RUNS / word
    return path / JSON if path.is_dir() else path


def _called(reported: ReportedResult, member: ReportedMember) -> str:
    return member.trial.label if reported.answer.members else reported.answer.label


def _folder(reported: ReportedResult, runs: Path) -> Path:
    """Return the folder of an interrupted reproduction, or of a new one."""
    content = digest(reported.path)[:8]
    name = reported.report.study.name
    try:
        file_name(name)
    except ValueError:  # a study's folder may be called as its user likes, and a stranger's too
        name = "study"
    for number in itertools.count(1):
        folder = runs / "reproductions" / f"{name}-{content}-{number}"
        if not (folder / "reproduced.json").is_file():
            return folder
    raise AssertionError


# Number by number --------------------------------------------------------------------------------


def _numbers(
    reported: ReportedResult, results: Mapping[tuple[str, int], Sequence[FoldResult]]
) -> Iterable[Number]:
    """Yield every number that follows from what was trained: by candidate's key and repetition."""
    answer, members, data = reported.answer, reported.members, reported.report.study.data
    costs = [Cost.of(m.candidate.architecture, len(data.classes))._asdict() for m in members]
    for name in ("parameters", "deployed", "macs"):
        if (stored := getattr(answer, name)) is not None:
            cost = sum(each[name] for each in costs)
            yield Number(NAMES.get(name, f"weights, {name}"), stored, cost)
    subjects = list(data.subjects)
    found = [
        SeedScores.pooled(
            together(members, answer, [results[m.candidate.key, seed] for m in members]),
            subjects,
            seed,
        )
        for seed in (score.repetition for score in reported.scores)
    ]
    yield from _metrics(reported.scores, found)
    for index, part in enumerate(reported.scores[0].datasets):
        then = [score.datasets[index] for score in reported.scores]
        yield from _metrics(then, [score.datasets[index] for score in found], f"{part.name}: ")
    yield from _confusions(reported.scores, found)
    yield from _headline(reported, found)
    for member in members if answer.members else ():
        own = [
            score for score in member.scores if (member.candidate.key, score.repetition) in results
        ]
        again = [
            SeedScores.pooled(results[member.candidate.key, s.repetition], subjects, s.repetition)
            for s in own
        ]
        yield from _metrics(own, again, f"{member.trial.label}: ")
    yield from _following(reported, found, results)


def _following(
    reported: ReportedResult,
    found: Sequence[SeedScores],
    results: Mapping[tuple[str, int], Sequence[FoldResult]],
) -> Iterable[Number]:
    """Yield what of the rest of the report is another once the answer's scores are these."""
    facts, subjects = reported.report.study, list(reported.report.study.data.subjects)
    by_key = {member.key: member.candidate.key for member in reported.members}

    def again(entry: FinalistSummary | TrialSummary) -> FinalistSummary | TrialSummary:
        """Return a candidate with the scores that it has here, if it was trained again."""
        if (key := by_key.get(entry.key)) is None:
            return entry
        scores = tuple(
            SeedScores.pooled(folds, subjects, old.repetition)
            if (folds := results.get((key, old.repetition))) is not None
            else old
            for old in entry.repetitions
        )
        if isinstance(entry, TrialSummary):
            return entry.model_copy(update={"scores": scores[0]})
        trained = (results.get((key, old.repetition), ()) for old in entry.scores)
        learning = LossCurve.of(chain.from_iterable(trained))
        return entry.model_copy(update={"scores": scores, "learning": learning})

    which = "finalists" if reported.answer.stage == "final" else "trials"
    update: Tree = {which: tuple(map(again, getattr(facts, which)))}
    if reported.answer.members and facts.ensemble is not None:
        update["ensemble"] = facts.ensemble.model_copy(update={"scores": tuple(found)})
    facts = facts.model_copy(update=update)
    new = followed(reported.report.model_copy(update={"study": facts}))
    old = dict(numbers_of(followed(reported.report).model_dump(mode="json")))
    told = re.compile(
        r"study\.(ensemble|(finalists|trials)\.\d+)\.(scores|datasets)\..*|.*confusion\..*"
    )
    for place, stored, here in differing(reported.report, new):
        name = ".".join(place)
        if here != old.get(place) and not told.fullmatch(name):
            yield Number(name, stored, here, None)


def _metrics(then: Sequence[Config], now: Sequence[Config], of: str = "") -> Iterable[Number]:
    """Yield every score that all seeds have; `of` goes before its name."""
    for field in type(then[0]).model_fields:
        old, new = ([getattr(score, field) for score in scores] for scores in (then, now))
        if all(type(value) is float for value in (*old, *new)):
            yield from _metric(of + NAMES.get(field, field.replace("_", " ")), old, new)


def _metric(name: str, then: Sequence[float], now: Sequence[float]) -> Iterable[Number]:
    tolerance = max(then) - min(then)
    for seed, (stored, found) in enumerate(zip(then, now, strict=True), start=1):
        yield Number(f"{name}, seed {seed}", stored, found, tolerance)
    old, new = Spread.of(then), Spread.of(now)
    if old.deviation is not None and new.deviation is not None:
        yield Number(f"{name}, mean", old.mean, new.mean, tolerance)
        yield Number(f"{name}, deviation", old.deviation, new.deviation, tolerance)


def _confusions(then: Sequence[SeedScores], now: Sequence[SeedScores]) -> Iterable[Number]:
    """Yield how many clips stand in another cell than in the report, in all and by subject."""
    tables: dict[str, Callable[[SeedScores], Sequence[Confusion]]] = {
        "clips in other cells of the confusion": lambda score: [score.confusion],
        "clips in other cells of their subjects'": lambda score: score.subjects,
    }
    for name, of in tables.items():
        stored, found = [of(score) for score in then], [of(score) for score in now]
        if not all(stored):
            continue
        pairs = itertools.combinations(stored, 2)
        tolerance = max((_moved(one, other) for one, other in pairs), default=0)
        for seed, (old, new) in enumerate(zip(stored, found, strict=True), start=1):
            yield Number(f"{name}, seed {seed}", 0, _moved(old, new), tolerance)


def _moved(one: Sequence[Confusion], other: Sequence[Confusion]) -> int:
    """Return how many clips would have to change their cell to make one of the other."""
    return int(np.abs(np.array(one) - np.array(other)).sum()) // 2


def _headline(reported: ReportedResult, found: Sequence[SeedScores]) -> Iterable[Number]:
    """Yield the headline; the optimism of the choice is the report's."""
    headline, scores = reported.report.study.headline, [score.uf1 for score in reported.scores]
    if headline is None or reported.answer.stage != "final":
        return
    here = estimate(counts_by_subject(found), less=headline.optimism)
    for name in ("value", "low", "high"):
        yield Number(
            "headline UF1" + ("" if name == "value" else f", {name}"),
            getattr(headline.uf1, name),
            getattr(here, name),
            max(scores) - min(scores),
        )
