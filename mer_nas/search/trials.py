"""The trials of a study beside its storage, from which a lost storage is rebuilt.

A journal (`trials.jsonl`) has a line for each trial before its first fold is trained, with its
number, its parameters and the tree of its candidate, and one for its end. So where the storage is
deleted or damaged, the trials come back with their numbers, and their folds are in the ledger:
drawing them again would give others wherever several workers asked in an order of their own.

A storage is a database that other programs open too. `outcome_of` tells trials that this search
has ended from those that another program has.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    distribution_to_json,
    json_to_distribution,
)
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field, TypeAdapter

from mer_nas.config.base import parse_line
from mer_nas.data.protocols import Protocol
from mer_nas.search.events import Outcome
from mer_nas.search.journal import Journal, JournalFormat

STATES: dict[Outcome, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "infeasible": TrialState.FAIL,
    "duplicate": TrialState.FAIL,
}
"""How Optuna calls each end."""

IDLE = "idle"
"""User attribute of a trial: what was drawn and makes no difference, by name; of studies of before
a list of names, whose values are among the parameters."""

State = Literal["RUNNING", "COMPLETE", "PRUNED", "FAIL"]
Moment = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class KeptTrial:
    """A trial as it began, or what was added when it ended."""

    study: str
    """Name of the Optuna study."""
    number: Annotated[int, Field(ge=0, lt=10**6)]
    state: State
    seconds: Annotated[float, Field(ge=0, le=1e10)]
    """What the search had taken by then, in all its sessions."""
    time: Moment
    """When that was, in seconds since 1970."""
    params: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, str] = field(default_factory=dict)
    """From which each parameter was drawn, as Optuna writes it."""
    values: tuple[Moment, ...] | None = None
    """What a complete trial has reached in each objective, and a pruned one before its end."""
    steps: dict[int, Moment] = field(default_factory=dict)
    """What the pruner was told."""
    attributes: dict[str, Any] = field(default_factory=dict)
    """Among them the candidate's key and tree, and the outcome."""
    system: dict[str, Any] = field(default_factory=dict)
    """What Optuna's samplers have noted."""

    @property
    def key(self) -> tuple[str, int, bool]:
        """Each trial has a beginning and an end."""
        return (self.study, self.number, self.state != "RUNNING")

    def to_json(self) -> str:
        """Return one line from which `from_json` makes an equal entry."""
        return json.dumps(asdict(self), allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> "KeptTrial":
        """Return the entry that `to_json` wrote.

        Raises:
            ValueError: It wrote no such line.
        """
        found = parse_line(_ENTRIES, line)
        if found.params.keys() != found.distributions.keys():
            raise ValueError("it has not one distribution for each parameter")
        if found.state != "PRUNED" and (found.state == "COMPLETE") != bool(found.values):
            raise ValueError("a complete trial has values, one that runs or failed has none")
        for name, text in found.distributions.items():
            try:
                known = _distribution(text)._contains(
                    _distribution(text).to_internal_repr(found.params[name])
                )
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"distributions.{name}: {error!r}") from None
            if not known:
                raise ValueError(f"params.{name}: {found.params[name]!r} was not drawn from it")
        return found


_ENTRIES = TypeAdapter(KeptTrial)
TRIALS = JournalFormat(
    format="mer-nas trials",
    parse=KeptTrial.from_json,
    torn="it is written again from the storage",
    safe="the trials are in the storage, and `mer-nas resume` goes on",
)


@cache
def _distribution(text: str) -> BaseDistribution:
    found: BaseDistribution = json_to_distribution(text)
    return found


def outcome_of(trial: FrozenTrial) -> Outcome | None:
    """Return how a search has ended a trial; None where it has not, whatever the storage says."""
    outcome = cast(Outcome, trial.user_attrs.get("outcome"))
    return outcome if STATES.get(outcome) == trial.state else None


