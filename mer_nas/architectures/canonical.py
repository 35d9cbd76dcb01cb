"""From trees to architectures: strictly for what a person wrote, leniently for what was drawn.

`parse` reports every mistake and every broken rule. `parse_drawn` first replaces what does not fit
its place by the nearest block that does. Either way the result is in canonical form: settings
without effect are at their neutral values, and two trees of one network dump equally.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from mer_nas.architectures.blocks.base import NETWORKS, SLOTS, Block
from mer_nas.architectures.blocks.stem import ConvStem
from mer_nas.architectures.grammar import Architecture, Losses
from mer_nas.architectures.paths import NetworkPath, Path, Stage
from mer_nas.architectures.user_blocks import BlockError, ask_block, is_user_block
from mer_nas.architectures.walk import BEHIND, Visit, walk
from mer_nas.config.base import Config, validate
from mer_nas.errors import Infeasible
from mer_nas.inputs import READABLE

_MAX_ROUNDS = 100
"""Walks after which blocks that still change would change for ever."""


_known: list[tuple[object, ...]] = []


def parse(tree: object, place: str = "architecture", *, searched: bool = False) -> Architecture:
    """Return what a person wrote as an architecture.

    Args:
        tree: The closed form, as YAML gives it.
        place: How the user knows the tree, for messages.
        searched: Also refuse what is there to reproduce published systems only.

    Raises:
        ConfigError: Unknown or missing settings, wrong types; every mistake, one a line.
        Infeasible: The blocks do not fit together; every broken rule, one a line.
    """
    architecture = _canonical(_read(tree, place))
    _check(architecture, place, searched=searched)
    return architecture


def parse_drawn(tree: object, place: str = "architecture") -> Architecture:
    """Return what a sampler drew as an architecture, repaired where single blocks do not fit.

    Raises:
        ConfigError: The tree is no architecture at all.
        Infeasible: It still breaks a rule.
    """
    architecture = _canonical(_repaired(_read(tree, place)))
    _check(architecture, place, searched=True)
    return architecture


def canonical_form(tree: object, place: str = "architecture") -> Architecture:
    """Return what a sampler drew in canonical form, whether its blocks fit or not.

    Raises:
        ConfigError: The tree is no architecture at all.
    """
    return _canonical(_read(tree, place))


def as_dumped(tree: object, place: str = "architecture") -> Architecture:
    """Return an architecture whose canonical form was dumped; it is not asked again if it fits.

    Raises:
        ConfigError: The tree is no architecture at all.
    """
    return _read(tree, place)


def refresh() -> None:
    """Rebuild the models, inner to outer, when there are other blocks or inputs than before."""
    known: list[tuple[object, ...]] = [tuple(each.values()) for each in SLOTS.values()]
    known.append(tuple(READABLE))
    if known != _known:
        models: list[type[Config]] = [*NETWORKS.values(), ConvStem, Stage, Path, NetworkPath]
        models += [Losses, Architecture]
        for model in models:
            model.model_rebuild(force=True)
        _known[:] = known


def architecture_schema() -> dict[str, Any]:
    """Return the JSON schema of the closed form, with every block registered so far."""
    refresh()
    return Architecture.model_json_schema()


def _read(tree: object, place: str) -> Architecture:
    refresh()
    return validate(Architecture, tree, place)


def _check(architecture: Architecture, place: str, *, searched: bool) -> None:
    broken: list[str] = []
    vanished: set[int] = set()
    visits = walk(architecture, place)
    for part, context, slot, path in visits:
        if path in vanished or (vanished and slot in BEHIND):
            continue  # it stands on nothing
        try:
            if min(context.size) < 1:
                vanished.add(path)
                raise context.refuse("the map has vanished", "fewer or gentler downs")
            ask_block(part, context, "check") if isinstance(part, Block) else part.check(context)
            if searched and isinstance(part, Block):
                part.check_searched(context)
        except Infeasible as error:
            broken.append(str(error))
    broken += _wrong_weights(architecture.losses, _blocks(visits), f"{place}.losses")
    if broken:
        raise Infeasible("\n".join(dict.fromkeys(broken)))


def _wrong_weights(losses: Losses, blocks: Sequence[Block], place: str) -> Iterator[str]:
    given, needed = _given(blocks), _needed(blocks)
    for name, weight in losses.weights.items():
        if weight and name not in given:
            right = "{kind: none}" if name in SLOTS else "0"
            yield (
                f"{place}.{name}: a weight of {weight} for a loss that no block of this network "
                f"gives{_HINTS.get(name, '')}; right: {right}"
            )
        if not weight and name in needed:
            yield (
                f"{place}.{name}: a weight of 0, but {needed[name]!r} learns from this loss only; "
                "right: more than 0"
            )


_HINTS = {
    "balance": " (routed experts give it where top_k < experts)",
    "rank": " (it needs frames and a pool in the slot temporal)",
    "dyn_image": " (it needs frames and a pool in the slot temporal)",
    "orth": " (it needs two paths)",
    "branch_cls": " (it needs two paths)",
}


_WEIGHT = 0.1
"""What a loss that a drawn block cannot do without weighs, where it was drawn without."""


def _repaired(architecture: Architecture) -> Architecture:
    architecture = _at_rest(architecture, "repair")
    blocks = _blocks(walk(architecture))
    return _taught(_weighed(architecture, blocks, only_unset=False), blocks)


def _canonical(architecture: Architecture) -> Architecture:
    architecture = _at_rest(architecture, "canonical")
    visits = walk(architecture)
    if not any(_skipped(visit) for visit in visits):
        architecture = architecture.model_copy(update={"drop_path": 0.0})
    return _weighed(architecture, _blocks(visits), only_unset=True)


def _at_rest(architecture: Architecture, how: Literal["repair", "canonical"]) -> Architecture:
    """Return the architecture once no part changes any more.

    Raises:
        BlockError: Blocks of the user's own go on changing without end.
    """
    for _ in range(_MAX_ROUNDS):
        before = architecture
        architecture = _passed(architecture, how)
        if architecture == before:
            return architecture
    blocks = _blocks(walk(architecture))
    own = sorted({block.kind for block in blocks if is_user_block(block)})
    raise BlockError(f"{how} of {', '.join(own)} never comes to an end: it changes what it gave")


def _skipped(visit: Visit) -> bool:
    """Return whether clips may skip the part; never one block alone, as rates rise from 0."""
    return isinstance(visit.part, Block) and visit.part.skips and any(visit.context.drop_path)


def _passed(architecture: Architecture, how: Literal["repair", "canonical"]) -> Architecture:
    """Return the architecture after one walk: every part repaired, or in canonical form."""
    index, visits = 0, walk(architecture)
    while index < len(visits):
        visit = visits[index]
        part = _answered(visit, how)
        if part != visit.part:
            architecture = visit.put(architecture, part)
            visits = walk(architecture)  # what comes after may stand elsewhere now
        index += 1
    return architecture


def _answered(
    visit: Visit, how: Literal["repair", "canonical"]
) -> Block | Stage | Path | NetworkPath:
    if isinstance(visit.part, Block):
        block: Block = ask_block(visit.part, visit.context, how)
        return block
    answer: Stage | Path | NetworkPath = getattr(visit.part, how)(visit.context)
    return answer


def _weighed(
    architecture: Architecture, blocks: Sequence[Block], *, only_unset: bool
) -> Architecture:
    """Return the architecture with weight 0, or no block, for losses that nothing gives.

    A block of weight 0 is no block, too.
    """
    losses = architecture.losses
    set_by_hand = losses.model_fields_set if only_unset else set()
    idle = set(losses.weights) - _given(blocks) - set_by_hand
    weightless = {name for name, weight in losses.weights.items() if name in SLOTS and not weight}
    neutral = {
        name: type(losses).model_fields[name].get_default(call_default_factory=True)
        if name in SLOTS
        else 0.0
        for name in idle | weightless
    }
    return architecture.model_copy(update={"losses": losses.model_copy(update=neutral)})


def _taught(architecture: Architecture, blocks: Sequence[Block]) -> Architecture:
    """Return the architecture with some weight for losses that a block cannot do without."""
    weights = architecture.losses.weights
    lacking = [name for name in _needed(blocks) if not weights[name]]
    losses = architecture.losses.model_copy(update=dict.fromkeys(lacking, _WEIGHT))
    return architecture.model_copy(update={"losses": losses})


def _given(blocks: Sequence[Block]) -> frozenset[str]:
    """Return the losses that the network can have; action units are a matter of the data."""
    return frozenset({"au"}).union(*(block.losses for block in blocks))


def _needed(blocks: Sequence[Block]) -> dict[str, str]:
    """Return the losses that the network must have, with the kind of block that needs them."""
    return {name: block.kind for block in blocks for name in block.needs}


def _blocks(visits: Sequence[Visit]) -> list[Block]:
    return [visit.part for visit in visits if isinstance(visit.part, Block)]
