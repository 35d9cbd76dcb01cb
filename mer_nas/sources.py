"""Which Python files stand behind a module, and what they mean.

The meaning of a file is what Python runs of it: comments, docstrings, the layout of its lines, its
name and the words of its errors are no part of it. So two versions of a program that compute the
same are the same, wherever their files lie.
"""

import ast
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from mer_nas import files

_UNREAD = frozenset({"ctx", "kind", "type_comment"})
"""Fields of a syntax tree that follow from others."""


def behind(module: str, file: Path, aside: Iterable[str] = ()) -> dict[str, Path]:
    """Return the file of a module and those of all that it imports, directly or through others.

    Imports within functions count, those for type checkers alone do not. What installed
    distributions brought is left out, but for mer-nas and the package that the module belongs
    to. Of a package only the files count that define what is asked of it.

    Args:
        module: Name of the module to begin with.
        file: Where it lies.
        aside: Modules that are not followed.

    Returns:
        Files by the names of their modules.
    """
    package = module.partition(".")[0]
    found, waiting = dict.fromkeys(aside, file), [(module, file)]
    while waiting:
        name, path = waiting.pop()
        if name in found:
            continue
        found[name] = path
        for wanted, attribute in _imports(name, path):
            if (source := _definer(wanted, attribute, package)) is not None:
                waiting.append(source)
    return {name: path for name, path in found.items() if name not in set(aside)}


Sources = dict[str, str]
"""Modules by name, each with the `meaning` of its file."""

_read: dict[Path, str] = {}


def sources(module: str, file: Path, aside: Iterable[str] = ()) -> Sources:
    """Return what stands `behind` a module, each file as it was when it was first read.

    What is edited later does not run in this process.
    """
    found = behind(module, file, aside)
    for path in found.values():
        if path not in _read:
            _read[path] = meaning(path.read_bytes())
    return {name: _read[path] for name, path in found.items()}


def meaning(content: bytes) -> str:
    """Return 64 hexadecimal digits that stand for what Python runs of a file's content.

    >>> meaning(b"x = 1") == meaning(b"x=1  # one") != meaning(b"x = 2")
    True

    Raises:
        SyntaxError: It is no Python.
    """
    return files.digest(repr(_plain(ast.parse(content))))


# Who imports what --------------------------------------------------------------------------------


def _imports(module: str, file: Path) -> Iterator[tuple[str, str]]:
    """Yield what a file imports: modules, each with the name that is taken from it, or none."""
    parent = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in _run(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            source = resolve_name(base, parent) if node.level else base
            yield from ((source, alias.name) for alias in node.names)


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Go through a syntax tree, but for what stands under `if TYPE_CHECKING`."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for otherwise in child.orelse:
                yield from _run(otherwise)
        else:
            yield from _run(child)


def _definer(module: str, name: str, package: str) -> tuple[str, Path] | None:
    """Return the module that defines `name` of `module`, and its file; None if it counts not."""
    if name and (inner := _file(f"{module}.{name}", package)) is not None:
        return f"{module}.{name}", inner
    if (file := _file(module, package)) is None:
        return None
    if file.name == "__init__.py" and name:
        for wanted, attribute in _imports(module, file):
            if attribute == name and wanted != module:
                return _definer(wanted, attribute, package)
    return module, file


def _file(module: str, package: str) -> Path | None:
    """Return where a module lies; None if there is none, or an installed distribution has it."""
    top = module.partition(".")[0]
    if top not in {package, "mer_nas"} and _installed(top):
        return None
    return _origin(module)


@cache
def _installed(top: str) -> bool:
    """Return whether Python or an installed distribution brings a top-level module."""
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return True
    file = _origin(top)
    if file is None:
        return True  # a namespace, or nothing
    library = Path(sysconfig.get_path("stdlib"))
    return library in file.parents or {"site-packages", "dist-packages"} & set(file.parts) != set()


@cache
def _origin(module: str) -> Path | None:
    known = sys.modules.get(module)
    if known is not None:
        file = getattr(known, "__file__", None)
    else:
        try:
            spec = find_spec(module)
        except (ImportError, ValueError, AttributeError):
            return None
        file = spec.origin if spec is not None else None
    path = Path(file) if file else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


# What a file means -------------------------------------------------------------------------------


def _plain(node: Any) -> Any:
    """Return a syntax tree as nested tuples that are the same in every version of Python."""
    if isinstance(node, list):
        return tuple(_plain(child) for child in node if not _is_text(child))
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        return ("Raise", _plain(node.exc.func))  # that it fails counts, not with which words
    if isinstance(node, ast.ImportFrom):
        return ("ImportFrom", _plain(node.names))  # files may be renamed
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = (
        (name, _plain(value))
        for name, value in ast.iter_fields(node)
        if name not in _UNREAD and value not in (None, [])
    )
    return (type(node).__name__, *fields)


def _is_text(node: Any) -> bool:
    """Return whether a statement is nothing but a text: a docstring, of whatever stands above."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