def trained_folds(protocol: Protocol, state: str, steps: Mapping[int, float]) -> set[str]:
    """Return the keys of the folds that a trial may have had until it ended.

    A pruned one ended with the last block that its pruner was told of: what the ledger holds of
    its other folds was measured for the final stage.

    Args:
        protocol: That of the search.
        state: Of the trial, as Optuna calls it.
        steps: What the pruner was told.
    """
    blocks = protocol.blocks[: max(steps)] if state == "PRUNED" and steps else protocol.blocks
    return {protocol.folds[index].key for block in blocks for index in block}


def drawn_by(trial: FrozenTrial | optuna.Trial) -> dict[str, Any]:
    """Return all that a trial has drawn: its parameters, and what made no difference."""
    idle = trial.user_attrs.get(IDLE)
    return {**(idle if isinstance(idle, dict) else {}), **trial.params}


def keep(journal: Journal[KeptTrial], study: optuna.Study, trials: Iterable[FrozenTrial]) -> None:
    """Bring the trials that are not in a journal yet to the disk, as they stand in a study.

    Raises:
        StudyError: The disk does not take them.
    """
    name = study.study_name
    for trial in trials:
        if (name, trial.number, trial.state.is_finished()) not in journal:
            begun = journal.at((name, trial.number, False))
            seconds = float(study.user_attrs.get("seconds", 0.0))
            journal.append(_entry(name, trial, begun, seconds))


def _entry(study: str, trial: FrozenTrial, begun: KeptTrial | None, seconds: float) -> KeptTrial:
    """Return what is to be kept of a trial; of one that is kept as it began, what is new."""
    known = {} if begun is None else begun.attributes
    when = trial.datetime_complete or trial.datetime_start or datetime.now()
    return KeptTrial(
        study=study,
        number=trial.number,
        state=cast(State, trial.state.name),
        seconds=seconds,
        time=when.timestamp(),
        params={} if begun else dict(trial.params),
        distributions={}
        if begun
        else {n: distribution_to_json(d) for n, d in trial.distributions.items()},
        values=trial.values and tuple(trial.values),
        steps=dict(trial.intermediate_values),
        attributes={n: v for n, v in trial.user_attrs.items() if n not in known},
        system=dict(trial.system_attrs),
    )


def restore(study: optuna.Study, entries: Sequence[KeptTrial]) -> int:
    """Give a study the trials that it lacks at its end; return how many came back.

    A number between them that no line tells of becomes a trial that is still to be drawn.

    Args:
        study: With none of its trials, or the first of them.
        entries: Of this study.
    """
    by_number: dict[int, list[KeptTrial]] = {}
    for entry in sorted(entries, key=lambda each: each.key):
        by_number.setdefault(entry.number, []).append(entry)
    first, last = len(study.get_trials(deepcopy=False)), max(by_number, default=-1)
    for number in range(first, last + 1):
        if number in by_number:
            study.add_trial(_frozen(by_number[number]))
        else:
            study.enqueue_trial({})
    if first <= last:
        seconds = max(entry.seconds for entry in entries)
        study.set_user_attr("seconds", max(seconds, study.user_attrs.get("seconds", 0.0)))
    return sum(number >= first for number in by_number)


def _frozen(entries: Sequence[KeptTrial]) -> FrozenTrial:
    """Return a trial from its beginning and its end, or from one of them."""
    begin, end = entries[0], entries[-1]
    trial = optuna.trial.create_trial(
        state=TrialState[end.state],
        values=end.values and list(end.values),
        params={n: v for each in entries for n, v in each.params.items()},
        distributions={n: _distribution(t) for e in entries for n, t in e.distributions.items()},
        user_attrs={n: v for each in entries for n, v in each.attributes.items()},
        system_attrs={n: v for each in entries for n, v in each.system.items()},
        intermediate_values=dict(end.steps),
    )
    trial.datetime_start = datetime.fromtimestamp(begin.time)
    if end.state != "RUNNING":
        trial.datetime_complete = datetime.fromtimestamp(end.time)
    return trial


def damage(database: Path) -> str:
    """Return why a file is no whole database of SQLite; empty where it is one, or is not there."""
    if not database.is_file() or not database.stat().st_size:
        return ""
    try:
        with closing(
            sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)
        ) as opened:
            (found,) = opened.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:  # locked, or nobody may read it: opening it says so
        return ""
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == "ok" else str(found)
