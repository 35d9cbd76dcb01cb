"""Folders as people have them: names of another case or Unicode form, with zeros or without.

A name is looked up as it is given, else by what does not differ between copies; of several that
are alike none is taken.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from mer_nas.errors import DataError

_Form = Callable[[str], str]
"""Takes from a name what is not to count."""

_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")


@contextmanager
def readable() -> Iterator[None]:
    """Say which folder or file may not be read.

    Raises:
        DataError: There is one.
    """
    try:
        yield
    except PermissionError as error:
        raise DataError(
            f"{error.filename}: this may not be read; give yourself the right to, or copy it"
        ) from None


def spelled(path: Path) -> Path:
    """Return a path as it is spelled on disk: as given, else with letters composed otherwise.

    macOS writes a letter and its accent apart, other systems as one; both look the same.
    """
    if path.exists() or path.name in ("", "..") or path.parent == path:
        return path
    folder = spelled(path.parent)
    inner = folder.iterdir() if folder.is_dir() else ()
    like = [found for found in inner if composed(found.name) == composed(path.name)]
    return like[0] if len(like) == 1 else folder / path.name


class Folders:
    """Listings of folders, each read once."""

    def __init__(self) -> None:
        self._known: dict[Path, dict[str, Path]] = {}
        self._forms: dict[tuple[_Form, Path], dict[str, list[Path]]] = {}

    def below(self, folder: Path) -> dict[str, Path]:
        """Return the folders in a folder by name, sorted; none where there is no folder."""
        if folder not in self._known:
            found = sorted(folder.iterdir()) if folder.is_dir() else []
            self._known[folder] = {path.name: path for path in found if path.is_dir()}
        return self._known[folder]

    def child(self, folder: Path, name: str) -> Path | None:
        """Return the folder of that name; else the one whose name differs in form, case or zeros.

        None where there is none, or more than one.
        """
        if (exact := self.below(folder).get(name)) is not None:
            return exact
        for form in (composed, _any_case, loose):
            like = self._by(form, folder).get(form(name), [])
            if like:
                return like[0] if len(like) == 1 else None
        return None

    def _by(self, form: _Form, folder: Path) -> dict[str, list[Path]]:
        key = (form, folder)
        if key not in self._forms:
            self._forms[key] = {}
            for found, path in self.below(folder).items():
                self._forms[key].setdefault(form(found), []).append(path)
        return self._forms[key]

    def descend(self, folder: Path, parts: Iterable[str]) -> Path | None:
        """Return the folder at the end of a path below `folder`.

        `*` stands for any text, unless a folder is called so.
        """
        head, *rest = [*parts, ""]
        if not head:
            return folder
        if "*" not in head or head in self.below(folder):
            inner = [self.child(folder, head)]
        else:
            names = self.below(folder).items()
            inner = [path for name, path in names if fnmatchcase(name.casefold(), head.casefold())]
        ends = [end for start in inner if start and (end := self.descend(start, rest[:-1]))]
        return ends[0] if len(ends) == 1 else None


def composed(name: str) -> str:
    """Return a name with each letter and its accent as one, where Unicode has that."""
    return unicodedata.normalize("NFC", name)


def _any_case(name: str) -> str:
    return composed(composed(name).casefold())


def loose(name: str) -> str:
    """Return a name without what differs between copies: case, Unicode form, zeros.

    >>> loose("Sub01"), loose("spNO.1"), loose("s100")
    ('sub1', 'spno.1', 's100')
    """
    return _ZEROS.sub("", _any_case(name))
