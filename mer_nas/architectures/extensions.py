"""Blocks from outside: installed packages, and files that a space names.

A package offers blocks by an entry point in the group `mer_nas.blocks` that names a module; a
space by `extensions: [my_block.py]`. Loading either only imports it: the import registers the
blocks.

What is loaded counts as code that decides scores, with every module that it imports from outside
the installed distributions, as all of them were when they were loaded.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.abc import SourceLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from mer_nas.architectures.canonical import refresh
from mer_nas.errors import ConfigError
from mer_nas.files import digest, read_bytes
from mer_nas.sources import Sources, sources
from mer_nas.trust import Wish, asking, require

GROUP = "mer_nas.blocks"

_loaded: dict[Path, "_Loaded"] = {}
_packages: dict[str, Sources] = {}


class _Loaded(NamedTuple):
    """What a file was when it was loaded."""

    digest: str
    """SHA-256 of its content."""
    sources: Sources


def load_extensions(files: Sequence[str | Path] = (), *, trust: bool = False) -> None:
    """Load the blocks of installed packages and of `files`; what is loaded already is skipped.

    Each file is read once: what runs is the very text that the user agreed to.

    Args:
        files: Python files; loading one runs it.
        trust: Whether they may be run, whoever named them.

    Raises:
        ConfigError: A file is missing, or a file or package fails while it is imported.
        Untrusted: The user has not agreed to run them (see `mer_nas.trust`); none was.
    """
    _load_packages()
    new = _contents(files)
    with asking(trust):
        require(Wish.to_run(path, content) for path, content in new.items())
    _load_files(new)


def load_again(files: Mapping[str, str]) -> None:
    """Load in a worker the blocks that its driver has loaded, whose user has agreed to them there.

    Args:
        files: What `loaded_files` said there.

    Raises:
        ConfigError: A file is missing, fails, or is not what the driver loaded.
    """
    _load_packages()
    new = _contents(files)
    for path, content in new.items():
        if (found := digest(content)) != files[str(path)]:
            raise ConfigError(
                f"extensions: {path} is not the file that this search began with: its SHA-256 is "
                f"{found[:12]}..., not {files[str(path)][:12]}..."
            )
    _load_files(new)


def loaded_files(files: Sequence[str | Path]) -> dict[str, str]:
    """Return the paths of files that have been loaded, each with the SHA-256 of what has been."""
    paths = [Path(file).resolve() for file in files]
    return {str(path): _loaded[path].digest for path in paths}


def _contents(files: Iterable[str | Path]) -> dict[Path, bytes]:
    """Return what those of the files hold that have not been loaded."""
    new = [path for file in files if (path := Path(file).resolve()) not in _loaded]
    for path in new:
        _refuse_missing(path)
    return {path: read_bytes(path, ConfigError) for path in new}


def _load_files(new: Mapping[Path, bytes]) -> None:
    for path, content in new.items():
        found = _load_file(path, content)
        _loaded[path] = _Loaded(digest(content), found)
    try:
        refresh()
    except Exception as error:
        where = f"extensions: the blocks of {', '.join(map(str, new))} cannot be registered"
        raise ConfigError(f"{where}: {_said(error)}") from error


def loaded_sources(files: Sequence[str | Path] = ()) -> Sources:
    """Return what stands behind `files`, and behind the blocks of installed packages.

    Args:
        files: Which have been loaded.
    """
    every: Sources = {}
    for found in [*(_loaded[Path(file).resolve()].sources for file in files), *_packages.values()]:
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


def _load_file(path: Path, content: bytes) -> Sources:
    """Import a file that holds this; return what stands behind it."""
    # Two spaces may each have their own blocks.py.
    name = f"mer_nas_extension_{path.stem}_{digest(str(path))[:8]}"
    loader = _AsRead(path, content)
    module = ModuleType(name)
    module.__file__, module.__loader__ = str(path), loader
    sys.modules[name] = module
    try:
        loader.exec_module(module)
        found = sources(name, path)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ConfigError(f"extensions: {path} cannot be loaded: {_said(error)}") from error
    return {path.name: found.pop(name), **found}


class _AsRead(SourceLoader):
    """Runs the text that was read, and never compiled files that lie beside it."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path = str(path)
        self._content = content

    def get_filename(self, fullname: str) -> str:
        """Return where the text lies."""
        return self._path

    def get_data(self, path: str | bytes) -> bytes:
        """Return the text, and nothing of any other file."""
        if path != self._path:
            raise OSError(f"{path!r} is not what was read")
        return self._content


def _refuse_missing(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"extensions: there is no file {path}; right: a python file with blocks")
    if path.suffix != ".py":
        raise ConfigError(f"extensions: {path} is no python file")


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
