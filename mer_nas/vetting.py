"""Whether the search of a space would mean what its file says.

Draws are brought into a form that fits, such as fewer chosen experts where few are drawn. That
must not hide what the file itself has wrong: a point that breaks a rule, a space without a
feasible draw, or a value that every draw turns into another.
"""

from __future__ import annotations

import inspect
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from mer_nas.architectures import Architecture, Cost, Network, parse, parse_drawn
from mer_nas.architectures.canonical import canonical_form
from mer_nas.architectures.extensions import counts_for, load_extensions
from mer_nas.architectures.user_blocks import describe, is_user_block, record_built
from mer_nas.architectures.walk import walk
from mer_nas.config.base import Tree, validate
from mer_nas.config.overrides import merge
from mer_nas.data.own_inputs import OWN_INPUTS, try_inputs
from mer_nas.errors import ConfigError, Infeasible, MerNasError, shown
from mer_nas.evaluation.deterministic import deterministic
from mer_nas.evaluation.own_metrics import try_metrics
from mer_nas.inputs import ACTION_UNITS
from mer_nas.search.effects import is_idle
from mer_nas.space import SearchSpace
from mer_nas.space.domains import BlockNode, Choice, Leaf
from mer_nas.space.settings import Setting, stands
from mer_nas.systems import System, draws, parsed, published_systems
from mer_nas.training.config import TrainerConfig
from mer_nas.training.fit import TrainingDiverged, fit
from mer_nas.training.losses import Targets
from mer_nas.training.own_augmentations import AUGMENTATIONS, refuse_unknown
from mer_nas.training.own_losses import LOSSES, OWN, try_loss
from mer_nas.wording import brief

MAX_DRAWS = 100
"""Draws after which a space without a feasible one counts as empty."""
_MIN_FEASIBLE = 5
"""Feasible draws of these below which a search would mostly draw in vain."""
_FIRST_DRAWS = 24
"""Draws in which most values are met, before those that are left are asked for."""
_MAX_TRIES = 64
"""Draws with a value of which one must keep it."""
_MAX_VAIN = 16
"""Draws with a value that may pass without its setting, or without a difference that it makes."""
_CLASSES, _CLIPS = 3, 4
"""Of the step that a network with blocks of the user's own is tried with."""
_MAX_LOST = 5
"""Settings with values that stand in no draw after which no more are looked for."""


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


def check(space: SearchSpace, trainer: TrainerConfig, *, drawn: bool = True) -> CheckedSpace:
    """Vet a space, build its points and references, and draw from it.

    Args:
        space: The space.
        trainer: What it does not draw of the training recipe.
        drawn: Whether the search will draw from it, and not only try its points.

    Raises:
        ConfigError: An unknown block or setting, or a value of a wrong type or range.
        Infeasible: A point breaks a rule of the grammar, or no draw is feasible.
    """
    notes = tuple(vet(space, trainer, drawn=drawn))
    found = tuple(published_systems(space))
    lost = [draw.reason for draw in draws(space, MAX_DRAWS) if draw.reason]
    kinds = Counter(map(_kind, lost))
    examples = {_kind(reason): reason for reason in reversed(lost)}
    reasons = {examples[kind]: times for kind, times in kinds.most_common()}
    return CheckedSpace(space, found, MAX_DRAWS, reasons, notes)


def _kind(reason: str) -> str:
    """Return why a draw is infeasible without the numbers, so that like reasons count together."""
    return re.sub(r"\d[\d,.]*", "#", reason)


def vet(space: SearchSpace, trainer: TrainerConfig, *, drawn: bool = True) -> list[str]:
    """Refuse a space whose search would not mean what its file says.

    Args:
        space: The space.
        trainer: What it does not draw of the training recipe.
        drawn: Whether the search will draw from it, and not only try its points.

    Returns:
        What a reader should know though it can be searched, a sentence each.

    Raises:
        ConfigError: An unknown block or setting, or a value of a wrong type or range.
        Infeasible: A point breaks a rule of the grammar, no draw is feasible, or a value of the
            file stands in no draw; the message names the places.
    """
    load_extensions(space.extensions)
    _try_recipe(space, trainer)
    try_metrics(space.extensions)
    try_inputs()
    for point in space.file.points:
        network = parsed(point, f"{space.place}: {point.name}")
        _refuse_unnamed(space, _parts(network))
        own = any(is_user_block(visit.part) for visit in walk(network))
        if own or trainer.augment.own:
            try_own(network, trainer)
    costly = list(_costly(space))
    if not drawn:
        return costly
    _train(space, trainer)
    few = list(_scarce(space))
    found = _Values(space, trainer)
    lost = found.look()
    if lost and not space.words:  # words may leave a space more than they use
        raise Infeasible("\n".join(lost))
    return costly + lost + few + (found.without_effect() if len(lost) < _MAX_LOST else [])


