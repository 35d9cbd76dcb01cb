"""A folder that is written whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from mer_nas.errors import ExportError
from mer_nas.files import naming


@contextmanager
def whole(folder: Path, files: Collection[str]) -> Iterator[Path]:
    """Give a temporary folder that takes the place of `folder` when the block ends well.

    Whatever interrupts the block, `folder` is as it was before. An earlier folder of the same kind
    is replaced.

    Args:
        folder: Where the files shall lie.
        files: The names that the folder may already hold.

    Raises:
        ExportError: The folder holds something else, which would be lost.
        OSError: The disk does not take it; the error names the folder.
    """
    _refuse_strangers(folder, files)
    with naming(folder):
        yield from _beside(folder)


def _beside(folder: Path) -> Iterator[Path]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        new = beside / "new"
        new.mkdir()
        yield new
        for path in (*new.iterdir(), new):
            _sync(path)
        _replace(folder, new, beside / "old")
        _sync(folder.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _refuse_strangers(folder: Path, files: Collection[str]) -> None:
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder}: a file is in the way; name a folder that does not exist yet")
    strangers = sorted({path.name for path in folder.glob("*")} - set(files))
    if strangers:
        raise ExportError(
            f"{folder}: holds {strangers[0]!r}, which is no part of an export and would be lost; "
            "name a folder that does not exist yet"
        )


def _replace(folder: Path, new: Path, old: Path) -> None:
    if not folder.exists():
        new.rename(folder)
        return
    folder.rename(old)
    try:
        new.rename(folder)
    except BaseException:
        old.rename(folder)
        raise


def _sync(path: Path) -> None:
    """Make a file or a renaming survive a loss of power, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
