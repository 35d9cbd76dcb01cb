"""Arguments of Python functions, held to what a setting of their type may be."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mer_nas.config.base import Config


def argument(kind: Any, value: object, place: str) -> Any:
    """Return what was given for an argument; a truth value is no number, and a text neither.

    >>> argument(bool, True, "export.anew")
    True

    Args:
        kind: Its type, as a field of a `Config` would have it.
        value: What was given.
        place: The function and the argument, for the message: "export.anew".

    Raises:
        ConfigError: It is of no such type.
    """
    from mer_nas.config.base import validate

    function, _, name = place.rpartition(".")
    return getattr(validate(_holder(kind, name), {name: scalar(value)}, function), name)


@cache
def _holder(kind: Any, name: str) -> type[Config]:
    """Return a block of configuration with one setting."""
    from pydantic import create_model

    from mer_nas.config.base import Config

    setting: Any = {name: (kind, ...)}
    model: type[Config] = create_model("Argument", __base__=Config, **setting)
    return model


def scalar(value: Any) -> Any:
    """Return a number of numpy or torch as Python has it, and anything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 else value
