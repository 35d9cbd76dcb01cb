"""Architecture search for micro-expression recognition (MER)."""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mer_nas.api import (
        Study,
        build,
        evaluate,
        load_model,
        load_study,
        point,
        search,
        settings,
    )

__all__ = [
    "Study",
    "build",
    "evaluate",
    "load_model",
    "load_study",
    "point",
    "search",
    "settings",
]


def __getattr__(name: str) -> object:
    """Load the public functions when they are asked for, so that `mer-nas --help` is quick."""
    if name not in __all__:
        raise AttributeError(f"module 'mer_nas' has no attribute {name!r}")
    return getattr(import_module("mer_nas.api"), name)
