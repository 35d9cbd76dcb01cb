"""Who won, by how much, and against what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from mer_nas.config.base import Config, Share, Tree
from mer_nas.evaluation.metrics import METRICS
from mer_nas.report.candidates import CandidateSummary, FinalistSummary, TrialSummary
from mer_nas.report.scores import ALL_SCORES, Spread, spreads
from mer_nas.report.summary import StudySummary
from mer_nas.search.events import Outcome
from mer_nas.statistics import Difference

MAX_ROWS = 5
"""Rows of the ranking where no final stage limits them."""
HONESTY: Final = "selected on these subjects; expect less on new ones"
CORRECTED: Final = (
    "the headline is corrected for being the best of many; what earlier studies learned from "
    "these subjects is not"
)


class RankedCandidate(CandidateSummary):
    """A candidate in the ranking."""

    rank: PositiveInt | None = None
    """None for warm starts that did not reach the final stage."""
    label: str
    outcome: Outcome = "complete"
    search_score: Share | None
    """UF1 under the search protocol."""
    uf1: Spread | None
    """Under the final protocol, as are the next two; none where it was not run."""
    uar: Spread | None
    accuracy: Spread | None

    @classmethod
    def of(
        cls, candidate: FinalistSummary | TrialSummary, rank: int | None = None
    ) -> RankedCandidate:
        """Return the row of a candidate."""
        final = candidate.repetitions if isinstance(candidate, FinalistSummary) else ()
        return cls(**_row(candidate, rank), **(dict.fromkeys(METRICS) | spreads(final)))

    @classmethod
    def ranking(cls, summary: StudySummary) -> tuple[RankedCandidate, ...]:
        """Return the finalists by rank; without a final stage the best complete trials."""
        if summary.finalists:
            return tuple(cls.of(each, each.rank) for each in summary.ranked)
        best = summary.complete[:MAX_ROWS]
        return tuple(cls.of(trial, rank) for rank, trial in enumerate(best, start=1))


class _Margin(Config):
    """The winner against the best warm start, both under one protocol."""

    label: str
    """Of the warm start."""
    protocol: str
    winner: Share
    warm_start: Share
    difference: Difference
    """Winner minus warm start, in UF1."""
    deviation: NonNegativeFloat | None
    """The larger standard deviation over seeds of the two; none where there is one seed."""

    @classmethod
    def of(cls, summary: StudySummary, winner: FinalistSummary | TrialSummary) -> _Margin | None:
        """Compare under the final protocol where a warm start reached it, else the search's."""
        finalists = [finalist for finalist in summary.ranked if finalist.warm_start]
        trials = [trial for trial in summary.complete if trial.warm_start]
        if isinstance(winner, FinalistSummary) and finalists:
            best, protocol = finalists[0].name, summary.protocol
            ours, theirs = (spreads(each.scores)["uf1"] for each in (winner, finalists[0]))
        elif trials and winner.search_score is not None and trials[0].value is not None:
            best, protocol = trials[0].name, summary.search_protocol
            ours, theirs = (Spread.of([score]) for score in (winner.search_score, trials[0].value))
        else:
            return None
        deviations = [s.deviation for s in (ours, theirs) if s.deviation is not None]
        return cls(
            label=best,
            protocol=protocol,
            winner=ours.mean,
            warm_start=theirs.mean,
            difference=ours.mean - theirs.mean,
            deviation=max(deviations, default=None),
        )


class Winner(RankedCandidate):
    """What the study found."""

    uf1: Spread
    key: str
    stage: Literal["final", "search"]
    """Which stage the score comes from."""
    protocol: str
    weighted_f1: Spread | None = None
    """F1 of the classes, each counted as often as it has clips."""
    fold_f1: Spread | None = None
    """Mean over folds of the F1 of each; not pooled, so not to be compared with `uf1`."""
    honesty: str
    """How far the scores can be trusted, in a sentence."""
    against: _Margin | None
    """None where no warm start was measured under the same protocol, or the winner is one."""
    architecture: Tree | None
    """Closed form."""
    trainer: Tree | None
    """What it was trained with under that protocol."""

    @classmethod
    def of_study(cls, summary: StudySummary) -> Winner | None:
        """Return the best finalist, or else the best complete trial; none where none is."""
        best = summary.best
        if best is None:
            return None
        final = isinstance(best, FinalistSummary)
        scores = {"uar": None, "accuracy": None, **spreads(best.repetitions, ALL_SCORES)}
        if not final and best.search_score is not None:
            scores["uf1"] = Spread.of([best.search_score])
        known = summary.headline is not None and not summary.headline.upper_bound
        return cls(
            **_row(best, rank=1),
            **scores,
            key=best.key,
            stage="final" if final else "search",
            protocol=summary.protocol if final else summary.search_protocol,
            honesty=CORRECTED if known else HONESTY,
            against=None if best.warm_start else _Margin.of(summary, best),
            architecture=best.architecture,
            trainer=best.trainer,
        )


class BestSoFar(Config):
    """The best complete score once a trial had ended."""

    number: NonNegativeInt
    uf1: Share

    @classmethod
    def course(cls, complete: Sequence[TrialSummary]) -> tuple[BestSoFar, ...]:
        """Return the course of the search over its complete trials, in any order."""
        best, course = 0.0, []
        for trial in sorted(complete, key=lambda trial: trial.number):
            best = max(best, trial.value or 0.0)
            course.append(cls(number=trial.number, uf1=best))
        return tuple(course)


def _row(candidate: FinalistSummary | TrialSummary, rank: int | None) -> Tree:
    return {
        **candidate.shared,
        "rank": rank,
        "label": candidate.name,
        "outcome": candidate.outcome,
        "search_score": candidate.search_score,
    }