def _try_recipe(space: SearchSpace, trainer: TrainerConfig) -> None:
    """Ask what a recipe has of the user's own about a few clips.

    Raises:
        ConfigError: There is no such loss or augmentation, or the loss fails.
    """
    try_loss(trainer.loss)
    refuse_unknown(trainer.augment.own)
    used: dict[str, Callable[..., object]] = {n: AUGMENTATIONS[n] for n in trainer.augment.own}
    if trainer.loss.startswith(OWN):
        used[trainer.loss] = LOSSES[trainer.loss.removeprefix(OWN)]
    _refuse_unnamed(space, used)


def _parts(network: Architecture) -> dict[str, Callable[..., object]]:
    """Return what a network has and reads of the user's own, by name."""
    inputs = {name: OWN_INPUTS[name] for name in network.inputs if name in OWN_INPUTS}
    blocks = (visit.part for visit in walk(network))
    return inputs | {part.kind: type(part) for part in blocks if is_user_block(part)}


def _refuse_unnamed(space: SearchSpace, used: Mapping[str, Callable[..., object]]) -> None:
    """Refuse what this process knows of another space, and no copy of this one would.

    Args:
        space: The space.
        used: What its candidates have of the user's own, by name.

    Raises:
        ConfigError: A file that it does not name defines it.
    """
    for name, defined in used.items():
        if not counts_for(defined, space.extensions):
            file = Path(inspect.getfile(defined))
            raise ConfigError(
                f"{space.place}: {name!r} is of {file.name}, which another space has loaded and "
                f"this one does not name; extensions: [{file.name}] would be right"
            )


def _costly(space: SearchSpace) -> Iterator[str]:
    """Yield which points cost more than the space allows, as a word may have it: none is tried."""
    for point in space.file.points:
        cost = Cost.of(parsed(point, f"{space.place}: {point.name}"), _CLASSES)
        try:
            space.limits.hold(f"{space.place}: {point.name}", params=cost.deployed, macs=cost.macs)
        except Infeasible as reason:
            yield f"{reason}; this point is not tried"


def try_own(network: Architecture, trainer: TrainerConfig) -> None:
    """Count a network with blocks of the user's own, train it for a step and ask it, on the CPU.

    Args:
        network: Of whatever blocks.
        trainer: The recipe.

    Raises:
        BlockError: One of the user's own fails, gives another shape than it says, or no numbers.
        ConfigError: The loss is none, the training step fails, or a network that is given the
            state of another does not answer as that one does.
    """
    own = {visit.part.kind for visit in walk(network) if is_user_block(visit.part)}
    kinds = ", ".join(sorted(own)) or "the network"
    try:
        Cost.of(network, _CLASSES)
        same = _answers_as_its_state(network, trainer)
    except MerNasError:
        raise
    except (Exception, SystemExit) as error:  # code of the user's may fail of anything
        said = str(error) if isinstance(error, TrainingDiverged) else describe(error)
        raise ConfigError(f"a training step of {kinds} with noise: {said}") from error
    if not same:
        raise ConfigError(
            f"a network of {kinds} that is given the state of another answers otherwise, and so "
            "would its export: it holds numbers that its state_dict() has not; layers belong into "
            "a ModuleList, tables into register_buffer"
        )


def _answers_as_its_state(network: Architecture, trainer: TrainerConfig) -> bool:
    """Train a network for a step; return whether another with its state answers as it does."""
    step = trainer.model_copy(update={"epochs": None, "steps": 1, "batch": _CLIPS})
    with deterministic(0, torch.device("cpu")), record_built() as own:
        built = Network(network, _CLASSES).train()
        clips = {name: torch.rand(_CLIPS, *network.shapes[name]) for name in network.inputs}
        targets = Targets(torch.arange(_CLIPS) % _CLASSES, torch.zeros(_CLIPS, len(ACTION_UNITS)))
        with own.checked(_CLIPS):
            fit(built, clips, targets, step, seed=0, auxiliary=network.losses.weights)
            answers = built.eval()(*clips.values())
        torch.manual_seed(1)
        other = Network(network, _CLASSES).eval()
        other.load_state_dict(built.state_dict())
        return torch.allclose(other(*clips.values()), answers, equal_nan=True)


