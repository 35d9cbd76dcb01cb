"""What a drawn parameter does: where its value ends up in the network, and whether it matters."""

from collections.abc import Iterator, Mapping
from typing import Any

from mer_nas.architectures import Architecture, parse_drawn
from mer_nas.config.base import Tree
from mer_nas.errors import Infeasible
from mer_nas.space import SearchSpace
from mer_nas.space.domains import SHARED, label
from mer_nas.space.settings import Setting

NOTHING = object()
"""What stands where nothing is."""
Way = tuple[str | int, ...]
"""The keys that lead to a value of a closed architecture."""


def idle(space: SearchSpace, drawn: Mapping[str, Any], network: Architecture) -> list[str]:
    """Return the parameters without which the network would be the same, whatever their value.

    Args:
        space: What was drawn from.
        drawn: The parameters.
        network: What they came to.
    """
    tree = network.model_dump(mode="json")
    return [
        setting.name
        for setting in Setting.of(space.tree, drawn)
        if setting.name in drawn and is_idle(space, drawn, network, tree, setting)
    ]


def is_idle(
    space: SearchSpace,
    drawn: Mapping[str, Any],
    network: Architecture,
    tree: Tree,
    setting: Setting,
) -> bool:
    """Whether every other value of a parameter gives the same; `tree` is the network's dump.

    What decides over other settings, such as the kind of a block, is never idle.
    """
    if setting.at[:1] != ("architecture",) or setting.at[-1] == "kind":
        return False
    value = setting.value(drawn)
    if any(stands(tree, way) == value for way in ways(setting, tree)):
        return False
    others = [other for other in setting.values if repr(other) != repr(value)]
    return all(_again(space, drawn, setting.name, other) == network for other in others)


def _again(
    space: SearchSpace, drawn: Mapping[str, Any], name: str, value: Any
) -> Architecture | None:
    """Return the network with another value of one parameter; none where there is none."""
    changed = {**drawn, name: label(value)}
    try:
        return parse_drawn(space.fill(lambda name, _: changed[name])["architecture"])
    except Infeasible:
        return None


def ways(setting: Setting, tree: Tree) -> list[Way]:
    """Return where a value ends up: of shared settings, in every block of their kind."""
    at = setting.at[1:]
    if SHARED not in at[:-2]:
        return [at]
    index = at.index(SHARED)
    kind, rest = at[index + 1], at[index + 2 :]
    around = stands(tree, at[:index])
    return [(*at[:index], *way, *rest) for way in _blocks(around, str(kind))]


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
