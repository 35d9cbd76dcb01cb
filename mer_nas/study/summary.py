"""What is said of a study: everything its report tells, computed from what it knows.

The state alone decides it: a report that is deleted is the same when it is made again.
"""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from mer_nas import files
from mer_nas.architectures import Cost
from mer_nas.config.base import Tree
from mer_nas.config.overrides import PLACE_KEYS, below
from mer_nas.errors import DataError, MerNasError, StudyError
from mer_nas.evaluation.metrics import Scores
from mer_nas.evaluation.results import FoldResult, pool
from mer_nas.provenance import environment
from mer_nas.report import (
    Attribution,
    BlockPoint,
    ComputeSummary,
    EnsembleSummary,
    FinalistSummary,
    HindsightSummary,
    LossCurve,
    MemberSummary,
    NextStep,
    SeedScores,
    StudySummary,
    TrialSummary,
)
from mer_nas.search.storage import dashboard
from mer_nas.shell import TYPED, command_line
from mer_nas.statistics import Choose, Correction, correct_choice
from mer_nas.study.nested import nested_estimate
from mer_nas.study.selection_bias import assessed
from mer_nas.study.sessions import sessions
from mer_nas.study.state import StudyState
from mer_nas.study.trial import Trial
from mer_nas.wording import count

T = TypeVar("T")


def _remembered(asked: Callable[[StudyState], T]) -> Callable[[StudyState], T]:
    """Let a state be asked once: two exports and a report say the same of its trials."""
    known: WeakKeyDictionary[StudyState, T] = WeakKeyDictionary()

    @wraps(asked)
    def answer(state: StudyState) -> T:
        if state not in known:
            known[state] = asked(state)
        return known[state]

    return answer


def summary(state: StudyState) -> StudySummary:
    """Return everything the report says."""
    settings, study = state.settings, state.settings.study
    importance, note = _importance(state)
    outside, nested_note = nested_estimate(state)
    made = state.noted.get("made") or _made(state, _last_trial(state))
    found = StudySummary(
        name=state.folder.name,
        folder=str(state.folder.path),
        space=settings.space.name,
        command=state.origin.command,
        settings=settings.dump(),
        seed=study.seed,
        written=made["written"],
        code_version=state.origin.code,
        environment=made["environment"],
        data=state.origin.data,
        search_protocol=state.origin.search.name,
        final_protocol=state.origin.final.name if state.origin.final else None,
        sampler=study.sampler,
        objectives=study.objectives,
        pruner=study.pruning,
        timed_on=next((timing.machine for timing in state.timings.values()), ""),
        tables=settings.space.file.tables,
        stopped=state.stopped,
        trials=tuple(_trial(state, trial) for trial in state.trials),
        final_failures=state.final_failures,
        compute=_compute(state),
        importance=importance,
        importance_note=note,
        finalists=tuple(
            _finalist(state, rank, finalist, scores)
            for rank, (finalist, scores) in enumerate(state.finalists, start=1)
        ),
        ensemble=_ensemble(state),
        ensemble_note="" if study.final and study.final.ensemble is None else state.no_ensemble,
        nested=outside,
        nested_note=nested_note,
        export=state.export,
        ensemble_export=state.ensemble_export,
        export_failures=state.export_failures,
        looks=_looks(state),
        next_steps=_next_steps(state),
    )
    return assessed(found, study)


def note_end(state: StudyState) -> None:
    """Keep when and on which machine a session of the study ended, for its reports to say."""
    state.note("made", _made(state, datetime.now(UTC)))


def _made(state: StudyState, when: datetime) -> Tree:
    extensions = state.settings.space.extensions
    return {"written": when.isoformat(), "environment": environment(extensions)}


def _last_trial(state: StudyState) -> datetime:
    """Return when the last trial ended, for a study that never came to its own end."""
    ended = [trial.datetime_complete for trial in state.trials if trial.datetime_complete]
    if ended:
        return max(ended).astimezone(UTC)
    return datetime.fromtimestamp(state.folder.settings_file.stat().st_mtime, UTC)


def _trial(state: StudyState, trial: FrozenTrial) -> TrialSummary:
    known = trial.user_attrs
    key, tree = known.get("candidate", ""), known.get("tree", {})
    complete = known["outcome"] == "complete"
    return TrialSummary(
        number=trial.number,
        outcome=known["outcome"],
        value=trial.values[0] if complete else None,
        scores=state.scored(state.origin.search, key) if complete else None,
        curve=_curve(state, trial),
        params={k: v for k, v in trial.params.items() if k not in known.get("idle", ())},
        **_published(state, known.get("point")),
        **{name: known.get(name) for name in ("parameters", "deployed", "macs")},
        **_times(state, key),
        seconds=_seconds(state.folds_of(trial)),
        key=key,
        origin=state.origin_of(trial),
        warm_start="point" in known,
        architecture=tree.get("architecture"),
        trainer=tree.get("trainer"),
        error=known.get("reason", ""),
    )


