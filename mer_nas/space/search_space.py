"""A search space: what may vary, what it may cost, and where the search begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Literal, Protocol, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from mer_nas.config import presets
from mer_nas.config.base import Config, Name, Tree, validate
from mer_nas.config.overrides import merge
from mer_nas.errors import ConfigError, Infeasible, unknown
from mer_nas.space.domains import BlockNode, Choice, Constant, Float, Int, Leaf, Pick
from mer_nas.space.published import PublishedTable
from mer_nas.space.reader import Reader
from mer_nas.space.settings import Setting
from mer_nas.space.walks import completed, encode, fill, fitting, narrow, values
from mer_nas.wording import brief

Fidelity = Literal["code", "paper", "reading", "own"]
FIDELITY: Mapping[Fidelity, str] = {
    "code": "equal to public code, in training and evaluation and in how it starts",
    "paper": "fully specified by the text",
    "reading": "our reading of the text",
    "own": "somebody's own, published nowhere",
}
"""What each word says of a system; `differs` says where it does not hold."""


class Limits(Config):
    """Upper bounds on the built network, known before training."""

    params: PositiveInt | None = None
    """Weights of the deployed network: without what only training uses."""
    macs: PositiveInt | None = None
    """Nominal multiply-accumulates of the deployed network for one clip; one is two FLOPs."""
    step_ms: PositiveFloat | None = None
    """Milliseconds of a training step of 16 clips, measured on this machine with one thread."""
    clip_ms: PositiveFloat | None = None
    """Milliseconds of one clip at inference, measured on this machine with one thread."""

    @property
    def timed(self) -> bool:
        """Whether something must be measured, which takes time and differs from run to run."""
        return self.step_ms is not None or self.clip_ms is not None

    def hold(self, place: str, **found: float) -> None:
        """Refuse a network that costs more.

        Args:
            place: How messages call the network.
            **found: What it costs, by the name of the limit; what is not given is not held.

        Raises:
            Infeasible: It does; the message gives both numbers.
        """
        for name, value in found.items():
            most = getattr(self, name)
            if most is not None and value > most:
                raise Infeasible(
                    f"{place}: {value:,} {_COSTS[name]}; the space allows at most {most:,}"
                )


_COSTS = {
    "params": "weights",
    "macs": "multiply-accumulates",
    "step_ms": "ms for a training step on this machine",
    "clip_ms": "ms for a clip on this machine",
}


class _PublishedSystem(Config):
    """What a published system has, whether a search may draw it or not."""

    name: Name
    source: str = ""
    """Where it was published: DOI, arXiv number or address of the code."""
    fidelity: Fidelity = "own"
    """code: equal to public code, in evaluation, in training and in initialisation; paper:
    specified by the text; reading: an interpretation; own: nobody else's."""
    differs: str = ""
    """What of it is not so: what differs from the code, or what the text leaves open."""
    recipe: str = ""
    """Trainer preset that it was published with."""

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if self.fidelity != "own" and not self.source:
            raise ValueError(
                f"fidelity {self.fidelity!r} without a source; name it, or say fidelity: own"
            )
        return self

    @property
    def changes(self) -> Tree:
        """What it has otherwise than its recipe."""
        raise NotImplementedError

    def training(self) -> Tree:
        """Return how the system is trained, as changes to the trainer.

        Raises:
            ConfigError: It names a preset that does not exist.
        """
        if not self.recipe:
            return self.changes
        try:
            preset = presets.read("trainer", self.recipe)
        except ConfigError as error:
            raise ConfigError(f"{self.name}: recipe: {error}") from None
        return merge(preset, self.changes)


class Point(_PublishedSystem):
    """A candidate inside the space that is tried first.

    In a search only the settings that are searched come from its recipe, where they are in range.
    """

    values: Tree
    """The candidate in the form of the result; what is left out is as the space fixes it, or is
    drawn."""

    @property
    def changes(self) -> Tree:
        """What it has otherwise than its recipe."""
        changes: Tree = self.values.get("trainer", {})
        return changes


