"""What a search space offers: its points and references as candidates, and draws from it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from mer_nas.architectures import NETWORKS, Architecture, Block, Cost, Path, parse, parse_drawn
from mer_nas.architectures.extensions import load_extensions
from mer_nas.architectures.grammar import Losses
from mer_nas.config.base import Config, Tree, validate
from mer_nas.config.overrides import apply, merge
from mer_nas.data.needs import Needs
from mer_nas.errors import ConfigError, Infeasible, unknown
from mer_nas.evaluation.candidate import Candidate
from mer_nas.inputs import COUNTED, READABLE, whole_input
from mer_nas.space import FIDELITY, Fidelity, Point, Reference, SearchSpace
from mer_nas.space.domains import BlockChoice, BlockNode, Items, Node, Repeat
from mer_nas.space.walks import values
from mer_nas.training.config import TrainerConfig
from mer_nas.training.own_augmentations import refuse_unknown
from mer_nas.training.own_losses import refuse_unknown_loss

MAX_COMBINATIONS = 1_000
"""Combinations that a grid may have."""


class System(NamedTuple):
    """A point or reference of a space, built and counted."""

    name: str
    role: str
    """point: a warm start inside the space; reference: a published system beside it."""
    source: str
    fidelity: Fidelity
    """How it stands to its source: a key of `mer_nas.space.FIDELITY`."""
    differs: str
    """Where that does not hold."""
    classes: int
    params: int
    """Weights that are trained."""
    deployed: int
    """Weights without what only training uses; limits speak of these."""
    macs: int
    """Nominal multiply-accumulates of the deployed network for one clip."""

    @property
    def faithful(self) -> str:
        """How it stands to its source, in words."""
        return f"{self.fidelity}: {FIDELITY[self.fidelity]}"

    @property
    def line(self) -> str:
        """The system as one line of a table."""
        differs = self.deployed != self.params
        deployed = f" ({self.deployed:,} weights deployed)" if differs else ""
        but = f"; but {self.differs}" if self.differs else ""
        return (
            f"{self.name:<26}{self.role:<11}{self.params:>12,} weights "
            f"{self.macs / 1e6:>9.1f} MMAC  {self.fidelity:<8} {self.source}{deployed}{but}"
        )


class Draw(NamedTuple):
    """One random proposal of a space."""

    tree: Tree
    reason: str
    """Why it is infeasible; empty for a feasible one."""


def published_systems(space: SearchSpace, classes: int) -> list[System]:
    """Return the points and references of a space.

    Args:
        space: The space.
        classes: Number of classes that points are counted for.

    Raises:
        Infeasible: One of them breaks a rule of the grammar, or a point the limits of the space.
    """
    load_extensions(space.extensions)
    return [_counted(space, entry, classes) for entry in space.systems]


def published_system(space: SearchSpace, name: str, classes: int) -> System:
    """Return one point or reference of a space; the others are not built.

    Raises:
        ConfigError: There is none of this name.
        Infeasible: It breaks a rule of the grammar, or a point the limits of the space.
    """
    load_extensions(space.extensions)
    return _counted(space, space.point(name), classes)


def _counted(space: SearchSpace, entry: Point | Reference, classes: int) -> System:
    place = f"{space.place}: {entry.name}"
    number = entry.classes if isinstance(entry, Reference) else classes
    cost = Cost.of(parsed(entry, place), number)
    if isinstance(entry, Point):
        space.limits.hold(place, params=cost.deployed, macs=cost.macs)
    role = "reference" if isinstance(entry, Reference) else "point"
    said = (entry.name, role, entry.source, entry.fidelity, entry.differs, number)
    return System(*said, cost.parameters, cost.deployed, cost.macs)


def needs(space: SearchSpace) -> Needs:
    """Return what the networks of a space read of a clip, all its open choices together.

    Raises:
        ConfigError: A path reads an input that no data set has.
    """
    load_extensions(space.extensions)
    read = [reading for part in _parts(space) for reading in _readings(part)]
    named = dict.fromkeys(name for reading in read for name in reading.inputs)
    for name in named:
        if name not in READABLE:
            raise ConfigError(f"{space.place}: architecture: {unknown('input', name, READABLE)}")
    inputs = dict.fromkeys(map(whole_input, named))
    frames = [count for reading in read for count in reading.frames]
    weights = space.values("architecture.losses.au", _default(Losses, "au"))
    return Needs(
        space.place,
        tuple(inputs),
        tuple(dict.fromkeys(size for reading in read for size in reading.sizes)),
        max(filter(_is_number, frames), default=0) if COUNTED & set(inputs) else 0,
        action_units=any(weight > 0 for weight in filter(_is_number, weights)),
    )


class _Reading(NamedTuple):
    """What a path, or a network that is used whole, may read: every value of its settings."""

    inputs: list[Any]
    sizes: list[Any]
    frames: list[Any]


def _parts(space: SearchSpace) -> list[Node]:
    """Return the paths of a space, or the one network that is used whole."""
    tree = space.tree.entries["architecture"]
    assert isinstance(tree, BlockNode)
    if "network" in tree.names():
        return [tree]
    match tree.entries.get("paths"):
        case Items(nodes):
            return list(nodes)
        case Repeat() as paths:
            return [paths.at(index) for index in range(paths.longest)]
    return [BlockNode({})]


def _readings(path: Node) -> Iterator[_Reading]:
    """Yield what may be read by a path of stages, and by each network in its place."""
    names = path.names() if isinstance(path, BlockNode) else []
    if "network" not in names or "stem" in names:
        keys = ("input", "size", "frames")
        yield _Reading(*([*values(path, [key], _default(Path, key))] for key in keys))
    for node in _children(path, "network"):
        for kind, settings in _kinds(node):
            if kind in NETWORKS:
                yield _read_whole(NETWORKS[kind], settings)


def _read_whole(block: type[Block], settings: Node) -> _Reading:
    """Return what a network that is used whole may read."""
    sizes, frames = (
        [*values(settings, [key], _default(block, field))]
        for key, field in (("size", "size"), ("frames", "taken"))
    )
    default = _default(block, "inputs")
    named = [name for node in _children(settings, "inputs") for name in _inputs(node)]
    inputs = named or [*(default.values() if isinstance(default, Mapping) else default)]
    return _Reading(inputs, sizes, frames)


def _inputs(node: Node) -> Iterator[Any]:
    """Yield every name that the setting `inputs` of a network may hold."""
    match node:
        case BlockNode(entries):
            for child in entries.values():
                yield from _inputs(child)
        case Items(nodes):
            for child in nodes:
                yield from _inputs(child)
        case _:
            for value in values(node, [], None):
                yield from value if isinstance(value, list) else [value]


def _children(node: Node, key: str) -> Iterator[Node]:
    """Yield what a setting of a block may be, whichever option of `either` it is in."""
    if isinstance(node, BlockNode):
        yield from [node.entries[key]] if key in node.entries else []
        for option in node.either.values():
            yield from _children(option, key)


def _kinds(node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the kinds that a block may be of, each with its settings."""
    if isinstance(node, BlockChoice):
        yield from node.options.items()
    elif isinstance(node, BlockNode):
        yield from ((str(kind), node) for kind in values(node, ["kind"], None))


