"""Everything a command needs, typed: the space, trainer, data and study, and Ray's share.

`key=value` words choose a preset of each group and change its settings; what they leave open is
the quick search on the embedded data.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any

from pydantic import TypeAdapter

from mer_nas import trust
from mer_nas.config import overrides, presets
from mer_nas.config.arguments import scalar
from mer_nas.config.base import Config, Tree, validate
from mer_nas.config.keys import keys
from mer_nas.data.config import DataConfig, OwnData, PrecomputedFlow, RecordedData, SyntheticData
from mer_nas.errors import ConfigError, shown, unknown
from mer_nas.search.config import RayConfig, StudyConfig
from mer_nas.space import SearchSpace
from mer_nas.training.config import TrainerConfig
from mer_nas.wording import brief


class _Data(Config):
    data: DataConfig


class _StoredSpace(Config):
    place: str
    folder: Path
    file: Tree
    words: Tree


class _Stored(Config):
    """What `Settings.dump` writes, before its parts are looked at."""

    space: _StoredSpace
    trainer: Tree
    trainer_words: Tree
    data: Tree
    study: Tree
    ray: Tree


@dataclass(frozen=True)
class Settings:
    """What one command resolved to."""

    space: SearchSpace
    trainer: TrainerConfig
    data: DataConfig
    study: StudyConfig
    ray: RayConfig
    trainer_words: Mapping[str, Any] = field(default_factory=dict)
    """`trainer.*` words of the command line; they hold in the search and in the final stage."""
    own: bool = field(default=False, compare=False)
    """Whether the user's own words have led to them, and no file of somebody's (see `trust`)."""
    open_final: bool = field(default=False, compare=False)
    """Whether a plan may make the final stage smaller: nobody asked for one beside the minutes."""

    def __repr__(self) -> str:
        """Return the names of what was chosen."""
        facts = [("space", self.space.place), ("trainer", self.trainer.name)]
        return brief(self, [*facts, ("data", self.data.name), ("trials", self.study.trials)])

    def dump(self) -> Tree:
        """Return the settings as a tree that `load` reads back."""
        return {
            "space": {
                "place": self.space.place,
                "folder": str(self.space.folder.resolve()),
                "file": self.space.source,
                "words": dict(self.space.words),
            },
            "trainer": self.trainer.model_dump(mode="json"),
            "trainer_words": dict(self.trainer_words),
            "data": self.data.model_dump(mode="json"),
            "study": self.study.model_dump(mode="json"),
            "ray": self.ray.model_dump(mode="json"),
        }

    @classmethod
    def load(cls, tree: Tree, place: str) -> Settings:
        """Return the settings that `dump` wrote.

        Raises:
            ConfigError: Something is missing, or wrong.
        """
        stored = validate(_Stored, tree, place)
        _of_before(stored.study)
        file, words = stored.space, stored.trainer_words
        space = SearchSpace.read(file.file, file.place, file.folder)
        trainer = validate(TrainerConfig, stored.trainer, f"{place}: trainer")
        return cls(
            _prepared(space.narrowed(file.words), trainer, words),
            trainer,
            validate_data(stored.data, f"{place}: data"),
            validate(StudyConfig, stored.study, f"{place}: study"),
            validate(RayConfig, stored.ray, f"{place}: ray"),
            words,
        )


def _of_before(study: Tree) -> None:
    """Let a study that was made before there was a setting go on without what it asks for."""
    study.setdefault("alternatives", 1)
    if isinstance(final := study.get("final"), dict):
        final.setdefault("ensemble", None)
        final.setdefault("chance", 0.0)


GROUPS: Mapping[str, type[Any] | UnionType] = {
    "space": SearchSpace,
    "trainer": TrainerConfig,
    "data": SyntheticData | PrecomputedFlow | RecordedData | OwnData,
    "study": StudyConfig,
    "ray": RayConfig,
}
"""What can be set, by the typed configuration of each group."""


def resolve(
    words: Iterable[str], also: Iterable[str] = (), given: Mapping[str, Any] | None = None
) -> Settings:
    """Return the settings that `key=value` words ask for.

    Args:
        words: Such as `space=moe`, `data.root=/faces`, `trainer.lr=1e-3`.
        also: Plain keys besides the groups that the command understands itself.
        given: Typed configuration in place of a preset, by group (see `worded`).

    Raises:
        ConfigError: Every mistake of the words and of the files they name, one a line.
    """
    read = overrides.parse(words)
    keys, groups = [*presets.FOLDERS, *also], [*presets.FOLDERS, "ray"]
    mistakes = [unknown("key", key, keys) for key in read.plain if key not in keys]
    mistakes += [
        f"{key}: {unknown('group', key.split('.')[0], groups)}"
        for key in read.dotted
        if key.split(".")[0] not in groups
    ]
    parts: dict[str, Any] = {}
    readers = {
        "space": _space,
        "trainer": _trainer,
        "data": _preset_data,
        "study": _study,
        "ray": _ray,
    }
    for group, reader in readers.items():
        word = (given or {}).get(group, read.plain.get(group, presets.DEFAULTS.get(group, "")))
        try:
            parts[group] = reader(word, read.of(group))
        except ConfigError as error:
            mistakes += str(error).splitlines()
    if mistakes:
        raise ConfigError("\n".join(dict.fromkeys(mistakes)))
    trainer_words = read.of("trainer")
    extensions = parts["space"].extensions
    if extensions:  # who has none does not wait for torch
        from mer_nas.architectures.extensions import every_file

        extensions = every_file(extensions)
    trust.name_files(extensions)
    parts["space"] = _prepared(parts["space"], parts["trainer"], trainer_words)
    word = (given or {}).get("study", read.plain.get("study", presets.DEFAULTS["study"]))
    open_final = _is_final_open(word, read.of("study"))
    return Settings(**parts, trainer_words=trainer_words, own=True, open_final=open_final)


def worded(keywords: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Return keywords of Python as `key=value` words, and the typed configuration among them.

    A group takes the name or path of a preset, a mapping of settings that differ from the preset,
    or its typed configuration; a space also the mapping that its YAML would be. Every other
    keyword is a setting of the study.

    >>> worded({"space": "moe", "trials": 20, "trainer": {"augment": {"flip": True}}})
    (['space=moe', 'study.trials=20', 'trainer.augment.flip=true'], {})

    Raises:
        ConfigError: A keyword is no setting, or its value is of no such kind.
    """
    words: list[str] = []
    given: dict[str, Any] = {}
    for key, value in keywords.items():
        if key not in GROUPS and key not in StudyConfig.model_fields:
            raise ConfigError(_unknown_keyword(key))
        if key not in GROUPS:
            words.append(f"study.{key}={_as_word(value, key)}")
        elif isinstance(value, GROUPS[key]):
            given[key] = value
        elif key == "space" and isinstance(value, Mapping):
            given[key] = SearchSpace.read(dict(value), "space", Path())
        elif isinstance(value, Mapping):
            leaves = overrides.leaves(value).items()
            words += [f"{key}.{name}={_as_word(leaf, name)}" for name, leaf in leaves]
        elif isinstance(value, str | Path) and key in presets.DEFAULTS:
            words.append(f"{key}={value}")
        else:
            raise ConfigError(
                f"{key}={shown(value)}: the name of a preset, a mapping of settings or its typed "
                "configuration would be right"
            )
    return words, given


