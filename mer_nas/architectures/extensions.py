"""Blocks from outside: installed packages, and files that a space names.

A package offers blocks by an entry point in the group `mer_nas.blocks` that names a module; a
space by `extensions: [my_block.py]`. Loading either only imports it: the import registers the
blocks.
"""

import sys
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from mer_nas.architectures.forms import refresh
from mer_nas.errors import ConfigError

GROUP = "mer_nas.blocks"

_loaded: dict[Path, str] = {}


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


def loaded_files() -> dict[Path, str]:
    """Return the files loaded so far, in order, each with the SHA-256 of what was loaded of it."""
    return dict(_loaded)


@cache
def _load_packages() -> None:
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:
            where = f"blocks of the installed package {entry.value!r}"
            raise ConfigError(f"{where} cannot be loaded: {_said(error)}") from error


def _load_file(path: Path) -> str:
    """Import a file; return the SHA-256 of what it holds."""
    if not path.is_file():
        raise ConfigError(f"extensions: there is no file {path}; right: a python file with blocks")
    # Two spaces may each have their own blocks.py.
    name = f"mer_nas_extension_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"extensions: {path} is no python file")
    module, digest = module_from_spec(spec), sha256(path.read_bytes()).hexdigest()
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"extensions: {path} cannot be loaded: {_said(error)}") from error
    return digest


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
