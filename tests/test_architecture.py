"""The page on the architecture says what is there."""

import re
import runpy
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
LAYERS = runpy.run_path(str(ROOT / "tests" / "test_house.py"))["LAYERS"]
NAMES = sorted(set(re.findall(r"`(mer_nas(?:\.\w+)+)`", TEXT)))
GLOSSARY = re.findall(r"^\| ([\w ]+) \| .+ \| `([\w.]+)` \|$", TEXT, re.MULTILINE)


def test_the_picture_is_what_the_imports_are_held_to() -> None:
    (picture,) = re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL)
    floors = [set(line.split()) for line in picture.splitlines()]
    assert floors == list(reversed(LAYERS))


def test_every_package_has_a_floor() -> None:
    package = ROOT / "mer_nas"
    parts = {f.name for f in package.iterdir() if (f / "__init__.py").is_file()}
    parts |= {f.stem for f in package.glob("*.py")} - {"__init__"}
    assert parts == set().union(*LAYERS)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_named_is_there(name: str) -> None:
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return
    pytest.fail(name)


def test_each_way_is_a_list_of_functions() -> None:
    for way in ("fold", "setting", "number"):
        (part,) = re.findall(rf"## The way of a {way}\n(.*?)\n## ", TEXT, re.DOTALL)
        steps = re.findall(r"^\d+\. `mer_nas\.", part, re.MULTILINE)
        assert len(steps) >= 6


def test_the_glossary_has_at_most_thirty_terms_each_with_one_home() -> None:
    assert 20 <= len(GLOSSARY) <= 30
    assert (
        len({term for term, _ in GLOSSARY}) == len({home for _, home in GLOSSARY}) == len(GLOSSARY)
    )
