"""Presets: the YAML files that `space=`, `trainer=`, `data=` and `study=` name.

In a checkout they lie in the top-level folders beside the package; a built wheel carries them
inside it. The folder is the key and the file is its value: `trainer=full` reads
`trainers/full.yaml`. A word that is a path to a file reads that file.
"""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from functools import cache, lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mer_nas import files
from mer_nas.config import reader
from mer_nas.errors import ConfigError, shown, unknown

if TYPE_CHECKING:
    from mer_nas.config.base import Tree

FOLDERS = {
    "space": "search_spaces",
    "trainer": "trainers",
    "data": "data",
    "study": "studies",
}
DEFAULTS = {"space": "moe", "trainer": "quick", "data": "synthetic", "study": "quick"}
"""The presets of a command that names none."""


@cache
def _folder(group: str) -> Traversable:
    """Return the presets of `group`: inside the package once built, beside it in a checkout."""
    built = resources.files("mer_nas").joinpath("presets", FOLDERS[group])
    return built if built.is_dir() else Path(__file__).parents[2] / FOLDERS[group]


def names(group: str) -> list[str]:
    """Return the names of the presets of `group`, sorted."""
    return names_in(_folder(group))


def beside(group: str, name: str) -> Traversable:
    """Return what lies beside the presets of `group` under a name, whether it is there or not."""
    return _folder(group).joinpath(name)


def names_in(folder: Traversable) -> list[str]:
    """Return the names of the YAML files in a folder, sorted."""
    files = (file.name for file in folder.iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def summary(group: str, name: str) -> str:
    """Return a preset's `summary`, or the first sentence of the comment that opens it."""
    if (told := read(group, name).get("summary")) is not None:
        return str(told)
    text = find(group, name).read_text(encoding="utf-8")
    lines = [line.lstrip("# ").rstrip() for line in text.splitlines() if line.startswith("#")]
    prose = " ".join(
        x for x in lines if x and not x.startswith(("yaml-language-server", "mer-nas "))
    )
    return prose.split(". ")[0].rstrip(".")


def find(group: str, word: str | Path) -> Traversable:
    """Return the file that `group=word` means.

    A path, or a file name ending in .yaml that exists here, is that file; anything else is the
    name of a preset, with or without .yaml.

    Raises:
        ConfigError: There is neither such a file nor such a preset.
    """
    if not isinstance(word, str | Path):
        raise ConfigError(
            f"{group}={shown(word)}: the name of a preset, or a YAML file, would be right"
        )
    word = str(word)
    path = files.place(word, group, ConfigError)
    if path.suffix in {".yaml", ".yml"} and path.exists():
        return path
    if path.name != word:
        if path.exists():
            kind = "a folder" if path.is_dir() else "no YAML file"
            raise ConfigError(f"{group}={word}: this is {kind}; a YAML file would be right")
        raise ConfigError(f"{group}={word}: there is no such file")
    name = word.removesuffix(".yaml")
    if name not in names(group):
        raise ConfigError(f"{group}={word}: {unknown('preset', name, names(group))}")
    return _folder(group).joinpath(f"{name}.yaml")


def read(group: str, word: str) -> Tree:
    """Return the tree of the file that `group=word` means.

    Raises:
        ConfigError: There is no such file, or it is no YAML.
    """
    file = find(group, word)
    if isinstance(file, Path):
        text = files.read_text(file, ConfigError, reader.MAX_LENGTH)
    else:
        text = file.read_text(encoding="utf-8")
    return parse(text, f"{group}={word}")


def parse(text: str, place: str) -> Tree:
    """Return YAML as a plain tree; `reader` says what may stand there.

    Args:
        text: YAML whose top level is a mapping.
        place: How the user knows it, for messages.

    Raises:
        ConfigError: The text is no YAML, or no mapping.
    """
    try:
        tree = deepcopy(_loaded(text)) if text.strip() else {}
    except reader.Unreadable as error:
        raise ConfigError(f"{place}: cannot be read: {error}") from None
    if not isinstance(tree, dict):
        found = "a list" if isinstance(tree, list) else shown(tree)
        raise ConfigError(f"{place}: a mapping of settings would be right, not {found}")
    return tree


_loaded = lru_cache(maxsize=64)(reader.load)


def dump(tree: Tree, *, compact: bool = False) -> str:
    """Return `tree` as YAML that `parse` reads back unchanged.

    Args:
        tree: What is written.
        compact: Whether a mapping without further ones in it takes one line.

    Raises:
        ConfigError: It holds what no YAML here can say.
    """
    style = None if compact else False
    try:
        return yaml.dump(
            tree,
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=True,
            width=96,
            default_flow_style=style,
        )
    except yaml.representer.RepresenterError as error:
        raise ConfigError(
            f"{shown(error.args[-1])} has no place in YAML; a text, a number, True, False, None, "
            "or a list or mapping of these would be right"
        ) from None


class _Dumper(yaml.SafeDumper):
    """Writes floats so that every YAML reader takes them for floats, and short lists in a line."""

    def represent_mapping(
        self, tag: str, mapping: Any, flow_style: bool | None = None
    ) -> yaml.MappingNode:
        """Return a mapping in which no name is `~`, as null would be one."""
        node = super().represent_mapping(tag, mapping, flow_style)
        for key, value in node.value:
            if key.value in reader.NAMES and value.tag.endswith(":null"):
                value.value = "~"
        return node


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    text = repr(value)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # YAML 1.1 writers take 1e-4 for a text and leave it bare; our reader takes it for a number.
    with suppress(ValueError):
        float(value)
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="'")
    return dumper.represent_str(value)


def _list(dumper: yaml.SafeDumper, value: list[object]) -> yaml.SequenceNode:
    plain = not any(isinstance(item, dict | list) for item in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=plain)


_Dumper.add_representer(float, _float)
_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(tuple, lambda dumper, value: _list(dumper, list(value)))
for _kind in (bytes, set):  # our reader takes no tag
    _Dumper.add_representer(_kind, yaml.SafeDumper.represent_undefined)
_Dumper.ignore_aliases = lambda self, data: True  # type: ignore[method-assign]
