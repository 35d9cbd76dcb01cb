"""Proposals on a table: what a sampler draws is the configuration that is most like it.

So a sampler of Optuna, ours or another's, meets a space of a few dozen candidates as it meets one
without end: it draws, hears the score of what was trained, and draws again.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.trial import TrialState, create_trial
from table import Table

from mer_nas.settings import resolve
from mer_nas.space import SearchSpace
from mer_nas.space.domains import Choice, Float, Int

optuna.logging.set_verbosity(optuna.logging.WARNING)


class AtRandom:
    """Proposes at random; of several draws for a trial the one that trains fastest.

    Args:
        table: Whose configurations they are.
        seed: Of the study.
        alternatives: Draws for each trial.
    """

    def __init__(self, table: Table, seed: int, alternatives: int = 1) -> None:
        self._chance = np.random.default_rng([7, seed])
        self._alternatives = alternatives
        self._pace = [facts["step_ms"] for facts in table.facts]

    def ask(self, left: Sequence[int]) -> int:
        """Return the fastest of some draws."""
        drawn = self._chance.choice(left, self._alternatives)
        return int(min(drawn, key=lambda each: self._pace[each]))

    def tell(self, configuration: int, score: float | None) -> None:
        """Learn nothing."""


class Sampled:
    """Proposes what is most like the draws of a sampler; of several the one that trains fastest.

    Args:
        table: Whose configurations they are.
        seed: Of the study.
        sampler: Made from a seed.
        alternatives: Draws for each trial.
    """

    def __init__(
        self,
        table: Table,
        seed: int,
        sampler: Callable[[int], BaseSampler],
        alternatives: int = 1,
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._study = optuna.create_study(direction="maximize", sampler=sampler(seed))
        self._alternatives = alternatives
        self._parameters = [facts["parameters"] for facts in table.facts]
        self._pace = [facts["step_ms"] for facts in table.facts]

    def ask(self, left: Sequence[int]) -> int:
        """Draw, and return the fastest of those most like the draws."""
        found = {self._nearest(self._draw(), left) for _ in range(self._alternatives)}
        return min(sorted(found), key=lambda each: self._pace[each])

    def tell(self, configuration: int, score: float | None) -> None:
        """Tell the sampler what was trained, and its score."""
        params = self._parameters[configuration]
        known = {name: distributions()[name] for name in params}
        state = TrialState.PRUNED if score is None else TrialState.COMPLETE
        self._study.add_trial(
            create_trial(state=state, value=score, params=params, distributions=known)
        )

    def _draw(self) -> Mapping[str, Any]:
        trial = self._study.ask()
        space().suggest(trial)
        drawn = dict(trial.params)
        self._study.tell(trial, state=TrialState.FAIL)
        return drawn

    def _nearest(self, drawn: Mapping[str, Any], left: Sequence[int]) -> int:
        return min(left, key=lambda each: distance(drawn, self._parameters[each]))


def distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return how unlike two candidates are, in [0, 1]: the mean over what either has drawn."""
    names = one.keys() | other.keys()
    shared = one.keys() & other.keys()
    apart = sum(_apart(distributions()[name], one[name], other[name]) for name in sorted(shared))
    return (apart + len(names) - len(shared)) / len(names)


def _apart(distribution: BaseDistribution, one: Any, other: Any) -> float:
    match distribution:
        case FloatDistribution(low=low, high=high, log=True):
            return abs(math.log(one / other)) / math.log(high / low)
        case FloatDistribution(low=low, high=high) | IntDistribution(low=low, high=high):
            return abs(one - other) / (high - low)
    return float(one != other)


@cache
def space() -> SearchSpace:
    """Return the space of the table."""
    return resolve([f"space={Path(__file__).with_name('tabular.yaml')}"]).space


@cache
def distributions() -> Mapping[str, BaseDistribution]:
    """Return what Optuna draws each parameter from."""
    found: dict[str, BaseDistribution] = {}
    for name, leaf in space().parameters().items():
        match leaf:
            case Choice():
                found[name] = CategoricalDistribution(leaf.labels)
            case Int(low, high, step, log):
                found[name] = IntDistribution(low, high, step=step, log=log)
            case Float(low, high, log):
                found[name] = FloatDistribution(low, high, log=log)
    return found
