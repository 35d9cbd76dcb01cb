"""What the shipped spaces promise: how much of them is open, and that no draw closes a choice."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from mer_nas.architectures import Architecture
from mer_nas.space import SearchSpace
from mer_nas.space.domains import (
    BlockChoice,
    BlockNode,
    Choice,
    Constant,
    Int,
    Items,
    Node,
    Repeat,
)

OPEN = {
    "moe": 62,
    "progressive": 36,
    "dynamic": 60,
    "dual_branch": 65,
    "decoupled": 43,
    "hybrid": 251,
    "progressive_ablation": 6,
    "shallow": 88,
}
"""Open parameters of every shipped space."""

Setting = tuple[str, str, Any]
"""A kind of block (or the key of what has no kind), a setting of it, and a value."""


def test_as_many_parameters_are_open_as_was_counted(space: SearchSpace) -> None:
    assert len(space.parameters()) == OPEN[space.name]


def test_over_500_draws_every_choice_is_in_some_network(
    space: SearchSpace, closed: Callable[[SearchSpace], Iterator[Architecture | None]]
) -> None:
    occurred = {
        setting
        for architecture in islice(closed(space), 500)
        if architecture is not None
        for setting in _set(_in_full(architecture), "architecture")
    }
    offered = set(_offered(space.tree.entries["architecture"], "architecture"))
    # An architecture has the number that this word stands for.
    missing = offered - {("expert", "ratio", "2/E")} - occurred
    assert not missing, sorted(map(str, missing))


def _in_full(architecture: Architecture) -> Any:
    """Return the closed form, with the layout that it leaves out where the image is whole."""
    tree = architecture.model_dump(mode="json")
    return {**tree, "paths": [{"layout": "whole", **path} for path in tree["paths"]]}


def _offered(node: Node, key: str, owner: str = "") -> Iterator[Setting]:
    """Yield every value that a space offers for settings; `owner` is the block they belong to."""
    match node:
        case Choice(values):
            yield from ((owner, key, _plain(value)) for value in values)
        case Int(low, high, step):
            yield from ((owner, key, number) for number in range(low, high + 1, step))
        case Items(nodes):
            for item in nodes:
                yield from _offered(item, key, owner)
        case BlockChoice(options):
            for kind, block in options.items():
                yield owner, key, kind
                yield from _inside(block, kind)
        case Repeat(count, each, first):
            if isinstance(count, Int):
                yield from ((key, "repeat", n) for n in range(count.low, count.high + 1))
            yield from _inside(each, key)
            yield from _inside(first, key)
        case BlockNode(entries):
            kind = entries.get("kind")
            yield from _inside(node, str(kind.value) if isinstance(kind, Constant) else key)


def _inside(block: BlockNode, owner: str) -> Iterator[Setting]:
    for name, child in block.entries.items():
        yield from _offered(child, name, owner)
    for option in block.either.values():
        yield from _inside(option, owner)


def _set(tree: Any, key: str) -> Iterator[Setting]:
    """Yield every setting of a closed architecture in the words of `_offered`."""
    if isinstance(tree, list):
        yield key, "repeat", len(tree)
        for item in tree:
            yield from _set(item, key)
    elif isinstance(tree, dict):
        owner = str(tree.get("kind", key))
        for name, value in tree.items():
            match value:
                case {"kind": kind}:
                    yield owner, name, kind
                case dict() | [dict(), *_]:
                    pass
                case _:
                    yield owner, name, _plain(value)
            yield from _set(value, name)


def _plain(value: Any) -> Any:
    """Return a value that compares: orientations are a set, growths follow from whole widths."""
    if isinstance(value, list):
        return tuple(sorted(value, key=str))
    return round(value, 3) if isinstance(value, float) else value
