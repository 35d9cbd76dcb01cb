"""Every setting of a space: how its file calls it, what it may be, and where its value ends up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mer_nas.config.base import Tree
from mer_nas.space.domains import (
    SHARED,
    BlockChoice,
    BlockNode,
    Choice,
    Constant,
    Float,
    Int,
    Items,
    Leaf,
    Node,
    Repeat,
)

NOTHING = object()
"""What stands where nothing is."""
Way = tuple[str | int, ...]
"""The keys that lead to a value of a closed architecture."""

MANY = 8
"""Values of a range of whole numbers up to which each is looked at, and not its ends alone."""


@dataclass(frozen=True)
class Setting:
    """One setting, in one place of a candidate."""

    name: str
    """Of its parameter, where it is open: "architecture.paths.0.stages.1.both.gate"."""
    written: str
    """How an override calls it, for all items of a list: "....stages.each.both.gate"."""
    at: tuple[str | int, ...]
    """The keys that lead to its value in the closed tree; none where it only decides others."""
    within: tuple[tuple[str, Any], ...] = ()
    """What must be chosen for it to be there, as `written` names and options."""
    node: Leaf | Constant = field(default_factory=lambda: Constant(None))

    @classmethod
    def of(
        cls, node: Node, drawn: Mapping[str, Any] | None = None, at: Setting | None = None
    ) -> Iterator[Setting]:
        """Yield the settings of a space, in the order of its file.

        Args:
            node: The space, or a part of it.
            drawn: Parameters; of every choice of blocks what they choose, else all options.
            at: Where the part is.
        """
        here = at or cls("", "", ())
        match node:
            case Constant() | Choice() | Int() | Float():
                yield replace(here, node=node)
            case Items(nodes):
                for index, item in enumerate(nodes):
                    yield from cls.of(item, drawn, here._to(index))
            case BlockChoice(options):
                yield replace(here, at=(*here.at, "kind"), node=Choice(tuple(options)))
                yield from _chosen(options, drawn, here, here)
            case Repeat(count, each, first):
                times = node.longest
                if not isinstance(count, int) and count.is_open:
                    number = replace(here._to("repeat"), at=(), node=count)
                    times = times if drawn is None else drawn.get(number.name, 0)
                    yield number
                for index in range(times):
                    changed = first.entries if index == 0 else {}
                    yield from cls.of(each.without(changed), drawn, here._to(index, "each"))
                    yield from cls.of(BlockNode(changed), drawn, here._to(index, "first"))
            case BlockNode(entries, either):
                for key, child in entries.items():
                    yield from cls.of(child, drawn, here._to(key) if here.name else _root(key))
                if either:
                    decision = replace(here._to("either"), at=(), node=Choice(tuple(either)))
                    yield decision
                    yield from _chosen(either, drawn, decision, here)

    @property
    def is_open(self) -> bool:
        """Whether it has more than one value, and so is a parameter."""
        return not isinstance(self.node, Constant) and self.node.is_open

    @property
    def values(self) -> list[Any]:
        """Its values that are looked at: all, or the ends of a range."""
        match self.node:
            case Constant(value):
                return [value]
            case Choice(values):
                return list(values)
            case Int(low, high, step) if (high - low) // step < MANY:
                return list(range(low, high + 1, step))
        return [self.node.low, self.node.high]

    def value(self, drawn: Mapping[str, Any]) -> Any:
        """Return the value that it has in a draw."""
        if self.name not in drawn:
            return self.values[0]
        found = drawn[self.name]
        return self.node.value(found) if isinstance(self.node, Choice) else found

    def ways(self, tree: Tree) -> list[Way]:
        """Return where its value ends up in a closed architecture.

        That of a setting which blocks share is in every block of their kind.
        """
        at = self.at[1:]
        if SHARED not in at[:-2]:
            return [at]
        index = at.index(SHARED)
        kind, rest = at[index + 1], at[index + 2 :]
        around = stands(tree, at[:index])
        return [(*at[:index], *way, *rest) for way in _blocks(around, str(kind))]

    def _to(self, key: str | int, written: str = "") -> Setting:
        name, said = f"{self.name}.{key}", f"{self.written}.{written or key}"
        return replace(self, name=name, written=said, at=(*self.at, key))

    def _option(self, decided_by: str, option: str, *, chosen: bool) -> Setting:
        within = (*self.within, (decided_by, option)) if chosen else self.within
        name, said = f"{self.name}.{option}", f"{self.written}.{option}"
        return replace(self, name=name, written=said, within=within)


def _root(key: str) -> Setting:
    return Setting(key, key, (key,))


def _chosen(
    options: Mapping[str, BlockNode],
    drawn: Mapping[str, Any] | None,
    decision: Setting,
    here: Setting,
) -> Iterator[Setting]:
    several = len(options) > 1
    for name in options:
        if several and drawn is not None and drawn.get(decision.name) != name:
            continue
        inside = here._option(decision.written, name, chosen=several)
        yield from Setting.of(options[name], drawn, inside)


def _blocks(tree: Any, kind: str) -> Iterator[Way]:
    """Yield the ways to all blocks of a kind."""
    if isinstance(tree, dict) and tree.get("kind") == kind:
        yield ()
    children = (
        tree if isinstance(tree, dict) else dict(enumerate(tree if isinstance(tree, list) else ()))
    )
    for key, child in children.items():
        for way in _blocks(child, kind):
            yield (key, *way)


def stands(tree: Any, way: Way) -> Any:
    """Return what stands in a tree; `NOTHING` where the way leads nowhere."""
    for key in way:
        try:
            tree = tree[key]
        except (KeyError, IndexError, TypeError):
            return NOTHING
    return tree
