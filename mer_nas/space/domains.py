"""What may stand in a search space: plain values, open leaves, and the blocks that hold them.

A space looks like the configuration it leads to. A plain value is fixed; a mapping with one
reserved key is open:

    {choice: [a, b]}               one of these values
    {choice: {a: {...}, b: {...}}} one of these blocks; the result is {kind: a, ...}
    {int: [1, 8], step: 2}         a whole number, both ends included; log: true for a log scale
    {float: [1e-4, 1e-2]}          a number, both ends included; log: true for a log scale
    {repeat: n, each: {...}}       a list of n blocks, each drawn anew; n may be open too;
                                   `first:` says what the first of them has instead
    either: {a: {...}, b: {...}}   inside a block: the settings of one of these are its settings
    require: [relation, ...]       inside a block: relations between its settings
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mer_nas.errors import unknown
from mer_nas.space.relations import Relation

RESERVED = ("choice", "int", "float", "repeat")


@dataclass(frozen=True)
class Choice:
    """One of some values, which are scalars or lists of scalars."""

    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[Any, ...]:
        """The values as a study stores them: a list becomes its text."""
        return tuple(map(label, self.values))

    def value(self, of: Any) -> Any:
        """Return the value that a study stored as the label `of`."""
        return self.values[self.labels.index(of)]


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high], in steps from low; on a log scale if `log`."""

    low: int
    high: int
    step: int = 1
    log: bool = False


@dataclass(frozen=True)
class Float:
    """A number in [low, high]; on a log scale if `log`."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Blocks:
    """One of some blocks; the result names its option as `kind`."""

    options: Mapping[str, Block]


@dataclass(frozen=True)
class Block:
    """Settings by their keys, and those of one of the options of `either`."""

    entries: Mapping[str, Node]
    either: Mapping[str, Block] = field(default_factory=dict)
    require: tuple[Relation, ...] = ()

    def names(self) -> list[str]:
        """Return every key that the block can have."""
        optional = [key for option in self.either.values() for key in option.names()]
        return list(dict.fromkeys([*self.entries, *optional]))

    def without(self, keys: Mapping[str, Node]) -> Block:
        """Return the block less the settings that `keys` names."""
        return Block(
            {key: node for key, node in self.entries.items() if key not in keys},
            {name: option.without(keys) for name, option in self.either.items()},
            self.require,
        )


@dataclass(frozen=True)
class Repeat:
    """A list of blocks."""

    count: int | Int | Choice
    each: Block
    first: Block = field(default_factory=lambda: Block({}))

    def at(self, index: int) -> Block:
        """Return what is drawn at `index`: `each`, with the changes of `first` at the start."""
        if index or not self.first.entries:
            return self.each
        rest = self.each.without(self.first.entries)
        return Block({**rest.entries, **self.first.entries}, rest.either, rest.require)


@dataclass(frozen=True)
class Items:
    """A list of a fixed length whose items may be open."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Fixed:
    """A plain value."""

    value: Any


Leaf = Choice | Int | Float
Node = Leaf | Blocks | Block | Repeat | Items | Fixed
Pick = Callable[[str, Leaf], Any]
"""Gives a value for the open leaf of that name; for a Choice one of its labels."""


def label(value: Any) -> Any:
    """Return a value as a study stores it: scalars as they are, a list as its text."""
    return str(value) if isinstance(value, list) else value


