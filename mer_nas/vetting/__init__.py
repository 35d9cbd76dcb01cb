"""Whether the search of a space would mean what its file says.

Draws are brought into a form that fits, such as fewer chosen experts where few are drawn. That
must not hide what the file itself has wrong: a point that breaks a rule, a space without a
feasible draw, or a value that every draw turns into another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from mer_nas.architectures import Cost
from mer_nas.architectures.extensions import load_extensions
from mer_nas.config.base import validate
from mer_nas.config.overrides import merge
from mer_nas.data.own_inputs import try_inputs
from mer_nas.errors import ConfigError, Infeasible
from mer_nas.evaluation.own_metrics import try_metrics
from mer_nas.space import SearchSpace
from mer_nas.space.domains import BlockNode
from mer_nas.space.settings import Setting
from mer_nas.systems import System, draws, parsed, published_systems
from mer_nas.training.config import TrainerConfig
from mer_nas.vetting.own import (
    NOISE,
    Noise,
    idle_note,
    own_parts,
    refuse_unnamed,
    try_own,
    try_recipe,
)
from mer_nas.vetting.values import MAX_LOST, Asked, Values
from mer_nas.wording import brief, numberless

MAX_DRAWS = 100
"""Draws after which a space without a feasible one counts as empty."""
_MIN_FEASIBLE = 5
"""Feasible draws of these below which a search would mostly draw in vain."""


@dataclass(frozen=True)
class CheckedSpace:
    """A space that is well formed, and what is in it."""

    space: SearchSpace
    systems: tuple[System, ...]
    draws: int
    """How often it was drawn from at random."""
    reasons: Mapping[str, int]
    """Why draws were infeasible, the likes of one example counted together, the most first."""
    notes: tuple[str, ...]
    """What a reader should know though it can be searched, a sentence each."""

    def __repr__(self) -> str:
        """Return which space it is, and how much of it is feasible."""
        facts = [("space", self.space.name), ("systems", len(self.systems))]
        return brief(self, [*facts, ("feasible", self.feasible), ("notes", len(self.notes))])

    @property
    def feasible(self) -> float:
        """Share of the draws that is feasible, in [0, 1]."""
        return 1 - sum(self.reasons.values()) / self.draws


def check(
    space: SearchSpace, trainer: TrainerConfig, noise: Noise = NOISE, *, drawn: bool = True
) -> CheckedSpace:
    """Vet a space, build its points and references, and draw from it.

    Args:
        space: The space.
        trainer: What it does not draw of the training recipe.
        noise: What parts of the user's own are asked about.
        drawn: Whether the search will draw from it, and not only try its points.

    Raises:
        ConfigError: An unknown block or setting, or a value of a wrong type or range.
        Infeasible: A point breaks a rule of the grammar, or no draw is feasible.
    """
    notes = tuple(vet(space, trainer, noise, drawn=drawn))
    found = tuple(published_systems(space, noise.classes))
    lost = [draw.reason for draw in draws(space, MAX_DRAWS, noise.classes) if draw.reason]
    kinds = Counter(map(numberless, lost))
    examples = {numberless(reason): reason for reason in reversed(lost)}
    reasons = {examples[kind]: times for kind, times in kinds.most_common()}
    return CheckedSpace(space, found, MAX_DRAWS, reasons, notes)


def vet(
    space: SearchSpace, trainer: TrainerConfig, noise: Noise = NOISE, *, drawn: bool = True
) -> list[str]:
    """Refuse a space whose search would not mean what its file says.

    Args:
        space: The space.
        trainer: What it does not draw of the training recipe.
        noise: What parts of the user's own are asked about.
        drawn: Whether the search will draw from it, and not only try its points.

    Returns:
        What a reader should know though it can be searched, a sentence each.

    Raises:
        ConfigError: An unknown block or setting, or a value of a wrong type or range.
        Infeasible: A point breaks a rule of the grammar, no draw is feasible, or a value of the
            file stands in no draw; the message names the places.
    """
    load_extensions(space.extensions)
    try_recipe(space, trainer, noise.classes)
    try_metrics(space.extensions, noise.classes)
    try_inputs(noise.frames, noise.face)
    notes = list(_costly(space, noise.classes))
    for point in space.file.points:
        network = parsed(point, place := f"{space.place}: {point.name}")
        refuse_unnamed(space, own := own_parts(network))
        if (own or trainer.augment.own) and (idle := try_own(network, trainer, noise.classes)):
            notes.append(idle_note(place, idle))
    if not drawn:
        return notes
    _train(space, trainer, noise.classes)
    few = list(_scarce(space, noise.classes))
    found = Values(space, trainer, noise.classes)
    lost = found.look()
    if lost and not space.words:  # words may leave a space more than they use
        raise Infeasible("\n".join(lost))
    notes += lost + few
    if found.idle:
        notes.append(idle_note(space.place, list(found.idle)))
    return notes + (found.without_effect() if len(lost) < MAX_LOST else [])


def _costly(space: SearchSpace, classes: int) -> Iterator[str]:
    """Yield which points cost more than the space allows, as a word may have it: none is tried."""
    for point in space.file.points:
        cost = Cost.of(parsed(point, f"{space.place}: {point.name}"), classes)
        try:
            space.limits.hold(f"{space.place}: {point.name}", params=cost.deployed, macs=cost.macs)
        except Infeasible as reason:
            yield f"{reason}; this point is not tried"


def _scarce(space: SearchSpace, classes: int) -> Iterator[str]:
    """Yield that few draws are feasible, with the most frequent reasons, if so.

    Raises:
        Infeasible: None is.
    """
    feasible, reasons = 0, Counter[str]()
    number = MAX_DRAWS if space.parameters() else 1
    for draw in draws(space, number, classes):
        feasible += not draw.reason
        reasons.update([draw.reason] if draw.reason else [])
        if feasible == _MIN_FEASIBLE:
            return
    often = "; ".join(f"{times} x {why}" for why, times in reasons.most_common(3))
    if not feasible:
        raise Infeasible(f"{space.place}: 0 of {number} draws feasible: {often}")
    if number > 1:
        yield f"{space.place}: {feasible} of {number} draws feasible: {often}"


def _train(space: SearchSpace, trainer: TrainerConfig, classes: int) -> None:
    """Refuse a training recipe that some draw would not be.

    Raises:
        ConfigError: Which setting, and what is wrong with its value.
    """
    entries = {key: node for key, node in space.tree.entries.items() if key == "trainer"}
    part = Asked(replace(space, tree=BlockNode(entries)))
    wrong: list[str] = []
    for setting in Setting.of(part.space.tree):
        for value in setting.values:
            try:
                tree = part.draw({setting.written: value, **dict(setting.within)}).tree
                recipe = merge(trainer.model_dump(mode="json"), tree.get("trainer", {}))
                drawn = validate(TrainerConfig, recipe, f"{space.place}: trainer")
                try_recipe(space, drawn, classes)
            except Infeasible:
                continue  # a relation keeps it out
            except ConfigError as error:
                wrong += str(error).splitlines()
    if wrong:
        raise ConfigError("\n".join(dict.fromkeys(wrong)))
