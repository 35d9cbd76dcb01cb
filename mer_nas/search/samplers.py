"""Who proposes: Optuna's samplers, such that every draw can be repeated.

Optuna's samplers carry random states from draw to draw; a driver that is killed loses them, and
after a restart the same or other proposals come. Here each draw has a state of its own, seeded
from the seed of the study, the number of the trial and the name of the parameter, and from which
of the trial's alternatives it is for. So a draw depends on these and on the trials told before it,
and on nothing else: a proposal that was half drawn when the driver was killed continues as it
would have.

TPE models together what always comes together (`Groups`), each group apart from the others. A
space with many choices has hundreds of parameters in a hundred groups, and a draw asks for few of
them; so a group is drawn when the first of its parameters is asked for.

The Gaussian process looks for the one best point, which takes seconds, so the alternatives of a
trial share what it models and differ in what it leaves open, such as settings of a chosen block.

A sampler that models scores learns nothing from proposals that were infeasible or duplicates, and
may make the same one for ever. So after a few in a row the next are drawn at random.
"""

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from mer_nas import files
from mer_nas.search.class_paths import made
from mer_nas.search.config import Sampler

POPULATION = 12
"""Candidates in a generation of the evolutionary sampler."""
ALTERNATIVE = "alternative"
"""User attribute of a trial: which of its alternatives it is, from 0, which is all there is where
costs do not weigh."""
STUBBORN = 3
"""Proposals in a row that came to nothing, after which the next is drawn at random."""


class Groups:
    """Parameters that are in the same complete trials of a study.

    These are the groups of Optuna's `TPESampler(group=True)`, which works them out from the first
    trial on whenever it is asked.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._spaces: dict[str, BaseDistribution] = {}
        self._trials: dict[str, int] = {}
        """The complete trials that each parameter is in, as the bits of a number."""

    def read(self, study: Study) -> None:
        """Take in the trials that have been completed since."""
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            bit = 1 << trial.number
            if self._seen & bit:
                continue
            self._seen |= bit
            for name, distribution in trial.distributions.items():
                if not distribution.single():
                    self._spaces.setdefault(name, distribution)
                    self._trials[name] = self._trials.get(name, 0) | bit

    def of(self, name: str) -> dict[str, BaseDistribution]:
        """Return the parameters of a group, by name; none where no complete trial has this one."""
        found = self._trials.get(name)
        names = sorted(each for each, trials in self._trials.items() if trials == found)
        return {each: self._spaces[each] for each in names}


class RepeatableSampler(BaseSampler):
    """Gives every draw a sampler that knows nothing of earlier draws.

    Args:
        name: As in `study.sampler`.
        startup: Trials that are drawn at random before the sampler models anything.
        seed: Seed of the study.
    """

    def __init__(self, name: Sampler, startup: int, seed: int) -> None:
        self.name = name
        self.startup = startup
        self.seed = seed
        self._relative: BaseSampler = self._sampler("0", "")
        self._stuck = (-1, False)
        self._joint: tuple[int, dict[str, Any]] = (-1, {})
        """What was drawn together for the trial of that number, where alternatives share it."""
        self._groups = Groups()
        self._grouped: tuple[str, dict[str, Any]] = ("", {})
        """What was drawn in groups for the alternative of a trial that `_which` names."""

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Let the sampler prepare what it has to."""
        self._sampler(_which(trial), "before").before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters that are drawn together."""
        if self.name == "tpe" or self._is_stuck(study, trial):
            return {}
        which = str(trial.number) if self.name == "gp" else _which(trial)
        self._relative = self._sampler(which, "")
        return self._relative.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw the parameters that are drawn together."""
        if not search_space:
            return {}
        if self.name != "gp":
            return self._relative.sample_relative(study, trial, search_space)
        if self._joint[0] != trial.number:
            drawn = self._relative.sample_relative(study, trial, search_space)
            self._joint = (trial.number, drawn)
        return self._joint[1]

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one of the other parameters."""
        name: Sampler = "random" if self._is_stuck(study, trial) else self.name
        if name == "tpe":
            drawn = self._group(study, trial, param_name, param_distribution)
            if param_name in drawn:
                return drawn[param_name]
        sampler = build_sampler(
            name, self.startup, _draw_seed(self.seed, _which(trial), param_name)
        )
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Any,
    ) -> None:
        """Let the sampler note what it has to."""
        self._sampler(_which(trial), "after").after_trial(study, trial, state, values)

    def _group(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> dict[str, Any]:
        """Return what is drawn in groups for a trial, that of one parameter among them.

        Nothing is where too few trials are finished to model anything.
        """
        which = _which(trial)
        if self._grouped[0] != which:
            self._groups.read(study)
            self._grouped = (which, {})
        drawn = self._grouped[1]
        if name not in drawn:
            group = self._groups.of(name)
            if group.get(name) != distribution:  # of no complete trial, or of another range
                group = {name: distribution}
            sampler = self._sampler(which, "\n".join(group))
            drawn |= sampler.sample_relative(study, trial, group)
        return drawn

    def _is_stuck(self, study: Study, trial: FrozenTrial) -> bool:
        if self._stuck[0] != trial.number:
            earlier = study.get_trials(deepcopy=False)[: trial.number]
            done = [t for t in earlier if t.state.is_finished()][-STUBBORN:]
            rejected = [t.user_attrs.get("outcome") in ("infeasible", "duplicate") for t in done]
            self._stuck = (trial.number, len(rejected) == STUBBORN and all(rejected))
        return self._stuck[1]

    def _sampler(self, which: str, parameter: str) -> BaseSampler:
        return build_sampler(self.name, self.startup, _draw_seed(self.seed, which, parameter))


def build_sampler(name: Sampler, startup: int, seed: int) -> BaseSampler:
    """Return Optuna's sampler for `name`, or of that class, in its initial state.

    Raises:
        ConfigError: The class is no sampler, or cannot be made.
    """
    samplers = optuna.samplers
    match name:
        case "random" | "grid" | "points":  # what a row leaves open is left to chance
            return samplers.RandomSampler(seed=seed)
        case "gp":
            return samplers.GPSampler(
                seed=seed, n_startup_trials=startup, warn_independent_sampling=False
            )
        case "evolutionary":
            return samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
        case "tpe":
            return samplers.TPESampler(n_startup_trials=startup, seed=seed, multivariate=True)
        case path:
            return made("study.sampler", path, BaseSampler, seed=seed)  # type: ignore[type-abstract]


def _which(trial: FrozenTrial) -> str:
    """Return what stands for one alternative of a trial: "7", then "7.1", "7.2" and so on."""
    alternative = trial.user_attrs.get(ALTERNATIVE, 0)
    return f"{trial.number}.{alternative}" if alternative else f"{trial.number}"


def _draw_seed(study_seed: int, which: str, parameter: str) -> int:
    """Return the seed of one draw, in [0, 2**32)."""
    text = f"{study_seed}/{which}/{parameter}"
    return int(files.digest(text)[:8], 16)
