"""One candidate under one protocol, resumable: what a search does to each of its trials.

runs/evaluations/prog_s-synthetic-0123456789ab/
├── ledger.jsonl       every finished fold
└── evaluation.json    what they come to under each protocol, for `mer-nas compare`
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from mer_nas import systems
from mer_nas.architectures import Cost
from mer_nas.config.base import Tree
from mer_nas.data.clips import ClipSet
from mer_nas.errors import ConfigError, MerNasError, TrainingFailed
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.evaluation.metrics import Scores
from mer_nas.evaluation.own_metrics import own_scores, try_metrics
from mer_nas.evaluation.results import FoldResult, pool
from mer_nas.files import write
from mer_nas.provenance import code_version
from mer_nas.report import CandidateSummary, DataSummary, SeedScores, read_document
from mer_nas.search.events import Listener, Note, ignore
from mer_nas.search.patience import Patience
from mer_nas.search.workers import measure_in
from mer_nas.settings import Settings
from mer_nas.space import FIDELITY, Fidelity
from mer_nas.training.own_losses import try_loss
from mer_nas.wording import brief, count

FILE: Final = "evaluation.json"
SCHEMA: Final = "mer-nas evaluation 1"
BY_DATA = ("LOSO", "LODO")
"""Protocols whose folds follow from the data; the others also depend on the seed of the study."""

BEST_OF: Final = "best-of-"
"""Stands before the name of a study in that of the space that holds its winner."""


class _Evaluation(CandidateSummary):
    """`evaluation.json`: what one candidate came to, under each protocol it was taken through."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["mer-nas evaluation 1"] = Field(default=SCHEMA, alias="schema")
    name: str
    data: DataSummary
    data_settings: Tree
    code_version: str
    protocols: dict[str, Annotated[tuple[SeedScores, ...], Field(min_length=1)]]
    """Scores of each repetition, by `folds_of` the protocol."""

    @property
    def chosen(self) -> bool:
        """Whether a study chose it, by a score; whoever names a point or a network has not."""
        return not self.warm_start and self.name.startswith(BEST_OF)

    @model_validator(mode="after")
    def _of_its_data(self) -> Self:
        self.data.check(score for scores in self.protocols.values() for score in scores)
        return self


def folds_of(protocol: str, seed: int) -> str:
    """Return what decides the folds of a protocol besides the clips.

    >>> folds_of("LOSO", 7), folds_of("4 subject groups", 7)
    ('LOSO', '4 subject groups, study.seed=7')
    """
    return protocol if protocol in BY_DATA else f"{protocol}, study.seed={seed}"


def read_evaluation(file: Path) -> _Evaluation:
    """Return what an evaluation left.

    Raises:
        StudyError: The file is not readable, or another version of mer-nas wrote it.
        ConfigError: It has been edited into something else, with every mistake.
    """
    remedy = "the command that evaluated it writes it anew, and trains no fold twice"
    return read_document(_Evaluation, file, SCHEMA, remedy)


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
    fidelity: Fidelity | None = None
    """How faithful the point is to its source."""
    differs: str = ""
    """Where it is not."""
    own: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """What metrics of the user's own say, one number for each seed."""

    def __repr__(self) -> str:
        """Return what was measured and what it came to."""
        scores = [("uf1", round(self.uf1, 4)), ("seeds", len(self.scores))]
        facts = [("name", self.name), ("protocol", self.protocol), *scores]
        return brief(self, [*facts, ("folder", str(self.folder))])

    @property
    def faithful(self) -> str:
        """How the point stands to its source, in words; empty where none was named."""
        if self.fidelity is None:
            return ""
        but = f"; but {self.differs}" if self.differs else ""
        return f"{self.fidelity}: {self.source or FIDELITY[self.fidelity]}{but}"

    @property
    def uf1(self) -> float:
        """Mean UF1 over the seeds."""
        return statistics.fmean(score.uf1 for score in self.scores)

    def tree(self) -> Tree:
        """Return everything as a plain tree."""
        return {
            "name": self.name,
            "source": self.source,
            "fidelity": self.fidelity or "",
            "differs": self.differs,
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
                    **{name: values[seed] for name, values in self.own.items()},
                }
                for seed, score in enumerate(self.scores)
            ],
            "folder": str(self.folder),
            **self.candidate.dump(),
        }


def evaluate(
    settings: Settings,
    clips: ClipSet,
    point: str | None = None,
    seeds: int = 1,
    on_event: Listener = ignore,
) -> Evaluated:
    """Take a candidate through the protocol of `study.folds`; finished folds are not run again.

    Args:
        settings: Space, trainer, data, study and workers.
        clips: The data.
        point: A point or reference of the space; without, the space must have no open leaf.
        seeds: Repetitions of the protocol.
        on_event: Is told what happens.

    Raises:
        ConfigError: The space is open and no point is named, or a reference does not fit the data.
        TrainingFailed: A fold cannot be trained; those that can are kept.
    """
    name, candidate = chosen(settings, point)
    return measured(settings, clips, name, candidate, point, seeds, on_event)


