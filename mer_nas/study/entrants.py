"""Who is to be compared: words of the command line, and the candidates that they name.

runs/moe-synthetic-1      a study, which stands for its winner
moe-synthetic-1:prog_s    a point of a study; also :17 for a trial, :rank2 of its final stage
DIR/report.json           a report, wherever it lies
runs/evaluations/NAME     what `mer-nas evaluate` measured
prog_s                    a bare name: of the first study
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mer_nas.config.base import Tree
from mer_nas.errors import StudyError, unknown
from mer_nas.report import (
    CandidateSummary,
    DataSummary,
    FinalistSummary,
    Headline,
    Report,
    SeedScores,
    TrialSummary,
    read_report,
)
from mer_nas.report.files import JSON
from mer_nas.search.lock import refuse_driven
from mer_nas.study.evaluate import FILE as EVALUATION
from mer_nas.study.evaluate import folds_of, read_evaluation
from mer_nas.study.folder import RUNS, StudyFolder

HOW = (
    "STUDY, STUDY:POINT, STUDY:17 for a trial, a report.json, a folder of `mer-nas evaluate`, or "
    "a bare POINT of the first study"
)
Stage = Literal["final", "search", "evaluation"]


@dataclass(frozen=True)
class Source:
    """Where candidates were measured."""

    file: Path
    """The report, or what an evaluation left."""
    name: str
    data: DataSummary
    data_settings: Tree
    code_version: str
    headline: Headline | None = None
    report: Report | None = None
    """None where it is an evaluation."""

    @property
    def fingerprint(self) -> str:
        """Of the clips."""
        return self.data.fingerprint


@dataclass(frozen=True)
class Measured:
    """The scores of a candidate under a protocol."""

    stage: Stage
    protocol: str
    """With the seed where that decides the folds: what must be equal."""
    scores: tuple[SeedScores, ...]


@dataclass(frozen=True)
class Entrant:
    """A candidate that a word names."""

    word: str
    source: Source
    label: str
    facts: CandidateSummary
    measured: tuple[Measured, ...]
    """Under each protocol; the final one first."""
    winner: bool = False
    """Whether it is the best of its study."""
    chosen: bool = False
    """Whether its score on these subjects brought it here, as it did not a point that is named."""

    @property
    def name(self) -> str:
        """Study and candidate: "moe-1:trial 17"."""
        return f"{self.source.name}:{self.label}"


def entrants(words: Sequence[str]) -> tuple[list[Entrant], list[str]]:
    """Return the candidates that words name, in their order, and what was named twice.

    A measurement is compared with others and never with itself: of words that name the same one,
    as a study does and the point that won it, the first counts.

    Raises:
        StudyError: A word names nothing, a study still runs or has no complete trial, or the words
            name one candidate only.
    """
    found: list[Entrant] = []
    twice: list[str] = []
    for word in words:
        entrant = _entrant(word, found[0] if found else None)
        same = next((entry for entry in found if _is_same(entry, entrant)), None)
        if same is None:
            found.append(entrant)
        else:
            twice.append(f"{same.word} and {word} are the same candidate, {same.name}")
    if len(found) < 2 and twice:
        raise StudyError("; ".join(twice))
    if len(found) < 2:
        raise StudyError(
            f"{' '.join(words)}: one candidate compares with nothing; name two or more: {HOW}"
        )
    return found, twice


def _is_same(one: Entrant, other: Entrant) -> bool:
    """Whether two are one measurement: out of one file, or out of a copy of it."""
    if one.label != other.label:
        return False
    sources = one.source, other.source
    if sources[0].file.resolve() == sources[1].file.resolve():
        return True
    data, codes = ({getattr(s, n) for s in sources} for n in ("fingerprint", "code_version"))
    there = {measured.protocol: measured.scores for measured in other.measured}
    known = [(m.scores, there[m.protocol]) for m in one.measured if m.protocol in there]
    equal = bool(known) and all(ours == theirs for ours, theirs in known)
    return equal and len(data) == len(codes) == 1


def _entrant(word: str, first: Entrant | None) -> Entrant:
    if (file := _file(word)) is not None:
        return _evaluated(word, file) if file.name == EVALUATION else _winner(word, _study(file))
    study, colon, name = word.rpartition(":")
    if colon and (file := _file(study)) is not None and file.name != EVALUATION:
        return _candidate(word, _study(file), name)
    bare = not colon and "/" not in word and not word.endswith(".json")
    if first is not None and first.source.report is not None and bare:
        return _candidate(word, first.source, word)
    names = [file.parent.name for file in RUNS.glob("*/origin.json")]
    raise StudyError(f"{unknown('study or report', study or word, names)}; right: {HOW}")


def _file(word: str) -> Path | None:
    """Return the file that a word means by itself, or none if it names no study or evaluation."""
    if not word:
        return None
    if Path(word).is_file():
        return Path(word)
    for folder in (Path(word), RUNS / word):
        if (folder / EVALUATION).is_file():
            return folder / EVALUATION
        if any((folder / name).is_file() for name in ("origin.json", JSON)):
            return folder / JSON
    return None


def _study(file: Path) -> Source:
    """Return the study that a report tells of."""
    if (file.parent / "origin.json").is_file() and file.name == JSON:
        refuse_driven(file.parent)
        if not file.is_file():
            raise StudyError(
                f"{file.parent}: the study never came to its report; "
                f"`{StudyFolder(file.parent).resume}` brings it to its end"
            )
    report = read_report(file)
    study = report.study
    settings = study.settings.get("data", {})
    return Source(
        file, study.name, study.data, settings, study.code_version, study.headline, report
    )


def _evaluated(word: str, file: Path) -> Entrant:
    found = read_evaluation(file)
    source = Source(file, "evaluated", found.data, found.data_settings, found.code_version)
    measured = tuple(Measured("evaluation", *item) for item in found.protocols.items())
    return Entrant(word, source, found.name, found, measured, chosen=not found.warm_start)


def _winner(word: str, source: Source) -> Entrant:
    best = next(_candidates(word, source), None)
    if best is None:
        raise StudyError(f"{word}: no trial is complete, so there is no winner to compare")
    return replace(best, chosen=True)


def _candidate(word: str, source: Source, name: str) -> Entrant:
    known = []
    for entrant in _candidates(word, source):
        facts = entrant.facts
        assert isinstance(facts, FinalistSummary | TrialSummary)
        number = facts.trial if isinstance(facts, FinalistSummary) else facts.number
        rank = f"rank{facts.rank}" if isinstance(facts, FinalistSummary) else ""
        if name in {entrant.label, f"trial {number}", str(number), rank} - {"", "None"}:
            return replace(entrant, chosen=name == rank or not facts.warm_start)
        known.append(entrant.label)
    raise StudyError(f"{word}: {unknown(f'candidate of {source.name}', name, known)}")


def _candidates(word: str, source: Source) -> Iterator[Entrant]:
    """Yield the finalists by rank, then the other complete trials, the best first."""
    assert source.report is not None
    for place, (facts, measured) in enumerate(_ranked(source.report)):
        label = f"trial {facts.number}" if isinstance(facts, TrialSummary) else facts.label
        label = facts.origin if facts.warm_start else label
        yield Entrant(word, source, label, facts, measured, winner=place == 0)


def _ranked(
    report: Report,
) -> Iterator[tuple[FinalistSummary | TrialSummary, tuple[Measured, ...]]]:
    study = report.study
    searched = {
        trial.number: Measured(
            "search", folds_of(study.search_protocol, study.seed), (trial.scores,)
        )
        for trial in study.trials
        if trial.value is not None and trial.scores is not None
    }
    final = folds_of(study.final_protocol or study.search_protocol, study.seed)
    for finalist in sorted(study.finalists, key=lambda finalist: finalist.rank):
        measured = Measured("final", final, finalist.scores)
        before = searched.pop(finalist.trial, None) if finalist.trial is not None else None
        yield finalist, (measured,) if before is None else (measured, before)
    trials = [trial for trial in study.trials if trial.number in searched]
    for trial in sorted(trials, key=lambda trial: (-(trial.value or 0.0), trial.number)):
        yield trial, (searched[trial.number],)