class Reference(_PublishedSystem):
    """A published system in closed form: built, shown, trained on request, never drawn."""

    classes: PositiveInt
    """Number of classes it was published for."""
    architecture: Tree
    trainer: Tree = Field(default_factory=dict)
    """What it has otherwise than its recipe, or than the trainer where it names none."""

    @property
    def changes(self) -> Tree:
        """What it has otherwise than its recipe."""
        return self.trainer


class SpaceFile(Config):
    """A search space as its YAML file holds it."""

    name: Name
    """What the space is called, in reports and in the names of studies."""
    summary: str = ""
    """What is in it, in a sentence."""
    extensions: tuple[Path, ...] = ()
    """Python files with blocks of your own, relative to this file."""
    architecture: Tree
    """What is built; a mapping with the key choice, int, float or repeat is open."""
    trainer: Tree = Field(default_factory=dict)
    """Settings of the trainer that are searched along, in place of the preset's."""
    limits: Limits = Field(default_factory=Limits)
    points: tuple[Point, ...] = ()
    """Candidates of the space that are tried first, by name."""
    references: tuple[Reference, ...] = ()
    """Networks outside the space, built and trained on request."""
    tables: tuple[PublishedTable, ...] = ()
    """Published tables whose rows are points; the report sets our scores beside them."""


