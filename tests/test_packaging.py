"""What a wheel carries: the package, its presets, and nothing beside them."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mer_nas.config.presets import FOLDERS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of all files in the wheel."""
    out = tmp_path_factory.mktemp("wheel")
    words = [
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(out),
        str(ROOT),
    ]
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_nothing_lands_beside_the_package(shipped: set[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in shipped} == {"mer_nas"}


def test_only_yaml_travels_with_the_presets(shipped: set[str]) -> None:
    presets = {name for name in shipped if name.startswith("mer_nas/presets/")}
    presets -= {
        name for name in presets if name.startswith("mer_nas/presets/studies/leaderboard/")
    }
    assert presets
    assert all(name.endswith(".yaml") for name in presets)


def test_the_leaderboard_travels_whole(shipped: set[str]) -> None:
    board = ROOT / "studies" / "leaderboard"
    files = {f.relative_to(board).as_posix() for f in board.rglob("*") if f.is_file()}
    assert "leaderboard.json" in files
    assert {f"mer_nas/presets/studies/leaderboard/{name}" for name in files} <= shipped


@pytest.mark.parametrize(("group", "folder"), FOLDERS.items())
def test_every_preset_travels(shipped: set[str], group: str, folder: str) -> None:
    here = {f"mer_nas/presets/{folder}/{file.name}" for file in (ROOT / folder).glob("*.yaml")}
    assert here <= shipped


def test_the_type_marker_and_the_templates_travel(shipped: set[str]) -> None:
    own = {f.relative_to(ROOT).as_posix() for f in (ROOT / "mer_nas").rglob("*") if f.is_file()}
    own = {name for name in own if "__pycache__" not in name}
    assert own <= shipped
