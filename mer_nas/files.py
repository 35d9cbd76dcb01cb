"""Files: read within limits before anything is made of them, and written whole or not at all.

What others wrote is data. A file that is larger or nested deeper than anything mer-nas writes is
refused before it takes memory, and every refusal names the file.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import click
import psutil

from mer_nas.errors import ConfigError, MerNasError, shown, system_said

MAX_TEXT = 64 * 2**20
"""Bytes of the largest text that is read whole: the report of a long search takes a few MiB."""
PART = ".part"
"""How the name of a folder ends that is to take the place of another."""
_OWNER = re.compile(rf"\.([A-Za-z0-9-]+)-(\d+)\.[^.]*{re.escape(PART)}$")
MAX_DEPTH = 100
"""How deep mappings and lists may be nested in a file: those written here stay below 20."""


def place(word: str | os.PathLike[str], where: str, raises: type[MerNasError]) -> Path:
    """Return the path that a user wrote, from whose `~` the home folder has been made.

    Args:
        word: What was written.
        where: How the user knows it: "data.root".
        raises: What a mistake is to the caller.

    Raises:
        raises: It is no path, or nobody could find it: more characters than a name may have, a
            NUL, a `~` of nobody here, or a folder on the way that may not be entered.
    """
    if not isinstance(word, str | os.PathLike):
        raise raises(f"{where}: a path would be right, not {shown(word)}")
    try:
        path = Path(word).expanduser()
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()
    except (OSError, ValueError, RuntimeError) as error:
        said = system_said(error)
        raise raises(f"{where}: {shown(str(word))} cannot be reached: {said}") from None
    return path


def read_bytes(path: Path, raises: type[MerNasError], most: int = MAX_TEXT) -> bytes:
    """Return what a file holds.

    Args:
        path: The file.
        raises: What a mistake is to the caller: `StudyError`, `ExportError`.
        most: Bytes; of a larger file nothing is read.

    Raises:
        raises: There is no such file, it cannot be read, or it is larger.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device may never end
            kind = "a folder" if path.is_dir() else "no file"
            raise raises(f"{path}: cannot be read: this is {kind}")
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except (OSError, ValueError) as error:  # a ValueError where the name holds a NUL
        raise raises(f"{path}: cannot be read: {system_said(error)}") from None
    if len(content) > most:
        raise raises(f"{path}: the file is larger than the {most} bytes that are read of its kind")
    return content


def read_text(path: Path, raises: type[MerNasError], most: int = MAX_TEXT) -> str:
    """Return a text in UTF-8; arguments and errors as for `read_bytes`.

    Raises:
        raises: Also where it is no UTF-8.
    """
    try:
        return read_bytes(path, raises, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise raises(
            f"{path}: this is no text in UTF-8: byte {error.start}: {error.reason}"
        ) from None


def read_json(path: Path, raises: type[MerNasError], most: int = MAX_TEXT) -> Any:
    """Return the tree of a JSON file; arguments and errors as for `read_bytes`.

    Raises:
        raises: Also where it is no JSON, nested deeper than `MAX_DEPTH`, or holds NaN or Infinity.
    """
    return _parse_json(read_text(path, raises, most), str(path), raises)


def _parse_json(text: str, place: str, raises: type[MerNasError]) -> Any:
    """Return the tree of a JSON text; `place` is how the user knows it.

    Raises:
        raises: It is no JSON, nested deeper than `MAX_DEPTH`, or holds NaN or Infinity.
    """
    try:
        tree = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        raise raises(f"{place}: this is no JSON: {'nested too deep' if deep else error}") from None
    _check_depth(tree, place, raises)
    return tree


def _check_depth(tree: object, place: str, raises: type[MerNasError]) -> None:
    """Refuse what is nested deeper than `MAX_DEPTH`; no call goes deeper for it.

    Raises:
        raises: It is.
    """
    level = [tree] if isinstance(tree, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))  # a union takes twice as long, of millions
        ]
    if not level:
        return
    raise raises(f"{place}: nested deeper than {MAX_DEPTH} levels")


