"""The measuring of `tabular`: draws small networks, trains them on every fold, writes each down.

A file of lines, each on the disk before the next fold begins: first what was measured where, then
the configurations as they are drawn, then fold by fold what a configuration said of the held-out
clips after 10, 20 and 30 epochs of one training, and the processor time that it took to get there.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import optuna
from torch import nn

from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Protocol, Scheme, divide
from mer_nas.errors import DataError, Infeasible
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.provenance import code_version, cpu
from mer_nas.search.proposals import Proposal, Proposer
from mer_nas.settings import Settings, resolve
from mer_nas.study.clips import load_clips
from mer_nas.training.fit import pick_device, predict_proba

CONFIGURATIONS = 42
ROUNDS: tuple[tuple[int, tuple[Scheme, ...]], ...] = (
    (0, (4,)),
    (1, (4,)),
    (2, (4,)),
    (0, (8, "loso")),
    (1, (8, "loso")),
    (0, (17,)),
    (1, (17,)),
    (2, ("loso",)),
)
"""Seeds and schemes in the order in which all configurations go through them."""
EPOCHS = (10, 20, 30)
STEP, SLOW, SLOW_EVERY = (0.0, 12.0), (12.0, 30.0), 6
"""Milliseconds of a training step of 32 clips; every sixth configuration is a slow one."""

Line = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """One fold to train."""

    configuration: int
    seed: int
    scheme: Scheme
    fold: int

    @property
    def place(self) -> tuple[int, int, str, int]:
        """What identifies it in the file."""
        return self.configuration, self.seed, str(self.scheme), self.fold


def measure(words: Sequence[str], file: Path, hours: float) -> None:
    """Measure what the file lacks, until it is whole or the hours of processor time are spent.

    Args:
        words: Such as `data.root=DIR`.
        file: Of lines; what is there is not measured again.
        hours: Of all folds in the file together.

    Raises:
        DataError: The file is of other clips.
    """
    settings = settings_of(words)
    clips = load_clips(settings)
    _mend(file)
    lines = list(read(file))
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        if not lines:
            lines = [_began(clips)]
            _write(out, lines[0])
        if lines[0]["data"] != clips.fingerprint:
            raise DataError(f"{file} was measured on other clips; another file would be right")
        if lines[0]["code"] != code_version():
            print(f"{file} began with another version of the code that decides scores")
        drawn = [line for line in lines if "tree" in line]
        for line in _more(settings, clips, len(drawn)):
            _write(out, line)
            drawn.append(line)
        candidates = [Candidate.parse(line["tree"], "drawn") for line in drawn]
        _folds(candidates, clips, lines, out, hours)


def settings_of(words: Sequence[str]) -> Settings:
    """Return the settings under which all is measured."""
    space = Path(__file__).with_name("tabular.yaml")
    fixed = [f"space={space}", "trainer=proxy", f"trainer.epochs={EPOCHS[-1]}"]
    return resolve([*fixed, "trainer.device=cpu", "data=megc2019_flow", *words])


def read(file: Path) -> Iterator[Line]:
    """Yield the lines of a file; a last one that was torn off is left out."""
    if file.is_file():
        for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
            yield json.loads(line)


def _mend(file: Path) -> None:
    """Take a last line off that was torn, so that the next begins on a line of its own."""
    if file.is_file():
        whole = file.read_bytes().rfind(b"\n") + 1
        os.truncate(file, whole)


def protocol_of(clips: ClipSet, scheme: Scheme, seed: int) -> Protocol:
    """Return the folds of a scheme; every seed groups the subjects anew."""
    return divide(clips, scheme, seed=seed)


def _began(clips: ClipSet) -> Line:
    return {
        "machine": cpu(),
        "code": code_version(),
        "data": clips.fingerprint,
        "labels": clips.labels.tolist(),
        "subjects": [clips.subjects.index(name) for name in clips.groups.tolist()],
        "classes": list(clips.classes),
    }


def _more(settings: Settings, clips: ClipSet, have: int) -> Iterator[Line]:
    """Draw the configurations that the file lacks, those of the file drawn and passed over."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=have))
    propose = Proposer(settings.space, settings.trainer, len(clips.classes))
    evaluator = Evaluator(clips, protocol_of(clips, 4, 0), seed=0)
    for number in range(have, CONFIGURATIONS):
        low, high = SLOW if number % SLOW_EVERY == SLOW_EVERY - 1 else STEP
        while True:
            trial = study.ask()
            try:
                proposal = propose(trial)
            except Infeasible:
                continue
            if low < (pace := _pace(evaluator, proposal.candidate)) <= high:
                break
        yield _described(number, trial, proposal, pace)


