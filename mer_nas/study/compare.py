"""Candidates side by side: studies, points of a study, reports, under one protocol.

Everything is computed from `report.json`, so a report is enough and nothing is trained. Candidates
compare where the same subjects were held out in the same folds; the first one named is compared
with each of the others, paired over subjects, and the p-values hold for all of that together.

A candidate that a search chose by its score on these subjects is flattered by the choice; a
published point that somebody names is not. By how much stands beside the score, and nothing here
takes it off.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from mer_nas.config.base import Config
from mer_nas.errors import DataError, StudyError, unknown
from mer_nas.report import (
    EstimateFacts,
    FinalistFacts,
    Report,
    SeedScores,
    TrialFacts,
    read_report,
)
from mer_nas.report.facts import Described, Share
from mer_nas.report.files import JSON
from mer_nas.search.lock import refuse_driven
from mer_nas.statistics import Counts, Estimate, Paired, accuracy, compare, estimate, uar, uf1
from mer_nas.statistics.counts import check
from mer_nas.study.folder import RUNS

SCHEMA: Final = "mer-nas comparison 1"
BY_DATA = ("LOSO", "LODO")
"""Protocols whose folds follow from the data; the others also depend on the seed of the study."""
HOW = "STUDY, STUDY:POINT, STUDY:17 for a trial, a report.json, or a bare POINT of the first study"


class Against(Config):
    """How a candidate compares with the first one, paired over subjects."""

    difference: EstimateFacts
    """In mean UF1: this candidate minus the first."""
    p: Share
    """Two-sided exact signed-rank test over subjects of the number of correct answers."""
    adjusted: Share
    """The same, corrected for all comparisons of the table (Holm)."""


class Compared(Described):
    """A candidate in the table."""

    name: str
    """Study and candidate: "moe-1:trial 17"."""
    stage: Literal["final", "search"]
    """Where its scores come from."""
    seeds: PositiveInt
    uf1: EstimateFacts
    """Mean over the seeds with its interval over subjects, as are the next two."""
    uar: EstimateFacts
    accuracy: EstimateFacts
    deviation: NonNegativeFloat | None
    """Standard deviation of UF1 over the seeds; none for a single one."""
    optimism: NonNegativeFloat | None
    """By how much having been chosen by this score flatters a winner; none for a point that was
    named, and where it is unknown."""
    lower_bound: bool = False
    """Whether the optimism may be larger."""
    code_version: str
    against: Against | None
    """None for the first."""


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
    rows: tuple[Compared, ...]
    """In the order in which they were named."""
    notes: tuple[str, ...]
    """What limits the comparison."""

    def to_json(self) -> str:
        """Return everything as JSON."""
        tree = self.model_dump(mode="json", by_alias=True)
        return json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


@dataclass(frozen=True)
class _Measured:
    """The scores of a candidate under a protocol."""

    stage: Literal["final", "search"]
    protocol: str
    """With the seed where that decides the folds: what must be equal."""
    scores: tuple[SeedScores, ...]


@dataclass(frozen=True)
class _Entrant:
    """A candidate that a word names."""

    word: str
    file: Path
    report: Report
    label: str
    facts: Described
    measured: tuple[_Measured, ...]
    """Under each protocol; the final one first."""
    winner: bool = False
    """Whether it is the best of its study."""
    chosen: bool = False
    """Whether its score on these subjects brought it here, as it did not a point that is named."""

    @property
    def name(self) -> str:
        return f"{self.report.study.name}:{self.label}"


def compare_candidates(words: Sequence[str]) -> ComparedCandidates:
    """Return how candidates compare that were measured under one protocol on the same clips.

    Args:
        words: Each a study, "STUDY:CANDIDATE", a `report.json`, or a candidate of the first study;
            a candidate is a point ("prog_s"), a trial ("17"), or "rank2" of the final stage. A
            study or a report by itself stands for its winner.

    Raises:
        StudyError: A word names nothing, a study still runs or has no complete trial, or the
            candidates were measured on other clips or under other protocols; both are named.
        DataError: There are too few subjects for statistics, or a class has no clip.
    """
    entrants = _entrants(words)
    first, *others = entrants
    for other in others:
        _refuse_other_clips(first, other)
    shown = _under_one_protocol(entrants)
    counts = [_counts(first, *pair) for pair in zip(entrants, shown, strict=True)]
    for entrant, found in zip(others, counts[1:], strict=True):
        if not np.array_equal(found[0].sum(-1), counts[0][0].sum(-1)):
            raise StudyError(_other_clips(first, entrant))
    data = first.report.study.data
    try:
        check(counts[0], data.classes)
    except DataError as error:
        raise DataError(f"{data.name}: {error}") from None
    names = _names(entrants)
    paired = compare(counts[0], dict(zip(names[1:], counts[1:], strict=True)))
    rows = tuple(
        _row(entrant, measured, name, found, paired.get(name))
        for entrant, measured, name, found in zip(entrants, shown, names, counts, strict=True)
    )
    return ComparedCandidates(
        data=data.name,
        fingerprint=data.fingerprint,
        clips=data.counts["clips"],
        subjects=len(data.subjects),
        classes=data.classes,
        protocol=shown[0].protocol,
        rows=rows,
        notes=tuple(_notes(entrants, rows)),
    )


def _entrants(words: Sequence[str]) -> list[_Entrant]:
    entrants: list[_Entrant] = []
    for word in words:
        entrants.append(_entrant(word, entrants[0] if entrants else None))
        same = [e.word for e in entrants[:-1] if _is_same(e, entrants[-1])]
        if same:
            raise StudyError(f"{same[0]} and {word} are the same candidate, {entrants[-1].name}")
    if len(entrants) < 2:
        raise StudyError(
            f"{' '.join(words)}: one candidate compares with nothing; name two or more: {HOW}"
        )
    return entrants


def _is_same(one: _Entrant, other: _Entrant) -> bool:
    return (one.file.resolve(), one.label) == (other.file.resolve(), other.label)


def _entrant(word: str, first: _Entrant | None) -> _Entrant:
    if (file := _report_file(word)) is not None:
        return _winner(word, file, _read(file))
    study, colon, name = word.rpartition(":")
    if colon and (file := _report_file(study)) is not None:
        return _candidate(word, file, _read(file), name)
    if first is not None and not colon and not _is_path(word):
        return _candidate(word, first.file, first.report, word)
    names = [file.parent.name for file in RUNS.glob("*/origin.json")]
    raise StudyError(f"{unknown('study or report', study or word, names)}; right: {HOW}")


def _is_path(word: str) -> bool:
    return "/" in word or word.endswith(".json")


def _report_file(word: str) -> Path | None:
    """Return where the report of a study lies that `word` names, or none if it names no study."""
    if Path(word).is_file():
        return Path(word)
    for folder in (Path(word), RUNS / word):
        if word and any((folder / name).is_file() for name in ("origin.json", JSON)):
            return folder / JSON
    return None


def _read(file: Path) -> Report:
    if (file.parent / "origin.json").is_file() and file.name == JSON:
        refuse_driven(file.parent)
        if not file.is_file():
            raise StudyError(
                f"{file.parent}: the study never came to its report; "
                f"`mer-nas resume {file.parent}` brings it to its end"
            )
    return read_report(file)


def _winner(word: str, file: Path, report: Report) -> _Entrant:
    candidates = list(_candidates(word, file, report))
    if not candidates:
        raise StudyError(f"{word}: no trial is complete, so there is no winner to compare")
    return replace(candidates[0], chosen=True)


def _candidate(word: str, file: Path, report: Report, name: str) -> _Entrant:
    known = []
    for entrant in _candidates(word, file, report):
        facts = entrant.facts
        assert isinstance(facts, FinalistFacts | TrialFacts)
        number = facts.trial if isinstance(facts, FinalistFacts) else facts.number
        rank = f"rank{facts.rank}" if isinstance(facts, FinalistFacts) else ""
        if name in {entrant.label, f"trial {number}", str(number), rank} - {"", "None"}:
            return replace(entrant, chosen=name == rank or not facts.warm_start)
        known.append(entrant.label)
    raise StudyError(f"{word}: {unknown(f'candidate of {report.study.name}', name, known)}")


def _candidates(word: str, file: Path, report: Report) -> Iterator[_Entrant]:
    """Yield the finalists by rank, then the other complete trials, the best first."""
    for place, entrant in enumerate(_ranked(word, file, report)):
        yield replace(entrant, winner=place == 0)


def _ranked(word: str, file: Path, report: Report) -> Iterator[_Entrant]:
    study = report.study
    trials = {t.number: t for t in study.trials if t.value is not None and t.scores is not None}
    for finalist in sorted(study.finalists, key=lambda finalist: finalist.rank):
        final = study.final_protocol or study.search_protocol
        measured = [_measured("final", final, study.seed, *finalist.scores)]
        if finalist.trial in trials:
            scores = trials.pop(finalist.trial).scores
            assert scores is not None
            measured.append(_measured("search", study.search_protocol, study.seed, scores))
        yield _Entrant(word, file, report, _label(finalist), finalist, tuple(measured))
    for trial in sorted(trials.values(), key=lambda t: (-(t.value or 0.0), t.number)):
        assert trial.scores is not None
        searched = _measured("search", study.search_protocol, study.seed, trial.scores)
        yield _Entrant(word, file, report, _label(trial), trial, (searched,))


def _label(facts: FinalistFacts | TrialFacts) -> str:
    if facts.warm_start:
        return facts.origin
    return facts.label if isinstance(facts, FinalistFacts) else f"trial {facts.number}"


def _measured(
    stage: Literal["final", "search"], name: str, seed: int, *scores: SeedScores
) -> _Measured:
    protocol = name if name in BY_DATA else f"{name}, study.seed={seed}"
    return _Measured(stage, protocol, scores)


def _refuse_other_clips(first: _Entrant, other: _Entrant) -> None:
    """Refuse candidates whose reports tell of other clips.

    Studies of spaces that read different inputs of the same clips have different fingerprints;
    they compare where their data settings are the same and the subjects agree.
    """
    one, two = first.report.study, other.report.study
    if one.data.fingerprint == two.data.fingerprint:
        return
    told = [
        (study.settings.get("data"), study.data.classes, study.data.counts, study.data.subjects)
        for study in (one, two)
    ]
    if told[0] != told[1] or told[0][0] is None:
        raise StudyError(_other_clips(first, other))


def _other_clips(first: _Entrant, other: _Entrant) -> str:
    one, two = (
        f"{entrant.name} on {data.name} ({data.counts['clips']} clips of "
        f"{len(data.subjects)} subjects, {', '.join(data.classes)}; fingerprint "
        f"{data.fingerprint})"
        for entrant in (first, other)
        for data in (entrant.report.study.data,)
    )
    return f"not the same data: {one}, {two}; candidates compare over the same clips only"


def _under_one_protocol(entrants: Sequence[_Entrant]) -> list[_Measured]:
    """Return each candidate's scores under the first protocol that all were measured under."""
    tables = [{m.protocol: m for m in reversed(e.measured)} for e in entrants]
    for measured in entrants[0].measured:
        if all(measured.protocol in table for table in tables):
            return [table[measured.protocol] for table in tables]
    told = "; ".join(
        f"{entrant.name}: {' and '.join(m.protocol for m in entrant.measured)}"
        for entrant in entrants
    )
    raise StudyError(
        f"no protocol that all were measured under: {told}; the same study.folds or a final stage "
        "(study.final.warm_starts for points) would be right"
    )


