"""From the facts of a study to its report: who won, by how much, and against what."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import get_args

from mer_nas.report.confusions import matrix, summed
from mer_nas.report.facts import (
    FinalistSummary,
    SeedScores,
    StudySummary,
    TrialSummary,
)
from mer_nas.report.literature import literature
from mer_nas.report.parallel import axis, is_choice, parallel
from mer_nas.report.schema import (
    CORRECTED,
    HONESTY,
    BestSoFar,
    Important,
    Margin,
    RankedCandidate,
    Report,
    Slice,
    SlicePoint,
    Spread,
    SubjectSizes,
    Winner,
)
from mer_nas.report.slots import slots
from mer_nas.report.spreads import others, spread, spreads
from mer_nas.report.stages import stage_rows
from mer_nas.report.subjects import datasets, subject_rows
from mer_nas.report.tables import compare
from mer_nas.search.events import Outcome
from mer_nas.search.objectives import Objective, front

SHOWN = 5
"""Rows of the ranking where no final stage limits them."""
SLICES = 2


def build(facts: StudySummary) -> Report:
    """Return what a reader wants to know of the study that `facts` describe.

    Blocks of the user's own must be loaded: the winner's network is built to be counted.
    """
    complete = best_first(facts.trials)
    answer = _answer(facts, complete)
    outcomes = Counter(trial.outcome for trial in facts.trials)
    important = _important(facts.importance or {}, complete)
    measured = _measured(facts, complete)
    protocol = (facts.finalists and facts.final_protocol) or facts.search_protocol
    return Report(
        answer=answer,
        ranking=_ranking(facts, complete),
        front=_front(facts, complete),
        warm_starts=tuple(_trial_row(trial) for trial in facts.trials if trial.warm_start),
        confusion=matrix(
            summed([score.confusion for score in measured]),
            facts.data.classes,
            len(measured),
            protocol,
        )
        if measured
        else None,
        outcomes={outcome: outcomes[outcome] for outcome in get_args(Outcome)},
        counted=sum(outcomes[outcome] for outcome in ("complete", "pruned", "failed")),
        course=_course(facts.trials),
        important=important,
        slices=_slices(important, facts.trials),
        parallel=parallel(important, complete),
        slots=slots(complete, answer.architecture if answer else None),
        stages=stage_rows(answer.architecture, len(facts.data.classes)) if answer else (),
        tables=compare(facts),
        literature=literature(
            facts.data.counts["clips"],
            facts.data.counts["subjects"],
            len(facts.data.classes),
            facts.final_protocol or facts.search_protocol,
        ),
        subject_sizes=_subject_sizes(list(facts.data.subjects.values())),
        datasets=datasets(facts.data, measured, protocol),
        subjects=subject_rows(facts.data, measured),
        study=facts,
    )


def best_first(trials: Iterable[TrialSummary]) -> list[TrialSummary]:
    """Return the complete trials, the best first and of equals the earliest."""
    complete = [
        trial for trial in trials if trial.outcome == "complete" and trial.value is not None
    ]
    return sorted(complete, key=lambda trial: (-_value(trial), trial.number))


def _value(trial: TrialSummary) -> float:
    assert trial.value is not None
    return trial.value


def by_rank(facts: StudySummary) -> list[FinalistSummary]:
    """Return the finalists, the winner first."""
    return sorted(facts.finalists, key=lambda finalist: finalist.rank)


def _answer(facts: StudySummary, complete: Sequence[TrialSummary]) -> Winner | None:
    if facts.finalists:
        winner = by_rank(facts)[0]
        return Winner(
            label=winner.name,
            key=winner.key,
            **winner.said(),
            stage="final",
            protocol=facts.final_protocol or facts.search_protocol,
            **spreads(winner.scores),
            **others(winner.scores),
            honesty=_honesty(facts),
            search_score=winner.search_score,
            against=_against_finalist(facts, winner) or _against_trial(facts, winner, complete),
            architecture=winner.architecture,
            trainer=winner.trainer,
        )
    return _search_answer(facts, complete) if complete else None


def _honesty(facts: StudySummary) -> str:
    known = facts.headline is not None and not facts.headline.upper_bound
    return CORRECTED if known else HONESTY


def _search_answer(facts: StudySummary, complete: Sequence[TrialSummary]) -> Winner:
    best = complete[0]
    measured: dict[str, Spread | None] = {"uar": None, "accuracy": None}
    if best.scores:
        measured |= {**spreads([best.scores]), **others([best.scores])}
    return Winner(
        label=_label(best),
        key=best.key,
        **best.said(),
        stage="search",
        protocol=facts.search_protocol,
        **(measured | {"uf1": spread([_value(best)])}),
        honesty=_honesty(facts),
        search_score=best.value,
        against=_against_trial(facts, best, complete),
        architecture=best.architecture,
        trainer=best.trainer,
    )


def _against_finalist(facts: StudySummary, winner: FinalistSummary) -> Margin | None:
    """Compare under the final protocol, where a warm start reached it."""
    warm = [finalist for finalist in by_rank(facts) if finalist.warm_start]
    if winner.warm_start or not warm:
        return None
    ours, theirs = spreads(winner.scores)["uf1"], spreads(warm[0].scores)["uf1"]
    deviations = [s.deviation for s in (ours, theirs) if s.deviation is not None]
    return Margin(
        label=warm[0].name,
        protocol=facts.final_protocol or facts.search_protocol,
        winner=ours.mean,
        warm_start=theirs.mean,
        difference=ours.mean - theirs.mean,
        deviation=max(deviations, default=None),
    )


def _against_trial(
    facts: StudySummary, winner: FinalistSummary | TrialSummary, complete: Sequence[TrialSummary]
) -> Margin | None:
    """Compare under the search protocol."""
    score = winner.search_score if isinstance(winner, FinalistSummary) else winner.value
    warm = [trial for trial in complete if trial.warm_start]
    if winner.warm_start or score is None or not warm:
        return None
    return Margin(
        label=warm[0].origin,
        protocol=facts.search_protocol,
        winner=score,
        warm_start=_value(warm[0]),
        difference=score - _value(warm[0]),
        deviation=None,
    )


def _ranking(facts: StudySummary, complete: Sequence[TrialSummary]) -> tuple[RankedCandidate, ...]:
    if facts.finalists:
        return tuple(_finalist_row(finalist) for finalist in by_rank(facts))
    return tuple(_trial_row(trial, rank) for rank, trial in enumerate(complete[:SHOWN], 1))


def _front(facts: StudySummary, complete: Sequence[TrialSummary]) -> tuple[RankedCandidate, ...]:
    return tuple(map(_trial_row, on_front(facts, complete))) if facts.objectives[1:] else ()


def on_front(facts: StudySummary, complete: Sequence[TrialSummary]) -> list[TrialSummary]:
    """Return the complete trials that no other betters in every objective, in their order."""
    costs = facts.objectives[1:]
    found = front([(_value(trial), *_costs(trial, costs)) for trial in complete])
    return [complete[index] for index in found]


def _costs(trial: TrialSummary, names: Sequence[Objective]) -> list[float]:
    known = {"macs": trial.macs, "params": trial.deployed}
    return [float(known[name] or 0) for name in names]


def _finalist_row(finalist: FinalistSummary) -> RankedCandidate:
    return RankedCandidate(
        rank=finalist.rank,
        label=finalist.name,
        outcome="complete",
        search_score=finalist.search_score,
        **spreads(finalist.scores),
        **finalist.said(),
    )


def _trial_row(trial: TrialSummary, rank: int | None = None) -> RankedCandidate:
    return RankedCandidate(
        rank=rank,
        label=_label(trial),
        outcome=trial.outcome,
        search_score=trial.value,
        uf1=None,
        uar=None,
        accuracy=None,
        **trial.said(),
    )


def _label(trial: TrialSummary) -> str:
    return trial.origin if trial.warm_start else f"trial {trial.number}"


def _measured(facts: StudySummary, complete: Sequence[TrialSummary]) -> Sequence[SeedScores]:
    """Return the scores of the winner, one a seed; none where the ledger lacks a fold of it."""
    if facts.finalists:
        return by_rank(facts)[0].scores
    return [complete[0].scores] if complete and complete[0].scores else []


def _course(trials: Sequence[TrialSummary]) -> tuple[BestSoFar, ...]:
    course: list[BestSoFar] = []
    for trial in sorted(best_first(trials), key=lambda trial: trial.number):
        best = max(_value(trial), course[-1].uf1) if course else _value(trial)
        course.append(BestSoFar(number=trial.number, uf1=best))
    return tuple(course)


def _important(
    importance: dict[str, float], complete: Sequence[TrialSummary]
) -> tuple[Important, ...]:
    largest = max(importance.values(), default=0.0)
    ordered = sorted(importance.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        Important(
            parameter=name,
            importance=value,
            relative=value / largest if largest else 0.0,
            tried=axis(name, values)
            if (values := [t.params[name] for t in complete if name in t.params])
            else None,
        )
        for name, value in ordered
    )


def _slices(important: Sequence[Important], trials: Iterable[TrialSummary]) -> tuple[Slice, ...]:
    names = [entry.parameter for entry in important if entry.importance > 0][:SLICES]
    complete = best_first(trials)
    return tuple(
        _slice(name, [trial for trial in complete if name in trial.params]) for name in names
    )


def _slice(name: str, trials: Sequence[TrialSummary]) -> Slice:
    points = [SlicePoint(value=trial.params[name], uf1=_value(trial)) for trial in trials]
    choice = is_choice([point.value for point in points])
    return Slice(parameter=name, choice=choice, points=tuple(points))


def _subject_sizes(clips: Sequence[int]) -> SubjectSizes | None:
    if not clips:
        return None
    return SubjectSizes(smallest=min(clips), median=statistics.median(clips), largest=max(clips))
