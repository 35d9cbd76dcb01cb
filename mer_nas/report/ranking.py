"""Who won, by how much, and against what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from mer_nas.config.base import Config, Share, Tree
from mer_nas.evaluation.metrics import METRICS
from mer_nas.report.candidates import CandidateSummary, FinalistSummary, TrialSummary
from mer_nas.report.ensembles import EnsembleSummary, MemberSummary
from mer_nas.report.scores import ALL_SCORES, OwnSpread, Spread, own_spreads, spreads
from mer_nas.report.summary import StudySummary
from mer_nas.search.events import Outcome
from mer_nas.statistics import Difference, Estimate

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
    def together(cls, ensemble: EnsembleSummary | None) -> RankedCandidate | None:
        """Return the row of an ensemble, which stands beside the ranking."""
        if ensemble is None:
            return None
        final = ensemble.scores if ensemble.stage == "final" else ()
        return cls(**_together(ensemble), **(dict.fromkeys(METRICS) | spreads(final)))

    @classmethod
    def ranking(cls, summary: StudySummary) -> tuple[RankedCandidate, ...]:
        """Return the finalists by rank; without a final stage the best complete trials."""
        if summary.finalists:
            return tuple(cls.of(each, each.rank) for each in summary.ranked)
        best = summary.eligible[:MAX_ROWS]
        return tuple(cls.of(trial, rank) for rank, trial in enumerate(best, start=1))


class _Margin(Config):
    """The answer against the best warm start, both under one protocol."""

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
    def of(
        cls, summary: StudySummary, winner: FinalistSummary | TrialSummary | EnsembleSummary
    ) -> _Margin | None:
        """Compare under the final protocol where a warm start reached it, else the search's."""
        finalists = [finalist for finalist in summary.ranked if finalist.warm_start]
        trials = [trial for trial in summary.complete if trial.warm_start]
        final = getattr(winner, "stage", None) == "final" or isinstance(winner, FinalistSummary)
        if final and finalists:
            best, protocol = finalists[0].name, summary.protocol
            ours, theirs = (spreads(each.repetitions)["uf1"] for each in (winner, finalists[0]))
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


class Alternative(Config):
    """What else the study found: the best candidate alone beside an ensemble, or the reverse."""

    label: str
    uf1: Spread
    protocol: str
    """Of its score and of the difference."""
    difference: Estimate | None
    """In UF1, over the seeds that both have: the answer minus this. None where there are too few
    subjects for it."""
    seeds: PositiveInt | None
    """How many both have; none where there is no difference."""
    macs: NonNegativeInt | None
    clip_ms: NonNegativeFloat | None
    """Milliseconds of one clip at inference."""
    times: NonNegativeFloat | None
    """How many times as long a clip takes through the ensemble as through the best candidate
    alone; none where that was not measured."""

    @classmethod
    def of(cls, summary: StudySummary) -> Alternative | None:
        """Return what was not handed over; none where there is no such thing."""
        together, alone = summary.ensemble, summary.best
        if together is None or alone is None:
            return None
        other = alone if together.handed_over else together
        scores = summary.best_in(together.stage) if together.handed_over else together.scores
        paired = together.against
        if paired is not None and not together.handed_over:
            paired = paired.turned()
        return cls(
            label=together.label if other is together else alone.name,
            uf1=spreads(scores)["uf1"],
            protocol=together.protocol,
            difference=paired.difference if paired is not None else None,
            seeds=together.against_seeds,
            macs=other.macs,
            clip_ms=other.clip_ms,
            times=together.clip_ms / alone.clip_ms if together.clip_ms and alone.clip_ms else None,
        )


class Winner(RankedCandidate):
    """What the study found: an ensemble, or else its best candidate."""

    uf1: Spread
    key: str
    stage: Literal["final", "search"]
    """Which stage the score comes from."""
    protocol: str
    weighted_f1: Spread | None = None
    """F1 of the classes, each counted as often as it has clips."""
    fold_f1: Spread | None = None
    """Mean over folds of the F1 of each; not pooled, so not to be compared with `uf1`."""
    own: dict[str, OwnSpread] = Field(default_factory=dict)
    """Metrics of the user's own, by their names."""
    own_failed: tuple[str, ...] = ()
    """Why others of them gave no number, each once."""
    honesty: str
    """How far the scores can be trusted, in a sentence."""
    against: _Margin | None
    """None where no warm start was measured under the same protocol, or the winner is one."""
    architecture: Tree | None
    """Closed form; none of an ensemble."""
    trainer: Tree | None
    """What it was trained with under that protocol; none of an ensemble."""
    members: tuple[MemberSummary, ...] = ()
    """Of an ensemble, the heaviest first."""
    alternative: Alternative | None = None
    """The best candidate alone beside an ensemble, or the reverse, so that a user can choose."""

    @classmethod
    def of_study(cls, summary: StudySummary) -> Winner | None:
        """Return what the study hands over; none where no trial is complete."""
        best, found = summary.best, summary.handed_over
        if best is None or found is None:
            return None
        known = summary.headline is not None and not summary.headline.upper_bound
        shared: Tree = {
            "uar": None,
            "accuracy": None,
            **spreads(found.repetitions, ALL_SCORES),
            "own": own_spreads(found.repetitions),
            "own_failed": tuple(
                dict.fromkeys(
                    why for each in found.repetitions for why in each.own_failed.values()
                )
            ),
            "key": found.key,
            "honesty": CORRECTED if known else HONESTY,
            "alternative": Alternative.of(summary),
        }
        if isinstance(found, EnsembleSummary):
            return cls(
                **_together(found, rank=1),
                **shared,
                stage=found.stage,
                protocol=found.protocol,
                against=_Margin.of(summary, found),
                architecture=None,
                trainer=None,
                members=found.members,
            )
        final = isinstance(found, FinalistSummary)
        if not final and found.search_score is not None:
            shared["uf1"] = Spread.of([found.search_score])
        return cls(
            **_row(found, rank=1),
            **shared,
            stage="final" if final else "search",
            protocol=summary.protocol if final else summary.search_protocol,
            against=None if found.warm_start else _Margin.of(summary, found),
            architecture=found.architecture,
            trainer=found.trainer,
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


def _together(ensemble: EnsembleSummary, rank: int | None = None) -> Tree:
    return {
        "origin": ensemble.rule,
        "rank": rank,
        "label": ensemble.label,
        "search_score": ensemble.search_score,
        **{name: getattr(ensemble, name) for name in ("deployed", "macs", "clip_ms")},
    }