def _counts(first: _Entrant, entrant: _Entrant, measured: _Measured) -> Counts:
    """Return the confusions (R, S, K, K) of a candidate, subjects in the order of the first."""
    subjects = list(entrant.report.study.data.subjects)
    if not all(len(scores.subjects) == len(subjects) > 0 for scores in measured.scores):
        raise StudyError(
            f"{entrant.file}: holds no results by subject; `mer-nas report {entrant.file.parent}` "
            "writes it anew from the study"
        )
    order = [subjects.index(name) for name in first.report.study.data.subjects]
    counts = np.array([scores.subjects for scores in measured.scores], dtype=np.int64)
    return counts[:, order]


def _names(entrants: Sequence[_Entrant]) -> list[str]:
    names = [entrant.name for entrant in entrants]
    return names if len(set(names)) == len(names) else [entrant.word for entrant in entrants]


def _row(
    entrant: _Entrant, measured: _Measured, name: str, counts: Counts, paired: Paired | None
) -> Compared:
    study = entrant.report.study
    scores = [score.uf1 for score in measured.scores]
    headline = study.headline if entrant.chosen and entrant.winner else None
    return Compared(
        name=name,
        **entrant.facts.said(),
        stage=measured.stage,
        seeds=len(scores),
        uf1=_facts(estimate(counts, uf1)),
        uar=_facts(estimate(counts, uar)),
        accuracy=_facts(estimate(counts, accuracy)),
        deviation=statistics.stdev(scores) if len(scores) > 1 else None,
        optimism=headline.optimism if headline else None,
        lower_bound=headline.upper_bound if headline else False,
        code_version=study.code_version,
        against=_against(paired) if paired is not None else None,
    )


