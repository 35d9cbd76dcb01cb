"""YAML as plain values, and nothing that others wrote as anything else.

Numbers, truth values and null are those of YAML 1.2: `off`, `no` and `007` are names, `1e-4` is a
number. A key is the text that stands there, and so is what stands under `name` and `point`. No tag
makes an object, nothing is put in place of `${...}`, and a text that would take long to read, or
become large, is refused before it does.
"""

import re
import unicodedata
from collections.abc import Iterator
from math import isfinite
from typing import Any

from yaml import YAMLError
from yaml.composer import Composer, ComposerError
from yaml.error import Mark
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from mer_nas.files import MAX_DEPTH

MAX_LENGTH = 2**20
"""Characters of the longest text: the longest that is shipped has 50,000."""
MAX_NODES = 100_000
"""Values that a text may stand for, those that an alias repeats counted each time."""
NAMES = frozenset({"name", "point"})
"""Keys under which a name stands, whatever it looks like."""

_TAG = "tag:yaml.org,2002:"
_INT, _HEXADECIMAL = r"[-+]?(?:0|[1-9][0-9]*(?:_[0-9]+)*)", r"0x[0-9a-fA-F]+|0o[0-7]+"
_FLOAT = rf"(?:{_INT}(?:\.[0-9]*)?|[-+]?\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
_FORMS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": rf"{_INT}|{_HEXADECIMAL}",
    "float": rf"{_FLOAT}|\.(?:nan|NaN|NAN)",
}


class Unreadable(Exception):
    """A text is no YAML of ours; says the line and the reason."""

    def __init__(self, problem: str, mark: Mark | None) -> None:
        super().__init__(f"line {mark.line + 1}: {problem}" if mark else problem)


def load(text: str) -> Any:
    """Return the values of a YAML document.

    Raises:
        Unreadable: It is no YAML, holds what is no plain value, gives a key twice, or is too long
            or too deep.
    """
    if len(text) > MAX_LENGTH:
        raise Unreadable(
            f"{len(text):,} characters, of which at most {MAX_LENGTH:,} are read", None
        )
    try:
        node = _Loader(text).get_single_node()
    except YAMLError as error:
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise Unreadable(problem, getattr(error, "problem_mark", None)) from None
    except (ValueError, OverflowError) as error:  # an escape such as "\UFFFFFFFF"
        raise Unreadable(f"a character that there is not: {error}", None) from None
    return None if node is None else _Values().of(node)


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """Makes nodes of a text; those nested too deep are refused while they are met."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """Return the next node."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            where = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise ComposerError(None, None, f"nested deeper than {MAX_DEPTH} levels", where)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


for _name, _form in _FORMS.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_form})\Z"), None)


class _Values:
    """Makes values of nodes."""

    def __init__(self) -> None:
        self._made = 0
        self._depth = 0

    def of(self, node: Node, *, name: bool = False) -> Any:
        """Return the value of a node; where a `name` is meant, the text of a scalar."""
        self._made += 1
        if self._made > MAX_NODES:
            raise Unreadable(f"more than {MAX_NODES:,} values", node.start_mark)
        if isinstance(node, ScalarNode):
            return _text(node) if name and node.value not in {"", "~"} else _scalar(node)
        self._depth += 1
        if self._depth > MAX_DEPTH:  # an alias can hold itself
            raise Unreadable(f"nested deeper than {MAX_DEPTH} levels", node.start_mark)
        value = self._collection(node)
        self._depth -= 1
        return value

    def _collection(self, node: Node) -> Any:
        if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
            return [self.of(item) for item in node.value]
        if isinstance(node, MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node)
        raise _foreign(node)

    def _mapping(self, node: MappingNode) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise Unreadable("a key is a text, no list and no mapping", key.start_mark)
            if key.value == "<<" and key.style is None:
                for part in reversed(list(self._merged(value))):
                    merged |= part
            elif (word := _text(key)) in own:
                raise Unreadable(f"found duplicate key {word}", key.start_mark)
            else:
                own[word] = self.of(value, name=word in NAMES)
        return {**merged, **own}

    def _merged(self, node: Node) -> Iterator[dict[str, Any]]:
        """Yield the mappings that `<<` puts in, of which an earlier one goes before a later."""
        for part in node.value if isinstance(node, SequenceNode) else [node]:
            value = self.of(part)
            if not isinstance(value, dict):
                raise Unreadable("<< takes a mapping", part.start_mark)
            yield value


def _scalar(node: ScalarNode) -> Any:
    tag = node.tag.removeprefix(_TAG)
    if tag == "str":
        return _text(node)
    if tag not in _FORMS:
        raise _foreign(node)
    if not re.fullmatch(_FORMS[tag], node.value):
        raise Unreadable(f"{node.value!r} is no {tag}", node.start_mark)
    match tag:
        case "null":
            return None
        case "bool":
            return node.value.lower() == "true"
        case "int":
            return _whole(node)
    if node.value.lower().endswith(("inf", "nan")) or not isfinite(number := float(node.value)):
        raise Unreadable(f"{node.value} is no finite number", node.start_mark)
    return number


def _whole(node: ScalarNode) -> int:
    base = {"0x": 16, "0o": 8}.get(node.value[:2], 10)
    # Python itself refuses to read a number of thousands of digits.
    number = int(node.value, base) if len(node.value) < 100 else 2**64
    if not -(2**63) <= number < 2**63:
        raise Unreadable("a whole number of more than 64 bits", node.start_mark)
    return number


def _text(node: ScalarNode) -> str:
    """Return the text of a scalar, in which nothing steers a terminal."""
    text: str = node.value
    for letter in text:
        if unicodedata.category(letter) in {"Cc", "Cs"} and letter not in "\n\t":
            raise Unreadable(f"the character U+{ord(letter):04X} in a text", node.start_mark)
    return text


def _foreign(node: Node) -> Unreadable:
    tag = node.tag.replace(_TAG, "!!")
    return Unreadable(f"{tag}: texts, numbers, lists and mappings are read", node.start_mark)