def _scarce(space: SearchSpace) -> Iterator[str]:
    """Yield that few draws are feasible, with the most frequent reasons, if so.

    Raises:
        Infeasible: None is.
    """
    feasible, reasons = 0, Counter[str]()
    number = MAX_DRAWS if space.parameters() else 1
    for draw in draws(space, number):
        feasible += not draw.reason
        reasons.update([draw.reason] if draw.reason else [])
        if feasible == _MIN_FEASIBLE:
            return
    often = "; ".join(f"{times} x {why}" for why, times in reasons.most_common(3))
    if not feasible:
        raise Infeasible(f"{space.place}: 0 of {number} draws feasible: {often}")
    if number > 1:
        yield f"{space.place}: {feasible} of {number} draws feasible: {often}"


def _train(space: SearchSpace, trainer: TrainerConfig) -> None:
    """Refuse a training recipe that some draw would not be.

    Raises:
        ConfigError: Which setting, and what is wrong with its value.
    """
    entries = {key: node for key, node in space.tree.entries.items() if key == "trainer"}
    part = _Asked(replace(space, tree=BlockNode(entries)))
    wrong: list[str] = []
    for setting in Setting.of(part.space.tree):
        for value in setting.values:
            try:
                tree = part.draw({setting.written: value, **dict(setting.within)}).tree
                recipe = merge(trainer.model_dump(mode="json"), tree.get("trainer", {}))
                drawn = validate(TrainerConfig, recipe, f"{space.place}: trainer")
                _try_recipe(space, drawn)
            except Infeasible:
                continue  # a relation keeps it out
            except ConfigError as error:
                wrong += str(error).splitlines()
    if wrong:
        raise ConfigError("\n".join(dict.fromkeys(wrong)))


@dataclass(frozen=True)
class _Draw:
    tree: Tree
    params: dict[str, Any]