def _against(paired: Paired) -> Against:
    """Turn round what says how far the first lies above this one."""
    found = paired.difference
    turned = EstimateFacts(value=-found.value, low=-found.high, high=-found.low)
    return Against(difference=turned, p=paired.p, adjusted=paired.adjusted)


def _facts(found: Estimate) -> EstimateFacts:
    return EstimateFacts(value=found.value, low=found.low, high=found.high)


def _notes(entrants: Sequence[_Entrant], rows: Sequence[Compared]) -> Iterator[str]:
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
        for entrant, row in zip(entrants, rows, strict=True)
        if entrant.chosen and row.optimism is None
    ]
    if unknown_:
        yield (
            "chosen by its score on these subjects, and by how much that flatters it is not "
            f"known: {', '.join(unknown_)}"
        )
    if len({row.stage for row in rows}) > 1:
        yield (
            "scores of a final stage beside scores of a search, whose training may be shorter: "
            + ", ".join(f"{row.name} ({row.stage})" for row in rows)
        )
    prints = {entrant.report.study.data.fingerprint for entrant in entrants}
    if len(prints) > 1:
        yield (
            "the networks read other inputs of the same clips, so the fingerprints differ: "
            + ", ".join(sorted(prints))
        )
    versions = {row.code_version for row in rows}
    if len(versions) > 1:
        yield (
            "measured by different versions of the code that decides scores: "
            + ", ".join(sorted(versions))
        )
