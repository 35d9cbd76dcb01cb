"""Who is to be compared: words of the command line, and the candidates that they name.

runs/moe-synthetic-1      a study, which stands for what it hands over, a candidate or an ensemble
moe-synthetic-1:prog_s    a point of a study; also :17 for a trial, :rank2 of its final stage,
                          :rank1 for its best candidate alone, :ensemble for its ensemble
DIR/report.json           a report, wherever it lies
runs/evaluations/NAME     what `mer-nas evaluate` measured; also by its name alone, if there is one
leaderboard               every row of a leaderboard, the best first; :ROW for one
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
    EnsembleSummary,
    FinalistSummary,
    Report,
    SeedScores,
    StudySummary,
    TrialSummary,
    read_report,
)
from mer_nas.report.files import JSON
from mer_nas.search.lock import refuse_driven
from mer_nas.statistics import Correction
from mer_nas.study.evaluate import FILE as EVALUATION
from mer_nas.study.evaluate import folds_of, read_evaluation
from mer_nas.study.folder import RUNS, StudyFolder, refuse_other
from mer_nas.study.leaderboard import find_leaderboard, ranked, row_file

HOW = (
    "STUDY, STUDY:POINT, STUDY:17 for a trial, STUDY:rank1, STUDY:ensemble, a report.json, a "
    "folder or name of `mer-nas evaluate`, a leaderboard, or a bare POINT of the first study"
)
MeasuredIn = Literal["final", "search", "evaluation"]


@dataclass(frozen=True)
class _ResultFile:
    """Where candidates were measured."""

    file: Path
    """The report, or what an evaluation left."""
    name: str
    data: DataSummary
    data_settings: Tree
    code_version: str
    report: Report | None = None
    """None where it is an evaluation."""

    @property
    def fingerprint(self) -> str:
        """Of the clips."""
        return self.data.fingerprint


@dataclass(frozen=True)
class Measured:
    """The scores of a candidate under a protocol."""

    stage: MeasuredIn
    protocol: str
    """With the seed where that decides the folds: what must be equal."""
    scores: tuple[SeedScores, ...]


@dataclass(frozen=True)
class NamedCandidate:
    """A candidate that a word names."""

    word: str
    source: _ResultFile
    label: str
    facts: CandidateSummary
    measured: tuple[Measured, ...]
    """Under each protocol; the final one first."""
    optimism: float | None = None
    """By how much its score flatters what its study hands over, or could have; none where that is
    unknown, and for any other candidate."""
    lower_bound: bool = False
    """Whether that may be more."""
    chosen: bool = False
    """Whether its score on these subjects brought it here, as it did not a point that is named."""

    @property
    def name(self) -> str:
        """Study and candidate: "moe-1:trial 17"."""
        return f"{self.source.name}:{self.label}"


def named_candidates(words: Sequence[str]) -> tuple[list[NamedCandidate], list[str]]:
    """Return the candidates that words name, in their order, and what was named twice.

    A measurement is compared with others and never with itself: of words that name the same one,
    as a study does and the point that won it, the first counts.

    Raises:
        StudyError: A word names nothing, a study still runs or has no complete trial, or the words
            name one candidate only.
    """
    found: list[NamedCandidate] = []
    twice: list[str] = []
    for word in _rows_named(words):
        candidate = _named(word, found[0] if found else None)
        same = next((entry for entry in found if _is_same(entry, candidate)), None)
        if same is None:
            found.append(candidate)
        else:
            twice.append(f"{same.word} and {word} are the same candidate, {same.name}")
    if len(found) < 2 and twice:
        raise StudyError("; ".join(twice))
    if len(found) < 2:
        raise StudyError(
            f"{' '.join(words) or 'nothing is named'}: one candidate compares with nothing; name "
            f"two or more: {HOW}"
        )
    return found, twice


def _rows_named(words: Sequence[str]) -> Iterator[str]:
    """Yield the words, and for that of a leaderboard those of its rows, the best first."""
    for word in words:
        board = find_leaderboard(word) if word and _file(word) is None else None
        yield from [word] if board is None else (f"{word}:{row}" for row in ranked(board))


def _is_same(one: NamedCandidate, other: NamedCandidate) -> bool:
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


def _named(word: str, first: NamedCandidate | None) -> NamedCandidate:
    if (file := _file(word)) is not None:
        return _evaluated(word, file) if file.name == EVALUATION else _winner(word, _study(file))
    study, colon, name = word.rpartition(":")
    if colon and (file := _file(study)) is not None and file.name != EVALUATION:
        return _candidate(word, _study(file), name)
    if colon and (board := find_leaderboard(study)) is not None:
        return _evaluated(word, row_file(board, name), board.name)
    bare = not colon and "/" not in word and not word.endswith(".json")
    if first is not None and first.source.report is not None and bare:
        return _candidate(word, first.source, word)
    if bare and (file := _only_evaluation(word)) is not None:
        return _evaluated(word, file)
    refuse_other(study or word, f"right: {HOW}")
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


def _study(file: Path) -> _ResultFile:
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
    return _ResultFile(file, study.name, study.data, settings, study.code_version, report)


def _only_evaluation(name: str) -> Path | None:
    """Return what `mer-nas evaluate` measured under a name, or none where there is none.

    Raises:
        StudyError: It measured several.
    """
    found = sorted((RUNS / "evaluations").glob(f"{name}-*/{EVALUATION}"))
    found = [file for file in found if read_evaluation(file).name == name]
    if len(found) > 1:
        names = ", ".join(str(file.parent) for file in found)
        raise StudyError(f"{name}: evaluated more than once; one of {names} would be right")
    return found[0] if found else None


def _evaluated(word: str, file: Path, board: str = "evaluated") -> NamedCandidate:
    found = read_evaluation(file)
    source = _ResultFile(file, board, found.data, found.data_settings, found.code_version)
    measured = tuple(Measured("evaluation", *item) for item in found.protocols.items())
    return NamedCandidate(word, source, found.name, found, measured, chosen=found.chosen)


def _winner(word: str, source: _ResultFile) -> NamedCandidate:
    assert source.report is not None
    together = source.report.study.ensemble
    if together is not None and together.handed_over:
        return _ensemble(word, source, together)
    best = next(_candidates(word, source), None)
    if best is None:
        raise StudyError(f"{word}: no trial is complete, so there is no winner to compare")
    return replace(best, chosen=True)


def _ensemble(word: str, source: _ResultFile, together: EnsembleSummary) -> NamedCandidate:
    """Return the ensemble of a study, which its members' scores brought there."""
    assert source.report is not None
    study = source.report.study
    final = together.stage == "final"
    folds = folds_of(study.protocol if final else study.search_protocol, study.seed)
    costs = {name: getattr(together, name) for name in ("deployed", "macs", "clip_ms")}
    return NamedCandidate(
        word,
        source,
        together.label,
        CandidateSummary(origin=together.rule, **costs),
        (Measured(together.stage, folds, together.scores),),
        *_flattered(study, together.correction, handed_over=together.handed_over),
        chosen=True,
    )


