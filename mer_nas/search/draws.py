"""What trials draw: by a sampler or as it is known, on paper before a study hears of it.

A setting can be drawn and then do nothing: what another one says decides. Whether it does is known
of a whole candidate alone. So a trial is drawn on paper first, and then suggested to Optuna less
the settings that do nothing: `Trial.params`, importance, the dashboard and the samplers know only
what made a difference.
"""

import copy
from collections.abc import Container, Mapping
from random import Random
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from mer_nas.search.samplers import ALTERNATIVE
from mer_nas.search.trials import IDLE, drawn_by
from mer_nas.space.domains import Float, Int


class KnownDraw:
    """Parameters that are known, such as a point's; what they leave open is left to chance."""

    def __init__(self, params: Mapping[str, Any], chance: Random) -> None:
        self._params = params
        self._chance = chance

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Return a label."""
        drawn = self._chance.choice(choices)
        return self._params.get(name, drawn)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Return a whole number."""
        drawn = Int(low, high, step, log).draw(self._chance)
        return int(self._params.get(name, drawn))

    def suggest_float(
        self,
        name: str,
        low: float,
        high: float,
        *,
        step: float | None = None,
        log: bool = False,
    ) -> float:
        """Return a number."""
        drawn = Float(low, high, log).draw(self._chance)
        return float(self._params.get(name, drawn))


class TrialDraw:
    """What a trial draws, or would as one of its alternatives; its study hears nothing of it.

    Args:
        study: Whose sampler draws.
        trial: What is known of it already stays: what it has drawn, and what it was given.
        alternative: Which of its alternatives; by default the one that was chosen.
    """

    def __init__(
        self, study: optuna.Study, trial: FrozenTrial, alternative: int | None = None
    ) -> None:
        self._study = study
        self._trial = trial
        if alternative is not None:
            self._trial = copy.copy(trial)
            self._trial.user_attrs = {**trial.user_attrs, ALTERNATIVE: alternative}
        sampler = study.sampler
        space = sampler.infer_relative_search_space(study, self._trial)
        given = trial.system_attrs.get("fixed_params", {})  # of one that was enqueued
        relative = sampler.sample_relative(study, self._trial, space)
        self._known = {**relative, **given, **drawn_by(trial)}
        self._asked: dict[str, BaseDistribution] = {}

    @classmethod
    def of(cls, trial: optuna.Trial) -> "TrialDraw":
        """Return what a trial that runs draws."""
        return cls(trial.study, trial.study.get_trials(deepcopy=False)[trial.number])

    @property
    def params(self) -> dict[str, Any]:
        """What was asked for and drawn, by name."""
        return {name: self._known[name] for name in self._asked}

    def record(self, trial: optuna.Trial, idle: Container[str] = ()) -> None:
        """Suggest to a trial what was drawn for it.

        Args:
            trial: The trial.
            idle: Names whose values are no parameters of it, and noted beside them.
        """
        without = {name: value for name, value in self.params.items() if name in idle}
        trial.set_user_attr(IDLE, without)  # first: what a killed driver left is drawn the same
        trial._fixed_params = self.params  # else a sampler that cannot repeat would draw anew
        for name, distribution in self._asked.items():
            if name not in idle:
                _suggest(trial, name, distribution)

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Draw a label."""
        return self._drawn(name, CategoricalDistribution(choices))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Draw a whole number."""
        return int(self._drawn(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_float(
        self,
        name: str,
        low: float,
        high: float,
        *,
        step: float | None = None,
        log: bool = False,
    ) -> float:
        """Draw a number."""
        return float(self._drawn(name, FloatDistribution(low, high, log=log, step=step)))

    def _drawn(self, name: str, distribution: BaseDistribution) -> Any:
        self._asked[name] = distribution
        if name not in self._known:
            self._known[name] = self._study.sampler.sample_independent(
                self._study, self._trial, name, distribution
            )
        return self._known[name]


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> None:
    match distribution:
        case CategoricalDistribution(choices=choices):
            trial.suggest_categorical(name, choices)
        case IntDistribution(low=low, high=high, step=step, log=log):
            trial.suggest_int(name, low, high, step=step, log=log)
        case FloatDistribution(low=low, high=high, step=step, log=log):
            trial.suggest_float(name, low, high, step=step, log=log)
