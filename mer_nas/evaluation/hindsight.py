"""LEAKY, and nothing but a diagnostic: what held-out clips are called after each epoch.

Much public code prefers the epoch in which the held-out subject is told best. How much that alone
gives can be said only by doing it once: a training keeps its weights after each epoch, its
answers after the last one are put away, and only then are the held-out clips shown to the earlier
weights. Nothing that chooses, ranks or trains reads what comes of it.
"""

from __future__ import annotations

import json
import time
import typing
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, TypeAdapter
from torch import Tensor, nn

from mer_nas.architectures import Network
from mer_nas.config.base import parse_line
from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Indices, Protocol
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.deterministic import deterministic
from mer_nas.evaluation.metrics import Scores, scores
from mer_nas.evaluation.results import FoldKey, FoldResult
from mer_nas.training.fit import Observer, predict_proba
from mer_nas.training.weights import EpochWeights


class Trains(typing.Protocol):
    """Trains and reads folds: an `Evaluator`."""

    @property
    def clips(self) -> ClipSet:
        """The data."""

    @property
    def protocol(self) -> Protocol:
        """Its folds."""

    def fold(
        self,
        candidate: Candidate,
        index: int,
        repetition: int = 0,
        on_epoch: Observer | None = None,
    ) -> FoldResult:
        """Train and read a fold."""

    def device(self, candidate: Candidate) -> torch.device:
        """Return where a candidate is trained."""

    def inputs(
        self, candidate: Candidate, indices: Indices, train: Indices, device: torch.device
    ) -> dict[str, Tensor]:
        """Return what a network that learned from the clips `train` sees of those at `indices`."""


@dataclass(frozen=True)
class Hindsight:
    """What one candidate would have said about the held-out clips of a fold after each epoch."""

    candidate: str
    fold: str
    repetition: NonNegativeInt
    seed: int
    data: str
    code: str
    epochs: tuple[NonNegativeInt, ...]
    """Those that were looked at, ascending; the last is the one that counts."""
    predicted: tuple[tuple[NonNegativeInt, ...], ...]
    """The likeliest class of each clip after each of them, clips as in the fold's result."""
    seconds: NonNegativeFloat
    """Wall time of looking back."""

    @property
    def key(self) -> FoldKey:
        """That of the fold's result."""
        return (self.candidate, self.fold, self.repetition, self.seed, self.data, self.code)

    def to_json(self) -> str:
        """Return one line from which `from_json` makes an equal one."""
        return json.dumps(asdict(self), allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> Hindsight:
        """Return what `to_json` wrote.

        Raises:
            ValueError: It wrote no such line.
        """
        found = parse_line(_HINDSIGHTS, line)
        rows = {len(row) for row in found.predicted}
        if not len(found.epochs) == len(found.predicted) > 0 or len(rows) != 1 or 0 in rows:
            raise ValueError("it has not one class for each clip after each epoch")
        if list(found.epochs) != sorted(set(found.epochs)):
            raise ValueError("its epochs do not ascend")
        return found


_HINDSIGHTS = TypeAdapter(Hindsight)


class EpochRecorder:
    """An evaluator that can look back at the fold which it has just trained.

    Args:
        evaluator: Trains and reads the folds; its results are the same as without a recorder.
    """

    def __init__(self, evaluator: Trains) -> None:
        self._evaluator = evaluator
        self._last: tuple[Candidate, int, FoldResult, EpochWeights] | None = None

    def fold(self, candidate: Candidate, index: int, repetition: int = 0) -> FoldResult:
        """Train and read a fold as `Evaluator.fold` does, and keep the weights of its epochs."""
        self.forget()
        train = self._evaluator.protocol.folds[index].train(self._evaluator.clips)
        weights = EpochWeights(candidate.trainer.epochs_for(len(train)))
        try:
            result = self._evaluator.fold(candidate, index, repetition, weights.keep)
        except BaseException:
            weights.close()
            raise
        self._last = candidate, index, result, weights
        return result

    def look_back(self) -> Hindsight:
        """Show the held-out clips of the last fold to the weights of its epochs, which then go.

        To be called once the result of the fold is safe.

        Raises:
            RuntimeError: No epoch could be kept.
        """
        if self._last is None:
            raise RuntimeError("no fold has been trained")
        candidate, index, result, weights = self._last
        try:
            return _look_back(self._evaluator, candidate, index, result, weights)
        finally:
            self.forget()

    def forget(self) -> None:
        """Let go of the weights."""
        if self._last is not None:
            self._last[3].close()
            self._last = None


def _look_back(
    evaluator: Trains,
    candidate: Candidate,
    index: int,
    result: FoldResult,
    weights: EpochWeights,
) -> Hindsight:
    """Ask the network of each epoch about the held-out clips of a fold; train nothing.

    Args:
        evaluator: Has trained the fold.
        candidate: Whose fold it is.
        index: Of the fold.
        result: What the fold gave after its last epoch.
        weights: Of its epochs.

    Raises:
        RuntimeError: No epoch could be kept.
    """
    if not weights.epochs:
        raise RuntimeError(f"the weights of the epochs were not kept: {weights.lost}")
    began = time.perf_counter()
    fold = evaluator.protocol.folds[index]
    device = evaluator.device(candidate)
    answers: list[tuple[int, ...]] = []
    with deterministic(0, device):
        network: nn.Module = Network(candidate.architecture, len(evaluator.clips.classes))
        network.to(device)
        inputs = evaluator.inputs(
            candidate, fold.test(evaluator.clips), fold.train(evaluator.clips), device
        )
        for epoch in weights:
            network.load_state_dict(epoch)
            answers.append(tuple(predict_proba(network, inputs).argmax(1).tolist()))
    return Hindsight(
        *result.key,
        epochs=weights.epochs,
        predicted=tuple(answers),
        seconds=round(time.perf_counter() - began, 3),
    )


Pairs = Sequence[tuple["FoldResult", Hindsight | None]]
"""Every fold of a repetition, and the look back at it where there is one."""


def best_of_each(folds: Pairs) -> Scores:
    """Score the folds as if each had chosen the epoch with most correct answers on its own clips.

    Of equally good epochs the last is taken, as HTNet's public code does; a fold that was not
    looked back at keeps its answers after the last epoch.
    """
    labels: list[int] = []
    predicted: list[int] = []
    for result, back in folds:
        labels += result.labels
        if back is None:
            predicted += result.predicted
            continue
        hits = [sum(map(int.__eq__, said, result.labels)) for said in back.predicted]
        best = max(range(len(hits)), key=lambda epoch: (hits[epoch], epoch))
        predicted += back.predicted[best]
    return scores(labels, predicted, classes=len(folds[0][0].probabilities[0]))


def learning_curve(folds: Pairs, steps: int) -> tuple[Scores, ...]:
    """Return the pooled scores after each of `steps` equal parts of the training.

    A part ends with the last epoch that was looked at by then; folds need not have equally many.
    """
    labels = [label for result, _ in folds for label in result.labels]
    found = []
    for step in range(1, steps + 1):
        predicted = [said for result, back in folds for said in _at(result, back, step / steps)]
        found.append(scores(labels, predicted, classes=len(folds[0][0].probabilities[0])))
    return tuple(found)


def _at(result: FoldResult, back: Hindsight | None, share: float) -> tuple[int, ...]:
    if back is None:
        return result.predicted
    reached = [e for e in back.epochs if e <= share * back.epochs[-1] + 1e-9]
    return back.predicted[max(0, len(reached) - 1)]
