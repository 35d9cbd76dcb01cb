"""What CONTRIBUTING says, done in a copy of the repository, step by step."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
COPIED = ("mer_nas", "search_spaces", "trainers", "data", "studies")

SECTIONS = ("A block", "A data set", "A pruner", "A chart")
USE = {
    "A block": """
from mer_nas.testing import check_block
check_block("gate", "fixed")
""",
    "A data set": """
import numpy as np
from PIL import Image
from mer_nas.settings import resolve
from mer_nas.testing import check_layout

ROWS = [("s01", "a", "happiness"), ("s01", "b", "surprise"), ("s02", "a", "disgust")]

def write(root):
    chance = np.random.default_rng(0)
    for subject, clip, _ in ROWS:
        folder = root / "NewSet_raw" / subject / clip
        folder.mkdir(parents=True)
        for number in range(1, 6):
            noise = chance.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / f"img{number}.png")
    lines = ["Subject,Clip,Onset,Apex,Offset,Emotion"]
    lines += [f"{subject},{clip},1,3,5,{emotion}" for subject, clip, emotion in ROWS]
    (root / "newset.csv").write_text("\\n".join(lines) + "\\n")
    return len(ROWS)

check_layout("newset", write)
assert resolve(["space=moe", "data=newset"]).data.layouts == ("newset",)
""",
    "A pruner": """
from mer_nas.search.pruners import build
from mer_nas.settings import resolve
from mer_nas.testing import check_pruner
check_pruner(lambda: build("halfway", chance=0.05, margin=0.0, blocks=6), subjects=6)
assert resolve(["space=moe", "study.pruner=halfway"]).study.pruner == "halfway"
""",
    "A chart": """
import sys
from pathlib import Path
from mer_nas.report import read_report
from mer_nas.report.page import render
page = render(read_report(Path(sys.argv[1])))
assert "Complete trials by their score" in page
assert page.count('id="spread"') <= 1 and "Complete trials by score" in page
""",
}
"""By section, what its result must stand."""


def _steps(section: str) -> list[tuple[str, str, str]]:
    """Return the language, file and text of the fenced blocks of a section."""
    (part,) = re.findall(rf"^### {section}\n(.*?)(?=^##|\Z)", TEXT, re.DOTALL | re.MULTILINE)
    return re.findall(r"^```(\w+) (\S+)\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)


def _follow(root: Path, language: str, name: str, text: str) -> None:
    file = root / name
    if language != "diff":
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        assert bool(before) == (language == "python"), name  # data is new, code is added to
        file.write_text(f"{before}\n\n{text}" if before else text, encoding="utf-8")
        return
    lines, at = file.read_text(encoding="utf-8").splitlines(), 0
    for step in text.splitlines():
        sign, line = step[0], step[1:]
        if sign == "+":
            lines.insert(at, line)
            at += 1
            continue
        start, dots, _ = line.partition("...")
        (found,) = [
            number
            for number, each in enumerate(lines)
            if number >= at and (each.startswith(start) if dots else each == line)
        ][:1]
        at = found + 1
        if sign == "-":
            del lines[found]
            at = found
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_walk_through_leads_where_it_says(section: str, tmp_path: Path) -> None:
    for folder in COPIED:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    steps = _steps(section)
    assert steps
    for step in steps:
        _follow(tmp_path, *step)
    if code := [str(tmp_path / name) for language, name, _ in steps if name.endswith(".py")]:
        words = ["-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), *code]
        _run(tmp_path, *words)
    reports = sorted((ROOT / "studies").rglob("report.json"))
    _run(tmp_path, "-c", USE[section], str(reports[0]))


def _run(root: Path, *words: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_the_set_up_is_two_commands_with_what_the_tests_need() -> None:
    (block,) = re.findall(r"## Set-up\n\n((?:    .*\n)+)", TEXT)
    assert len(block.splitlines()) == 2
    assert "pip install -e '.[test]' && pre-commit install" in block


def test_files_and_folders_that_are_named_are_there() -> None:
    made = {name for section in SECTIONS for _, name, _ in _steps(section)}
    named = re.findall(r"`((?:tests|mer_nas|benchmarks|docs)/[\w./]*)`", TEXT)
    assert named
    for name in named:
        assert name in made or (ROOT / name).exists() or name == "benchmarks/NAME.py", name


def test_a_commit_is_checked_as_the_tests_check_the_code() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"  # nothing is downloaded
    commands = [hook["entry"].removeprefix("python -m ") for hook in repository["hooks"]]
    house = (ROOT / "tests" / "test_house.py").read_text(encoding="utf-8")
    runs = re.findall(r"^    run\((.*)\)$", house, re.MULTILINE)
    assert commands == [" ".join(re.findall(r'"([^"]*)"', words)) for words in runs]
    assert all(hook["language"] == "system" for hook in repository["hooks"])


def test_the_citation_is_valid_and_of_this_version() -> None:
    """By the schema of the Citation File Format 1.2.0 (CC-BY-4.0, DOI 10.5281/zenodo.5171937)."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    schema = json.loads((ROOT / "tests" / "citation_schema_1.2.0.json").read_text())
    jsonschema.validate(citation, schema)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for key in ("version", "license"):
        assert f'{key} = "{citation[key]}"' in project
    assert f'description = "{citation["abstract"].rstrip(".")}"' in project