def _as_word(value: Any, key: str) -> str:
    if isinstance(value, Path):
        value = str(value)
    try:
        if isinstance(value, str) and overrides.value(value, key) == value:
            return value
        return json.dumps(value, allow_nan=False, ensure_ascii=False, default=scalar)
    except (ConfigError, TypeError, ValueError, RecursionError):
        raise ConfigError(
            f"{key}={shown(value)}: no setting can have such a value; a text, a finite number, "
            "True, False, None, or a list or mapping of these would be right"
        ) from None


def _unknown_keyword(key: str) -> str:
    for group in ("trainer", "ray", "data"):
        if any(known.name == f"{group}.{key}" for known in keys(group)):
            return f"{key}: a setting of {group}, so {group}={{{key!r}: ...}} would be right"
    return unknown("keyword", key, [*GROUPS, *StudyConfig.model_fields])


def with_space_of(point: str, words: Sequence[str]) -> list[str]:
    """Return the words with `space=` for the space that has the point, if they name none.

    The space of the default command comes first, then the others in alphabetical order.

    Raises:
        ConfigError: No space has it; the message lists what there is.
    """
    if "space" in overrides.parse(words).plain:
        return list(words)
    names = sorted(
        presets.names("space"), key=lambda name: (name != presets.DEFAULTS["space"], name)
    )
    known = {name: _systems(presets.read("space", name)) for name in names}
    for name, systems in known.items():
        if point in systems:
            return [f"space={name}", *words]
    every = [system for systems in known.values() for system in systems]
    raise ConfigError(f"point={point}: {unknown('point', point, every)}")


