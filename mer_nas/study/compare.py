"""Candidates side by side: studies, points, reports and evaluations under one protocol.

Everything is computed from what these left, so nothing is trained and no data are needed.
Candidates compare where the same subjects were held out in the same folds; the first one named is
compared with each of the others, paired over subjects, and the p-values hold for all of that
together.

What a search chose by its score on these subjects is flattered by the choice; a
published point that somebody names is not. By how much stands beside the score, and nothing here
takes it off.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import numpy as np
from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from mer_nas.config.base import Config, Tree
from mer_nas.config.overrides import PLACES
from mer_nas.errors import DataError, StudyError
from mer_nas.evaluation.metrics import Counts, accuracy, uar, uf1
from mer_nas.report import CandidateSummary
from mer_nas.shell import command_line
from mer_nas.statistics import Estimate, PairedComparison, check_counts, compare_pairs, estimate
from mer_nas.study.named_candidates import Measured, MeasuredIn, NamedCandidate, named_candidates
from mer_nas.wording import brief, count

SCHEMA: Final = "mer-nas comparison 1"


class ComparedCandidate(CandidateSummary):
    """A candidate in the table."""

    name: str
    """Study and candidate: "moe-1:trial 17"."""
    stage: MeasuredIn
    """Where its scores come from."""
    seeds: PositiveInt
    uf1: Estimate
    """Mean over the seeds with its interval over subjects, as are the next two."""
    uar: Estimate
    accuracy: Estimate
    deviation: NonNegativeFloat | None
    """Standard deviation of UF1 over the seeds; none for a single one."""
    optimism: NonNegativeFloat | None
    """By how much having been chosen by this score flatters a winner; none for a point that was
    named, and where it is unknown."""
    lower_bound: bool = False
    """Whether the optimism may be larger."""
    code_version: str
    against: PairedComparison | None
    """This candidate compared with the first one; none for the first."""


class ComparedCandidates(Config):
    """Candidates under one protocol, the first compared with each of the others."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["mer-nas comparison 1"] = Field(default=SCHEMA, alias="schema")
    data: str
    fingerprint: str
    """Of the first candidate's clips."""
    clips: NonNegativeInt
    subjects: NonNegativeInt
    classes: tuple[str, ...]
    protocol: str
    rows: tuple[ComparedCandidate, ...]
    """In the order in which they were named."""
    notes: tuple[str, ...]
    """What limits the comparison."""

    def __repr__(self) -> str:
        """Return who compares, and how good each is."""
        scores = [(row.name, round(row.uf1.value, 4)) for row in self.rows]
        return brief(self, [("data", self.data), ("protocol", self.protocol), *scores])

    def to_json(self) -> str:
        """Return everything as JSON."""
        tree = self.model_dump(mode="json", by_alias=True)
        return json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def compare_candidates(words: Sequence[str]) -> ComparedCandidates:
    """Return how candidates compare that were measured under one protocol on the same clips.

    Args:
        words: The candidates, as `study.named_candidates` has them; the first is held against the
            others.

    Raises:
        StudyError: A word names nothing, a study still runs or has no complete trial, the words
            name one candidate only, or the candidates were measured on other clips or under other
            protocols; both are named.
        DataError: There are too few subjects for statistics, or a class has no clip.
    """
    candidates, twice = named_candidates(words)
    first, *others = candidates
    for other in others:
        _refuse_other_clips(first, other)
    shown = _under_one_protocol(candidates)
    counts = [_counts(first, *pair) for pair in zip(candidates, shown, strict=True)]
    for candidate, found in zip(others, counts[1:], strict=True):
        if not np.array_equal(found[0].sum(-1), counts[0][0].sum(-1)):
            raise StudyError(_other_clips(first, candidate))
    data = first.source.data
    try:
        check_counts(counts[0], data.classes)
    except DataError as error:
        raise DataError(f"{data.name}: {error}") from None
    names = _names(candidates)
    paired = compare_pairs(counts[0], dict(zip(names[1:], counts[1:], strict=True)))
    rows = tuple(
        _row(candidate, measured, name, found, paired.get(name))
        for candidate, measured, name, found in zip(candidates, shown, names, counts, strict=True)
    )
    return ComparedCandidates(
        data=data.name,
        fingerprint=data.fingerprint,
        clips=data.counts["clips"],
        subjects=len(data.subjects),
        classes=data.classes,
        protocol=shown[0].protocol,
        rows=rows,
        notes=(*twice, *_notes(candidates, rows)),
    )


def _refuse_other_clips(first: NamedCandidate, other: NamedCandidate) -> None:
    """Refuse candidates whose reports tell of other clips.

    Studies of spaces that read different inputs of the same clips have different fingerprints;
    they compare where their data settings are the same and the subjects agree.
    """
    one, two = first.source, other.source
    if one.data.fingerprint == two.data.fingerprint:
        return
    told = [
        (
            _without_places(source.data_settings),
            source.data.classes,
            source.data.counts,
            source.data.subjects,
        )
        for source in (one, two)
    ]
    if told[0] != told[1] or not one.data_settings:
        raise StudyError(_other_clips(first, other))


