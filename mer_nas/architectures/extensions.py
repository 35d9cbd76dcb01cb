"""Blocks from outside: installed packages, and files that a space names.

A package offers blocks by an entry point in the group `mer_nas.blocks` that names a module; a
space by `extensions: [my_block.py]`. Loading either only imports it: the import registers the
blocks.

What is loaded counts as code that decides scores, with every module that it imports from outside
the installed distributions, as all of them were when they were loaded. Studies and exports carry
copies of the files, which stand in for those that are gone.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import NamedTuple

from mer_nas import files as disk
from mer_nas.architectures.beside import (
    PREFIX,
    Texts,
    gathered,
    imported,
    package_of,
    root_of,
)
from mer_nas.architectures.canonical import refresh
from mer_nas.errors import ConfigError, told
from mer_nas.sources import Sources, meaning, sources
from mer_nas.trust import Wish, asking, require

GROUP = "mer_nas.blocks"
COPIES = "extensions"
"""Folder of the copies that a study and an export have of users' files."""

_loaded: dict[Path, "Loaded"] = {}
_packages: dict[str, Sources] = {}
_copies: dict[Path, Path] = {}
"""Files by what stands in for them where they are gone."""


class Loaded(NamedTuple):
    """What a file was when it was loaded."""

    texts: Texts
    """The file and those beside it that it imports."""
    sources: Sources
    """What stands behind it."""


def load_extensions(files: Sequence[str | Path] = (), *, trust: bool = False) -> None:
    """Load the blocks of installed packages and of `files`; what is loaded already is skipped.

    Each file is read once, with those beside it that it imports: what runs is the very text that
    the user agreed to.

    Args:
        files: Python files; loading one runs it.
        trust: Whether they may be run, whoever named them.

    Raises:
        ConfigError: A file is missing, or a file or package fails while it is imported.
        Untrusted: The user has not agreed to run them (see `mer_nas.trust`); none was.
    """
    _load_packages()
    new = {path: _read(path) for file in files if (path := Path(file).resolve()) not in _loaded}
    with asking(trust):
        require(Wish.to_run(*each) for texts in new.values() for each in texts.items())
    _load_files(new)


def refuse_stale(files: Sequence[str | Path]) -> None:
    """Refuse files that do something else by now than what this process runs of them.

    Raises:
        ConfigError: One was edited, or what it imports from beside it; to be loaded anew, what is
            known of it would have to be forgotten by all who have it.
    """
    for file in files:
        path = Path(file).resolve()
        if (
            path in _loaded
            and path.is_file()
            and _means(gathered(path)) != _means(_loaded[path].texts)
        ):
            raise ConfigError(
                f"extensions: {path} was edited after this Python had loaded it, which goes on "
                "with what it was; start Python anew (in a notebook: restart the kernel)"
            )


def load_again(loaded: Mapping[str, Loaded]) -> None:
    """Load in a worker what its driver has loaded, whose user has agreed to it there.

    Files that were edited meanwhile, or are not there, are as they were when the search began.

    Args:
        loaded: What `loaded_files` said there.
    """
    _load_packages()
    for file, each in loaded.items():
        if (path := Path(file)) not in _loaded:
            imported(each.texts)
            _loaded[path] = each
    refresh()


def loaded_files(files: Sequence[str | Path]) -> dict[str, Loaded]:
    """Return the paths of files that have been loaded, each with what was run."""
    paths = [Path(file).resolve() for file in files]
    return {str(path): _loaded[path] for path in paths}


def counts_for(defined: Callable[..., object], files: Sequence[str | Path]) -> bool:
    """Whether something of users' counts for a space with these files.

    Others stay loaded in a process that has had to do with another space.

    Args:
        defined: A function or class, of a file or of an installed package.
        files: Which have been loaded.
    """
    package = defined.__module__.partition(".")[0]
    mine = {package_of(_loaded[Path(file).resolve()].texts) for file in files}
    return package in mine or not package.startswith(PREFIX)


def every_file(files: Sequence[str | Path]) -> list[Path]:
    """Return files that are there, and those beside them that they import."""
    there = [path for file in files if (path := Path(file).resolve()).is_file()]
    return list(dict.fromkeys(each for path in there for each in gathered(path)))


