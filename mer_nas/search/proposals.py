"""From a trial's draws to a candidate that can be trained, or the reason why there is none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import optuna

from mer_nas.architectures import Architecture, Cost, parse_drawn
from mer_nas.architectures.cost import counted
from mer_nas.config.base import validate
from mer_nas.config.overrides import merge
from mer_nas.errors import ConfigError, Infeasible, TrainingFailed
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.timing import Timing, clock
from mer_nas.search.alternatives import Draft
from mer_nas.search.draws import TrialDraw
from mer_nas.search.effects import is_idle
from mer_nas.space import SearchSpace
from mer_nas.space.search_space import Limits, Suggester
from mer_nas.space.settings import Setting
from mer_nas.training.config import TrainerConfig


@dataclass(frozen=True)
class Proposal:
    """A candidate that was drawn and may be trained."""

    candidate: Candidate
    cost: Cost
    timing: Timing | None = None
    """None where no limit asks for it."""
    idle: tuple[str, ...] = ()
    """Settings that were drawn and make no difference to the candidate: no parameters of it."""


Propose = Callable[[optuna.Trial], Proposal]
"""Draws a candidate; raises `Infeasible` where the draws make none."""


@dataclass(frozen=True)
class Proposer:
    """Draws candidates from a space."""

    space: SearchSpace
    trainer: TrainerConfig
    """What the space does not draw of the training recipe."""
    classes: int

    def __call__(self, trial: optuna.Trial) -> Proposal:
        """Draw, fit the blocks to each other, and hold the network against the limits.

        The trial hears of the settings that make a difference; of all of them, where none of a
        candidate that may not be trained is known to make none.

        Raises:
            Infeasible: The draws break a rule that no repair puts right, or a limit, or come to
                a block of the user's own that cannot be built.
        """
        draw = TrialDraw.of(trial)
        try:
            with _one_draw():
                candidate = self._drawn(draw)
                limits, place = self.space.limits, self.space.name
                cost, timing = check_limits(candidate, self.classes, limits, place)
        except Infeasible:
            draw.record(trial)
            raise
        unused = tuple(self._idle(draw.params, candidate.architecture))
        draw.record(trial, idle=unused)
        return Proposal(candidate, cost, timing, unused)

    def draft(self, suggester: Suggester) -> Draft:
        """Draw, and count what training would take; hold it against the limits but those of time.

        Raises:
            Infeasible: As for a trial.
        """
        with _one_draw():
            candidate = self._drawn(suggester)
            cost, effort = counted(candidate.architecture, self.classes)
            self.space.limits.hold(self.space.name, params=cost.deployed, macs=cost.macs)
        return Draft(candidate, effort)

    def _drawn(self, suggester: Suggester) -> Candidate:
        place = self.space.name
        tree = self.space.suggest(suggester)
        architecture = parse_drawn(tree["architecture"], place)
        settings = merge(self.trainer.model_dump(), tree.get("trainer", {}))
        trainer = validate(TrainerConfig, settings, f"{place}: trainer")
        return Candidate(architecture, trainer)

    def _idle(self, drawn: dict[str, Any], network: Architecture) -> Iterator[str]:
        """Yield the parameters without which the network would be the same, whatever they are."""
        tree = network.model_dump(mode="json")
        for setting in Setting.of(self.space.tree, drawn):
            if setting.name in drawn and is_idle(self.space, drawn, network, tree, setting):
                yield setting.name


@contextmanager
def _one_draw() -> Iterator[None]:
    """Take a mistake for one of a single draw: the others go on.

    Raises:
        Infeasible: There was one.
    """
    try:
        yield
    except ConfigError as error:
        raise Infeasible(str(error)) from error


def check_limits(
    candidate: Candidate, classes: int, limits: Limits, place: str
) -> tuple[Cost, Timing | None]:
    """Return what a candidate costs, held against the limits of its space before it is trained.

    Args:
        candidate: What was drawn.
        classes: Of its data.
        limits: What it may cost.
        place: How the user knows the space.

    Returns:
        Its cost, and its times on this machine; those only where a limit speaks of them.

    Raises:
        Infeasible: It costs more than a limit allows, or fails while it is timed.
    """
    cost = Cost.of(candidate.architecture, classes)
    limits.hold(place, params=cost.deployed, macs=cost.macs)
    if not limits.timed:
        return cost, None
    try:
        timing = clock(candidate, classes)
    except TrainingFailed as error:
        raise Infeasible(f"{place}: {error}") from error
    limits.hold(place, step_ms=timing.step_ms, clip_ms=timing.clip_ms)
    return cost, timing
