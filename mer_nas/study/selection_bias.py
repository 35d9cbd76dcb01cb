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
    EnsembleSummary,
    FinalistSummary,
    Headline,
    SelectionBias,
    StudySummary,
    TrialSummary,
)
from mer_nas.report.scores import counts_by_subject
from mer_nas.search.config import StudyConfig
from mer_nas.statistics import MIN_SUBJECTS, Correction, compare_pairs, correct, estimate
from mer_nas.wording import count

MIN_COMPLETE = 10
"""Complete trials below which the correction misses too much of the choice."""


def assessed(facts: StudySummary, study: StudyConfig) -> StudySummary:
    """Return the facts with what follows from the scores of its trials and finalists."""
    alone, note = _best_alone(facts)
    facts = facts.model_copy(update={"ensemble": _beside(facts, alone)})
    chosen = _selection(facts, study, alone)
    return facts.model_copy(
        update={
            "selection": chosen,
            "selection_note": note,
            "headline": _headline(facts, chosen),
            "comparisons": _comparisons(facts),
        }
    )


def _best_alone(facts: StudySummary) -> tuple[Correction | None, str]:
    """Return what choosing the best complete trial does to its score, or why it is unknown.

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
    return found.no_better(max(pool, key=lambda scores: scores.uf1)), ""  # of equals the first


def _beside(facts: StudySummary, alone: Correction | None) -> EnsembleSummary | None:
    """Return the ensemble beside the best candidate alone, over the seeds that both have."""
    together, best = facts.ensemble, facts.best
    if together is None or best is None:
        return together
    changes: dict[str, object] = {"alone": alone, "against": None, "against_seeds": None}
    mine, theirs = together.shared_seeds(facts.best_in(together.stage))
    known = bool(mine) and all(score.subjects for score in (*mine, *theirs))
    if known and len(facts.data.subjects) >= MIN_SUBJECTS:
        counts = counts_by_subject(mine), counts_by_subject(theirs)
        changes["against"] = compare_pairs(counts[0], {best.label: counts[1]})[best.label]
        changes["against_seeds"] = len(mine)
    return together.model_copy(update=changes)


def _selection(
    facts: StudySummary, study: StudyConfig, alone: Correction | None
) -> SelectionBias | None:
    """Return what all of the choice does to the score of what is handed over."""
    together = facts.ensemble
    chosen = together.correction if together is not None and together.handed_over else alone
    if chosen is None:
        return None
    return SelectionBias(
        **dict(chosen),
        pruned=sum(trial.outcome == "pruned" for trial in facts.trials),
        protocol=facts.search_protocol,
        caveat=_caveat(study, chosen.candidates),
    )


def _headline(facts: StudySummary, chosen: SelectionBias | None) -> Headline | None:
    """Return the score of what is handed over less what the choice flatters it by.

    The score is that of the final stage where there was one; the optimism is always estimated at
    the fidelity of the search, where the choice was made. It never adds to a score.
    """
    found = facts.handed_over
    ranked = [each for each in (found, *facts.ranked) if each is not None]
    if chosen is None or not all(score.subjects for each in ranked for score in each.repetitions):
        return None
    if found is None or isinstance(found, TrialSummary):
        mean, seeds, value = chosen.score, 1, chosen.uf1
    else:
        counts = counts_by_subject(found.repetitions)
        mean, seeds = float(uf1(counts.sum(-3)).mean()), len(counts)
        value = estimate(counts, less=chosen.optimism)
    return Headline(
        uf1=value,
        mean=mean,
        seeds=seeds,
        optimism=chosen.optimism,
        upper_bound=bool(chosen.caveat),
    )


def _comparisons(facts: StudySummary) -> tuple[Comparison, ...]:
    """Compare what is handed over with the next best and with every warm start.

    All under one protocol: that of the final stage; without one, that of the search. What comes
    next to an ensemble is the best candidate alone.
    """
    together = (
        facts.ensemble if facts.ensemble is not None and facts.ensemble.handed_over else None
    )
    final = bool(facts.finalists) and (together is None or together.stage == "final")
    ranked = _ranked(facts, final=final)
    winner, behind = (together, ranked) if together else (next(iter(ranked), None), ranked[1:])
    if winner is None or not behind or len(facts.data.subjects) < MIN_SUBJECTS:
        return ()
    others = [behind[0], *(entry for entry in behind[1:] if entry.warm_start)]
    counts = {entry.label: counts_by_subject(entry.repetitions) for entry in others}
    found = compare_pairs(counts_by_subject(winner.repetitions), counts)
    return tuple(
        Comparison(
            label=entry.label,
            origin=entry.origin,
            warm_start=entry.warm_start,
            protocol=facts.protocol if final else facts.search_protocol,
            uf1=float(uf1(counts[entry.label].sum(-3)).mean()),
            seeds=len(entry.repetitions),
            **dict(found[entry.label]),
        )
        for entry in others
    )


def _ranked(facts: StudySummary, *, final: bool) -> Sequence[FinalistSummary | TrialSummary]:
    """Return the finalists, or else the complete trials, with known confusions, best first."""
    known = facts.ranked if final else facts.eligible
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