def _default(config: type[Config], field: str) -> Any:
    return config.model_fields[field].default


def _is_number(value: Any) -> bool:
    """Whether a value can be compared; one that cannot is refused where the space is built."""
    return isinstance(value, int | float)


def candidate(
    space: SearchSpace, name: str, trainer: TrainerConfig, words: Mapping[str, Any] | None = None
) -> Candidate:
    """Return a point or reference of the space with its training recipe.

    Args:
        space: The space.
        name: The point or reference.
        trainer: What it is trained with, as far as its own recipe leaves open.
        words: `trainer.*` words of the command line, which win over the recipe.
    """
    load_extensions(space.extensions)
    entry = space.point(name)
    place = f"{space.place}: {name}"
    return Candidate(
        parsed(entry, place), trained_by(trainer, entry.training(), words or {}, place)
    )


def only(space: SearchSpace, trainer: TrainerConfig, words: Mapping[str, Any]) -> Candidate:
    """Return the one candidate of a space without open leaves."""
    load_extensions(space.extensions)
    tree = space.fill(lambda _, leaf: leaf)  # nothing is open, so nothing is picked
    architecture = parse(tree["architecture"], f"{space.place}: architecture")
    return Candidate(
        architecture, trained_by(trainer, tree.get("trainer", {}), words, space.place)
    )


def trained_by(
    trainer: TrainerConfig, recipe: Tree, words: Mapping[str, Any], place: str
) -> TrainerConfig:
    """Return the trainer with a recipe's settings and then those of the command line."""
    tree = apply(merge(trainer.model_dump(mode="json"), recipe), dict(words))
    found = validate(TrainerConfig, tree, f"{place}: trainer")
    refuse_unknown_loss(found.loss)
    refuse_unknown(found.augment.own)
    return found


def grid(space: SearchSpace, sampler: str) -> list[dict[str, Any]] | None:
    """Return what a study tries beside the points of the space; none where its sampler decides.

    Args:
        space: The space.
        sampler: As in `study.sampler`; "grid" and "points" have a closed list of candidates.

    Raises:
        ConfigError: The space gives no such list.
    """
    if sampler == "points":
        if not space.points:
            raise ConfigError(f"{space.place}: study.sampler=points, but the space has no points")
        return []
    if sampler != "grid":
        return None
    found = list(islice(space.combinations(), MAX_COMBINATIONS + 1))
    if len(found) > MAX_COMBINATIONS:
        raise ConfigError(
            f"{space.place}: a grid of more than {MAX_COMBINATIONS:,} combinations; fix or narrow "
            f"some of {', '.join(space.parameters())}, or let a sampler choose (study.sampler=tpe)"
        )
    points = [point.params for point in space.points]
    return [row for row in found if row not in points]


def draws(space: SearchSpace, times: int, classes: int) -> Iterator[Draw]:
    """Yield uniform random draws of the space, the same each time, and which are feasible."""
    load_extensions(space.extensions)
    chance = random.Random(0)
    for _ in range(times):
        yield _draw(space, chance, classes)


def _draw(space: SearchSpace, chance: random.Random, classes: int) -> Draw:
    tree: Tree = {}
    try:
        tree = space.draw(chance)
        closed = parse_drawn(tree["architecture"], f"{space.place}: architecture")
        cost = Cost.of(closed, classes)
        space.limits.hold(space.place, params=cost.deployed, macs=cost.macs)
    except Infeasible as error:
        return Draw(tree, str(error).removeprefix(f"{space.place}: "))
    return Draw(tree, "")


def parsed(entry: Point | Reference, place: str) -> Architecture:
    """Return the network of a point or reference; `place` is how messages call it.

    Raises:
        ConfigError: It has an unknown or missing setting, or a wrong type.
        Infeasible: It breaks a rule of the grammar.
    """
    place = f"{place}: architecture"
    if isinstance(entry, Reference):
        return parse(entry.architecture, place)
    return parse(entry.values["architecture"], place, searched=True)
