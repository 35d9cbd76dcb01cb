"""What a candidate said about the held-out clips of a fold, and what folds come to together.

A result is a line of the ledger: everything that it follows from stands in it.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Annotated

import numpy as np
from pydantic import Field, FiniteFloat, TypeAdapter

from mer_nas.config.base import parse_line
from mer_nas.evaluation.metrics import Scores, confusion_of, f1_of_present, scores

FoldKey = tuple[str, str, int, int, str, str]
"""Candidate, fold, repetition, seed of the study, data, code: what a result follows from."""

Whole = Annotated[int, Field(ge=0, lt=2**63)]
Probability = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
ROUNDING = 1e-4
"""By how much the probabilities of a clip may miss one: earlier versions had single precision."""


@dataclass(frozen=True)
class FoldResult:
    """What one candidate said about the held-out clips of one fold."""

    candidate: str
    """Key of the candidate."""
    fold: str
    """Key of the fold."""
    fold_name: str
    subjects: tuple[str, ...]
    """Who was held out."""
    repetition: Whole
    seed: Whole
    """Seed of the study, from which with repetition and subjects that of the fold follows."""
    data: str
    """Fingerprint of the clips."""
    code: str
    """Version of the code that can change a score."""
    protocol: str
    """Under which protocol it was first measured; no part of its identity."""
    clips: tuple[str, ...]
    """The held-out clips, by id."""
    labels: tuple[Whole, ...]
    probabilities: tuple[tuple[Probability, ...], ...]
    """Of each clip and class."""
    epochs: Whole
    seconds: Seconds
    """Wall time of training and prediction."""
    losses: tuple[FiniteFloat, ...] = ()
    """Mean training loss of each epoch, to six digits; of results of older versions none."""
    width: Annotated[int, Field(ge=1, lt=2**31)] = 1
    """How many folds were trained with it as one computation, itself counted."""
    alone: str = ""
    """Why it was trained alone where several together would have paid; mostly empty."""

    @property
    def key(self) -> FoldKey:
        """What identifies the result: equal keys, equal predictions."""
        return (self.candidate, self.fold, self.repetition, self.seed, self.data, self.code)

    @cached_property
    def predicted(self) -> tuple[int, ...]:
        """The likeliest class of each clip."""
        return tuple(np.argmax(self.probabilities, -1).tolist())

    @cached_property
    def clip_subjects(self) -> tuple[str, ...]:
        """The subject of each clip; a clip's id begins with it."""
        return _owners(self.clips, self.subjects)

    def to_json(self) -> str:
        """Return one line from which `from_json` makes an equal result, to the last bit."""
        return json.dumps(asdict(self), allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> "FoldResult":
        """Return the result that `to_json` wrote.

        Raises:
            ValueError: It wrote no such line.
        """
        found = parse_line(_RESULTS, line)
        clips = len(found.clips)
        classes = {len(row) for row in found.probabilities}
        if not clips == len(found.labels) == len(found.probabilities) > 0 or len(classes) != 1:
            raise ValueError("it has not one label and one probability a class for each clip")
        if max(found.labels) >= min(classes):
            raise ValueError(f"a label is beyond its {min(classes)} classes")
        if any(abs(math.fsum(row) - 1) > ROUNDING for row in found.probabilities):
            raise ValueError("the probabilities of a clip do not sum to one")
        owners = tuple(f"{subject}/" for subject in found.subjects)
        if not all(clip.startswith(owners) for clip in found.clips):
            raise ValueError("a clip is of nobody who was held out")
        return found


@lru_cache(maxsize=1024)  # thousands of candidates are asked about the same folds
def _owners(clips: tuple[str, ...], subjects: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        next(subject for subject in subjects if clip.startswith(f"{subject}/")) for clip in clips
    )


_RESULTS = TypeAdapter(FoldResult)


def pool(results: Sequence[FoldResult]) -> Scores:
    """Score the predictions of several folds together."""
    labels = [label for result in results for label in result.labels]
    predicted = [label for result in results for label in result.predicted]
    return scores(labels, predicted, classes=len(results[0].probabilities[0]))


def fold_average(results: Sequence[FoldResult]) -> float:
    """Return the mean over folds of the F1 of each, as papers state it that do not pool.

    Of a fold, the classes that occur in it are averaged: most subjects do not show every one.
    """
    confusions = [
        confusion_of(result.labels, result.predicted, len(result.probabilities[0]))
        for result in results
    ]
    return float(f1_of_present(np.stack(confusions)).mean())
