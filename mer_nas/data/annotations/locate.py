"""Where a data set lies: the folder of its frames and its annotation table below a root.

Names are matched whatever their case, with or without leading zeros, and a folder that was
unpacked into one of its own name is entered. Nothing else is guessed: a root that is one level off
is refused, and the message names the right one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from mer_nas.data.annotations.folders import Folders, readable, spelled
from mer_nas.data.annotations.layouts import Layout, Release, ReleaseKind
from mer_nas.data.config import RecordedData
from mer_nas.errors import DataError
from mer_nas.wording import some

DEPTH = 3
"""Levels below the root among which a table is looked for."""

LOOKED_AT = 4
"""Folders by which it is judged whether all of them are those of a data set."""

LOCK = "~$"
"""How the file begins that Excel lays beside a workbook while it is open."""


@dataclass(frozen=True)
class Location:
    """Where one data set lies."""

    layout: Layout
    root: Path
    folder: Path
    """Below which the clips lie."""
    release: Release
    table: Path | None
    """None where the layout has none."""
    others: tuple[Path, ...] = ()
    """Further files that could be the table."""
    locks: tuple[Path, ...] = ()
    """Files that say a table is open in Excel."""

    @classmethod
    @readable()
    def of(cls, config: RecordedData, layout: Layout) -> "Location":
        """Return where one data set of the configuration lies.

        Raises:
            DataError: It is not there, not as it should be, or may not be read.
            ConfigError: The data set has no such release.
        """
        root, table = config.roots.get(layout.name), config.annotations.get(layout.name)
        if root is None and config.root is not None and len(config.layouts) > 1:
            root = _find_root(layout, config.root, config.frames)
        key = f"data.roots.{layout.name}" if layout.name in config.roots else "data.root"
        return _locate(layout, root or config.root, config.frames, table, key)

    def matching_folders(self, folders: Folders) -> Iterator[tuple[dict[str, str], Path]]:
        """Yield every folder that fits a pattern of the release, with what it stood for."""
        for pattern in self.release.clips:
            yield from self._walk(folders, self.folder, pattern.split("/"), {})

    def _walk(
        self, folders: Folders, folder: Path, parts: list[str], values: dict[str, str]
    ) -> Iterator[tuple[dict[str, str], Path]]:
        if not parts:
            yield values, folder
            return
        matcher = self.layout.matcher(parts[0])
        for name, path in folders.below(folder).items():
            if found := matcher.fullmatch(name):
                yield from self._walk(folders, path, parts[1:], {**values, **found.groupdict()})


def _locate(
    layout: Layout, root: Path | None, frames: ReleaseKind, table: str | None, key: str
) -> Location:
    """Find a data set below the folder that the user named by a key."""
    releases = layout.released(frames)
    if root is None:
        raise DataError(
            f"data.root: {layout.title} needs the folder that holds {_needs(layout, releases)}; "
            f"data.root=DIR names it"
        )
    root = spelled(root.expanduser())
    if not root.is_dir():
        raise DataError(f"{key}: there is no folder {root}")
    search = _Search(layout, releases, Folders())
    return search.location(root, table)


def _find_root(layout: Layout, above: Path, frames: ReleaseKind = "raw") -> Path:
    """Return the one folder at or below `above` that holds a data set.

    Raises:
        DataError: There is none, or more than one.
    """
    above = spelled(above.expanduser())
    if not above.is_dir():
        raise DataError(f"data.root: there is no folder {above}")
    search = _Search(layout, layout.released(frames), Folders())
    found = [root for root in search.within(above) if search.holds(root)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise DataError(
            f"data.root: {above} does not hold {layout.title}: neither it nor a folder in it has "
            f"{_needs(layout, search.releases)}; data.roots.{layout.name}=DIR names its folder"
        )
    raise DataError(
        f"data.root: {len(found)} folders below {above} hold {layout.title}: "
        f"{some(map(str, found))}; data.roots.{layout.name}=DIR chooses one"
    )


@dataclass(frozen=True)
class _Search:
    """Looks for one data set."""

    layout: Layout
    releases: tuple[Release, ...]
    folders: Folders

    def location(self, root: Path, table: str | None) -> Location:
        """Return where things lie below `root`, or refuse it."""
        found = self.frames(root)
        if found is None:
            raise DataError(self._elsewhere(root))
        folder, release = found
        if self.layout.table is None:
            return Location(self.layout, root, folder, release, None)
        tables, locks = self.tables(root, folder)
        if table is not None:
            chosen = spelled(root / table)
            if not chosen.is_file():
                raise DataError(f"data.annotations.{self.layout.name}: there is no file {chosen}")
            tables = [chosen]
        if not tables:
            raise DataError(self._without_table(root, locks))
        _refuse_company(self.layout, tables[0])
        return Location(
            self.layout, root, folder, release, tables[0], tuple(tables[1:]), tuple(locks)
        )

    def holds(self, root: Path) -> bool:
        """Return whether a folder holds frames and table."""
        found = self.frames(root)
        if found is None:
            return False
        if self.layout.table is None:
            return True
        # Its own table lies in the root or beside its frames; one in a sister folder is another's.
        return bool(self.tables(root, found[0])[0])

    def frames(self, root: Path) -> tuple[Path, Release] | None:
        """Return the folder of the clips below `root`, and which release it is."""
        for release in self.releases:
            for name in release.folders:
                folder = root if name == "." else self._entered(root, name.split("/"))
                if folder and self._has_clips(folder, release):
                    return folder, release
        return None

    def _entered(self, root: Path, parts: list[str]) -> Path | None:
        """Return the folder of that path; one that holds a folder of its own name is entered."""
        folder: Path | None = root
        for part in parts:
            folder = folder and self.folders.child(folder, part)
            if folder and (inner := self.folders.child(folder, part)):
                folder = inner
        return folder

    def _has_clips(self, folder: Path, release: Release) -> bool:
        """Return whether folders lie there as the first two parts of a pattern say.

        Where the table says where each clip lies, there may be none: clips are videos then.
        """
        starts = [clip.split("/")[:2] for clip in release.clips]
        return self.layout.explicit or any(self._begins(folder, start) for start in starts)

    def _begins(self, folder: Path, parts: list[str]) -> bool:
        if not parts:
            return True
        head = self.layout.matcher(parts[0])
        inner = [path for name, path in self.folders.below(folder).items() if head.fullmatch(name)]
        return any(self._begins(path, parts[1:]) for path in inner[:LOOKED_AT])

    def tables(self, root: Path, frames: Path) -> tuple[list[Path], list[Path]]:
        """Return the files that may be the table, best first, and the locks of open ones."""
        assert self.layout.table is not None
        files = [
            file
            for folder in self._beside(root, frames)
            for file in sorted(folder.iterdir())
            if file.is_file()
        ]
        patterns = [pattern.casefold() for pattern in self.layout.table.files]
        found = [f for p in patterns for f in files if fnmatchcase(f.name.casefold(), p)]
        locks = [
            f
            for f in files
            if f.name.startswith(LOCK)
            and any(fnmatchcase(f.name.removeprefix(LOCK).casefold(), p) for p in patterns)
        ]
        return [f for f in dict.fromkeys(found) if not f.name.startswith(LOCK)], locks

    def _beside(self, root: Path, frames: Path) -> Iterator[Path]:
        """Return the root and folders below it that are no clips' own."""
        level = [root]
        for _ in range(DEPTH):
            yield from level
            level = [
                inner
                for folder in level
                if folder != frames and not self._is_clips(folder)
                for inner in self.folders.below(folder).values()
            ]

    def _is_clips(self, folder: Path) -> bool:
        return any(self._has_clips(folder, release) for release in self.layout.releases)

    def within(self, above: Path) -> Iterator[Path]:
        """Return `above` and the folders up to two levels below it."""
        yield above
        if self.frames(above) is not None:
            return
        for folder in self.folders.below(above).values():
            yield folder
            if self.frames(folder) is None:
                yield from self.folders.below(folder).values()

    def _elsewhere(self, root: Path) -> str:
        """Say that `root` does not hold the frames, and which folder near it does."""
        above = root.absolute().parents
        near = [*above[:2], *self.within(root)]
        right = next((folder for folder in near if folder != root and self.frames(folder)), None)
        there = some(sorted(path.name for path in root.iterdir()), 6) or "nothing"
        text = (
            f"data.root: {root} does not hold {_needs(self.layout, self.releases, frames=True)} "
            f"with the clips of {self.layout.title}; it holds {there}"
        )
        if right is not None:
            return f"{text}. {right} does: data.root={right} would be right"
        other = [r for r in self.layout.releases if r not in self.releases]
        search = _Search(self.layout, tuple(other), self.folders)
        if other and search.frames(root):
            kind = other[0].frames
            return f"{text}. {kind.capitalize()} frames are there: data.frames={kind} reads them"
        return f"{text}. Unpack the archive there, or name the folder where it lies: data.root=DIR"

    def _without_table(self, root: Path, locks: list[Path]) -> str:
        assert self.layout.table is not None
        wanted = self.layout.table.files[0]
        if locks:
            return (
                f"{locks[0]}: this is the mark that Excel leaves while a workbook is open, not "
                f"the workbook; close it in Excel and copy {wanted} to {root}"
            )
        sheets = [
            f.name
            for f in sorted(root.iterdir())
            if f.suffix.lower() in {".xlsx", ".xls", ".csv"} and f.is_file()
        ]
        there = f"; other tables there: {some(sheets, 6)}" if sheets else ""
        return (
            f"data.root: {root} does not hold {wanted}, the table of {self.layout.title}{there}. "
            f"Copy it there, or name another: data.annotations.{self.layout.name}=FILE"
        )


def _refuse_company(layout: Layout, table: Path) -> None:
    """Refuse a folder where another data set's table lies beside: frames cannot be told apart."""
    for name in Layout.names():
        other = Layout.read(name)
        if other.name == layout.name or other.table is None or other.people == layout.people:
            continue
        if other.explicit or layout.explicit:
            continue
        patterns = [pattern.casefold() for pattern in other.table.files]
        beside = [
            file.name
            for file in sorted(table.parent.iterdir())
            if file != table and any(fnmatchcase(file.name.casefold(), p) for p in patterns)
        ]
        if beside:
            raise DataError(
                f"data.root: {table.parent} holds two data sets: {layout.title} ({table.name}) "
                f"and {other.title} ({beside[0]}). Give each a folder of its own"
            )


def _needs(layout: Layout, releases: tuple[Release, ...], *, frames: bool = False) -> str:
    folders = [name for release in releases for name in release.folders[:1] if name != "."]
    wanted = " or ".join(dict.fromkeys(folders)) or "the clips"
    if frames or layout.table is None:
        return wanted
    return f"{layout.table.files[0]} and {wanted}"