def same(one: Any, other: Any) -> bool:
    """Whether two plain values are one: 2 is 2.0, but 1 is not true."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


class Reader:
    """Reads plain trees as nodes and keeps every mistake it meets."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def node(self, tree: Any, place: str) -> Node:
        """Return `tree`, which stands at `place`, as a node."""
        if isinstance(tree, list):
            if not any(isinstance(item, dict | list) for item in tree):
                return Fixed(tree)
            return Items(tuple(self.node(item, f"{place}.{i}") for i, item in enumerate(tree)))
        if not isinstance(tree, dict):
            return Fixed(tree)
        reserved = [key for key in RESERVED if key in tree]
        if not reserved:
            return self.block(tree, place)
        read = {"choice": self._choice, "int": self._int, "float": self._float}
        return read.get(reserved[0], self._repeat)(tree, place)

    def block(self, tree: Any, place: str) -> Block:
        """Return a mapping without reserved key as a block."""
        if not isinstance(tree, dict):
            self._wrong(place, "a mapping of settings would be right", tree)
            return Block({})
        entries = {
            key: self.node(value, f"{place}.{key}")
            for key, value in tree.items()
            if key not in {"require", "either"}
        }
        options = tree.get("either", {})
        if not isinstance(options, dict) or ("either" in tree and not options):
            self._wrong(f"{place}.either", "a mapping of blocks would be right", options)
            options = {}
        either = {
            str(name): self.block(option, f"{place}.{name}") for name, option in options.items()
        }
        for name, option in either.items():
            for key in set(option.names()) & set(entries):
                self.mistakes.append(f"{place}.{name}.{key}: the block around it sets {key!r} too")
        block = Block(entries, either)
        return Block(entries, either, self._relations(tree.get("require", []), block, place))

    def _choice(self, tree: dict[str, Any], place: str) -> Node:
        self._only(tree, place, ("choice",))
        options = tree["choice"]
        if isinstance(options, dict) and options:
            blocks = {
                str(name): self.block(block or {}, f"{place}.{name}")
                for name, block in options.items()
            }
            return Blocks(blocks)
        if not isinstance(options, list) or not options:
            self._wrong(
                place, "choice: a list of values or a mapping of blocks would be right", options
            )
            return Fixed(None)
        values: list[Any] = []
        for option in options:
            if isinstance(option, dict):
                self._wrong(place, "choice: a list holds plain values, blocks go by name", option)
            elif any(same(option, other) for other in values):
                self.mistakes.append(f"{place}: choice: {option!r} stands there twice")
            else:
                values.append(option)
        return Choice(tuple(values))

    def _int(self, tree: dict[str, Any], place: str) -> Node:
        self._only(tree, place, ("int", "step", "log"))
        bounds = self._bounds(tree["int"], place, "int", int)
        step = tree.get("step", 1)
        if not isinstance(step, int) or isinstance(step, bool) or step < 1:
            self._wrong(place, "step: a whole number of 1 or more would be right", step)
            step = 1
        log = self._log(tree, place, bounds[0])
        if log and step != 1:
            self.mistakes.append(f"{place}: step and log exclude each other")
        return Int(int(bounds[0]), int(bounds[1]), 1 if log else step, log)

    def _float(self, tree: dict[str, Any], place: str) -> Node:
        self._only(tree, place, ("float", "log"))
        low, high = self._bounds(tree["float"], place, "float", (int, float))
        return Float(float(low), float(high), self._log(tree, place, low))

    def _repeat(self, tree: dict[str, Any], place: str) -> Node:
        self._only(tree, place, ("repeat", "each", "first"))
        each = self.block(tree.get("each"), f"{place}.each")
        first = self.block(tree.get("first", {}), f"{place}.first")
        for key in first.entries:
            if key not in each.names():
                message = unknown("setting of each", key, each.names())
                self.mistakes.append(f"{place}.first: {message}")
        count = self.node(tree["repeat"], f"{place}.repeat")
        if isinstance(count, Fixed):
            if not isinstance(count.value, int) or count.value < 1:
                self._wrong(
                    f"{place}.repeat", "a whole number of 1 or more would be right", count.value
                )
                return Repeat(1, each, first)
            return Repeat(count.value, each, first)
        if not isinstance(count, Int | Choice):
            self._wrong(
                f"{place}.repeat",
                "a whole number or {int: [low, high]} would be right",
                tree["repeat"],
            )
            return Repeat(1, each, first)
        return Repeat(count, each, first)

    def _relations(self, texts: Any, block: Block, place: str) -> tuple[Relation, ...]:
        if not isinstance(texts, list):
            self._wrong(f"{place}.require", "a list of relations would be right", texts)
            return ()
        relations = []
        for text in texts:
            try:
                relation = Relation.parse(str(text))
            except ValueError as error:
                self.mistakes.append(f"{place}.require: {error}")
                continue
            for name in relation.names:
                if name.split(".")[0] not in block.names():
                    self.mistakes.append(
                        f"{place}.require: {text!r}: {unknown('setting', name, block.names())}"
                    )
            relations.append(relation)
        return tuple(relations)

    def _bounds(self, found: Any, place: str, kind: str, types: Any) -> tuple[Any, Any]:
        right = isinstance(found, list) and len(found) == 2
        if not right or not all(isinstance(n, types) and not isinstance(n, bool) for n in found):
            self._wrong(place, f"{kind}: [low, high] would be right", found)
            return 1, 1
        low, high = found
        if low > high:
            self.mistakes.append(f"{place}: {kind}: low {low} is above high {high}")
            return high, low
        return low, high

    def _log(self, tree: dict[str, Any], place: str, low: float) -> bool:
        log = tree.get("log", False)
        if not isinstance(log, bool):
            self._wrong(place, "log: true or false would be right", log)
            return False
        if log and low <= 0:
            self.mistakes.append(f"{place}: a log scale needs a low above 0, not {low}")
            return False
        return log

    def _only(self, tree: dict[str, Any], place: str, known: tuple[str, ...]) -> None:
        for key in tree:
            if key not in known:
                self.mistakes.append(f"{place}: {unknown(f'key beside {known[0]}', key, known)}")

    def _wrong(self, place: str, right: str, found: Any) -> None:
        self.mistakes.append(f"{place}: {right}, not {found!r}")
