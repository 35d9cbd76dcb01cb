"""From a study's files to runs, as trackers know them: one for each trial, and one for the winner.

Trials are in `trials.jsonl` before their first fold, and folds in `ledger.jsonl` before anybody
hears of them. So whoever reads on in both files is told all there is, in order: while the search
runs as well as years later.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mer_nas.config.overrides import leaves
from mer_nas.data.protocols import Protocol
from mer_nas.evaluation.metrics import Counts, confusion_of, uf1
from mer_nas.evaluation.results import FoldResult
from mer_nas.files import digest
from mer_nas.search.events import Outcome
from mer_nas.search.ledger import FOLDS
from mer_nas.search.trials import TRIALS, KeptTrial, trained_folds

Value = str | int | float | bool


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker shows as one line."""

    study: str
    """What the study is called."""
    name: str
    """"trial 7", or "winner"."""
    identity: str
    """Names it among the runs of all studies, in letters that every tracker takes."""
    settings: Mapping[str, Value] = field(default_factory=dict, compare=False)
    """What it is made with: what was drawn, the recipe, and what it costs."""


@dataclass(frozen=True)
class RunBegan:
    """A run is there."""

    run: TrackedRun


@dataclass(frozen=True)
class RunAdvanced:
    """A fold of a trial is done."""

    run: TrackedRun
    done: int
    """Folds so far."""
    of: int
    values: Mapping[str, float]
    """`uf1_partial` over the folds so far, `folds_done`, and of this fold `fold_accuracy`,
    `fold_loss` (of its last epoch) and `fold_seconds`."""


@dataclass(frozen=True)
class RunEnded:
    """A trial is over."""

    run: TrackedRun
    outcome: Outcome
    reason: str
    uf1: float | None
    """Of a complete trial, pooled over all folds."""
    losses: tuple[float, ...]
    """Mean training loss of each epoch over its folds."""


@dataclass(frozen=True)
class StudyWon:
    """The study has come to its report."""

    run: TrackedRun
    values: Mapping[str, float]
    """`uf1`, the mean over the seeds, and `uf1_corrected`, less the optimism of the choice."""
    artefacts: tuple[Path, ...]
    """Files and folders: the report and the export."""


News = RunBegan | RunAdvanced | RunEnded | StudyWon


@dataclass
class _Candidate:
    """Folds of one candidate under the protocol of the search."""

    counts: Counts | None = None
    folds: list[Mapping[str, float]] = field(default_factory=list)
    losses: list[Sequence[float]] = field(default_factory=list)
    run: TrackedRun | None = None
    """Whose folds they are; none while no trial of this candidate runs."""
    had: Collection[str] | None = None
    """Keys of the folds that its pruned trial had; None: it has not been pruned."""

    def add(self, result: FoldResult) -> None:
        classes = len(result.probabilities[0])
        found = confusion_of(result.labels, result.predicted, classes)
        self.counts = found if self.counts is None else self.counts + found
        last = {"fold_loss": result.losses[-1]} if result.losses else {}
        self.losses.append(result.losses)
        self.folds.append(
            {
                "uf1_partial": float(uf1(self.counts)),
                "folds_done": len(self.folds) + 1,
                "fold_accuracy": float(np.trace(found) / found.sum()),
                **last,
                "fold_seconds": result.seconds,
            }
        )

    @property
    def curve(self) -> tuple[float, ...]:
        longest = max(map(len, self.losses), default=0)
        by_epoch = ([each[n] for each in self.losses if n < len(each)] for n in range(longest))
        return tuple(float(np.mean(each)) for each in by_epoch)


