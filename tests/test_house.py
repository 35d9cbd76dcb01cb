"""The house: format, lint, types, one direction of imports, and a public face that is complete."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from mer_nas import api

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mer_nas"

LAYERS = [
    {
        "errors",
        "files",
        "inputs",
        "privacy",
        "shell",
        "sources",
        "trust",
        "wording",
        "registry",
        "rank_pooling",
        "templates",
        "turns",
    },
    {"config"},
    {"space"},
    {"architectures"},
    {"data", "training", "diagram"},
    {"provenance"},
    {"evaluation"},
    {"statistics"},
    {"search"},
    {"settings", "systems", "vetting"},
    {"report", "export", "prediction", "tracking"},
    {"study", "testing"},
    {"api"},
    {"cli"},
]
"""From the ground up; a module may import those below it and of its own floor."""
FLOOR = {name: floor for floor, names in enumerate(LAYERS) for name in names}


def run(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"


def test_the_code_is_formatted() -> None:
    run("ruff", "format", "--check", ".")


def test_the_code_passes_the_linter() -> None:
    run("ruff", "check", ".")


@pytest.mark.slow
def test_the_code_passes_the_type_checker() -> None:
    run("mypy")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_run_one_way(file: Path) -> None:
    own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for name in imports(file):
        parts = name.split(".")
        if parts[0] == "mer_nas" and len(parts) > 1 and parts[1] in FLOOR:
            assert FLOOR[parts[1]] <= FLOOR[own], f"{own} imports {parts[1]}, which is above it"


def test_no_files_import_one_another_in_a_circle() -> None:
    """Imports within functions and for type checkers counted, as `imports` finds them."""
    names = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in modules()
    }
    graph = {
        name: {other for other in imports(file) if other in names and other != name}
        for name, file in names.items()
        if file.name != "__init__.py"  # names what its package offers, and so all of it
    }
    TopologicalSorter(graph).prepare()  # a circle is an error that names its files


def test_the_evaluator_and_what_it_stands_on_know_neither_ray_nor_optuna() -> None:
    below = [
        f for f in modules() if FLOOR.get(f.relative_to(PACKAGE).parts[0], 99) < FLOOR["search"]
    ]
    assert below
    for file in below:
        assert not {"ray", "optuna"} & {name.split(".")[0] for name in imports(file)}, file


def runtime_imports(file: Path) -> set[str]:
    """What a file imports of the house, but for type checkers."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return {
        node.module if node.module != "mer_nas" else f"mer_nas.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0
        for alias in node.names
        if node.module.split(".")[0] == "mer_nas"
    }


def test_the_command_line_calls_the_public_functions_and_nothing_beside_them() -> None:
    """Besides them it knows how words are written, what events there are, how one says so, what they
    add up to;
    and what interrupts it."""
    known = {
        "api", "__version__", "errors", "files", "shell", "wording",
        "config", "config.overrides", "search.events", "search.interrupts", "search.progress",
    }  # fmt: skip
    for file in (PACKAGE / "cli").rglob("*.py"):
        found = {name.removeprefix("mer_nas.") for name in runtime_imports(file)}
        beside = {name for name in found - known if name.split(".")[0] != "cli"}
        assert not beside, f"{file}: {beside}"


def test_every_package_says_what_it_is() -> None:
    for file in modules():
        assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), file


def test_the_public_names_are_sorted_documented_and_there() -> None:
    assert api.__all__ == sorted(api.__all__)
    for name in api.__all__:
        assert getattr(api, name).__doc__


@pytest.mark.parametrize("folder", ["search_spaces", "trainers", "data", "studies"])
def test_preset_folders_hold_no_python(folder: str) -> None:
    assert list((ROOT / folder).glob("*.yaml"))
    assert not list((ROOT / folder).rglob("*.py"))


SHARED_NAMES = {"code", "load", "parse", "read", "run", "summary"}
"""Top-level names that still stand in two files; none is to be added."""


def test_no_top_level_name_is_defined_twice() -> None:
    """Beside what `api` and the command line offer under the names of what they call."""
    homes: dict[str, set[str]] = {}
    for file in modules():
        place = file.relative_to(PACKAGE).as_posix()
        if place == "api.py" or place.startswith("cli/"):
            continue
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, set()).add(place)
    twice = {name: places for name, places in homes.items() if len(places) > 1}
    assert set(twice) == SHARED_NAMES, twice
