"""How each licensed data set lies on disk and how its annotation file is laid out, as data.

A layout is one YAML file of this package, named as the data set is: where the frames of a clip
lie, which columns its table has, the spellings of its emotions, the faults of single clips, and
the counts of the official release. A layout names no clip of a data set except where a published
fault is put right, and then by subject and clip, never by row.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat

from mer_nas.config import presets
from mer_nas.config.base import Config, validate
from mer_nas.data.annotations.folders import loose
from mer_nas.errors import ConfigError, unknown

ReleaseKind = Literal["raw", "cropped"]

PLACEHOLDER = re.compile(r"\{(\w+)\}|\*")
"""What stands open in a pattern: the name of a value, or any text."""


def _list(value: object) -> object:
    return [value] if isinstance(value, str | int) else value


class Release(Config):
    """One form in which a data set is given out."""

    frames: ReleaseKind = "raw"
    """raw: as recorded; cropped: registered faces, which need no alignment."""
    folders: tuple[str, ...]
    """Where it may lie below the root, most usual first; case does not matter."""
    clips: tuple[str, ...]
    """Where a clip may lie below that: "{subject}/{clip}"; `*` stands for any text."""


class _Lookup(Config):
    """A value of a clip that another sheet of the workbook translates."""

    cell: str
    """The column whose cell is translated."""
    before: str = ""
    """Only what stands before this is."""
    sheet: int
    """Which sheet, counted from 0."""
    key: int
    """Its column with the cell, counted from 0."""
    value: int
    """Its column with the translation."""
    digits: int = 0
    """The translation is a number of so many digits; Excel drops leading zeros."""

    def looked_up(self, cells: Mapping[str, str]) -> str:
        """Return what is looked up for a row."""
        text = cells[self.cell]
        return (text.partition(self.before)[0] if self.before else text).casefold()


class _Table(Config):
    """The file in which the clips are annotated."""

    files: tuple[str, ...]
    """Names it may have, the revision that the counts are of first; `*` stands for any text."""
    sheet: str | int | None = None
    """Name or position of the sheet; by default the first that has the header."""
    columns: dict[str, Annotated[tuple[str | int, ...], BeforeValidator(_list)]]
    """Where each value stands: headers it may have, or, in a table without, its position."""
    optional: tuple[str, ...] = ()
    """Values whose column may be missing."""
    more: tuple[tuple[str, str], ...] = ()
    """Pairs of columns with onset and offset of a further expression in the same clip."""
    keep: dict[str, str] = Field(default_factory=dict)
    """Only rows with this text in a column are clips."""
    lookups: dict[str, _Lookup] = Field(default_factory=dict)

    @property
    def headed(self) -> bool:
        """Whether columns are found by their headers."""
        return not any(isinstance(name, int) for names in self.columns.values() for name in names)


class _Quirk(Config):
    """A known fault of one clip."""

    subject: str
    clip: str
    when: dict[str, str]
    """What the faulty revision says, by column; another revision is left as it is."""
    then: dict[str, str]
    """What is right."""
    source: str


class _Official(Config):
    """Counts of the official release, as far as they are known."""

    clips: int | None = None
    """Annotated clips: rows of the table, or folders where there is none."""
    videos: int | None = None
    """Long videos, where one may hold several clips."""
    subjects: int | None = None
    emotions: dict[str, int] = Field(default_factory=dict)
    per_subject: dict[str, int] = Field(default_factory=dict)
    """Clips of each subject."""
    source: str = ""


class Layout(Config):
    """A data set as it comes from its authors."""

    name: str
    title: str
    paper: str
    fps: PositiveFloat | None = None
    """ReleaseKind a second, where the table does not say."""
    people: str = ""
    """Data sets with the same people carry the same word; by default the name."""
    subject: str
    """Normal form of a subject: "sub{:02d}"; "{}" leaves the text as it is."""
    clip: str = "{clip}"
    """Name of a clip within its subject."""
    releases: tuple[Release, ...]
    table: _Table | None = None
    """None where the folders say everything."""
    emotions: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """The emotions that occur, each with its other spellings; empty: any."""
    quirks: tuple[_Quirk, ...] = ()
    official: _Official = _Official()
    terms: str = ""
    """On which terms its authors give it out, for those who pass on what was trained on it."""
    notes: str = ""
    """What a user should know before comparing scores."""

    @staticmethod
    def names() -> list[str]:
        """Return the data sets that have a layout, sorted."""
        return presets.names_in(resources.files(__name__))

    @staticmethod
    @cache
    def read(name: str) -> "Layout":
        """Return the layout of a data set.

        Raises:
            ConfigError: None is called so.
        """
        if name not in Layout.names():
            raise ConfigError(f"data.layouts: {unknown('layout', name, Layout.names())}")
        text = resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
        tree = presets.parse(text, f"layout {name}")
        layout = validate(Layout, {"name": name, **tree}, f"layout {name}")
        return layout if layout.people else layout.model_copy(update={"people": name})

    @property
    def explicit(self) -> bool:
        """Whether the table itself says where each clip lies."""
        return self.table is not None and "path" in self.table.columns

    @property
    def has_apex(self) -> bool:
        """Whether its coders marked the apex of every clip."""
        return self.table is not None and {"apex"} <= set(self.table.columns) - set(
            self.table.optional
        )

    @property
    def has_action_units(self) -> bool:
        """Whether its coders named action units."""
        return self.table is not None and "action_units" in self.table.columns

    @property
    def prefix(self) -> str:
        """What stands before the number of a subject: "sub"."""
        return self.subject.partition("{")[0]

    def subject_of(self, text: str) -> str | None:
        """Return a subject in normal form, or None where the text names none.

        >>> casme2 = Layout.read("casme2")
        >>> casme2.subject_of("1"), casme2.subject_of("Sub01"), casme2.subject_of("average")
        ('sub01', 'sub01', None)
        """
        if self.subject == "{}":
            return text or None
        number = r"0*([0-9]+)(?:\.0)?"  # some programs write 1.0 for 1
        found = re.fullmatch(f"(?:{re.escape(self.prefix)})?{number}", text, re.IGNORECASE)
        return self.subject.format(int(found[1])) if found else None

    def emotion_of(self, text: str) -> str:
        """Return an emotion in lower case and the layout's spelling; an unknown one as it is."""
        plain = text.strip().casefold()
        for name, spellings in self.emotions.items():
            if plain == name or plain in spellings:
                return name
        return plain

    def quirk(self, subject: str, clip: str, cells: Mapping[str, str]) -> _Quirk | None:
        """Return the known fault that a row of the table has."""
        for quirk in self.quirks:
            same = (self.subject_of(quirk.subject), loose(quirk.clip)) == (subject, loose(clip))
            faulty = all(cells.get(name) == value for name, value in quirk.when.items())
            done = all(cells.get(name) == value for name, value in quirk.then.items())
            if same and faulty and not done:
                return quirk
        return None

    def matcher(self, part: str) -> re.Pattern[str]:
        """Return what a folder's name must look like to fit one part of a pattern."""
        words = [name for pair in self.emotions.items() for name in (pair[0], *pair[1])]
        subject = ".+" if self.subject == "{}" else f"{re.escape(self.prefix)}0*[0-9]+"
        forms = {
            "subject": subject,
            "emotion": "|".join(map(re.escape, words)) or ".+",
            "onset": "[0-9]+",
            "number": "[0-9]+",
            "code": "[0-9]+",
        }
        text, end = "", 0
        for found in PLACEHOLDER.finditer(part):
            text += re.escape(part[end : found.start()])
            name = found[1]
            text += f"(?P<{name}>{forms.get(name, '.+')})" if name else ".*"
            end = found.end()
        return re.compile(text + re.escape(part[end:]), re.IGNORECASE)

    def released(self, frames: ReleaseKind) -> tuple[Release, ...]:
        """Return the releases of that kind.

        Raises:
            ConfigError: There is none.
        """
        found = tuple(release for release in self.releases if release.frames == frames)
        if not found:
            known = sorted({release.frames for release in self.releases})
            raise ConfigError(
                f"data.frames={frames}: {self.title} is given out {' and '.join(known)} only; "
                f"data.frames={known[0]} would be right"
            )
        return found