@dataclass
class StudyRuns:
    """The runs of a study, as its files grow.

    Folds that are measured for the final stage alone are no part of them, nor are proposals that
    were never trained.
    """

    folder: Path
    study: str
    optuna: str
    """Name of the Optuna study, as `trials.jsonl` has it."""
    search: Protocol
    belongs: tuple[int, str, str]
    """Seed, data and code of the folds that count."""
    _places: dict[str, int] = field(default_factory=dict)
    _first: str = ""
    _runs: dict[int, TrackedRun] = field(default_factory=dict)
    _keys: dict[int, str] = field(default_factory=dict)
    _candidates: dict[str, _Candidate] = field(default_factory=dict)

    def news(self) -> list[News]:
        """Return what the files say since the last call.

        Raises:
            StudyError: One of them is damaged.
        """
        entries = [
            each for each in self._more("trials.jsonl", TRIALS) if each.study == self.optuna
        ]
        results = self._more(
            "ledger.jsonl", FOLDS
        )  # after it: no trial has ended without its folds
        found: list[News] = []
        for entry in entries:
            found += self._begin(entry)
        for entry in entries:  # before the folds: a ledger that is read later holds more of them
            if entry.state == "PRUNED" and entry.number in self._keys:
                had = trained_folds(self.search, entry.state, entry.steps)
                self._candidates[self._keys[entry.number]].had = had
        keys = {fold.key for fold in self.search.folds}
        for result in results:
            known = (result.seed, result.data, result.code) == self.belongs
            if known and result.repetition == 0 and result.fold in keys:
                found += self._advance(result)
        for entry in entries:
            found += self._end(entry)
        return found

    def _more(self, name: str, form: Any) -> list[Any]:
        entries, self._places[name] = form.since(self.folder / name, self._places.get(name, 0))
        return list(entries)

    def named(self, name: str, which: str, settings: Mapping[str, Value]) -> TrackedRun:
        """Return a run of this study.

        Args:
            name: For people.
            which: Tells it from the others of the study.
            settings: What it is made with.
        """
        return TrackedRun(self.study, name, f"{self._first}-{which}", settings)

    def _begin(self, entry: KeptTrial) -> Iterator[News]:
        if not self._first:  # no two studies have begun at the same moment under one name
            self._first = digest(f"{entry.study}/{entry.time!r}")[:12]
        if "candidate" not in entry.attributes or entry.number in self._runs:
            return
        key = entry.attributes["candidate"]
        number = entry.number
        run = self.named(f"trial {number}", str(number), _settings(entry))
        self._runs[number], self._keys[number] = run, key
        candidate = self._candidates.setdefault(key, _Candidate())
        candidate.run = run
        yield RunBegan(run)
        for done, values in enumerate(candidate.folds, start=1):  # measured by an earlier trial
            yield RunAdvanced(run, done, len(self.search.folds), values)

    def _advance(self, result: FoldResult) -> Iterator[News]:
        candidate = self._candidates.setdefault(result.candidate, _Candidate())
        if candidate.had is not None and result.fold not in candidate.had:
            return
        candidate.add(result)
        if candidate.run is not None:
            done = len(candidate.folds)
            yield RunAdvanced(candidate.run, done, len(self.search.folds), candidate.folds[-1])

    def _end(self, entry: KeptTrial) -> Iterator[News]:
        run = self._runs.get(entry.number)
        if run is None or entry.state == "RUNNING" or "outcome" not in entry.attributes:
            return
        outcome, reason = entry.attributes["outcome"], entry.attributes.get("reason", "")
        value = entry.values[0] if outcome == "complete" and entry.values else None
        candidate = self._candidates[self._keys[entry.number]]
        if candidate.run is run:  # not of a later trial of the same candidate
            candidate.run = None
        yield RunEnded(run, outcome, reason, value, candidate.curve)


def _settings(entry: KeptTrial) -> dict[str, Value]:
    known = entry.attributes
    recipe = known.get("tree", {}).get("trainer", {})
    given = leaves({"trainer": recipe}).items()
    found = {name: _plain(value) for name, value in given if value not in (None, {})}
    found |= {name: _plain(value) for name, value in entry.params.items()}
    names = ("candidate", "point", "parameters", "deployed", "macs")
    return found | {name: _plain(known[name]) for name in names if known.get(name) is not None}


def _plain(value: Any) -> Value:
    return value if isinstance(value, str | int | float | bool) else json.dumps(value)