def _systems(tree: Tree) -> list[str]:
    entries = [*tree.get("points", []), *tree.get("references", [])]
    return [entry["name"] for entry in entries]


def _prepared(space: SearchSpace, trainer: TrainerConfig, words: Mapping[str, Any]) -> SearchSpace:
    """Return the space less what `trainer.*` words decide; its points take the recipe."""
    return space.without_trainer(words).trained_with(trainer.model_dump(mode="json"))


def _space(word: str | SearchSpace, changes: dict[str, Any]) -> SearchSpace:
    if isinstance(word, SearchSpace):
        return word.narrowed(changes)
    file = presets.find("space", word)
    folder = file.parent if isinstance(file, Path) else Path()
    tree = presets.read("space", word)
    return SearchSpace.read(tree, f"space={word}", folder).narrowed(changes)


def _tree(group: str, word: str | Config, changes: dict[str, Any]) -> Tree:
    """Return a preset, or what was given in place of one, with some settings changed."""
    tree = word.model_dump(mode="json") if isinstance(word, Config) else presets.read(group, word)
    return overrides.apply(tree, changes)


def _trainer(word: str | Config, changes: dict[str, Any]) -> TrainerConfig:
    return validate(TrainerConfig, _tree("trainer", word, changes), "trainer")


def _preset_data(word: str | Config, changes: dict[str, Any]) -> DataConfig:
    return validate_data(_tree("data", word, changes), "data")


def validate_data(tree: Tree, place: str) -> DataConfig:
    """Return `tree` as the configuration of some data; `place` is how the user knows it."""
    try:
        return validate(_Data, {"data": tree}, "\0").data
    except ConfigError as error:
        kind = tree.get("kind")
        text = str(error).replace(f"\0.data.{kind}", place).replace("\0.data", place)
        raise ConfigError(text) from None


def changed_data(kept: DataConfig, changes: dict[str, Any]) -> DataConfig:
    """Return the data of a study or report with what the words of a command say of them.

    A root for all of them takes the place of the roots that were named one by one before.
    """
    tree = kept.model_dump(mode="json")
    if "root" in changes and "roots" in tree:
        tree["roots"] = {}
    return validate_data(overrides.apply(tree, changes), "data")


def _study(word: str | Config, changes: dict[str, Any]) -> StudyConfig:
    return validate(StudyConfig, _tree("study", word, changes), "study")


def _is_final_open(word: str | Config, changes: Mapping[str, Any]) -> bool:
    """Whether minutes were asked for beside a preset, and nothing of its final stage."""
    if isinstance(word, Config) or any(key.split(".")[0] == "final" for key in changes):
        return False
    preset = presets.read("study", word)
    return "final" not in preset or (preset.get("minutes") is None and "minutes" in changes)


def _ray(word: str | Config, changes: dict[str, Any]) -> RayConfig:
    tree = word.model_dump(mode="json") if isinstance(word, Config) else {}
    return validate(RayConfig, overrides.apply(tree, changes), "ray")


def schema(group: str) -> Tree:
    """Return the JSON schema of a group's settings, as its YAML files have them.

    Raises:
        ConfigError: There is no such group.
    """
    from mer_nas.config.documented import Documented
    from mer_nas.space.schema import space_schema

    match group:
        case "space":
            return space_schema()
        case "trainer":
            return TrainerConfig.model_json_schema()
        case "data":
            adapter: TypeAdapter[DataConfig] = TypeAdapter(DataConfig)
            return adapter.json_schema(schema_generator=Documented)
        case "study":
            return StudyConfig.model_json_schema()
        case "ray":
            return RayConfig.model_json_schema()
    raise ConfigError(unknown("group", group, GROUPS))
