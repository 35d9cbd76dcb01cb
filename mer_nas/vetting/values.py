"""Which values of a space stand in a draw after all repairs, and which parameters matter."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mer_nas.architectures import Architecture, parse, parse_drawn
from mer_nas.architectures.canonical import canonical_form
from mer_nas.config.base import Tree
from mer_nas.errors import Infeasible, shown
from mer_nas.search.effects import is_idle
from mer_nas.space import SearchSpace
from mer_nas.space.domains import Choice, Leaf
from mer_nas.space.settings import Setting, stands
from mer_nas.training.config import TrainerConfig
from mer_nas.vetting.own import own_parts, refuse_unnamed, try_own

_FIRST_DRAWS = 24
"""Draws in which most values are met, before those that are left are asked for."""
_MAX_TRIES = 64
"""Draws with a value of which one must keep it."""
_MAX_VAIN = 16
"""Draws with a value that may pass without its setting, or without a difference that it makes."""
MAX_LOST = 5
"""Settings with values that stand in no draw after which no more are looked for."""


@dataclass(frozen=True)
class _Draw:
    tree: Tree
    params: dict[str, Any]


class Asked:
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
class Values:
    """Which values of a space stand in a draw, and which of its parameters matter."""

    space: SearchSpace
    trainer: TrainerConfig
    classes: int
    """K of the networks that are tried."""
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

    idle: dict[str, None] = field(default_factory=dict)
    """Weights of those that no loss depends on, in their order."""

    def __post_init__(self) -> None:
        self._asked = Asked(self.space)
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
            if len(lost) < MAX_LOST:
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
        refuse_unnamed(self.space, parts := own_parts(network))
        own = set(parts)
        own |= {f"augment.own.{name}" for name in self.trainer.augment.own}
        if own - self.tried_own:
            self.tried_own |= own
            self.idle |= dict.fromkeys(try_own(network, self.trainer, self.classes))

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