def _without_places(settings: Tree) -> Tree:
    return {key: value for key, value in settings.items() if key not in PLACES}


def _other_clips(first: NamedCandidate, other: NamedCandidate) -> str:
    one, two = (
        f"{candidate.name} on {data.name} ({count(data.counts['clips'], 'clip')} of "
        f"{count(len(data.subjects), 'subject')}, {', '.join(data.classes)}; fingerprint "
        f"{data.fingerprint})"
        for candidate in (first, other)
        for data in (candidate.source.data,)
    )
    return f"not the same data: {one}, {two}; candidates compare over the same clips only"


def _under_one_protocol(candidates: Sequence[NamedCandidate]) -> list[Measured]:
    """Return each candidate's scores under the first protocol that all were measured under."""
    tables = [{m.protocol: m for m in reversed(e.measured)} for e in candidates]
    for measured in candidates[0].measured:
        if all(measured.protocol in table for table in tables):
            return [table[measured.protocol] for table in tables]
    told = "; ".join(
        f"{candidate.name}: {' and '.join(m.protocol for m in candidate.measured)}"
        for candidate in candidates
    )
    raise StudyError(
        f"no protocol that all were measured under: {told}; the same study.folds or a final stage "
        "(study.final.warm_starts for points) would be right, or STUDY:rank1 instead of its "
        "ensemble"
    )


def _counts(first: NamedCandidate, candidate: NamedCandidate, measured: Measured) -> Counts:
    """Return the confusions (R, S, K, K) of a candidate, subjects in the order of the first."""
    subjects = list(candidate.source.data.subjects)
    if not all(len(scores.subjects) == len(subjects) > 0 for scores in measured.scores):
        raise StudyError(
            f"{candidate.source.file}: holds no results by subject; "
            f"`{command_line('mer-nas', 'report', candidate.source.file.parent)}` writes it anew "
            "from the study"
        )
    order = [subjects.index(name) for name in first.source.data.subjects]
    counts = np.array([scores.subjects for scores in measured.scores], dtype=np.int64)
    return counts[:, order]


def _names(candidates: Sequence[NamedCandidate]) -> list[str]:
    names = [candidate.name for candidate in candidates]
    return names if len(set(names)) == len(names) else [candidate.word for candidate in candidates]


def _row(
    candidate: NamedCandidate,
    measured: Measured,
    name: str,
    counts: Counts,
    paired: PairedComparison | None,
) -> ComparedCandidate:
    scores = [score.uf1 for score in measured.scores]
    flattered = candidate.chosen and candidate.optimism is not None
    return ComparedCandidate(
        name=name,
        **candidate.facts.shared,
        stage=measured.stage,
        seeds=len(scores),
        uf1=estimate(counts, uf1),
        uar=estimate(counts, uar),
        accuracy=estimate(counts, accuracy),
        deviation=statistics.stdev(scores) if len(scores) > 1 else None,
        optimism=candidate.optimism if flattered else None,
        lower_bound=candidate.lower_bound and flattered,
        code_version=candidate.source.code_version,
        against=paired.turned() if paired is not None else None,
    )


def _notes(
    candidates: Sequence[NamedCandidate], rows: Sequence[ComparedCandidate]
) -> Iterator[str]:
    flattered = [
        f"{row.name} by {'at least ' if row.lower_bound else ''}{row.optimism:.3f}"
        for row in rows
        if row.optimism is not None
    ]
    if flattered:
        yield (
            "chosen by its score on these subjects, which flatters it; the scores and differences "
            f"are not corrected for that: {', '.join(flattered)}"
        )
    unknown_ = [
        row.name
        for candidate, row in zip(candidates, rows, strict=True)
        if candidate.chosen and row.optimism is None
    ]
    if unknown_:
        yield (
            "chosen by its score on these subjects, and by how much that flatters it is not "
            f"known: {', '.join(unknown_)}"
        )
    if len({row.stage for row in rows}) > 1:
        yield (
            "measured in different stages, whose training may differ in length: "
            + ", ".join(f"{row.name} ({row.stage})" for row in rows)
        )
    prints = {candidate.source.data.fingerprint for candidate in candidates}
    if len(prints) > 1:
        yield (
            "the networks read other inputs of the same clips, so the fingerprints differ: "
            + ", ".join(sorted(prints))
        )
    versions = {row.code_version for row in rows}
    if len(versions) > 1:
        yield (
            "measured by different versions of the code that decides scores, files of a space's "
            "own among it: " + ", ".join(sorted(versions))
        )
