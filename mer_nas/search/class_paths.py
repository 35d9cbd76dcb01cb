"""Samplers and pruners of Optuna, and of whoever extends it, by the path of their class.

    study: {sampler: optuna.samplers.QMCSampler, pruner: my_package.pruners.Mine}

To import a class runs the module that it lies in: of somebody else's study it is asked for.
"""

import importlib
import inspect
from contextlib import suppress
from typing import Any, TypeVar

from mer_nas.errors import ConfigError, told

T = TypeVar("T")


def made(key: str, path: str, base: type[T], **given: Any) -> T:
    """Return an object of the class of a path.

    Args:
        key: Which setting names it, for messages: "study.sampler".
        path: Of the class: "optuna.samplers.QMCSampler".
        base: What it must be a subclass of.
        **given: Arguments that it gets where it has them, or takes any.

    Raises:
        ConfigError: There is no such class, it is another kind of thing, or cannot be made so.
    """
    found = _found(key, path)
    if not (isinstance(found, type) and issubclass(found, base)):
        right = f"{base.__module__.removesuffix('._base')}.{base.__name__}"
        raise ConfigError(f"{key}: {path} is {found!r}; a subclass of {right} would be right")
    try:
        taken = inspect.signature(found).parameters
        if any(each.kind is each.VAR_KEYWORD for each in taken.values()):
            with suppress(Exception):  # whoever it hands them on to may have no such arguments
                return found(**given)
        return found(**{name: value for name, value in given.items() if name in taken})
    except Exception as error:  # a class of the user's own may fail of anything
        raise ConfigError(
            f"{key}: {path} cannot be made without arguments ({told(error)}); a subclass that "
            "gives them would be right"
        ) from error


def _found(key: str, path: str) -> object:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:
        raise ConfigError(f"{key}: {path} cannot be imported: {told(error)}") from error
