"""`key=value` words: which preset of a group, and which settings instead of the preset's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mer_nas.config import reader
from mer_nas.config.arguments import scalar
from mer_nas.errors import ConfigError, shown
from mer_nas.files import MAX_DEPTH

if TYPE_CHECKING:
    from mer_nas.config.base import Tree

PLACES: Final = ("root", "roots", "cache")
"""Settings of data that say where they lie on one machine: no part of what they are."""
PLACE_KEYS: Final = tuple(f"data.{name}" for name in PLACES)
"""The same as words have them; below one may lie a key for each data set."""


@dataclass(frozen=True)
class _Overrides:
    """The words of one command, told apart."""

    plain: dict[str, str] = field(default_factory=dict)
    """`space=moe` as {"space": "moe"}; the values are texts."""
    dotted: dict[str, Any] = field(default_factory=dict)
    """`trainer.lr=1e-3` as {"trainer.lr": 0.001}; the values are read as YAML."""

    def of(self, group: str) -> dict[str, Any]:
        """Return the dotted words of one group, without the group: {"lr": 0.001}."""
        start = f"{group}."
        return {
            key.removeprefix(start): value
            for key, value in self.dotted.items()
            if key.startswith(start)
        }


def parse(words: Iterable[str]) -> _Overrides:
    """Tell `group=preset` from `dotted.key=value`; a later word takes the place of an earlier.

    >>> parse(["space=moe", "trainer.lr=1e-3"])
    _Overrides(plain={'space': 'moe'}, dotted={'trainer.lr': 0.001})

    Raises:
        ConfigError: A word is no text, holds no `=`, or nothing before it; or one sets the whole
            of what another sets a part of.
    """
    plain: dict[str, str] = {}
    dotted: dict[str, Any] = {}
    said: dict[str, str] = {}
    for word in words:
        key, equals, text = word.partition("=") if isinstance(word, str) else ("", "", "")
        if not equals or not key.strip("."):
            raise ConfigError(f"{shown(word)}: a word of the form key=value would be right")
        if key.count(".") >= MAX_DEPTH or len(text) > reader.MAX_LENGTH:
            raise ConfigError(f"{shown(word)}: no setting has so long a name or value")
        if "." in key:
            dotted[key] = value(text, key)
            said[key] = word
        else:
            plain[key] = text
    _refuse_contradictions(said)
    return _Overrides(plain, dotted)


def _refuse_contradictions(said: Mapping[str, str]) -> None:
    """Refuse words, by their dotted keys, of which one sets the whole and another a part of it.

    Whichever came last would undo the other: none switches off what a part would switch on. Not so
    in an architecture, where the name of a block leaves its settings open.
    """
    mistakes = [
        f"{shown(said[whole])} and {shown(said[part])} contradict one another: the first sets all "
        f"of {whole}, the second a part of it; one of them would be right"
        for part in said
        for whole in _parents(part)
        if whole in said and not whole.startswith("space.architecture.")
    ]
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def _parents(key: str) -> list[str]:
    """Return the keys that a dotted key lies below, the outermost first.

    >>> _parents("study.final.seeds")
    ['study', 'study.final']
    """
    return [key[:place] for place, letter in enumerate(key) if letter == "."]


def below(key: str, names: Iterable[str]) -> bool:
    """Return whether a dotted key is one of some, or lies below one.

    >>> below("data.roots.samm", ["data.roots"]), below("data.roots", ["data.root"])
    (True, False)
    """
    return any(key == name or key.startswith(f"{name}.") for name in names)


def value(text: str, key: str) -> Any:
    """Read the right side of a word: a number, a truth value, a list, a mapping, or a text.

    A text that stands in no quotes is taken whole: `data.root=/faces #2` names that folder.

    Raises:
        ConfigError: The value is no YAML.
    """
    try:
        found = reader.load(text)
    except reader.Unreadable as error:
        why = str(error).removeprefix("line 1: ")
        raise ConfigError(f"{key}: {shown(text)} cannot be read: {why}") from None
    named = key.rpartition(".")[2] in reader.NAMES and not isinstance(found, list | dict)
    plain = isinstance(found, str) and text.lstrip()[:1] not in _STYLED
    return text.strip() or None if plain or (named and not isinstance(found, str)) else found


def whole(read: _Overrides, key: str, otherwise: object) -> int:
    """Return the whole number of 1 or more that a plain word names, or else what stands for it.

    >>> whole(parse(["seeds=3"]), "seeds", 1), whole(parse([]), "seeds", 1)
    (3, 1)

    Raises:
        ConfigError: It is none; a word is shown as it was written.
    """
    word = read.plain.get(key)
    found = scalar(otherwise) if word is None else value(word, key)
    if type(found) is not int or found < 1:
        told = shown(otherwise) if word is None else word
        raise ConfigError(f"{key}={told:.100}: a whole number of 1 or more would be right")
    return found


_STYLED = ("'", '"', "|", ">", "!", "&")
"""How a text begins that YAML reads otherwise than it stands there."""


def merge(tree: Tree, changes: Tree) -> Tree:
    """Return `tree` with the leaves of `changes` in place of its own.

    >>> merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    merged = dict(tree)
    for key, new in changes.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            new = merge(old, new)
        merged[key] = new
    return merged


def leaves(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a tree holds by dotted keys, as `apply` takes it; a list is one value.

    >>> leaves({"augment": {"flip": True, "shift": 1}, "own": {}})
    {'augment.flip': True, 'augment.shift': 1, 'own': {}}
    """
    found: dict[str, Any] = {}
    for key, value in tree.items():
        inner = leaves(value) if isinstance(value, Mapping) else {}
        found |= {f"{key}.{name}": leaf for name, leaf in inner.items()} or {key: value}
    return found


def apply(tree: Tree, changes: dict[str, Any]) -> Tree:
    """Return `tree` with the settings that `changes` names by dotted keys.

    >>> apply({"augment": {"flip": True}}, {"augment.shift": 1, "lr": 0.1})
    {'augment': {'flip': True, 'shift': 1}, 'lr': 0.1}
    """
    changed = dict(tree)
    for key, new in changes.items():
        head, _, rest = key.partition(".")
        inner = changed.get(head)
        changed[head] = (
            apply(inner if isinstance(inner, dict) else {}, {rest: new}) if rest else new
        )
    return changed
