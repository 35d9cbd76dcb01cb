"""From plain trees to the nodes of a space, with every mistake on the way."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from mer_nas.errors import shown, unknown
from mer_nas.space.domains import (
    RESERVED,
    BlockChoice,
    BlockNode,
    Choice,
    Constant,
    Float,
    Int,
    Items,
    Node,
    Repeat,
    label,
    same,
)
from mer_nas.space.relations import Relation

_MAX_REPEAT = 100
"""Blocks that a list may have."""
_MAX_SIZE = 100_000
"""Settings that a space may have, those of every block of a list counted."""


class Reader:
    """Reads plain trees as nodes and keeps every mistake it meets."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def space(self, parts: Mapping[str, Any], place: str) -> BlockNode:
        """Return the parts of a space, architecture and trainer, as one block."""
        tree = BlockNode({key: self.block(part, f"{place}: {key}") for key, part in parts.items()})
        if (settings := _size(tree)) > _MAX_SIZE:
            self.mistakes.append(f"{place}: {settings:,} settings; at most {_MAX_SIZE:,} are read")
        return tree

    def node(self, tree: Any, place: str) -> Node:
        """Return `tree`, which stands at `place`, as a node."""
        if isinstance(tree, list):
            if not any(isinstance(item, dict | list) for item in tree):
                return Constant([self._plain(item, place) for item in tree])
            return Items(tuple(self.node(item, f"{place}.{i}") for i, item in enumerate(tree)))
        if not isinstance(tree, dict):
            return Constant(self._plain(tree, place))
        reserved = [key for key in RESERVED if key in tree]
        if not reserved:
            return self.block(tree, place)
        read = {"choice": self._choice, "int": self._int, "float": self._float}
        return read.get(reserved[0], self._repeat)(tree, place)

    def block(self, tree: Any, place: str) -> BlockNode:
        """Return a mapping without reserved key as a block."""
        if not isinstance(tree, dict):
            self._wrong(place, "a mapping of settings would be right", tree)
            return BlockNode({})
        entries = {
            self._name(key, place): self.node(value, f"{place}.{key}")
            for key, value in tree.items()
            if key not in {"require", "either"}
        }
        either = self._either(tree, entries, place)
        block = BlockNode(entries, either)
        return BlockNode(entries, either, self._relations(tree.get("require", []), block, place))

    def _either(self, tree: Any, entries: Mapping[str, Node], place: str) -> dict[str, BlockNode]:
        options = tree.get("either", {})
        if not isinstance(options, dict) or ("either" in tree and not options):
            self._wrong(f"{place}.either", "a mapping of blocks would be right", options)
            return {}
        either = self._options(options, place)
        for name, option in either.items():
            if name in entries:
                self.mistakes.append(f"{place}.{name}: an option of either has a setting's name")
            for key in set(option.names()) & set(entries):
                self.mistakes.append(f"{place}.{name}.{key}: the block around it sets {key!r} too")
        return either

    def _options(self, options: Mapping[str, Any], place: str) -> dict[str, BlockNode]:
        return {
            self._name(name, place): self.block({} if block is None else block, f"{place}.{name}")
            for name, block in options.items()
        }

    def _choice(self, tree: dict[str, Any], place: str) -> Node:
        self._only(tree, place, ("choice",))
        options = tree["choice"]
        if isinstance(options, dict) and options:
            return BlockChoice(self._options(options, place))
        if not isinstance(options, list) or not options:
            right = "choice: a list of values or a mapping of blocks would be right"
            self._wrong(place, right, options)
            return Constant(None)
        values: list[Any] = []
        for option in options:
            if isinstance(option, dict):
                self._wrong(place, "choice: a list holds plain values, blocks go by name", option)
            elif isinstance(option, list) and any(isinstance(x, dict | list) for x in option):
                self._wrong(place, "choice: a list among the values holds plain values", option)
            elif any(same(option, other) or same(label(option), label(other)) for other in values):
                self.mistakes.append(f"{place}: choice: {shown(option)} stands there twice")
            else:
                values.append(self._of_values(option, place))
        if {bool} < {type(value) for value in values} & {bool, int, float}:
            self._wrong(place, "choice: truth values or numbers would be right, not both", values)
        return Choice(tuple(values)) if values else Constant(None)

    def _of_values(self, option: Any, place: str) -> Any:
        if isinstance(option, list):
            return [self._plain(item, place) for item in option]
        return self._plain(option, place)

    def _int(self, tree: dict[str, Any], place: str) -> Node:
        self._only(tree, place, ("int", "step", "log"))
        low, high = self._bounds(tree["int"], place, "int", int)
        step = tree.get("step", 1)
        if not isinstance(step, int) or isinstance(step, bool) or step < 1:
            self._wrong(place, "step: a whole number of 1 or more would be right", step)
            step = 1
        log = self._log(tree, place, low)
        if log and step != 1:
            self.mistakes.append(f"{place}: step and log exclude each other")
            step = 1
        if past := (high - low) % step:
            self.mistakes.append(
                f"{place}: int: steps of {step} from {low} do not reach {high}; "
                f"[{low}, {high - past}] would be right"
            )
        return Int(low, high, step, log)

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
        return Repeat(self._count(tree["repeat"], f"{place}.repeat"), each, first)

    def _count(self, tree: Any, place: str) -> int | Int | Choice:
        match self.node(tree, place):
            case Constant(count) if _counts(count):
                return int(count)
            case Int(low, high) as count if _counts(low) and _counts(high):
                return count
            case Choice(values) as count if all(map(_counts, values)):
                return count
        right = f"a whole number from 1 to {_MAX_REPEAT} or {{int: [low, high]}} would be right"
        self._wrong(place, right, tree)
        return 1

    def _relations(self, texts: Any, block: BlockNode, place: str) -> tuple[Relation, ...]:
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
                    said = unknown("setting", name, block.names())
                    self.mistakes.append(f"{place}.require: {shown(text)}: {said}")
            relations.append(relation)
        return tuple(relations)

    def _bounds(self, found: Any, place: str, kind: str, types: Any) -> tuple[Any, Any]:
        right = isinstance(found, list) and len(found) == 2
        if not right or not all(_is_number(n) and isinstance(n, types) for n in found):
            self._wrong(place, f"{kind}: [low, high] would be right", found)
            return 1, 1
        low, high = found
        if low > high:
            self.mistakes.append(f"{place}: {kind}: low {low} is above high {high}")
            return high, low
        if not isfinite(float(high) - float(low)):
            self._wrong(place, f"{kind}: [low, high] less far apart would be right", found)
            return 1, 1
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

    def _plain(self, value: Any, place: str) -> Any:
        """Return a value; a number must be one that can be reckoned with."""
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and not _is_number(value)
        ):
            self._wrong(place, "a finite number of 64 bits would be right", value)
        return value

    def _name(self, key: Any, place: str) -> str:
        """Return a key; a dot is what stands between keys."""
        name = str(key)
        if not name or "." in name:
            self._wrong(place, "a name without a dot would be right", name)
        return name

    def _only(self, tree: dict[str, Any], place: str, known: tuple[str, ...]) -> None:
        for key in tree:
            if key not in known:
                self.mistakes.append(f"{place}: {unknown(f'key beside {known[0]}', key, known)}")

    def _wrong(self, place: str, right: str, found: Any) -> None:
        self.mistakes.append(f"{place}: {right}, not {shown(found)}")


def _size(node: Node) -> int:
    """Return how many settings a node has, those of every option and block of a list counted."""
    match node:
        case Items(nodes):
            return sum(map(_size, nodes))
        case BlockChoice(options):
            return 1 + sum(map(_size, options.values()))
        case Repeat(_, each, first):
            return node.longest * (_size(each) + _size(first))
        case BlockNode(entries, either):
            return sum(map(_size, [*entries.values(), *either.values()]))
    return 1


def _counts(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MAX_REPEAT


def _is_number(value: Any) -> bool:
    """Whether a value is a number that is finite, and small enough to be stored."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63
