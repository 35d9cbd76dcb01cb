"""Which code and which machine a result comes from."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from mer_nas.architectures.extensions import loaded_files

SCORING = ("rank_pooling.py", "architectures", "data", "training", "evaluation")
"""The parts that can change a score; search, report and command line cannot."""

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


def code_version(extensions: Iterable[Path] = ()) -> str:
    """Return 12 hexadecimal digits over every file that can change a score.

    Those are the Python files of the scoring parts and the users' files of the space at hand,
    as they were when they were first read: what is edited later does not run in this process.

    Args:
        extensions: The space's, which have been loaded.
    """
    loaded = loaded_files()
    users = sorted((file.name, loaded[file.resolve()]) for file in extensions)
    lines = [f"{name} {digest}\n" for name, digest in (*_scoring_files(), *users)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:12]


@cache
def _scoring_files() -> tuple[tuple[str, str], ...]:
    """Return the files of the scoring parts, each with its SHA-256."""
    package = Path(__file__).parent
    files = sorted(
        file for file in package.rglob("*.py") if file.relative_to(package).parts[0] in SCORING
    )
    return tuple(
        (file.relative_to(package).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest())
        for file in files
    )


def environment(extensions: Iterable[Path] = ()) -> dict[str, object]:
    """Return what a reader needs to judge a figure: versions, machine, state of the code.

    Args:
        extensions: Users' files that belong to the code, as in `code_version`.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "gpu": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
        "code": code_version(extensions),
        **_checkout(Path(__file__).parent.parent),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def cpu() -> str:
    """Return the name of the processor."""
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
