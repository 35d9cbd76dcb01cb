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
    shared: {kind: {...}}          inside a block: settings of all blocks of that kind in it, there
                                   where it has one
    require: [relation, ...]       inside a block: relations between its settings
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import exp, log
from random import Random
from typing import Any

from mer_nas.space.relations import Relation

RESERVED = ("choice", "int", "float", "repeat")
SHARED = "shared"
"""Key of settings by kind of block, which are no parameters where there is no such block."""


@dataclass(frozen=True)
class Choice:
    """One of some values, which are scalars or lists of scalars."""

    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[Any, ...]:
        """The values as a study stores them: a list becomes its text."""
        return tuple(map(label, self.values))

    @property
    def is_open(self) -> bool:
        """Whether there is more than one value; the others are no parameters."""
        return len(self.values) > 1

    def value(self, of: Any) -> Any:
        """Return the value that a study stored as the label `of`."""
        return self.values[self.labels.index(of)]

    def draw(self, chance: Random) -> Any:
        """Return the label of a uniform random value."""
        return chance.choice(self.labels)


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high], in steps from low; on a log scale if `log`."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    @property
    def is_open(self) -> bool:
        """Whether there is more than one value; the others are no parameters."""
        return self.low < self.high

    def draw(self, chance: Random) -> int:
        """Return a uniform random value."""
        return chance.randrange(self.low, self.high + 1, self.step)


@dataclass(frozen=True)
class Float:
    """A number in [low, high]; on a log scale if `log`."""

    low: float
    high: float
    log: bool = False

    @property
    def is_open(self) -> bool:
        """Whether there is more than one value; the others are no parameters."""
        return self.low < self.high

    def draw(self, chance: Random) -> float:
        """Return a uniform random value, on a log scale if `log`."""
        if self.log:
            low, high = log(self.low), log(self.high)
            return min(max(exp(chance.uniform(low, high)), self.low), self.high)
        return chance.uniform(self.low, self.high)


@dataclass(frozen=True)
class BlockChoice:
    """One of some blocks; the result names its option as `kind`."""

    options: Mapping[str, BlockNode]


@dataclass(frozen=True)
class BlockNode:
    """Settings by their keys, and those of one of the options of `either`."""

    entries: Mapping[str, Node]
    either: Mapping[str, BlockNode] = field(default_factory=dict)
    require: tuple[Relation, ...] = ()

    def names(self) -> list[str]:
        """Return every key that the block can have."""
        optional = [key for option in self.either.values() for key in option.names()]
        return list(dict.fromkeys([*self.entries, *optional]))

    def without(self, keys: Mapping[str, Node]) -> BlockNode:
        """Return the block less the settings that `keys` names."""
        return BlockNode(
            {key: node for key, node in self.entries.items() if key not in keys},
            {name: option.without(keys) for name, option in self.either.items()},
            self.require,
        )


@dataclass(frozen=True)
class Repeat:
    """A list of blocks."""

    count: int | Int | Choice
    each: BlockNode
    first: BlockNode = field(default_factory=lambda: BlockNode({}))

    @property
    def longest(self) -> int:
        """The largest number of repetitions that `count` allows."""
        match self.count:
            case Int(_, high):
                return high
            case Choice(values):
                return int(max(values))
        return self.count

    def at(self, index: int) -> BlockNode:
        """Return what is drawn at `index`: `each`, with the changes of `first` at the start."""
        if index or not self.first.entries:
            return self.each
        rest = self.each.without(self.first.entries)
        return BlockNode({**rest.entries, **self.first.entries}, rest.either, rest.require)


@dataclass(frozen=True)
class Items:
    """A list of a fixed length whose items may be open."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Constant:
    """A plain value."""

    value: Any


Leaf = Choice | Int | Float
Node = Leaf | BlockChoice | BlockNode | Repeat | Items | Constant
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
