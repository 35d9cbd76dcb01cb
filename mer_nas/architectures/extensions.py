"""Blocks from outside: installed packages, and files that a space names.

A package offers blocks by an entry point in the group `mer_nas.blocks` that names a module; a
space by `extensions: [my_block.py]`. Loading either only imports it: the import registers the
blocks.

What is loaded counts as code that decides scores, with every module that it imports from outside
the installed distributions, as all of them were when they were loaded.
"""

import sys
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from mer_nas.architectures.forms import refresh
from mer_nas.errors import ConfigError
from mer_nas.sources import Sources, sources

GROUP = "mer_nas.blocks"

_loaded: dict[Path, Sources] = {}
_packages: dict[str, Sources] = {}


def load_extensions(files: Sequence[str | Path] = ()) -> None:
    """Load the blocks of installed packages and of `files`; what is loaded already is skipped.

    Raises:
        ConfigError: A file is missing, or a file or package fails while it is imported.
    """
    _load_packages()
    for file in files:
        if (path := Path(file).resolve()) not in _loaded:
            _loaded[path] = _load_file(path)
    refresh()


def loaded_sources(files: Sequence[str | Path] = ()) -> Sources:
    """Return what stands behind `files`, and behind the blocks of installed packages.

    Args:
        files: Which have been loaded.
    """
    every: Sources = {}
    for found in [*(_loaded[Path(file).resolve()] for file in files), *_packages.values()]:
        for name, meaning in found.items():
            while every.setdefault(name, meaning) != meaning:  # two folders, each with a blocks.py
                name += "'"
    return every


def _load_packages() -> None:
    for entry in entry_points(group=GROUP):
        if entry.value not in _packages:
            _packages[entry.value] = _load_package(entry)


def _load_package(entry: EntryPoint) -> Sources:
    try:
        entry.load()
    except Exception as error:
        where = f"blocks of the installed package {entry.value!r}"
        raise ConfigError(f"{where} cannot be loaded: {_said(error)}") from error
    file = getattr(sys.modules[entry.module], "__file__", None)
    return sources(entry.module, Path(file)) if file and file.endswith(".py") else {}


def _load_file(path: Path) -> Sources:
    """Import a file; return what stands behind it."""
    if not path.is_file():
        raise ConfigError(f"extensions: there is no file {path}; right: a python file with blocks")
    # Two spaces may each have their own blocks.py.
    name = f"mer_nas_extension_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"extensions: {path} is no python file")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        found = sources(name, path)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"extensions: {path} cannot be loaded: {_said(error)}") from error
    return {path.name: found.pop(name), **found}


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
