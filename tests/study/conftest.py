"""One real search, through the command line and Ray, for all tests of a study."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from mer_nas.study.folder import StudyFolder
from mer_nas.study.run import rewrite_report


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
    tmp_path_factory: pytest.TempPathFactory,
    write_tiny: Callable[[Path], list[str]],
    worker_id: str,
) -> Searched:
    """A search of 3 trials in 2 groups, then 2 finalists x 2 seeds under LOSO of 4 subjects.

    The processes of one run of the tests share it: whoever comes first makes it. Nobody may write
    to it; who wants to takes `study`, a copy.
    """
    if worker_id == "master":
        return search(tmp_path_factory.mktemp("searched"), write_tiny)
    folder = tmp_path_factory.getbasetemp().parent / "searched"
    with FileLock(f"{folder}.lock"):
        folder.mkdir(exist_ok=True)
        said = folder.with_suffix(".json")
        if not said.exists():
            made = search(folder, write_tiny)
            said.write_text(json.dumps([made.words, made.code, made.out, made.err]))
    return Searched(folder, *json.loads(said.read_text()))


def search(folder: Path, write_tiny: Callable[[Path], list[str]]) -> Searched:
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
def study(searched: Searched, here: Path) -> Path:
    """A copy of the study in the working directory, to go on with in this process."""
    for file in searched.folder.glob("*.yaml"):
        shutil.copy(file, here)
    copy = Path("runs") / searched.study.name
    shutil.copytree(searched.study, copy)
    settings = copy / "settings.yaml"
    settings.write_text(settings.read_text().replace("workers: 1\n", "workers: 0\n"))
    return copy


@pytest.fixture
def written_anew() -> Callable[[Path], bool]:
    """Whether the report of a study, once deleted, is the same byte for byte when asked for."""

    def same(study: Path) -> bool:
        file = study / "report.json"
        rewrite_report(StudyFolder(study))  # of a copy: the next steps name its storage
        before = file.read_bytes()
        file.unlink()
        rewrite_report(StudyFolder(study))
        return file.read_bytes() == before

    return same
