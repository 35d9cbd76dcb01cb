"""What an export says of where it comes from: its scores, and what to expect of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from mer_nas.architectures.extensions import copy_names
from mer_nas.data.clips import ClipSet
from mer_nas.export.origin import ExpectedScore, Provenance
from mer_nas.provenance import code_version, environment
from mer_nas.report import SeedScores, StudySummary
from mer_nas.report.scores import counts_by_subject
from mer_nas.search.config import EnsembleConfig
from mer_nas.statistics import Correction, estimate
from mer_nas.study.ensemble import Ensemble, rule_of
from mer_nas.study.state import StudyState
from mer_nas.study.summary import corrected_choice, summary
from mer_nas.study.trial import Trial


def provenance_of(state: StudyState, exported: Trial | Ensemble, clips: ClipSet) -> Provenance:
    """Return where the export of a finalist, or of an ensemble, comes from.

    Args:
        state: What the study knows.
        exported: What is exported.
        clips: What it is trained on.
    """
    settings, origin = state.settings, state.origin
    protocol, scores = _measured(state, exported)
    together = isinstance(exported, Ensemble)
    extensions = settings.space.extensions
    trained_by = code_version(extensions)
    return Provenance(
        study=state.folder.name,
        label=exported.label,
        rule=exported.rule if isinstance(exported, Ensemble) else "",
        handed_over=together and _is_handed_over(state, exported),
        command=origin.command,
        code_version=origin.code,
        trained_by=trained_by if trained_by != origin.code else "",
        environment=environment(extensions),
        scaling=dict(clips.scaling),
        protocol=protocol,
        seeds=len(scores),
        uf1=statistics.fmean(s.uf1 for s in scores) if scores else None,
        uar=statistics.fmean(s.uar for s in scores) if scores else None,
        accuracy=statistics.fmean(s.accuracy for s in scores) if scores else None,
        uf1_spread=statistics.stdev(s.uf1 for s in scores) if len(scores) > 1 else None,
        worth=_expected_score(state, exported, scores),
        extensions=copy_names(extensions),
    )


def _measured(state: StudyState, exported: Trial | Ensemble) -> tuple[str, tuple[SeedScores, ...]]:
    """Return under which protocol it was measured, and its scores; none of a trial's search."""
    origin = state.origin
    if isinstance(exported, Ensemble):
        stage, scores = state.ensemble_scores(exported)
        final = origin.final if stage == "final" else None
        return (final or origin.search).name, scores
    known = (s for finalist, s in state.finalists if finalist.number == exported.number)
    return (origin.final or origin.search).name, next(known, ())


def _is_handed_over(state: StudyState, exported: Trial | Ensemble) -> bool:
    return state.handed_over is not None and state.handed_over.key == exported.key


def _expected_score(
    state: StudyState, exported: Trial | Ensemble, scores: Sequence[SeedScores]
) -> ExpectedScore | None:
    """Return what to expect of what was chosen by its score; None where that is not known.

    Of what the study hands over that is its headline; else the mean less what the choice of the
    best one, or of an ensemble, flatters it by.
    """
    if not scores:
        return None
    facts = summary(state)
    chosen, found = facts.selection, facts.headline
    if chosen is None or found is None:
        return None
    worth, mean = found.uf1, found.mean
    optimism, candidates = found.optimism, chosen.candidates
    if not _is_handed_over(state, exported):
        correction = _correction_of(state, facts, exported)
        if correction is None:
            return None
        optimism, candidates = max(0.0, correction.optimism), correction.candidates
        worth = estimate(counts_by_subject(scores), less=optimism)
        mean = statistics.fmean(score.uf1 for score in scores)
    return ExpectedScore(
        uf1=worth.value,
        low=worth.low,
        high=worth.high,
        mean=mean,
        seeds=len(scores),
        optimism=optimism,
        caveat=chosen.caveat,
        candidates=candidates,
        together=isinstance(exported, Ensemble),
    )


def _correction_of(
    state: StudyState, facts: StudySummary, exported: Trial | Ensemble
) -> Correction | None:
    """Return what a way to choose is worth that the study has not followed in the end."""
    ensemble = state.ensemble
    if isinstance(exported, Trial):
        winner = state.winner is not None and state.winner.number == exported.number
        return facts.ensemble.alone if winner and facts.ensemble is not None else None
    if ensemble is not None and facts.ensemble is not None and ensemble.key == exported.key:
        return facts.ensemble.correction
    classes = len(state.origin.data.classes)  # of a study that was made before there were any
    return corrected_choice(state, rule_of(EnsembleConfig(), state.complete(), classes))
