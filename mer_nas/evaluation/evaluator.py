"""One candidate on the folds of one protocol.

The score of a fold follows from the candidate, the clips, the held-out subjects, the repetition
and the seed of the study, and from nothing else: not from the trial's number, the process, or what
ran before. So two candidates are compared on equal draws, a fold measured once need never be
measured again, and it does not matter where it was measured.

This module knows neither Ray nor Optuna.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mer_nas import files
from mer_nas.architectures import Network
from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Protocol
from mer_nas.errors import ConfigError
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.deterministic import deterministic
from mer_nas.evaluation.hindsight import EpochRecorder
from mer_nas.evaluation.results import FoldResult
from mer_nas.evaluation.tensors import Units, inputs_of, targets_of, units_of
from mer_nas.evaluation.timing import rehearse
from mer_nas.evaluation.width import FEWEST, Width, pays, width_of
from mer_nas.provenance import code_version
from mer_nas.training.chance import stream
from mer_nas.training.fit import Observer, TrainingDiverged, fit, pick_device, predict_proba
from mer_nas.training.stack import Learner, fit_together

_REHEARSED: set[str] = set()
"""Keys of the candidates of which this process has taken a step."""
_WIDTHS: dict[tuple[str, str], Width] = {}
"""How many folds are trained together, by key of the candidate and device."""


class Evaluator:
    """Measures candidates on the folds of one protocol.

    Args:
        clips: The data.
        protocol: Its folds.
        seed: Seed of the study.
        extensions: Users' files with blocks, which count as code that decides scores.
    """

    def __init__(
        self, clips: ClipSet, protocol: Protocol, seed: int, extensions: Iterable[Path] = ()
    ) -> None:
        self.clips = clips
        self.protocol = protocol
        self.seed = seed
        self.extensions = tuple(file.resolve() for file in extensions)
        self.gpu_share = 1.0
        """Of the memory of a GPU that this process may use; 0: none of any, so it trains on the
        CPU."""
        self.beat: Callable[[], object] = unheard
        """Is called after every epoch of every training, of several folds together once."""
        self.one_by_one = False
        """Whether no folds are trained together, though it would pay."""

    def folds(
        self, candidate: Candidate, indices: Sequence[int], repetition: int = 0
    ) -> Iterator[FoldResult]:
        """Train and read folds; yield their results in the order of `indices`.

        Neighbours in a block of the protocol are trained as one computation where that pays
        (`width`). Which ones follows from candidate, protocol and machine: where one of them is
        asked for, all are trained, so that a fold has the same result whenever it is asked for.

        Args:
            candidate: What is measured.
            indices: Of the folds in the protocol.
            repetition: Decides the seeds, with the study's and the held-out subjects.

        Raises:
            ConfigError: The candidate does not fit the data or the machine.
            TrainingDiverged: The loss or the answers of the next fold are no numbers.
        """
        self.check(candidate)
        device = self.device(candidate)
        width = Width(1) if self.one_by_one else self._width(candidate, device)
        found: dict[int, FoldResult | TrainingDiverged] = {}
        for index in indices:
            if index not in found:
                beside = self._beside(index, width.folds)
                if len(beside) < FEWEST.get(device.type, 2):
                    yield replace(self.fold(candidate, index, repetition), alone=width.alone)
                    continue
                found = self._together(candidate, beside, repetition, device)
            result = found[index]
            if isinstance(result, TrainingDiverged):
                raise result
            yield result

    def together(self, candidate: Candidate, *, gpu: bool = False) -> bool:
        """Whether neighbouring folds of a candidate are one computation where they may be.

        Args:
            candidate: What is measured.
            gpu: Whether it is measured on GPUs that this process need not have.
        """
        named = candidate.trainer.device
        device = "cuda" if gpu and named == "auto" else self.device(candidate).type
        return not self.one_by_one and pays(candidate, len(self.clips.classes), device)

    def device(self, candidate: Candidate) -> torch.device:
        """Return where a candidate is trained.

        Raises:
            ConfigError: There is no such device here, or no share of it.
        """
        named = candidate.trainer.device
        if not self.gpu_share and named.startswith(("auto", "cuda")):
            if named != "auto":
                raise ConfigError(
                    f"trainer.device={named}: there is no share of a GPU to train on (ray.gpu=0, "
                    "or Ray finds none); trainer.device=auto takes what there is"
                )
            return torch.device("cpu")
        return pick_device(named)

    def fold(
        self,
        candidate: Candidate,
        index: int,
        repetition: int = 0,
        on_epoch: Observer | None = None,
    ) -> FoldResult:
        """Train the candidate without the subjects of fold `index`, then ask it about them, once.

        The fold is trained alone; what `folds` gives differs from it by rounding.

        Args:
            candidate: What is measured.
            index: Of the fold in the protocol.
            repetition: Decides the seed, with the study's and the held-out subjects.
            on_epoch: Is shown the network as each epoch leaves it; the result is the same.

        Raises:
            ConfigError: The candidate does not fit the data or the machine.
            TrainingDiverged: Its loss or its answers are no numbers.
        """
        fold = self.protocol.folds[index]
        train = fold.train(self.clips)
        self.check(candidate)
        seed = fold_seed(self.seed, repetition, fold.subjects)
        device = self.device(candidate)
        if candidate.key not in _REHEARSED:
            _REHEARSED.add(candidate.key)
            rehearse(candidate, len(self.clips.classes), device)
        started = time.perf_counter()
        with deterministic(seed, device):
            units = units_of(candidate, self.clips, train)
            network, losses = self._trained(candidate, train, units, seed, device, on_epoch)
            said = self._asked(candidate, index, network, device)
        seconds = time.perf_counter() - started
        return self._result(candidate, index, repetition, said, losses, seconds)

    def _width(self, candidate: Candidate, device: torch.device) -> Width:
        """Return how many folds of a candidate are trained together, found once a process."""
        key = (candidate.key, str(device))
        if key not in _WIDTHS:
            classes = len(self.clips.classes)
            _WIDTHS[key] = width_of(candidate, classes, device, self.gpu_share)
        return _WIDTHS[key]

    def _beside(self, index: int, width: int) -> tuple[int, ...]:
        """Return the folds that are trained with a fold, itself among them."""
        block = next(block for block in self.protocol.blocks if index in block)
        start = block.index(index) // width * width
        return block[start : start + width]

    def _together(
        self,
        candidate: Candidate,
        indices: Sequence[int],
        repetition: int,
        device: torch.device,
    ) -> dict[int, FoldResult | TrainingDiverged]:
        """Train folds as one computation; return the result of each, or that it diverged."""
        started = time.perf_counter()
        everyone, classes = np.arange(len(self.clips)), len(self.clips.classes)
        learners = [self._learner(candidate, index, repetition, device) for index in indices]
        with deterministic(learners[0].seed, device):
            histories = fit_together(
                learners,
                inputs_of(candidate, self.clips, everyone, {}, device),
                targets_of(candidate, self.clips, everyone, device),
                classes,
                candidate.trainer,
                candidate.architecture.losses.weights,
                on_epoch=self.beat,
            )
        found = {
            index: self._read(candidate, index, repetition, learner, losses, device)
            for index, learner, losses in zip(indices, learners, histories, strict=True)
        }
        seconds = round((time.perf_counter() - started) / len(indices), 3)
        return {
            index: replace(result, seconds=seconds, width=len(indices))
            if isinstance(result, FoldResult)
            else result
            for index, result in found.items()
        }

    def _read(
        self,
        candidate: Candidate,
        index: int,
        repetition: int,
        learner: Learner,
        losses: list[float] | TrainingDiverged,
        device: torch.device,
    ) -> FoldResult | TrainingDiverged:
        """Return the result of a fold that was trained with others, or that it diverged."""
        if isinstance(losses, TrainingDiverged):
            return losses
        try:
            with deterministic(learner.seed, device):
                said = self._asked(candidate, index, learner.network, device)
        except TrainingDiverged as error:
            return error
        return self._result(candidate, index, repetition, said, losses)

    def _learner(
        self, candidate: Candidate, index: int, repetition: int, device: torch.device
    ) -> Learner:
        """Return a fold to be trained with others, as it would begin alone."""
        fold = self.protocol.folds[index]
        train = fold.train(self.clips)
        seed = fold_seed(self.seed, repetition, fold.subjects)
        units = units_of(candidate, self.clips, train)
        with deterministic(seed, device):
            network = Network(candidate.architecture, len(self.clips.classes)).to(device)
            divisors = {name: torch.tensor(by, dtype=torch.float32) for name, by in units.items()}
            return Learner(
                network.train(), torch.from_numpy(train), seed, stream(device), divisors
            )

    def _asked(
        self, candidate: Candidate, index: int, network: nn.Module, device: torch.device
    ) -> NDArray[np.float64]:
        """Return what a trained network says of the held-out clips of a fold.

        Raises:
            TrainingDiverged: It says no numbers.
        """
        fold = self.protocol.folds[index]
        inputs = self.inputs(candidate, fold.test(self.clips), fold.train(self.clips), device)
        probabilities = predict_proba(network, inputs)
        if not np.isfinite(probabilities).all():
            raise TrainingDiverged(f"{fold.name}: the network's answers are not finite")
        return probabilities

    def _result(
        self,
        candidate: Candidate,
        index: int,
        repetition: int,
        probabilities: NDArray[np.float64],
        losses: Sequence[float],
        seconds: float = 0.0,
    ) -> FoldResult:
        fold = self.protocol.folds[index]
        records = [self.clips.records[clip] for clip in fold.test(self.clips)]
        return FoldResult(
            candidate=candidate.key,
            fold=fold.key,
            fold_name=fold.name,
            subjects=fold.subjects,
            repetition=repetition,
            seed=self.seed,
            data=self.clips.fingerprint,
            code=code_version(self.extensions),
            protocol=self.protocol.name,
            clips=tuple(record.id for record in records),
            labels=tuple(record.label for record in records),
            probabilities=tuple(tuple(row) for row in probabilities.tolist()),
            epochs=candidate.trainer.epochs_for(len(fold.train(self.clips))),
            seconds=round(seconds, 3),
            losses=tuple(float(f"{loss:.6g}") for loss in losses),
        )

    def train(self, candidate: Candidate, repetition: int = 0) -> nn.Module:
        """Train the candidate on all clips, nobody held out; return the network in eval mode."""
        self.check(candidate)
        seed = fold_seed(self.seed, repetition, subjects=())
        device = self.device(candidate)
        with deterministic(seed, device):
            everyone = np.arange(len(self.clips))
            units = units_of(candidate, self.clips, everyone)
            network, _ = self._trained(candidate, everyone, units, seed, device)
            return network.eval()

    def check(self, candidate: Candidate) -> None:
        """Refuse a candidate that does not fit the clips, before time is spent on it.

        Raises:
            ConfigError: It reads what the data lack, or at another size.
        """
        candidate.needs("the architecture").refuse_misfit(self.clips.provides)

    def recording(self) -> EpochRecorder:
        """Return the same evaluator, ready to look back at each fold that it trains."""
        return EpochRecorder(self)

    def inputs(
        self,
        candidate: Candidate,
        indices: NDArray[np.int64],
        train: NDArray[np.int64],
        device: torch.device,
    ) -> dict[str, Tensor]:
        """Return what a network that learned from the clips `train` sees of those at `indices`."""
        units = units_of(candidate, self.clips, train)
        return inputs_of(candidate, self.clips, indices, units, device)

    def _trained(
        self,
        candidate: Candidate,
        train: NDArray[np.int64],
        units: Units,
        seed: int,
        device: torch.device,
        on_epoch: Observer | None = None,
    ) -> tuple[nn.Module, list[float]]:
        """Return the network, and its mean loss in each epoch."""
        network: nn.Module = Network(candidate.architecture, len(self.clips.classes)).to(device)
        losses = fit(
            network,
            inputs_of(candidate, self.clips, train, units, device),
            targets_of(candidate, self.clips, train, device),
            candidate.trainer,
            seed,
            auxiliary=candidate.architecture.losses.weights,
            on_epoch=_both(self.beat, on_epoch),
        )
        return network, losses


def unheard() -> None:
    """Hear of an epoch, and do nothing."""


def _both(beat: Callable[[], object], observer: Observer | None) -> Observer:
    """Return what is shown each epoch: what listens for any, and who looks at the network."""

    def told(epoch: int, network: nn.Module) -> None:
        beat()
        if observer is not None:
            observer(epoch, network)

    return told


def fold_seed(study_seed: int, repetition: int, subjects: Iterable[str]) -> int:
    """Return the seed of a fold, in [0, 2**32).

    >>> fold_seed(0, 0, ["a", "b"]) == fold_seed(0, 0, ["b", "a"]) != fold_seed(0, 1, ["a", "b"])
    True
    """
    text = json.dumps([study_seed, repetition, *sorted(subjects)])
    return int(files.digest(text)[:8], 16)
