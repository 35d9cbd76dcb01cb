"""Whether a drawn parameter matters."""

from collections.abc import Mapping
from typing import Any

from mer_nas.architectures import Architecture, parse_drawn
from mer_nas.config.base import Tree
from mer_nas.errors import Infeasible
from mer_nas.space import SearchSpace
from mer_nas.space.domains import label
from mer_nas.space.settings import Setting, stands


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
    if any(stands(tree, way) == value for way in setting.ways(tree)):
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