def _pace(evaluator: Evaluator, candidate: Candidate) -> float:
    """Return the milliseconds of processor time that a training step takes in a short fold."""
    trainer = candidate.trainer.model_copy(update={"epochs": 2})
    short = Candidate(candidate.architecture, trainer)
    evaluator.fold(short, 0)  # the first fold of a process imports and chooses
    began = time.process_time()
    evaluator.fold(short, 0)
    train = len(evaluator.protocol.folds[0].train(evaluator.clips))
    return 1000 * (time.process_time() - began) / trainer.steps_for(train)


def _described(number: int, trial: optuna.Trial, proposal: Proposal, pace: float) -> Line:
    return {
        "configuration": number,
        "step_ms": round(pace, 2),
        "params": proposal.cost.deployed,
        "macs": proposal.cost.macs,
        "parameters": trial.params,
        "tree": proposal.candidate.dump(),
    }


def _folds(
    candidates: Sequence[Candidate],
    clips: ClipSet,
    lines: Sequence[Line],
    out: IO[str],
    hours: float,
) -> None:
    """Train what is missing: round by round, all folds of a configuration together."""
    done = {(line["of"], line["seed"], line["scheme"], line["fold"]) for line in lines[1:]
            if "of" in line}  # fmt: skip
    spent = sum(line["seconds"][-1] for line in lines if "of" in line)
    evaluators = {
        (scheme, seed): Evaluator(clips, protocol_of(clips, scheme, seed), seed)
        for seed, schemes in ROUNDS
        for scheme in schemes
    }
    for work in _plan(evaluators, len(candidates)):
        if work.place in done:
            continue
        if spent >= 3600 * hours:
            print(f"{hours:g} hours are spent")
            return
        line = _fold(evaluators[work.scheme, work.seed], candidates[work.configuration], work)
        spent += line["seconds"][-1]
        _write(out, line)
    print(f"all is measured, in {spent / 3600:.1f} hours of processor time")


def _plan(evaluators: dict[tuple[Scheme, int], Evaluator], configurations: int) -> Iterator[Work]:
    for seed, schemes in ROUNDS:
        for configuration in range(configurations):
            for scheme in schemes:
                for fold in range(len(evaluators[scheme, seed].protocol.folds)):
                    yield Work(configuration, seed, scheme, fold)


def _fold(evaluator: Evaluator, candidate: Candidate, work: Work) -> Line:
    """Train one fold; ask the network about the held-out clips after each of `EPOCHS`."""
    fold = evaluator.protocol.folds[work.fold]
    train, test = fold.train(evaluator.clips), fold.test(evaluator.clips)
    held_out = evaluator.inputs(candidate, test, train, pick_device("cpu"))
    said: list[Any] = []
    seconds: list[float] = []
    asking = 0.0

    def ask(epoch: int, network: nn.Module) -> None:
        nonlocal asking
        if epoch not in EPOCHS:
            return
        began = time.process_time()
        seconds.append(round(began - started - asking, 4))
        said.append(predict_proba(network, held_out).round(5).tolist())
        network.train()
        asking += time.process_time() - began

    started = time.process_time()
    evaluator.fold(candidate, work.fold, on_epoch=ask)
    return {
        "of": work.configuration,
        "seed": work.seed,
        "scheme": str(work.scheme),
        "fold": work.fold,
        "clips": test.tolist(),
        "said": said,
        "seconds": seconds,
    }


def _write(out: IO[str], line: Line) -> None:
    """Append a line; it is on the disk when this returns."""
    out.write(json.dumps(line, separators=(",", ":")) + "\n")
    out.flush()
    os.fsync(out.fileno())
