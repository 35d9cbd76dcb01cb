"""Every number that follows from training an answer again, held against the report."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

import numpy as np

from mer_nas.architectures import Cost
from mer_nas.config.base import Config, Tree
from mer_nas.evaluation.metrics import Confusion
from mer_nas.evaluation.results import FoldResult
from mer_nas.report import (
    FinalistSummary,
    LossCurve,
    SeedScores,
    TrialSummary,
)
from mer_nas.report.scores import OwnSpread, counts_by_subject
from mer_nas.statistics import estimate
from mer_nas.study.reproduction.consistency import differing, numbers_of
from mer_nas.study.reproduction.followed import followed
from mer_nas.study.reproduction.members import together
from mer_nas.study.reproduction.reported_result import ReportedResult
from mer_nas.study.reproduction.verdicts import Number

NAMES = {
    "uf1": "UF1",
    "uar": "UAR",
    "macs": "multiply-accumulates",
    "weighted_f1": "weighted F1",
    "fold_f1": "F1, average of the folds",
}
"""What people call a number, where it is not the name of the field."""


def compared(
    reported: ReportedResult, results: Mapping[tuple[str, int], Sequence[FoldResult]]
) -> Iterable[Number]:
    """Yield every number that follows from what was trained: by candidate's key and repetition."""
    answer, members, data = reported.answer, reported.members, reported.report.study.data
    costs = [Cost.of(m.candidate.architecture, len(data.classes))._asdict() for m in members]
    for name in ("parameters", "deployed", "macs"):
        if (stored := getattr(answer, name)) is not None:
            cost = sum(each[name] for each in costs)
            yield Number(NAMES.get(name, f"weights, {name}"), stored, cost)
    found = [
        _pooled(
            reported,
            together(members, answer, [results[m.candidate.key, seed] for m in members]),
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
            _pooled(reported, results[member.candidate.key, s.repetition], s.repetition)
            for s in own
        ]
        yield from _metrics(own, again, f"{member.trial.label}: ")
    yield from _following(reported, found, results)


def _pooled(
    reported: ReportedResult, results: Sequence[FoldResult], repetition: int
) -> SeedScores:
    subjects, extensions = reported.report.study.data.subjects, reported.settings.space.extensions
    return SeedScores.pooled(results, list(subjects), repetition, extensions)


def _following(
    reported: ReportedResult,
    found: Sequence[SeedScores],
    results: Mapping[tuple[str, int], Sequence[FoldResult]],
) -> Iterable[Number]:
    """Yield what of the rest of the report is another once the answer's scores are these."""
    facts = reported.report.study
    by_key = {member.key: member.candidate.key for member in reported.members}

    def again(entry: FinalistSummary | TrialSummary) -> FinalistSummary | TrialSummary:
        """Return a candidate with the scores that it has here, if it was trained again."""
        if (key := by_key.get(entry.key)) is None:
            return entry
        scores = tuple(
            _pooled(reported, folds, old.repetition)
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
    told = [[s.own for s in scores if isinstance(s, SeedScores)] for scores in (then, now)]
    for name in [n for n in (told[0] or [{}])[0] if all(n in own for own in chain(*told))]:
        yield from _metric(name, *([own[name] for own in each] for each in told))


def _metric(name: str, then: Sequence[float], now: Sequence[float]) -> Iterable[Number]:
    tolerance = max(then) - min(then)
    for seed, (stored, found) in enumerate(zip(then, now, strict=True), start=1):
        yield Number(f"{name}, seed {seed}", stored, found, tolerance)
    old, new = OwnSpread.of(then), OwnSpread.of(now)
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
