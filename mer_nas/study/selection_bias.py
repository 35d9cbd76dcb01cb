"""What a study's scores are worth: the choice corrected, the headline, the winner against others.

Everything follows from the confusions by subject that the facts of a study hold, so that a report
can be checked by what it says of itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from mer_nas.errors import DataError
from mer_nas.evaluation.metrics import uf1
from mer_nas.report import (
    Comparison,
    FinalistSummary,
    Headline,
    SelectionBias,
    StudySummary,
    TrialSummary,
)
from mer_nas.report.scores import counts_by_subject
from mer_nas.search.config import StudyConfig
from mer_nas.statistics import MIN_SUBJECTS, compare_pairs, correct, estimate
from mer_nas.wording import count

MIN_COMPLETE = 10
"""Complete trials below which the correction misses too much of the choice."""


def assessed(facts: StudySummary, study: StudyConfig) -> StudySummary:
    """Return the facts with what follows from the scores of its trials and finalists."""
    chosen, note = _selection(facts, study)
    return facts.model_copy(
        update={
            "selection": chosen,
            "selection_note": note,
            "headline": _headline(facts, chosen),
            "comparisons": _comparisons(facts),
        }
    )


def _selection(facts: StudySummary, study: StudyConfig) -> tuple[SelectionBias | None, str]:
    """Return what choosing among the complete trials does to the best score, or why it is unknown.

    The candidates of the correction are the complete trials under the protocol of the search, the
    earliest first.
    """
    complete = [trial.scores for trial in facts.trials if trial.outcome == "complete"]
    pool = [scores for scores in complete if scores is not None and scores.subjects]
    if not pool:
        return None, "no trial is complete"
    try:
        found = correct(counts_by_subject(pool), facts.data.classes)
    except DataError as error:
        return None, str(error)
    best = max(pool, key=lambda scores: scores.uf1)  # of equals the first
    chosen = SelectionBias(
        **dict(found.no_better(best)),
        pruned=sum(trial.outcome == "pruned" for trial in facts.trials),
        protocol=facts.search_protocol,
        caveat=_caveat(study, found.candidates),
    )
    return chosen, ""


def _headline(facts: StudySummary, chosen: SelectionBias | None) -> Headline | None:
    """Return the winner's score less what the choice flatters it by, with its interval.

    The score is that of the final stage where there was one; the optimism is always estimated at
    the fidelity of the search, where the choice was made. It never adds to a score.
    """
    finalists = facts.ranked
    if chosen is None or not all(score.subjects for each in finalists for score in each.scores):
        return None
    if finalists:
        counts = counts_by_subject(finalists[0].scores)
        mean, seeds = float(uf1(counts.sum(-3)).mean()), len(counts)
        value = estimate(counts, less=chosen.optimism)
    else:
        mean, seeds, value = chosen.score, 1, chosen.uf1
    return Headline(
        uf1=value,
        mean=mean,
        seeds=seeds,
        optimism=chosen.optimism,
        upper_bound=bool(chosen.caveat),
    )


def _comparisons(facts: StudySummary) -> tuple[Comparison, ...]:
    """Compare the winner with the runner-up and with every warm start, under one protocol.

    That is the protocol of the final stage; without one, that of the search.
    """
    ranked = _ranked(facts)
    if len(ranked) < 2 or len(facts.data.subjects) < MIN_SUBJECTS:
        return ()
    winner, runner_up, *rest = ranked
    others = [runner_up, *(entry for entry in rest if entry.warm_start)]
    counts = {entry.label: counts_by_subject(entry.repetitions) for entry in others}
    found = compare_pairs(counts_by_subject(winner.repetitions), counts)
    return tuple(
        Comparison(
            label=entry.label,
            origin=entry.origin,
            warm_start=entry.warm_start,
            protocol=facts.protocol if facts.finalists else facts.search_protocol,
            uf1=float(uf1(counts[entry.label].sum(-3)).mean()),
            seeds=len(entry.repetitions),
            **dict(found[entry.label]),
        )
        for entry in others
    )


def _ranked(facts: StudySummary) -> Sequence[FinalistSummary | TrialSummary]:
    """Return those whose confusions are known: finalists, or else complete trials, best first."""
    trials = facts.front if len(facts.objectives) > 1 else facts.complete
    known = facts.ranked or trials
    return [
        each for each in known if each.repetitions and all(s.subjects for s in each.repetitions)
    ]


def _caveat(study: StudyConfig, complete: int) -> str:
    """Return why the optimism is only a lower bound; empty where it is an estimate."""
    if complete < MIN_COMPLETE:
        return f"{count(complete, 'complete trial')}, and {MIN_COMPLETE} are needed"
    if not study.spares:
        return f"the pruner ({study.pruning}) leaves too few runners-up"
    return ""
