"""Every setting by its key, with what it may be and what it does.

All of it is read from the JSON schemas that the package carries, which say what the models do: so
help and completion need no model, and no sentence stands in two places.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from mer_nas.config import overrides, presets
from mer_nas.errors import ConfigError, unknown

GROUPS = ("space", "trainer", "data", "study", "ray")
"""The groups of settings."""

Node = Mapping[str, Any]
"""A part of a JSON schema."""


class Key(NamedTuple):
    """A setting."""

    name: str
    """As on the command line: `study.final.seeds`."""
    kind: str
    """What it may be."""
    default: str
    """What it is in a command that names no preset; empty where that follows from other things."""
    about: str
    """What it does, with units and ranges."""
    values: tuple[str, ...] = ()
    """All that it may be, where those are words."""

    @property
    def brief(self) -> str:
        """The first sentence of what it does."""
        return self.about.split(". ")[0].rstrip(".")


def keys(group: str) -> tuple[Key, ...]:
    """Return the settings of a group, those of its parts after each part.

    Of a space it is what its file holds beside the architecture, which is each space's own.

    >>> next(key.default for key in keys("study") if key.name == "study.final.seeds")
    '1'

    Raises:
        ConfigError: There is no such group.
    """
    if group not in GROUPS:
        raise ConfigError(unknown("group", group, GROUPS))
    return _keys(group)


@cache
def _keys(group: str) -> tuple[Key, ...]:
    file = resources.files("mer_nas").joinpath("config", "schemas", f"{group}.json")
    schema = json.loads(file.read_text(encoding="utf-8"))
    found: dict[str, Key] = {}
    for key in _Reader(schema.get("$defs", {})).keys_of(schema, group):
        found[key.name] = _either(found.get(key.name, key), key)
    if group in presets.DEFAULTS and group != "space":
        preset = presets.read(group, presets.DEFAULTS[group])
        for name, value in overrides.leaves({group: preset}).items():
            if name in found:
                found[name] = found[name]._replace(default=_text(value))
    return tuple(found.values())


def _text(value: Any) -> str:
    """Return a value as a word has it."""
    return value if isinstance(value, str) else json.dumps(value)


def _either(one: Key, other: Key) -> Key:
    """Return a setting that several kinds of a part have, each in its own way."""
    kinds = dict.fromkeys([*one.kind.split(" or "), *other.kind.split(" or ")])
    return one._replace(
        kind=" or ".join(kinds),
        default=one.default if one.default == other.default else "",
        values=tuple(dict.fromkeys([*one.values, *other.values])),
    )


class _Reader:
    """Reads a schema.

    Args:
        parts: What it refers to.
    """

    def __init__(self, parts: Mapping[str, Node]) -> None:
        self._parts = parts

    def keys_of(self, node: Node, place: str) -> Iterator[Key]:
        """Yield the settings below a place."""
        for option in self._options(node):
            if option.get("additionalProperties"):
                continue  # what else it holds is not for the schema to say
            for name, inner in option.get("properties", {}).items():
                yield self._key(inner, f"{place}.{name}")
                yield from self.keys_of(inner, f"{place}.{name}")

    def _key(self, node: Node, name: str) -> Key:
        options = list(self._options(node))
        kinds = dict.fromkeys(_kind(option) for option in options)
        words = [word for option in options for word in _words(option)]
        default = _text(node["default"]) if "default" in node else ""
        told = [each["description"] for each in (node, *options) if "description" in each]
        about = " ".join(told[0].split()) if told else ""
        return Key(name, " or ".join(kinds), default, about, tuple(words))

    def _options(self, node: Node) -> Iterator[Node]:
        """Yield what a node may be, without references."""
        if "$ref" in node:
            yield from self._options(self._parts[node["$ref"].rpartition("/")[2]])
            return
        choices = node.get("anyOf") or node.get("oneOf")
        if not choices:
            yield node
            return
        for choice in choices:
            yield from self._options(choice)


def _words(node: Node) -> Iterator[str]:
    """Yield the words that a node may be."""
    if node.get("type") == "boolean":
        yield from ("true", "false")
    if node.get("type") == "null":
        yield "null"
    yield from (str(value) for value in node.get("enum", []))
    if "const" in node:
        yield str(node["const"])


def _kind(node: Node) -> str:
    """Return in words what a node may be."""
    kind = node.get("type")
    if "const" in node or "enum" in node or kind in ("boolean", "null"):
        return " or ".join(_words(node))
    if kind in ("integer", "number"):
        return ("whole number" if kind == "integer" else "number") + _range(node)
    if kind == "array":
        items = node.get("items", {})
        inner = _kind(items) if "type" in items else "values"
        return f"list ({inner})"
    if kind == "object":
        return "settings" if "properties" in node else "{name: value}"
    return {"path": "path"}.get(node.get("format", ""), "text")


def _range(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    over, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    ends = (
        (" from {}", low), (" above {}", over), (" to {}", high), (" below {}", below),
    )  # fmt: skip
    return "".join(text.format(end) for text, end in ends if end is not None)