def digest(content: Path | bytes | str) -> str:
    """Return a SHA-256 in 64 hexadecimal digits: of a file, however large, or of its content.

    A text is taken as UTF-8.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a small file whole or not at all: whoever reads meanwhile sees the earlier one.

    A link in its place is replaced and not followed. Lines end in the same way on every system, so
    that what is known by its hash stays known.

    Args:
        path: The file.
        text: What it holds from now on.
        mode: Who may read and write it, less what the user's umask takes away.

    Raises:
        OSError: The disk does not take it; the error names the file.
    """
    new = path.with_name(f".{path.name}.new")
    with naming(path):
        new.unlink(missing_ok=True)  # else its mode, or where it links to, would stay
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise


@contextmanager
def whole_folder(
    folder: Path, names: Collection[str], raises: type[MerNasError]
) -> Iterator[Path]:
    """Give a temporary folder that takes the place of `folder` when the block ends well.

    Whatever interrupts the block, `folder` is as it was before. An earlier folder of the same kind
    is replaced.

    Args:
        folder: Where the files shall lie.
        names: What an earlier one may hold.
        raises: What a mistake is to the caller.

    Raises:
        raises: The folder holds something else, which would be lost.
        OSError: The disk does not take it; the error names the folder.
    """
    _refuse_strangers(folder, names, raises)
    with naming(folder):
        yield from _beside(folder)


def _beside(folder: Path) -> Iterator[Path]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{folder.name}.{_here()}-{os.getpid()}."
    beside = Path(tempfile.mkdtemp(prefix=prefix, suffix=PART, dir=folder.parent))
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


def sweep(folder: Path) -> list[Path]:
    """Remove what `whole_folder` has left in a folder where its process was killed.

    What another machine may be writing stays. Of earlier versions nobody can tell whose it is:
    that must be nobody's any more.

    Args:
        folder: Where the folders lie that were to be replaced.

    Returns:
        What is gone.
    """
    gone = []
    for path in folder.glob(f".*{PART}"):
        owner = _OWNER.search(path.name)
        if owner is not None and (owner[1] != _here() or psutil.pid_exists(int(owner[2]))):
            continue
        shutil.rmtree(path, ignore_errors=True)
        gone.append(path)
    return gone


def _here() -> str:
    """Return the name of this machine, as it may stand in that of a file."""
    return re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname())


def _refuse_strangers(folder: Path, names: Collection[str], raises: type[MerNasError]) -> None:
    there = next(filter(Path.exists, (folder, *folder.parents)))
    if not there.is_dir():
        raise raises(f"{there}: a file is in the way; name a folder that does not exist yet")
    strangers = sorted({path.name for path in folder.glob("*")} - set(names))
    if strangers:
        raise raises(
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


def ensure_folder(folder: Path, where: str = "") -> None:
    """Make a folder, and those above it, where they are not there.

    Args:
        folder: What is made.
        where: What named it, for the message: "--picture ".

    Raises:
        ConfigError: It cannot be made, as below a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = system_said(error)
        raise ConfigError(f"{where}{folder}: no folder can be made there: {said}") from None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a file or folder in what the disk says of it; of itself only opening a file does."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def refused(error: OSError) -> str | None:
    """Return what a disk would not do, and for which file; None where no disk is to blame."""
    if error.errno not in _OF_THE_DISK:
        return None
    said = system_said(error)
    return said if error.filename is None else f"{os.fsdecode(error.filename)}: {said}"


_OF_THE_DISK = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ESTALE,
    errno.ENAMETOOLONG,
}


def own_folder(name: str) -> Path:
    """Return a folder of the user's own that nobody else can read, made if it is not there.

    It lies in MER_NAS_CONFIG, or else where the system keeps a program's configuration.

    Raises:
        OSError: It cannot be made, or it is somebody else's.
    """
    base = Path(os.environ.get("MER_NAS_CONFIG") or click.get_app_dir("mer-nas"))
    for folder in (base, base / name):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
            raise PermissionError(errno.EPERM, "it belongs to somebody else", str(folder))
        folder.chmod(0o700)
    return base / name


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number that JSON knows")