def _flattered(
    study: StudySummary, choice: Correction | None, *, handed_over: bool
) -> tuple[float | None, bool]:
    """Return by how much being chosen flatters a score, and whether it may be more.

    Args:
        study: Whose candidates the choice was made among.
        choice: What is known of the choice where it did not decide what is handed over.
        handed_over: Whether it did.
    """
    headline = study.headline
    if headline is None:
        return None, False
    if handed_over:
        return headline.optimism, headline.upper_bound
    return (choice.optimism, headline.upper_bound) if choice is not None else (None, False)


def _candidate(word: str, source: _ResultFile, name: str) -> NamedCandidate:
    assert source.report is not None
    study = source.report.study
    if name == "ensemble":
        if study.ensemble is None:
            why = study.ensemble_note or "none was asked for"
            raise StudyError(f"{word}: {source.name} has no ensemble: {why}")
        return _ensemble(word, source, study.ensemble)
    known, eligible = [], study.eligible
    for place, candidate in enumerate(_candidates(word, source), start=1):
        facts = candidate.facts
        assert isinstance(facts, FinalistSummary | TrialSummary)
        number = facts.trial if isinstance(facts, FinalistSummary) else facts.number
        trial = not study.finalists and facts in eligible
        ranked = isinstance(facts, FinalistSummary) or trial
        rank = f"rank{place}" if ranked else ""
        if name in {candidate.label, f"trial {number}", str(number), rank} - {"", "None"}:
            return replace(candidate, chosen=name == rank or not facts.warm_start)
        known.append(candidate.label)
    raise StudyError(f"{word}: {unknown(f'candidate of {source.name}', name, known)}")


def _candidates(word: str, source: _ResultFile) -> Iterator[NamedCandidate]:
    """Yield the finalists, or else who may be handed over, by rank; then other complete trials."""
    assert source.report is not None
    study = source.report.study
    by_search = folds_of(study.search_protocol, study.seed)
    searched: dict[int | None, tuple[TrialSummary, Measured]] = {
        trial.number: (trial, Measured("search", by_search, trial.repetitions))
        for trial in [*study.eligible, *study.complete]
        if trial.repetitions
    }
    found: list[tuple[FinalistSummary | TrialSummary, tuple[Measured, ...]]] = []
    for finalist in study.ranked:
        final = Measured("final", folds_of(study.protocol, study.seed), finalist.scores)
        before = searched.pop(finalist.trial, None)
        found.append((finalist, (final, before[1]) if before else (final,)))
    found += [(trial, (measured,)) for trial, measured in searched.values()]
    together = study.ensemble
    for place, (facts, measured) in enumerate(found):
        alone = together is None or not together.handed_over
        best = _flattered(study, together.alone if together else None, handed_over=alone)
        flattered = best if place == 0 else (None, False)
        yield NamedCandidate(word, source, facts.name, facts, measured, *flattered)