def wishes(files: Sequence[str | Path]) -> list[Wish]:
    """Return the wishes to run files, and those beside them that they import.

    Raises:
        ConfigError: There is no such file.
    """
    texts = [_read(Path(file).resolve()) for file in files]
    return [Wish.to_run(*each) for every in texts for each in every.items()]


def copy_names(files: Sequence[str | Path]) -> tuple[str, ...]:
    """Return where below a folder the copies of files lie: each in one of its own."""
    return tuple(f"{COPIES}/{number}/{Path(file).name}" for number, file in enumerate(files))


def copy_files(files: Sequence[str | Path], folder: Path) -> dict[str, str]:
    """Copy files as they were loaded, with what they import from beside them.

    Returns:
        SHA-256 of each copy by its path below the folder.
    """
    copied = {}
    for name, file in zip(copy_names(files), files, strict=True):
        path = Path(file).resolve()
        texts = _loaded[path].texts if path in _loaded else _read(path)
        for each, content in texts.items():
            place = (Path(name).parent / each.relative_to(root_of(texts))).as_posix()
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(content)
            copied[place] = disk.digest(content)
    return copied


def stand_in(files: Sequence[str | Path], folder: Path) -> None:
    """Let the copies of files below a folder be loaded in their place, where those are gone."""
    for file, name in zip(files, copy_names(files), strict=True):
        if (folder / name).is_file():
            _copies[Path(file).resolve()] = (folder / name).resolve()


def _read(path: Path) -> Texts:
    """Return what is to be run of a file, or of what stands in for it.

    Raises:
        ConfigError: There is neither.
    """
    found = path if path.is_file() else _copies.get(path, path)
    if not found.is_file():
        raise ConfigError(
            f"extensions: there is no file {path}, and no copy of it; right: a python file with "
            "blocks or networks"
        )
    if path.suffix != ".py":
        raise ConfigError(f"extensions: {path} is no python file")
    return gathered(found)


def _load_files(new: Mapping[Path, Texts]) -> None:
    for path, texts in new.items():
        alike = [each for each in _loaded.values() if _means(each.texts) == _means(texts)]
        _loaded[path] = alike[0] if alike else _load_file(path, texts)
    try:
        refresh()
    except Exception as error:
        where = f"extensions: the blocks of {', '.join(map(str, new))} cannot be registered"
        raise ConfigError(f"{where}: {told(error)}") from error


def _means(texts: Texts) -> object:
    """Return what stands for all that files do: copies of one file are one."""
    try:
        return {path.relative_to(root_of(texts)): meaning(x) for path, x in texts.items()}
    except SyntaxError:
        return texts


def loaded_sources(files: Sequence[str | Path] = ()) -> Sources:
    """Return what stands behind `files`, and behind the blocks of installed packages.

    Args:
        files: Which have been loaded.
    """
    every: Sources = {}
    for found in [*(_loaded[Path(file).resolve()].sources for file in files), *_packages.values()]:
        for name, known in found.items():
            while every.setdefault(name, known) != known:  # two folders, each with a blocks.py
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
        raise ConfigError(f"{where} cannot be loaded: {told(error)}") from error
    file = getattr(sys.modules[entry.module], "__file__", None)
    return sources(entry.module, Path(file)) if file and file.endswith(".py") else {}


def _load_file(path: Path, texts: Texts) -> Loaded:
    """Run a file; return what stands behind it, and behind those beside it that it imports."""
    try:
        package = imported(texts).__name__.partition(".")[0]
        return Loaded(texts, _behind(package, texts))
    except (Exception, SystemExit) as error:
        raise ConfigError(f"extensions: {path} cannot be loaded: {told(error)}") from error


def _behind(package: str, texts: Texts) -> Sources:
    """Return what stands behind the files of a package, as `imported` has called it."""
    own = {file.relative_to(root_of(texts)).as_posix(): file for file in texts}
    elsewhere: Sources = {}
    for name, file in own.items():
        dotted = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        elsewhere |= sources(f"{package}.{dotted}", file)
    tops = {name.partition("/")[0].removesuffix(".py") for name in own} | {package}
    others = {name: is_ for name, is_ in elsewhere.items() if name.partition(".")[0] not in tops}
    return {name: meaning(texts[file]) for name, file in own.items()} | others
