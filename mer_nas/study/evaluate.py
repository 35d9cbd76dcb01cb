"""One candidate under one protocol, resumable: what a search does to each of its trials."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mer_nas import catalogue
from mer_nas.config.base import Tree
from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import plan
from mer_nas.errors import ConfigError
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator, FoldResult, pool
from mer_nas.evaluation.metrics import Scores
from mer_nas.provenance import code_version
from mer_nas.search.ledger import Ledger
from mer_nas.search.lock import StudyLock
from mer_nas.settings import Settings


@dataclass(frozen=True)
class Evaluated:
    """A candidate's scores, and what they follow from."""

    name: str
    candidate: Candidate
    protocol: str
    scores: tuple[Scores, ...]
    """Pooled over all folds, one for each seed."""
    folder: Path
    """Where the ledger of its folds lies."""
    seed: int
    data: str
    """Fingerprint of the clips."""
    code: str
    """Version of the code that decides scores."""
    source: str = ""
    """Where the point was published; empty where none was named."""
    fidelity: str = ""
    """How faithful the point is to its source."""

    @property
    def uf1(self) -> float:
        """Mean UF1 over the seeds."""
        return statistics.fmean(score.uf1 for score in self.scores)

    def tree(self) -> Tree:
        """Return everything as a plain tree."""
        return {
            "name": self.name,
            "source": self.source,
            "fidelity": self.fidelity,
            "protocol": self.protocol,
            "seed": self.seed,
            "data": self.data,
            "code": self.code,
            "uf1": self.uf1,
            "scores": [
                {
                    "uf1": score.uf1,
                    "uar": score.uar,
                    "accuracy": score.accuracy,
                    "confusion": [list(row) for row in score.confusion],
                }
                for score in self.scores
            ],
            "folder": str(self.folder),
            **self.candidate.dump(),
        }


def evaluate(
    settings: Settings,
    clips: ClipSet,
    point: str | None = None,
    seeds: int = 1,
    on_fold: Callable[[FoldResult, int, int], None] | None = None,
) -> Evaluated:
    """Take a candidate through the protocol of `study.folds`; finished folds are not run again.

    Args:
        settings: Space, trainer, data and study.
        clips: The data.
        point: A point or reference of the space; without, the space must have no open leaf.
        seeds: Repetitions of the protocol.
        on_fold: Is told of each new result, the number of folds done and of all.

    Raises:
        ConfigError: The space is open and no point is named, or a reference does not fit the data.
    """
    study = settings.study
    name, candidate = _candidate(settings, point)
    protocol = plan(clips, study.folds, study.seed, study.block)
    files = settings.space.extensions
    evaluator, code = Evaluator(clips, protocol, study.seed, files), code_version(files)
    evaluator.check(candidate)
    folder = Path("runs") / "evaluations" / f"{name}-{clips.name}-{candidate.key}"
    folder.mkdir(parents=True, exist_ok=True)
    scores, done, of = [], 0, seeds * len(protocol.folds)
    with StudyLock(folder), Ledger(folder / "ledger.jsonl") as ledger:
        for repetition in range(seeds):
            results = []
            for index, fold in enumerate(protocol.folds):
                key = (
                    candidate.key,
                    fold.key,
                    repetition,
                    study.seed,
                    clips.fingerprint,
                    code,
                )
                result = ledger.find(*key)
                done += 1
                if result is None:
                    result = evaluator.fold(candidate, index, repetition)
                    ledger.append(result)
                    if on_fold is not None:
                        on_fold(result, done, of)
                results.append(result)
            scores.append(pool(results))
    entry = settings.space.point(point) if point is not None else None
    return Evaluated(
        name,
        candidate,
        protocol.name,
        tuple(scores),
        folder,
        study.seed,
        clips.fingerprint,
        code,
        *((entry.source, entry.fidelity) if entry is not None else ()),
    )


def _candidate(settings: Settings, point: str | None) -> tuple[str, Candidate]:
    space = settings.space
    if point is not None:
        return point, catalogue.candidate(space, point, settings.trainer, settings.trainer_words)
    if space.parameters():
        names = ", ".join(system.name for system in space.systems)
        raise ConfigError(
            f"{space.place}: {len(space.parameters())} parameters are open, and one candidate is "
            f"measured; right: point= one of {names or 'none'}, or a space without open leaves "
            "such as a study's best.yaml"
        )
    return space.name, catalogue.only(space, settings.trainer, settings.trainer_words)
