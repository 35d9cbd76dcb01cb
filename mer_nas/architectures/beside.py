"""Files that a user's file imports from the folder in which it lies.

They are found before anything runs, so that the user can agree to all of them, and imported as
parts of a package of the file's own: two spaces may each have a `layers.py`. What Python or an
installed distribution brings under a name, or the path of Python elsewhere, is left alone.
"""

import ast
import builtins
import importlib
import linecache
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from mer_nas.errors import ConfigError
from mer_nas.files import digest, read_bytes

PREFIX = "mer_nas_extension_"
"""How the modules of users' files are called, by which they are known."""

Texts = Mapping[Path, bytes]
"""A file and those that it imports from beside it, itself first, each with its content."""


def gathered(file: Path) -> Texts:
    """Return a file, and all that it imports from its folder, as they are now.

    Args:
        file: A Python file, by its absolute path.

    Raises:
        ConfigError: One cannot be read.
    """
    found: dict[Path, bytes] = {}
    waiting = [file]
    while waiting:
        path = waiting.pop(0)
        if path not in found:
            found[path] = read_bytes(path, ConfigError)
            waiting += _beside(path, found[path], file.parent)
    return found


def root_of(texts: Texts) -> Path:
    """Return the folder in which a file lies that was gathered."""
    return next(iter(texts)).parent


def package_of(texts: Texts) -> str:
    """Return how the package of a file that was gathered is called."""
    main = next(iter(texts))
    return f"{PREFIX}{main.stem}_{digest(str(main))[:8]}"


def imported(texts: Texts) -> ModuleType:
    """Run a file that was gathered, and return it as a module; it runs just the texts given."""
    package = _Package(texts)
    _forget(package.name)
    sys.meta_path.insert(0, package)
    try:
        return importlib.import_module(f"{package.name}.{package.main.stem}")
    except BaseException:
        _forget(package.name)
        raise


def _forget(package: str) -> None:
    """Take a package, and what was imported of it, from those that are known."""
    finders = [each for each in sys.meta_path if isinstance(each, _Package)]
    for finder in finders:
        if finder.name == package:
            sys.meta_path.remove(finder)
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
        del sys.modules[name]


def _beside(file: Path, content: bytes, root: Path) -> Iterator[Path]:
    """Yield the files below `root` that a file imports."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return  # to run it says so
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted = [(root, alias.name) for alias in node.names if _is_beside(alias.name, root)]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if not node.level and not _is_beside(module, root):
                continue
            base = file.parents[node.level - 1] if node.level else root
            wanted = [(base, f"{module}.{alias.name}".strip(".")) for alias in node.names]
        else:
            continue
        for base, name in wanted:
            yield from _files(base, name, root)


def _files(base: Path, name: str, root: Path) -> Iterator[Path]:
    """Yield the files of a module and of the packages around it, as far as they are there."""
    parts = name.split(".")
    for count in range(base == root, len(parts) + 1):
        place = base.joinpath(*parts[:count])
        for file in (place.with_suffix(".py") if count else None, place / "__init__.py"):
            if file is not None and file.is_file() and file.is_relative_to(root):
                yield file


def _is_beside(module: str, root: Path) -> bool:
    """Whether a name means a module of the folder, and none that Python knows elsewhere."""
    top = module.partition(".")[0]
    if top in sys.builtin_module_names or top in sys.stdlib_module_names or top == "mer_nas":
        return False
    if not any((root / each).exists() for each in (f"{top}.py", top)):
        return False
    known = PathFinder.find_spec(top)
    return known is None or known.origin is None or root in Path(known.origin).resolve().parents


class _Package(MetaPathFinder):
    """A user's file and what lies beside it, as a package."""

    def __init__(self, texts: Texts) -> None:
        self.main = next(iter(texts))
        root = self.main.parent
        self.name = package_of(texts)
        self.texts = {path.relative_to(root).as_posix(): text for path, text in texts.items()}
        self.root = root
        self.tops = {Path(part).parts[0].removesuffix(".py") for part in self.texts}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module of a name, where it is one of these."""
        top, _, inner = fullname.partition(".")
        if top != self.name:
            return None
        place = inner.replace(".", "/")
        inside = f"{place}/" if place else ""
        for file, is_package in ((f"{place}.py", False), (f"{inside}__init__.py", True)):
            if file in self.texts and (inner or not is_package):
                return self._spec(fullname, file, is_package=is_package)
        if not inner or any(file.startswith(inside) for file in self.texts):
            return self._spec(fullname, "", is_package=True)
        return None

    def _spec(self, name: str, file: str, *, is_package: bool) -> ModuleSpec | None:
        loader = _AsRead(self, file)
        if not file:
            return spec_from_loader(name, loader, is_package=True)
        place = self.root / file
        inside: list[str] | None = [] if is_package else None
        return spec_from_file_location(
            name, place, loader=loader, submodule_search_locations=inside
        )

    def take(
        self,
        name: str,
        globals_: Mapping[str, object] | None = None,
        locals_: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        """Import as these files do: what lies beside them by its plain name."""
        top = name.partition(".")[0]
        if level or top not in self.tops:
            return builtins.__import__(name, globals_, locals_, fromlist, level)
        own = f"{self.name}.{name}"
        found = builtins.__import__(own, globals_, locals_, fromlist or ("__name__",), 0)
        return found if fromlist else sys.modules[f"{self.name}.{top}"]


class _AsRead(SourceLoader):
    """Runs the text that was read, and never compiled files that lie beside it."""

    def __init__(self, package: _Package, file: str) -> None:
        self._package = package
        self._text = package.texts[file] if file else b""
        self._path = str(package.root / file)

    def exec_module(self, module: ModuleType) -> None:
        """Run the text, whose imports look beside it first."""
        lines = self._text.decode(errors="replace").splitlines(keepends=True)
        # Docstrings of settings and tracebacks are read from here: the file may be another by now.
        linecache.cache[self._path] = (len(self._text), None, lines, self._path)
        names: dict[str, Any] = {**vars(builtins), "__import__": self._package.take}
        vars(module)["__builtins__"] = names
        super().exec_module(module)

    def get_filename(self, fullname: str) -> str:
        """Return where the text lies."""
        return self._path

    def get_data(self, path: str | bytes) -> bytes:
        """Return the text, and nothing of any other file."""
        if path != self._path:
            raise OSError(f"{path!r} is not what was read")
        return self._text