class Suggester(Protocol):
    """The part of an Optuna trial that draws."""

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...  # noqa: D102
    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int: ...  # noqa: D102
    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class WarmStart:
    """A point as the parameters that lead to it."""

    name: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class SearchSpace:
    """A family of candidates."""

    file: SpaceFile
    place: str
    """How the user knows the space, for messages: "space=moe"."""
    tree: BlockNode
    """`architecture` and `trainer` as nodes."""
    source: Tree = field(default_factory=dict)
    """The file as it was read."""
    points: tuple[WarmStart, ...] = ()
    """The points that lie inside, to be tried first."""
    words: Mapping[str, Any] = field(default_factory=dict)
    """The overrides that narrowed it, by dotted key."""
    folder: Path = field(default_factory=Path)
    """What the extensions are relative to."""

    @classmethod
    def read(cls, tree: Tree, place: str, folder: Path | None = None) -> SearchSpace:
        """Return the space that a YAML tree describes.

        Raises:
            ConfigError: Every mistake of the file, one a line; a point outside is one.
        """
        mistakes: list[str] = []
        try:
            file = validate(SpaceFile, tree, place)
            names = [point.name for point in file.points]
            for table in file.tables:
                mistakes += table.mistakes(place, names)
            every = [*names, *(reference.name for reference in file.references)]
            mistakes += [
                f"{place}: two points or references are called {name!r}"
                for name in sorted(set(every))
                if every.count(name) > 1
            ]
        except ConfigError as error:
            mistakes += str(error).splitlines()
        reader = Reader()
        parts = [key for key in ("architecture", "trainer") if isinstance(tree.get(key), dict)]
        read = reader.space({key: tree[key] for key in parts}, place)
        mistakes += reader.mistakes
        if mistakes:
            raise ConfigError("\n".join(mistakes))
        space = cls(file, place, read, tree, folder=folder or Path())
        points = tuple(space._warm_starts())
        file = file.model_copy(update={"points": tuple(map(space._completed, file.points))})
        return replace(space, file=file, points=points)

    @property
    def name(self) -> str:
        """The space's name."""
        return self.file.name

    @property
    def limits(self) -> Limits:
        """Upper bounds on a candidate's cost."""
        return self.file.limits

    @property
    def systems(self) -> tuple[Point | Reference, ...]:
        """The points and references of the file."""
        return (*self.file.points, *self.file.references)

    @property
    def extensions(self) -> list[Path]:
        """The Python files with blocks of the user's own."""
        return [self.folder / path for path in self.file.extensions]

    def parameters(self) -> dict[str, Leaf]:
        """Return every open parameter by its name, those of all options included."""
        every = ((setting.name, setting.node) for setting in Setting.of(self.tree))
        return {
            name: leaf for name, leaf in every if not isinstance(leaf, Constant) and leaf.is_open
        }

    def values(self, setting: str, default: Any) -> list[Any]:
        """Return every value that a setting may have, such as "architecture.paths.*.input".

        Args:
            setting: Its dotted key, where "*" stands for every item of a list.
            default: What it is where the space does not say.
        """
        found: list[Any] = []
        for value in values(self.tree, setting.split("."), default):
            if value not in found:
                found.append(value)
        return found

    def fill(self, pick: Pick) -> Tree:
        """Return the closed tree {architecture, trainer} that `pick` leads to.

        Raises:
            Infeasible: A `require` does not hold.
        """
        return {key: fill(block, pick, key) for key, block in self.tree.entries.items()}

    def draw(self, chance: Random) -> Tree:
        """Return a uniform random draw.

        Raises:
            Infeasible: A `require` of the space does not hold.
        """
        return self.fill(lambda _, leaf: leaf.draw(chance))

    def combinations(self) -> Iterator[dict[str, Any]]:
        """Yield the parameters of every combination of the space's choices that keeps its rules.

        Raises:
            ConfigError: A parameter is a range, of which there is no every value.
        """
        ranges = [name for name, leaf in self.parameters().items() if not isinstance(leaf, Choice)]
        if ranges:
            raise ConfigError(
                f"{self.place}: a grid takes every combination of choices, but "
                f"{', '.join(ranges)} may be any number of a range; fix it "
                f"(space.{ranges[0]}=VALUE), or write it as a choice"
            )
        turned: list[tuple[str, int, int]] = []
        """By parameter: which of how many labels."""
        while True:
            row: dict[str, Any] = {}

            def pick(name: str, leaf: Leaf, row: dict[str, Any] = row) -> Any:
                assert isinstance(leaf, Choice)
                if len(row) == len(turned):
                    turned.append((name, 0, len(leaf.labels)))
                row[name] = leaf.labels[turned[len(row)][1]]
                return row[name]

            with suppress(Infeasible):
                self.fill(pick)
                yield row
            while turned and turned[-1][1] + 1 == turned[-1][2]:
                turned.pop()
            if not turned:
                return
            name, index, of = turned.pop()
            turned.append((name, index + 1, of))

    def __repr__(self) -> str:
        """Return where it comes from, and how much of it is open."""
        facts = [("name", self.name), ("place", self.place), ("words", dict(self.words))]
        return brief(
            self, [*facts, ("open", len(self.parameters())), ("points", len(self.points))]
        )

    def suggest(self, trial: Suggester) -> Tree:
        """Return a closed tree drawn by an Optuna trial."""

        def pick(name: str, leaf: Leaf) -> Any:
            match leaf:
                case Choice():
                    return trial.suggest_categorical(name, leaf.labels)
                case Int(low, high, step, log):
                    return trial.suggest_int(name, low, high, step=step, log=log)
                case Float(low, high, log):
                    return trial.suggest_float(name, low, high, log=log)

        return self.fill(pick)

    def encode(self, tree: Tree) -> dict[str, Any]:
        """Return the parameters that lead to a closed tree; settings left out stay open.

        Raises:
            ConfigError: The tree lies outside the space.
        """
        parts: dict[str, Any] = {}
        for key, value in tree.items():
            if key not in self.tree.entries:
                raise ConfigError(unknown("part of a candidate", key, self.tree.entries))
            parts |= encode(self.tree.entries[key], value, key)
        return parts

    def narrowed(self, words: Mapping[str, Any]) -> SearchSpace:
        """Return the space with `space.*` words applied; points that fall outside are left out.

        Words on `limits` set them; those on `architecture` and `trainer` fix or narrow a leaf.

        Raises:
            ConfigError: A word names no leaf, or would widen the space.
        """
        tree, limits = self.tree, self.limits
        for key, value in words.items():
            head, *rest = key.split(".")
            if head == "limits":
                limits = _lowered(limits, rest, value, f"{self.place}: {key}")
            elif head in tree.entries and rest:
                block = narrow(tree.entries[head], rest, value, f"{self.place}: {head}")
                tree = BlockNode({**tree.entries, head: block})
            else:
                known = unknown("part of a space", head, [*tree.entries, "limits"])
                raise ConfigError(f"space.{key}: {known}")
        file = self.file.model_copy(update={"limits": limits})
        space = replace(self, file=file, tree=tree, words={**self.words, **words})
        return replace(space, points=tuple(space._warm_starts(strict=False)))

    def without_trainer(self, keys: Iterable[str]) -> SearchSpace:
        """Return the space less the trainer settings of these dotted keys, which are decided."""
        trainer = self.tree.entries.get("trainer")
        if not isinstance(trainer, BlockNode):
            return self
        for key in keys:
            trainer = _drop(trainer, key.split("."))
        space = replace(self, tree=BlockNode({**self.tree.entries, "trainer": trainer}))
        known = space.parameters()
        points = (
            replace(point, params={k: v for k, v in point.params.items() if k in known})
            for point in self.points
        )
        return replace(space, points=tuple(points))

    def trained_with(self, trainer: Tree) -> SearchSpace:
        """Return the space whose points take from `trainer` what their own recipe leaves open.

        A value outside of the searched range stays open.
        """
        points = (
            self._with_recipe(point, merge(trainer, self.point(point.name).training()))
            for point in self.points
        )
        return replace(self, points=tuple(points))

    def _with_recipe(self, point: WarmStart, trainer: Tree) -> WarmStart:
        block = self.tree.entries.get("trainer", BlockNode({}))
        params = {**point.params, **fitting(block, trainer, "trainer")}
        # Of `either` the recipe may have decided for another option than the point alone.
        there = {setting.name for setting in Setting.of(self.tree, params)}
        return replace(point, params={k: v for k, v in params.items() if k in there})

    def point(self, name: str) -> Point | Reference:
        """Return the point or reference called `name`.

        Raises:
            ConfigError: There is none; the message lists them.
        """
        known = {system.name: system for system in self.systems}
        if name not in known:
            raise ConfigError(f"{self.place}: {unknown('point', name, known)}")
        return known[name]

    def _completed(self, point: Point) -> Point:
        """Return a point with what the space fixes of its architecture and it leaves out."""
        node, key = self.tree.entries["architecture"], "architecture"
        architecture = completed(node, point.values.get(key, {}), key)
        return point.model_copy(update={"values": {**point.values, key: architecture}})

    def _warm_starts(self, *, strict: bool = True) -> Iterator[WarmStart]:
        mistakes = []
        for point in self.file.points:
            try:
                yield WarmStart(point.name, self.encode(point.values))
            except ConfigError as error:
                mistakes.append(f"{self.place}: point {point.name!r} lies outside: {error}")
        if strict and mistakes:
            raise ConfigError("\n".join(mistakes))


def _lowered(limits: Limits, keys: list[str], value: Any, place: str) -> Limits:
    key = ".".join(keys)
    changed = validate(Limits, {**limits.model_dump(), key: value}, place.rsplit(".", 1)[0])
    old, new = getattr(limits, key), getattr(changed, key)
    if old is not None and (new is None or new > old):
        raise ConfigError(f"{place}: {value} would widen the space; at most {old} would be right")
    return changed


def _drop(block: BlockNode, keys: list[str]) -> BlockNode:
    head, rest = keys[0], keys[1:]
    child = block.entries.get(head)
    if not rest or not isinstance(child, BlockNode):
        return block.without({head: block}) if not rest else block
    return BlockNode({**block.entries, head: _drop(child, rest)}, block.either, block.require)