def _curve(state: StudyState, trial: FrozenTrial) -> tuple[BlockPoint, ...]:
    shape, points, clips = state.origin.search, [], 0
    for step, block in enumerate(shape.blocks, start=1):
        clips += sum(shape.folds[index].clips for index in block)
        if (value := trial.intermediate_values.get(step)) is not None:
            points.append(BlockPoint(clips=clips / shape.clips, uf1=value))
    return tuple(points)


def _finalist(
    state: StudyState, rank: int, entry: Trial, scores: tuple[SeedScores, ...]
) -> FinalistSummary:
    cost = Cost.of(entry.candidate.architecture, len(state.origin.data.classes))
    tree, final, stage = entry.candidate.dump(), state.origin.final, state.settings.study.final
    assert final is not None
    assert stage is not None
    trained = [state.under(final, entry.candidate.key, seed) for seed in range(stage.seeds)]
    return FinalistSummary(
        rank=rank,
        label=entry.label,
        key=entry.candidate.key,
        origin=entry.origin,
        warm_start=entry.warm_start,
        **_published(state, entry.origin if entry.warm_start else None),
        **cost._asdict(),
        **_times(state, entry.candidate.key),
        trial=entry.number,
        architecture=tree["architecture"],
        trainer=tree["trainer"],
        search_score=entry.value,
        scores=scores,
        left=state.left.get(entry.key, ""),
        learning=LossCurve.of(result for results in trained for result in results),
        hindsight=HindsightSummary.looking_back(
            [
                [(result, state.hindsight.get(result.key)) for result in results]
                for results in trained
                if len(results) == len(final.folds)
            ]
        ),
    )


def _ensemble(state: StudyState) -> EnsembleSummary | None:
    ensemble = state.ensemble
    if ensemble is None:
        return None
    stage, scores = state.ensemble_scores(ensemble)
    final = state.origin.final if stage == "final" else None
    searched = state.ensemble_results(ensemble, state.origin.search)
    return EnsembleSummary(
        rule=ensemble.rule,
        key=ensemble.key,
        members=tuple(
            _member(state, member, weight)
            for member, weight in zip(ensemble.members, ensemble.weights, strict=True)
        ),
        handed_over=state.handed_over is ensemble,
        stage=stage,
        protocol=(final or state.origin.search).name,
        together_ms=None if state.ensemble_export is None else state.ensemble_export.clip_ms,
        scores=scores,
        search_score=pool(searched).uf1,
        correction=_correction(state),
    )


def _member(state: StudyState, member: Trial, weight: float) -> MemberSummary:
    cost = Cost.of(member.candidate.architecture, len(state.origin.data.classes))
    return MemberSummary(
        trial=member.number,
        origin=member.origin,
        key=member.candidate.key,
        weight=weight,
        deployed=cost.deployed,
        macs=cost.macs,
        clip_ms=_times(state, member.candidate.key)["clip_ms"]
        or _times(state, member.searched)["clip_ms"],
        search_score=member.value,
    )


@_remembered
def _correction(state: StudyState) -> Correction | None:
    return corrected_choice(state, state.rule)


def corrected_choice(state: StudyState, choose: Choose) -> Correction | None:
    """Return what a way to choose is worth; none where there are too few subjects for it."""
    said = state.pool
    try:
        found = correct_choice(said, choose, state.origin.data.classes)
    except DataError:  # `selection_note` says so
        return None
    everybody = np.ones(len(state.origin.data.subjects))
    return found.no_better(Scores.of(said.counts(choose(said, everybody)).sum(0)))


def _looks(state: StudyState) -> Attribution | None:
    """Return what the winner looks at; none where the file is of another, or not there."""
    winner = next((entry for entry, _ in state.finalists), None)
    if winner is None or not state.folder.attribution.is_file():
        return None
    try:
        tree = files.read_json(state.folder.attribution, StudyError)
        found = None if tree is None else Attribution.model_validate(tree)
    except (MerNasError, ValueError):  # of another version, or edited: an export mends it
        return None
    if found is None or found.key != winner.candidate.key:
        return None
    return found if found.classes == len(state.origin.data.classes) else None


