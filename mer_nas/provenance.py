"""Which code and which machine a result comes from."""

import os
import platform
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import torch

from mer_nas import files
from mer_nas.architectures.extensions import loaded_sources
from mer_nas.sources import Sources, sources

ROOT = "mer_nas.evaluation.evaluator"
"""The module that trains and reads a fold: what stands behind it can change a score."""
ASIDE = ("mer_nas.provenance", "mer_nas.evaluation.hindsight", "mer_nas.evaluation.timing")
"""What it imports to write down where a score comes from, to look back at it, and to time it."""

PACKAGES: Final = (
    "mer-nas",
    "torch",
    "timm",
    "numpy",
    "scipy",
    "opencv-python",
    "opencv-python-headless",
    "optuna",
    "ray",
    "pydantic",
    "onnx",
    "onnxruntime",
)
"""Packages whose version can change a number of a report."""


def code_version(extensions: Sequence[Path] = ()) -> str:
    """Return 12 hexadecimal digits over all that decides scores, and over nothing else.

    They follow from what Python runs (`sources.meaning`), not from comments, docstrings, messages
    or the names of files, and they are the same for a checkout and an installed copy.

    Args:
        extensions: The space's, which have been loaded.
    """
    return version_of(code(extensions))


def version_of(code: Sources) -> str:
    """Return the version of these modules, by what they mean and not by their names."""
    return files.digest("\n".join(sorted(code.values())))[:12]


def code(extensions: Sequence[Path] = ()) -> Sources:
    """Return the modules that decide scores, each with what it means.

    Those are the ones behind the training and reading of a fold, and behind the users' files of
    the space at hand, as they were when they were first read.

    Args:
        extensions: The space's, which have been loaded.
    """
    return _own() | loaded_sources(extensions)


@cache
def _own() -> Sources:
    file = Path(__file__).parent / "evaluation" / "evaluator.py"
    return sources(ROOT, file, ASIDE)


def environment(extensions: Sequence[Path] = ()) -> dict[str, object]:
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
