"""What the arguments of a module's `__init__` are as settings: names, types, defaults.

Some are given by the data and so no settings: `channels` and `frames` of what the network reads,
`size` (its height and width in pixels), and `classes` (how many numbers it answers with).
"""

import inspect
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError
from torch import nn

from mer_nas.errors import ConfigError, shown
from mer_nas.registry import place_of

GIVEN: Mapping[str, tuple[object, ...]] = {
    "channels": (3, (3, 1)),
    "size": (28,),
    "frames": (8,),
    "classes": (3,),
}
"""Arguments that the data decide, with examples of what they may be given."""
_PLAIN = (int, float, bool, str, NoneType)
_RIGHT = "int, float, bool, str, Literal[...], or a tuple, list or `| None` of them"
_NO_VALUES = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Signature(NamedTuple):
    """What a module is built from."""

    settings: Mapping[str, tuple[Any, Any]]
    """Annotation and default (`...`: none) by the name of the argument."""
    given: Mapping[str, Any]
    """The arguments that the data decide, with their defaults (None: none)."""
    one_channel: bool
    """Whether `channels` is a number, of all inputs, and not one of each."""

    @classmethod
    def of(cls, module: type[nn.Module], taken: frozenset[str]) -> "Signature":
        """Return the signature of a class.

        Args:
            module: The class.
            taken: Names that no setting may have.

        Raises:
            ConfigError: An argument is no setting, or `classes` is missing; with file and line.
        """
        hints = _hints(module)
        settings: dict[str, tuple[Any, Any]] = {}
        given: dict[str, Any] = {}
        for name, parameter in _arguments(module).items():
            where = f"{_place(module)}: the argument {name!r} of {module.__name__}"
            if name in GIVEN:
                kind = hints.get(name, int)
                if not any(_takes(kind, example) for example in GIVEN[name]):
                    right = "int or tuple[int, ...]" if len(GIVEN[name]) > 1 else "int"
                    raise ConfigError(f"{where} is of {kind}, but the data give {right}")
                given[name] = None if parameter.default is parameter.empty else parameter.default
            elif name in taken:
                raise ConfigError(f"{where} has a name that every network's settings have already")
            elif name not in hints:
                raise ConfigError(f"{where} has no annotation; {_RIGHT} would be right")
            else:
                settings[name] = hints[name], _default(hints[name], parameter, where)
        if "classes" not in given:
            raise ConfigError(
                f"{_place(module)}: {module.__name__} has no argument 'classes', the number of "
                "answers; __init__(self, classes: int, ...) would be right"
            )
        return cls(settings, given, "channels" in given and _takes(hints.get("channels", int), 3))


def _takes(kind: Any, value: object) -> bool:
    """Whether a value is of an annotation."""
    try:
        TypeAdapter(kind).validate_python(value)
    except (ValidationError, PydanticSchemaGenerationError):
        return False
    return True


def _default(kind: Any, parameter: inspect.Parameter, where: str) -> Any:
    """Return the default of an argument, `...` where it has none."""
    if not _is_plain(kind):
        raise ConfigError(f"{where} is of {kind}, which no setting is; {_RIGHT} would be right")
    if parameter.default is parameter.empty:
        return ...
    try:
        TypeAdapter(kind).validate_python(parameter.default)
    except ValidationError as error:
        said = error.errors()[0]["msg"]
        raise ConfigError(f"{where} has the default {shown(parameter.default)}: {said}") from None
    return parameter.default


def _is_plain(kind: Any) -> bool:
    """Whether values of an annotation can be written in YAML."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _is_plain(inner[0])
    if origin in (Union, UnionType, tuple, list):
        return all(_is_plain(part) for part in inner if part is not Ellipsis)
    return origin is Literal or kind in _PLAIN


def _arguments(module: type[nn.Module]) -> dict[str, inspect.Parameter]:
    every = list(inspect.signature(module.__init__).parameters.values())[1:]
    return {each.name: each for each in every if each.kind not in _NO_VALUES}


def _hints(module: type[nn.Module]) -> dict[str, Any]:
    try:
        return get_type_hints(module.__init__, include_extras=True)
    except Exception as error:  # an annotation as text may be anything
        said = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{_place(module)}: an annotation cannot be read: {said}") from None


def _place(module: type[nn.Module]) -> str:
    """Return where a class is built: "ststnet.py, line 9"."""
    return place_of(module.__init__)
