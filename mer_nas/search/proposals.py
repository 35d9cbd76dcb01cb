"""From a trial's draws to a candidate that can be trained, or the reason why there is none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import optuna

from mer_nas.architectures import close, measure
from mer_nas.config.base import Tree, validate
from mer_nas.errors import Infeasible
from mer_nas.evaluation.candidate import Candidate
from mer_nas.training.config import TrainerConfig


@dataclass(frozen=True)
class Proposal:
    """A candidate that was drawn and may be trained."""

    candidate: Candidate
    parameters: int
    macs: int


Propose = Callable[[optuna.Trial], Proposal]
"""Draws a candidate; raises `Infeasible` where the draws make none."""


class Limits(Protocol):
    """Upper bounds on the built network; None where there is none."""

    @property
    def params(self) -> int | None: ...  # noqa: D102
    @property
    def macs(self) -> int | None: ...  # noqa: D102


class Space(Protocol):
    """The part of a search space that proposals come from."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def limits(self) -> Limits: ...  # noqa: D102
    def suggest(self, trial: Any) -> Tree: ...  # noqa: D102


@dataclass(frozen=True)
class Proposer:
    """Draws candidates from a space."""

    space: Space
    trainer: TrainerConfig
    """What the space does not draw of the training recipe."""
    classes: int

    def __call__(self, trial: optuna.Trial) -> Proposal:
        """Draw, fit the blocks to each other, and hold the network against the limits.

        Raises:
            Infeasible: The draws break a rule that no repair puts right, or a limit.
        """
        place = self.space.name
        tree = self.space.suggest(trial)
        architecture = close(tree["architecture"], place)
        settings = merged(self.trainer.model_dump(), tree.get("trainer", {}))
        trainer = validate(TrainerConfig, settings, f"{place}: trainer")
        cost = measure(architecture, self.classes)
        limits = self.space.limits
        _within(place, "parameters", cost.parameters, limits.params)
        _within(place, "multiply-accumulates", cost.macs, limits.macs)
        return Proposal(Candidate(architecture, trainer), cost.parameters, cost.macs)


def merged(tree: Tree, changes: Tree) -> Tree:
    """Return `tree` with the leaves of `changes` in place of its own.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    result = dict(tree)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result


def _within(place: str, what: str, found: int, limit: int | None) -> None:
    if limit is not None and found > limit:
        raise Infeasible(f"{place}: {found:,} {what}; the limit is {limit:,}")
