"""The report that follows from the confusions of another.

Scores, ranks, intervals, comparisons, counts: all is worked out anew from the confusions and the
few other things that nothing else tells (`consistency.TAKEN`).
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from mer_nas.architectures import Cost, parse, parse_drawn
from mer_nas.config.base import C, Tree, validate
from mer_nas.config.overrides import merge
from mer_nas.data.protocols import Scheme, name_of
from mer_nas.data.records import dataset_of
from mer_nas.errors import ConfigError, Infeasible
from mer_nas.evaluation.metrics import Counts, Scores, f1_of_present
from mer_nas.report import (
    Attribution,
    ComputeSummary,
    DataSummary,
    EnsembleSummary,
    FinalistSummary,
    HindsightSummary,
    NestedEstimate,
    Report,
    SeedScores,
    Spread,
    StudySummary,
    TrialSummary,
    build_report,
)
from mer_nas.settings import Settings
from mer_nas.space.search_space import Suggester
from mer_nas.statistics import Correction
from mer_nas.study.selection_bias import assessed
from mer_nas.systems import trained_by
from mer_nas.training.config import TrainerConfig


def followed(report: Report) -> Report:
    """Return the report that follows from the confusions of another, and from what it was asked.

    Blocks of the user's own must be loaded.
    """
    facts = report.study
    return build_report(_follow(facts, Settings.load(facts.settings, "study.settings")))


def _follow(facts: StudySummary, settings: Settings) -> StudySummary:
    """Return facts of which every number that follows from another one does."""
    study = settings.study
    facts = _with(
        facts,
        seed=study.seed,
        tables=settings.space.file.tables,
        space=settings.space.name,
        sampler=study.sampler,
        pruner=study.pruning,
        objectives=study.objectives,
        search_protocol=name_of(study.folds),
        final_protocol=name_of(study.final.folds) if study.final else None,
    )
    facts = _with(facts, data=_data(facts))
    facts = _with(facts, trials=_trials(facts, settings))
    facts = _with(facts, finalists=_finalists(facts, settings))
    facts = _with(
        facts,
        compute=_compute(facts, study.folds),
        ensemble=_ensemble(facts, settings),
        nested=_nested(facts.nested, facts.data, study.outer),
        looks=_looks(facts.looks, facts.data),
    )
    return assessed(facts, study)


def _with(facts: C, **changes: Any) -> C:
    return facts.model_copy(update=changes)


# The parts ---------------------------------------------------------------------------------------


def _data(facts: StudySummary) -> DataSummary:
    """Return what is counted of the clips as the first confusion by subject has it."""
    known = [s for finalist in facts.finalists for s in finalist.scores]
    known += [trial.scores for trial in facts.trials if trial.scores is not None]
    counts = next((np.array(scores.subjects) for scores in known if scores.subjects), None)
    data = facts.data
    if counts is None or len(counts) != len(data.subjects):
        return data
    clips = counts.sum((1, 2))
    found = {"clips": int(clips.sum()), "subjects": len(clips)}
    found |= dict(zip(data.classes, counts.sum((0, 2)).tolist(), strict=True))
    return data.model_copy(
        update={
            "subjects": dict(zip(data.subjects, clips.tolist(), strict=True)),
            "counts": {name: found.get(name, number) for name, number in data.counts.items()},
        }
    )


def _trials(facts: StudySummary, settings: Settings) -> tuple[TrialSummary, ...]:
    before = [-1, *(trial.number for trial in facts.trials)]
    return tuple(
        _trial(trial, facts, settings)
        if earlier < trial.number
        else _with(_trial(trial, facts, settings), number=earlier + 1)
        for (earlier, _), trial in zip(pairwise(before), facts.trials, strict=True)
    )


def _trial(trial: TrialSummary, facts: StudySummary, settings: Settings) -> TrialSummary:
    changes: Tree = {}
    if trial.scores is not None:
        scores = _scores(trial.scores, facts.data, settings.study.folds)
        scores = scores.model_copy(update={"repetition": 0})
        changes |= {"scores": scores, "value": scores.uf1}
    if trial.outcome == "complete" and trial.curve:
        last = trial.curve[-1].model_copy(
            update={"clips": 1.0, "uf1": changes.get("value", trial.value)}
        )
        changes["curve"] = (*trial.curve[:-1], last)
    if trial.architecture is not None:
        drawn = _drawn(trial, settings)
        changes |= {**drawn, **_cost(drawn["architecture"], len(facts.data.classes))}
    return _with(trial, **changes)


def _finalists(facts: StudySummary, settings: Settings) -> tuple[FinalistSummary, ...]:
    found = [_finalist(entry, facts, settings) for entry in facts.finalists]
    means = [Spread.of([score.uf1 for score in entry.scores]).mean for entry in found]
    order = sorted(range(len(found)), key=lambda index: (bool(found[index].left), -means[index]))
    return tuple(_with(found[index], rank=rank) for rank, index in enumerate(order, start=1))


def _finalist(entry: FinalistSummary, facts: StudySummary, settings: Settings) -> FinalistSummary:
    final = settings.study.final
    word, _, number = entry.label.rpartition(" ")
    trial = int(number) if word == "trial" and number.isdecimal() else entry.trial
    of = next((each for each in facts.trials if each.number == trial), None)
    folds = final.folds if final else settings.study.folds
    changes: Tree = {"trial": trial, "scores": _repeated(entry.scores, facts.data, folds)}
    if of is not None:
        changes["search_score"] = of.value
        if of.architecture is not None and of.trainer is not None:
            trainer = validate(TrainerConfig, of.trainer, f"trial {trial}")
            trainer = trained_by(
                trainer, final.trainer if final else {}, settings.trainer_words, f"trial {trial}"
            )
            changes["architecture"] = of.architecture
            changes["trainer"] = trainer.model_dump(mode="json")
    cost = _cost(changes.get("architecture", entry.architecture), len(facts.data.classes))
    hindsight = _hindsight(entry.hindsight, _folds(folds, facts.data))
    return _with(entry, **changes, **cost, hindsight=hindsight)


def _ensemble(facts: StudySummary, settings: Settings) -> EnsembleSummary | None:
    found, final = facts.ensemble, settings.study.final
    if found is None:
        return None
    by_number = {trial.number: trial for trial in facts.trials}
    folds = final.folds if final and found.stage == "final" else settings.study.folds
    members = [
        _with(member, macs=trial.macs, deployed=trial.deployed, search_score=trial.value)
        if (trial := by_number.get(member.trial)) is not None
        else member
        for member in found.members
    ]
    missing = 1 - sum(member.weight for member in members)
    members[0] = _with(members[0], weight=members[0].weight + missing)
    together = _with(
        found,
        protocol=name_of(folds),
        scores=_repeated(found.scores, facts.data, folds),
        members=tuple(members),
    )
    if found.stage == "search":
        together = _with(together, search_score=together.scores[0].uf1)
    shared, _ = together.shared_seeds(facts.best_in(found.stage))
    corrected = _chosen(found.correction, together.search_score, facts)
    return _with(together, handed_over=bool(shared), correction=corrected)


def _chosen(found: Correction | None, score: float, facts: StudySummary) -> Correction | None:
    """Return what a choice by a score among the complete trials is worth; the worth is taken."""
    if found is None:
        return None
    optimism = max(0.0, score - found.uf1.value)
    among = {"candidates": max(1, len(facts.complete))}
    return found.model_copy(update={"score": score, "optimism": optimism, **among})


def _nested(
    found: NestedEstimate | None, data: DataSummary, groups: int | None
) -> NestedEstimate | None:
    if found is None or not all(score.subjects for score in found.scores):
        return found
    clips = [group.clips for group in found.groups]
    rest = data.counts["clips"] - sum(clips)  # of one group that says too many or too few
    first = found.groups[0].model_copy(update={"clips": max(1, clips[0] + rest)})
    scores = _repeated(found.scores, data, groups or len(found.groups))
    return NestedEstimate.of([first, *found.groups[1:]], scores, found.seconds)


def _hindsight(found: HindsightSummary | None, folds: int) -> HindsightSummary | None:
    if found is None or not found.course:
        return found
    changes: Tree = {"epochs": len(found.course), "of": found.seeds * folds}
    changes["last"] = found.course[-1]
    if found.seeds == 1:
        changes["best_of_all"] = max(found.course)
    return found.model_copy(update=changes)


def _looks(found: Attribution | None, data: DataSummary) -> Attribution | None:
    if found is None:
        return None
    experts = tuple(
        each.model_copy(update={"experts": len(each.use[0])}) if each.use else each
        for each in found.experts
    )
    return found.model_copy(update={"clips": data.counts["clips"], "experts": experts})


def _compute(facts: StudySummary, folds: Scheme) -> ComputeSummary:
    outcomes = [trial.outcome for trial in facts.trials]
    least = outcomes.count("complete") * _folds(folds, facts.data)
    possible = least + outcomes.count("pruned") * _folds(folds, facts.data)
    run = min(max(least, facts.compute.folds_run), possible)
    return facts.compute.model_copy(
        update={
            "folds_run": run,
            "folds_possible": possible,
            "saved": 1 - run / possible if possible else 0.0,
        }
    )


def _folds(folds: Scheme, data: DataSummary) -> int:
    """Return how many folds there are."""
    match folds:
        case "loso":
            return len(data.subjects)
        case "lodo":
            return len(set(map(dataset_of, data.subjects)))
        case number:
            return number


# Scores from confusions --------------------------------------------------------------------------


def _repeated(
    scores: Sequence[SeedScores], data: DataSummary, folds: Scheme
) -> tuple[SeedScores, ...]:
    """Return the scores of several repetitions, each once."""
    found: list[SeedScores] = []
    for each in scores:
        least = found[-1].repetition + 1 if found else 0
        update = {"repetition": max(least, each.repetition)}
        found.append(_scores(each, data, folds).model_copy(update=update))
    return tuple(found)


def _scores(stored: SeedScores, data: DataSummary, folds: Scheme) -> SeedScores:
    subjects = np.array(stored.subjects, dtype=np.int64)
    if not len(subjects):
        return stored.model_copy(update=_metrics(np.array(stored.confusion), stored))
    sets = np.array([dataset_of(name) for name in data.subjects])
    changes = _metrics(subjects.sum(0), stored)
    if stored.fold_f1 is not None and folds in ("loso", "lodo"):
        parts = subjects if folds == "loso" else [subjects[sets == s].sum(0) for s in set(sets)]
        changes["fold_f1"] = statistics.fmean(map(f1_of_present, parts))
    changes["datasets"] = tuple(
        part.model_copy(update=_metrics(subjects[sets == part.name].sum(0), part))
        for part in stored.datasets
    )
    return stored.model_copy(update=changes)


def _metrics(counts: Counts, stored: Scores) -> Tree:
    """Return the scores of a confusion, as far as a report of that version holds them."""
    found: Tree = {**stored.metrics(counts), "confusion": Scores.of(counts).confusion}
    return found if stored.weighted_f1 is not None else found | {"weighted_f1": None}


# Candidates from what was drawn ------------------------------------------------------------------


class _KnownDraws(Suggester):
    """Draws what a trial is known to have drawn, as far as the space can give it."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self.given = dict(params)
        """The same once it is drawn; of a setting without effect, anything."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        known = self.params.get(name, choices[0])
        return self._give(name, known if known in choices else choices[0])

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        del step, log
        return int(self._give(name, self._inside(name, low, high)))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        del log
        return float(self._give(name, self._inside(name, low, high)))

    def _inside(self, name: str, low: float, high: float) -> float:
        known = self.params.get(name)
        return min(max(known, low), high) if isinstance(known, int | float) else low

    def _give(self, name: str, value: Any) -> Any:
        if name in self.given:
            self.given[name] = value
        return value


def _drawn(trial: TrialSummary, settings: Settings) -> Tree:
    """Return architecture and trainer as the parameters of a trial draw them, and these."""
    place, told = f"trial {trial.number}", _KnownDraws(trial.params)
    try:
        tree = settings.space.suggest(told)
        architecture = parse_drawn(tree["architecture"], place)
    except (ConfigError, Infeasible):  # of a version whose grammar was another
        return {"architecture": trial.architecture, "trainer": trial.trainer}
    recipe = merge(settings.trainer.model_dump(), tree.get("trainer", {}))
    trainer = validate(TrainerConfig, recipe, f"{place}: trainer")
    return {
        "params": told.given,
        "architecture": architecture.model_dump(mode="json"),
        "trainer": trainer.model_dump(mode="json"),
    }


def _cost(architecture: Tree | None, classes: int) -> Tree:
    return {} if architecture is None else _measured(json.dumps(architecture), classes)


@lru_cache(maxsize=1024)
def _measured(architecture: str, classes: int) -> Tree:
    return Cost.of(parse(json.loads(architecture), "architecture"), classes)._asdict()