def measured(
    settings: Settings,
    clips: ClipSet,
    name: str,
    candidate: Candidate,
    point: str | None = None,
    seeds: int = 1,
    on_event: Listener = ignore,
) -> Evaluated:
    """Take a candidate through the protocol, as `evaluate` does, whatever its recipe is.

    Args:
        settings: Space, data, study and workers.
        clips: The data.
        name: What the candidate is called.
        candidate: What is measured.
        point: The point or reference that its architecture is, if it is one.
        seeds: Repetitions of the protocol.
        on_event: Is told what happens.

    Raises:
        ConfigError: The candidate does not fit the data.
        TrainingFailed: A fold cannot be trained; those that can are kept.
    """
    study, files = settings.study, settings.space.extensions
    try_loss(candidate.trainer.loss, len(clips.classes))
    try_metrics(files, len(clips.classes))
    protocol = study.divided(clips)
    folder = Path("runs") / "evaluations" / f"{name}-{clips.name}-{candidate.key}"
    evaluator = Evaluator(clips, protocol, study.seed, files)
    patience = Patience(study.fold_seconds)
    done = measure_in(
        folder, {name: candidate}, seeds, evaluator, settings.ray, on_event, patience
    )
    for label, reason in done.failures.items():
        raise TrainingFailed(f"{label} cannot be trained: {reason}")
    own = [own_scores(results, files) for results in done.results.values()]
    for why in dict.fromkeys(why for each in own for why in each.failed.values()):
        on_event(Note(f"a metric gave no number: {why}"))
    told = [name for name in own[0].values if all(name in each.values for each in own)]
    entry = settings.space.point(point) if point is not None else None
    found = Evaluated(
        name,
        candidate,
        protocol.name,
        tuple(pool(results) for results in done.results.values()),
        folder,
        study.seed,
        clips.fingerprint,
        code_version(files),
        source=entry.source if entry is not None else "",
        fidelity=entry.fidelity if entry is not None else None,
        differs=entry.differs if entry is not None else "",
        own={name: tuple(each.values[name] for each in own) for name in told},
    )
    _keep(_written(found, settings, clips, list(done.results.values())), folder / FILE)
    return found


def _written(
    found: Evaluated, settings: Settings, clips: ClipSet, results: Sequence[Sequence[FoldResult]]
) -> _Evaluation:
    """Return what `compare` will read of an evaluation; results are one protocol a seed."""
    data = DataSummary.of(clips)
    subjects, extensions = list(data.subjects), settings.space.extensions
    scores = tuple(
        SeedScores.pooled(each, subjects, seed, extensions) for seed, each in enumerate(results)
    )
    return _Evaluation(
        name=found.name,
        origin=found.name,
        warm_start=bool(found.fidelity),
        source=found.source,
        fidelity=found.fidelity,
        differs=found.differs,
        **Cost.of(found.candidate.architecture, len(clips.classes))._asdict(),
        data=data,
        data_settings=settings.data.model_dump(mode="json"),
        code_version=found.code,
        protocols={folds_of(found.protocol, found.seed): scores},
    )


def _keep(evaluation: _Evaluation, file: Path) -> None:
    """Write an evaluation down, beside other protocols and seeds of the same clips and code."""
    found = dict(evaluation.protocols)
    if file.is_file():
        with contextlib.suppress(MerNasError):
            old = read_evaluation(file)
            if (old.data, old.code_version) == (evaluation.data, evaluation.code_version):
                for name, scores in old.protocols.items():
                    again = found.get(name, ())
                    if scores[: len(again)] == again:
                        found[name] = scores
    whole = evaluation.model_copy(update={"protocols": found})
    write(file, whole.model_dump_json(indent=2, by_alias=True) + "\n")


def chosen(settings: Settings, point: str | None) -> tuple[str, Candidate]:
    """Return the candidate that is measured, and its name.

    Raises:
        ConfigError: The space is open and no point is named.
    """
    space = settings.space
    if point is not None:
        return point, systems.candidate(space, point, settings.trainer, settings.trainer_words)
    if space.parameters():
        names = ", ".join(system.name for system in space.systems)
        raise ConfigError(
            f"{space.place}: {count(len(space.parameters()), 'open parameter')}, and one "
            f"candidate is measured; right: point= one of {names or 'none'}, or a space without "
            "open leaves such as a study's best.yaml"
        )
    return space.name, systems.only(space, settings.trainer, settings.trainer_words)