class _Asked:
    """Draws from a space that have the values that are asked for.

    Of the items of a list all have them, or in every second draw about half.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._written = {setting.name: setting.written for setting in Setting.of(space.tree)}
        self._chance = random.Random(0)
        self._all = False

    def draw(self, wanted: Mapping[str, Any]) -> _Draw:
        """Return a draw.

        Args:
            wanted: Values by how an override calls the setting.

        Raises:
            Infeasible: A `require` of the space does not hold.
        """
        params: dict[str, Any] = {}
        self._all = not self._all

        def chosen(name: str, leaf: Leaf) -> Any:
            params[name] = leaf.draw(self._chance)
            if self._written[name] in wanted and (self._all or self._chance.random() < 0.5):
                params[name] = _label(leaf, wanted[self._written[name]])
            return params[name]

        return _Draw(self.space.fill(chosen), params)


def _label(leaf: Leaf, value: Any) -> Any:
    if not isinstance(leaf, Choice):
        return value
    # 2 and 2.0 are one value, and true is not 1.
    return next(a for a, b in zip(leaf.labels, leaf.values, strict=True) if repr(b) == repr(value))


@dataclass
class _Values:
    """Which values of a space stand in a draw, and which of its parameters matter."""

    space: SearchSpace
    trainer: TrainerConfig
    kept: set[tuple[str, str]] = field(default_factory=set)
    """Settings with a value that a draw kept."""
    changed: dict[tuple[str, str], str] = field(default_factory=dict)
    """Settings with a value that a draw did not keep, and what it has against it."""
    matter: set[str] = field(default_factory=set)
    """Open settings of which another value would have made another network."""

    tried: Counter[str] = field(default_factory=Counter)
    """Draws in which it was asked whether a setting matters."""

    tried_own: set[str] = field(default_factory=set)
    """Kinds of the user's own blocks that a clip went through."""

    def __post_init__(self) -> None:
        self._asked = _Asked(self.space)
        every = Setting.of(self.space.tree)
        network = (s for s in every if s.at[:1] == ("architecture",))
        self._settings = list({s.written: s for s in network}.values())

    def look(self) -> list[str]:
        """Draw until every value was kept, or asked for often enough.

        Returns:
            The values that no draw keeps, by setting, with a reason.
        """
        for _ in range(_FIRST_DRAWS):
            self._look({})
        lost: list[str] = []
        for setting in self._settings:
            if len(lost) < _MAX_LOST:
                lost += self._lost(setting)
        return lost

    def _lost(self, setting: Setting) -> Iterator[str]:
        keys = {(setting.written, repr(value)): value for value in setting.values}
        for key, value in keys.items():
            wanted = {setting.written: value, **dict(setting.within)}
            for number in range(_MAX_TRIES):
                if key in self.kept or (number == _MAX_VAIN and key not in self.changed):
                    break
                self._look(wanted)
        gone = [key for key in keys if key in self.changed and key not in self.kept]
        if gone:
            values = ", ".join(value for _, value in gone)
            why = self.changed[gone[0]].removeprefix(f"{self.space.place}: ")
            found = f"no draw of {_MAX_TRIES} keeps {values}"
            yield f"{self.space.place}: {setting.written}: {found}: {why}"

    def without_effect(self) -> list[str]:
        """Return the parameters that matter in no draw."""
        changed = {written for written, _ in self.changed}
        names = [
            s.written
            for s in self._settings
            if s.is_open and s.written not in self.matter | changed
        ]
        what = "this parameter changes" if len(names) == 1 else "these parameters change"
        place = self.space.place
        return [f"{place}: {what} nothing in any draw: {', '.join(names)}"] if names else []

    def _look(self, wanted: Mapping[str, Any]) -> None:
        """Draw, and note which values are kept."""
        place = f"{self.space.place}: architecture"
        try:
            draw = self._asked.draw(wanted)
        except Infeasible:
            return  # a `require` of the space says so itself
        tree = draw.tree["architecture"]
        before, rules = canonical_form(tree, place).model_dump(mode="json"), _rules(tree, place)
        network, after = None, Tree()
        try:
            network = parse_drawn(tree, place)
            after = network.model_dump(mode="json")
            self._try_own(network)
        except Infeasible as error:
            rules += str(error).splitlines()
        for setting in Setting.of(self.space.tree, draw.params):
            if setting.at[:1] != ("architecture",):
                continue
            self._compare(setting, draw.params, before, after, rules)
            if network and setting.name in draw.params:
                self._weigh(setting, draw.params, network, after)

    def _try_own(self, network: Architecture) -> None:
        """Let a clip through blocks of the user's own, each kind once.

        Raises:
            BlockError: One fails, or gives another shape than it says.
        """
        _refuse_unnamed(self.space, parts := _parts(network))
        own = set(parts)
        own |= {f"augment.own.{name}" for name in self.trainer.augment.own}
        if own - self.tried_own:
            self.tried_own |= own
            try_own(network, self.trainer)

    def _weigh(
        self, setting: Setting, params: Mapping[str, Any], network: Architecture, tree: Tree
    ) -> None:
        """Note whether another value of a parameter would have made another network."""
        written = setting.written
        if written in self.matter or self.tried[written] == _MAX_VAIN:
            return
        self.tried[written] += 1
        if not is_idle(self.space, params, network, tree, setting):
            self.matter.add(written)

    def _compare(
        self,
        setting: Setting,
        params: Mapping[str, Any],
        before: Tree,
        after: Tree,
        rules: list[str],
    ) -> None:
        """Note whether a value is after all repairs what it was before."""
        key = setting.written, repr(setting.value(params))
        if key in self.kept:
            return
        for way in setting.ways(before):
            # What is neutral may be left out of a closed form.
            now = stands(after, way)
            if now == stands(before, way) and isinstance(stands(after, way[:-1]), dict | list):
                self.kept.add(key)
                return
            place = ".".join(map(str, way[:-1]))
            broken = [rule for rule in rules if f".{place}:" in rule or f".{place}." in rule]
            if broken or key not in self.changed:
                self.changed[key] = (broken or rules or [f"it becomes {shown(now)}"])[0]


def _rules(tree: Tree, place: str) -> list[str]:
    """Return the rules that a draw breaks before it is brought into form."""
    try:
        parse(tree, place, searched=True)
    except Infeasible as error:
        return str(error).splitlines()
    return []
