"""Nothing that mer-nas stands on writes beside the model or asks the network for anything."""

import os
import re
import subprocess
import sys
from pathlib import Path

from numpy.typing import NDArray

from mer_nas.privacy import SILENT

ROOT = Path(__file__).parents[2]

GUARD = """\
import os, sys
def guard(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "urllib.Request"):
        raise AssertionError(f"{event}: {args}")
sys.addaudithook(guard)
"""
EVERYTHING = """\
import importlib, pkgutil
import mer_nas
from mer_nas.privacy import SILENT
assert not {"onnxruntime", "ray", "huggingface_hub", "timm"} & sys.modules.keys()
assert SILENT.items() <= os.environ.items()
for module in pkgutil.walk_packages(mer_nas.__path__, "mer_nas."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def alone(code: str, home: Path, *words: str) -> None:
    """Run code in a process that owns an empty home and would report if it were not told not to.

    Of the environment nothing remains by which such packages notice that they are in a test.
    """
    home.mkdir(exist_ok=True)
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    kept["MPLCONFIGDIR"] = str(home.parent / "fonts")  # the one list that is kept, of fonts
    loud = {name: "1" if value == "0" else "0" for name, value in SILENT.items()}
    done = subprocess.run(
        [sys.executable, "-c", GUARD + code, *words],
        cwd=home.parent,
        env={**kept, **loud, "HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_prediction_leaves_nothing_behind(
    trained: tuple[Path, NDArray[object]], frames: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    words = ("predict", str(trained[0]), str(frames / "clip0"))
    alone("from mer_nas.cli import main\nmain(sys.argv[1:])", home, *words)
    assert list(home.iterdir()) == []


def test_importing_everything_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    alone(EVERYTHING, home)
    assert list(home.iterdir()) == []


def test_what_an_export_tells_its_users_to_run_leaves_nothing_behind(
    trained: tuple[Path, NDArray[object]], tmp_path: Path
) -> None:
    home, card = tmp_path / "home", (trained[0] / "card.md").read_text(encoding="utf-8")
    (code, *_) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    assert "onnxruntime" in code
    assert "mer_nas" not in code
    alone(f"os.chdir(sys.argv[1])\n{code}", home, str(trained[0]))
    assert list(home.iterdir()) == []