def _published(state: StudyState, point: str | None) -> Tree:
    """Return source and fidelity of a point; nothing for what the search proposed."""
    if point is None:
        return {}
    entry = state.settings.space.point(point)
    return {"source": entry.source, "fidelity": entry.fidelity, "differs": entry.differs}


def _times(state: StudyState, candidate: str) -> Tree:
    if found := state.timings.get(candidate):
        return {"step_ms": found.step_ms, "clip_ms": found.clip_ms}
    return {"clip_ms": state.clip_ms.get(candidate)}


def _compute(state: StudyState) -> ComputeSummary:
    shape, past = state.origin.search, sessions(state.folder)
    counted = [t for t in state.trials if t.user_attrs["outcome"] in {"complete", "pruned"}]
    run = sum(len(state.folds_of(trial)) for trial in counted)
    possible = len(counted) * len(shape.folds)
    searched = {result.key for trial in state.trials for result in state.folds_of(trial)}
    parts: dict[bool, list[FoldResult]] = {True: [], False: []}
    for by_fold in state.results.values():
        for result in by_fold.values():
            parts[result.key in searched].append(result)
    all_results = [*parts[True], *parts[False]]
    final = parts[False] or all_results  # the search may have trained all that it asks for
    return ComputeSummary(
        folds_run=run,
        folds_possible=possible,
        saved=1 - run / possible if possible else 0.0,
        search_seconds=_seconds(parts[True]),
        final_seconds=_seconds(parts[False]),
        wall_seconds=past.seconds,
        workers=past.workers,
        together=max((result.width for result in all_results), default=1),
        final_together=max((result.width for result in final), default=1),
        alone=tuple(dict.fromkeys(result.alone for result in all_results if result.alone)),
        notes=past.notes,
    )


@_remembered
def _importance(state: StudyState) -> tuple[dict[str, float] | None, str]:
    complete = [trial for trial in state.trials if trial.state == TrialState.COMPLETE]
    if len(complete) < 4:
        return None, f"{count(len(complete), 'complete trial')}; at least 4 are needed"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = optuna.importance.get_param_importances(
                state.optuna,
                target=lambda trial: -trial.values[0],  # what is low counts as good there
            )
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        return None, f"Optuna could not estimate it: {error}"
    if not any(value > 0 for value in found.values()):
        return None, "no parameter separates the best trials from the others"
    return dict(found), f"PED-ANOVA over {count(len(complete), 'complete trial')}"


def _next_steps(state: StudyState) -> tuple[NextStep, ...]:
    """Return the commands worth running after a study."""
    settings, path = state.settings, state.folder.path
    study, data = settings.study, _data_words(state)
    trials = 3 * max(study.trials or len(state.trials), state.counted)
    folds = study.final.folds if study.final else study.folds
    measure = ["evaluate", f"space={state.folder.best}", *data, f"study.folds={folds}"]
    look = dashboard(state.folder.storage(study))
    onward = [(("mer-nas", "resume", path, f"study.trials={trials}"), "search on")]
    won = state.winner is not None
    steps = [
        *(onward if won and not (study.closed or state.emptied) else []),
        *([(("mer-nas", *measure), "measure the best candidate again")] if won else []),
        *([(look, "look at the trials (pip install optuna-dashboard)")] if look else []),
    ]
    if settings.data.kind == "synthetic":
        real = (settings.space.place, "data=megc2019_flow", "data.root=DIR")
        steps.append((("mer-nas", "search", *real), "search on real flow images"))
    return tuple(
        NextStep(command=command_line(*words), purpose=why)
        for words, why in steps
        if _names_what_is_there(words) and not any(TYPED in str(word) for word in words)
    )


def _names_what_is_there(words: Sequence[str | Path]) -> bool:
    """Whether the YAML files that a command names are there: they may have been moved."""
    named = (word.partition("=")[2] for word in words if isinstance(word, str))
    return all(Path(file).exists() for file in named if file.endswith((".yaml", ".yml")))


def _data_words(state: StudyState) -> list[str]:
    """Return the words that name the study's data, where they lie by now."""
    words = shlex.split(state.origin.command)
    kept = [
        word
        for word in words
        if word.startswith(("data=", "data.")) and not below(word.partition("=")[0], PLACE_KEYS)
    ]
    data = state.settings.data
    places = {name: getattr(data, name, None) for name in ("root", "cache")}
    places |= {f"roots.{name}": root for name, root in getattr(data, "roots", {}).items()}
    return kept + [f"data.{name}={place}" for name, place in places.items() if place is not None]


def _seconds(results: Iterable[FoldResult]) -> float:
    return round(sum(result.seconds for result in results), 3)
