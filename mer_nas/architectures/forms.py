"""From trees to architectures: strictly for what a person wrote, leniently for what was drawn.

`parse` reports every mistake and every broken rule. `close` first replaces what does not fit its
place by the nearest block that does. Either way the result is canonical: settings without effect
are at their neutral values, and two trees of one network dump equally.
"""

from typing import Any

from mer_nas.architectures.blocks import SLOTS, Block
from mer_nas.architectures.grammar import Architecture, Path, Stage
from mer_nas.architectures.stems import Conv
from mer_nas.architectures.walk import put, walk
from mer_nas.config.base import validate
from mer_nas.errors import Infeasible

_known: list[tuple[type[Block], ...]] = []


def parse(tree: object, place: str = "architecture") -> Architecture:
    """Return what a person wrote as an architecture.

    Args:
        tree: The closed form, as YAML gives it.
        place: How the user knows the tree, for messages.

    Raises:
        ConfigError: Unknown or missing settings, wrong types; every mistake, one a line.
        Infeasible: The blocks do not fit together; every broken rule, one a line.
    """
    architecture = _settled(_read(tree, place))
    _check(architecture, place)
    return architecture


def close(tree: object, place: str = "architecture") -> Architecture:
    """Return what a sampler drew as an architecture, repaired where single blocks do not fit.

    Raises:
        ConfigError: The tree is no architecture at all.
        Infeasible: It still breaks a rule.
    """
    architecture = _settled(_repaired(_read(tree, place)))
    _check(architecture, place)
    return architecture


def refresh() -> None:
    """Rebuild the models, inner to outer, when blocks have been registered since the last time."""
    known = [tuple(registry.values()) for registry in SLOTS.values()]
    if known != _known:
        for model in (Conv, Stage, Path, Architecture):
            model.model_rebuild(force=True)
        _known[:] = known


def schema() -> dict[str, Any]:
    """Return the JSON schema of the closed form, with every block registered so far."""
    refresh()
    return Architecture.model_json_schema()


def _read(tree: object, place: str) -> Architecture:
    refresh()
    return validate(Architecture, tree, place)


def _check(architecture: Architecture, place: str) -> None:
    broken = []
    for part, site, *_ in walk(architecture, place):
        try:
            if vanished := min(site.size) < 1:
                raise site.refuse("the map has vanished", "fewer or gentler downs")
            part.check(site)
        except Infeasible as error:
            broken.append(str(error))
        if vanished:
            break  # what comes after stands on nothing
    broken += [
        f"{place}.losses.{name}: a weight of {weight} for a loss that no block of this network "
        f"gives{_HINTS.get(name, '')}; right: 0"
        for name, weight in architecture.losses
        if weight and name not in _given(architecture)
    ]
    if broken:
        raise Infeasible("\n".join(dict.fromkeys(broken)))


_HINTS = {"balance": " (routed experts give it where top_k < experts)"}


def _repaired(architecture: Architecture) -> Architecture:
    while True:
        before = architecture
        for index in range(len(walk(architecture))):
            visit = walk(architecture)[index]
            architecture = put(architecture, visit, visit.part.repair(visit.site))
        if architecture == before:
            return _weighed(architecture, only_unset=False)


def _settled(architecture: Architecture) -> Architecture:
    while True:
        before = architecture
        for index in range(len(walk(architecture))):
            visit = walk(architecture)[index]
            architecture = put(architecture, visit, visit.part.settle(visit.site))
        if architecture == before:
            break
    if max(path.depth for path in architecture.paths) < 2:
        # The rate rises from 0 in the first block, so that one block alone has none.
        architecture = architecture.model_copy(update={"drop_path": 0.0})
    return _weighed(architecture, only_unset=True)


def _weighed(architecture: Architecture, *, only_unset: bool) -> Architecture:
    """Return the architecture with weight 0 for losses that nothing gives."""
    losses = architecture.losses
    set_by_hand = losses.model_fields_set if only_unset else set()
    idle = set(type(losses).model_fields) - _given(architecture) - set_by_hand
    weights = losses.model_copy(update=dict.fromkeys(idle, 0.0))
    return architecture.model_copy(update={"losses": weights})


def _given(architecture: Architecture) -> frozenset[str]:
    blocks = [block for path in architecture.paths for s in path.stages for _, block in s.blocks]
    return frozenset().union(*(block.losses for block in blocks))
