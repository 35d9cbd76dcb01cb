"""One real search, through the command line and Ray, for all tests of a study."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Searched:
    """What `mer-nas search` said and left."""

    folder: Path
    """Where it ran."""
    words: list[str]
    code: int
    out: str
    err: str

    @property
    def study(self) -> Path:
        """The study it made."""
        return self.folder / "runs" / "small-faces-1"


@pytest.fixture(scope="session")
def searched(
    tmp_path_factory: pytest.TempPathFactory, write_tiny: Callable[[Path], list[str]]
) -> Searched:
    """A search of 3 trials in 2 groups, then 2 finalists x 2 seeds under LOSO of 4 subjects."""
    folder = tmp_path_factory.mktemp("searched")
    words = write_tiny(folder)
    root = Path(__file__).parents[2]
    paths = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-m", "mer_nas.cli", "search", *words, "ray.workers=1"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        timeout=600,
    )
    return Searched(folder, words, done.returncode, done.stdout, done.stderr)


@pytest.fixture
def study(searched: Searched, here: Path, in_this_process: None) -> Path:
    """A copy of the study in the working directory, to go on with in this process."""
    for file in searched.folder.glob("*.yaml"):
        shutil.copy(file, here)
    copy = Path("runs") / searched.study.name
    shutil.copytree(searched.study, copy)
    return copy
