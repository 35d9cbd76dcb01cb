"""Which code and which machine a result comes from."""

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from mer_nas.architectures.extensions import loaded_files

SCORING = ("architectures", "data", "training", "evaluation")
"""The packages that can change a score; search, report and command line cannot."""

PACKAGES = (
    "mer-nas",
    "torch",
    "timm",
    "numpy",
    "scikit-learn",
    "opencv-python",
    "opencv-python-headless",
    "optuna",
    "ray",
    "pydantic",
    "onnx",
    "onnxruntime",
)


def code_version() -> str:
    """Return 12 hexadecimal digits over every file that can change a score.

    Those are the Python files of the scoring packages, and the users' files that a space has
    loaded, as they were at the first call: what is edited later does not run in this process.
    """
    return _hash(tuple(loaded_files()))


@cache
def _hash(extensions: tuple[Path, ...]) -> str:
    package = Path(__file__).parent
    own = sorted(file for part in SCORING for file in (package / part).rglob("*.py"))
    named = [(file.relative_to(package).as_posix(), file) for file in own]
    named += sorted((file.name, file) for file in extensions)
    digest = hashlib.sha256()
    for name, file in named:
        digest.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


def environment() -> dict[str, object]:
    """Return what a reader needs to judge a figure: versions, machine, state of the code."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "gpu": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
        "code": code_version(),
        **_checkout(Path(__file__).parent.parent),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _checkout(folder: Path) -> dict[str, object]:
    """Return the commit of a checkout, and whether its files differ from it; nothing elsewhere."""
    if not (folder / ".git").exists():
        return {}
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {} if commit is None else {"commit": commit, "changed": bool(changed)}


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
