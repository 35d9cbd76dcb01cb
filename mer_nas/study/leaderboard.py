"""A leaderboard: named networks under one protocol, each row an evaluation of its own.

studies/leaderboard/
├── leaderboard.json           protocol, and every named network with its cost, measured or not
├── README.md                  the table, beside what papers claim
└── ststnet-own/               a row: a network and the recipe that it is trained by
    ├── evaluation.json        what `mer-nas evaluate` leaves: scores by subject and seed
    └── predictions.parquet    what it said of every clip

It is read without clips: `mer-nas compare leaderboard mine`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from pydantic import ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from mer_nas.config import presets
from mer_nas.config.base import Config
from mer_nas.errors import StudyError, unknown
from mer_nas.report import CandidateSummary, SeedScores, read_document
from mer_nas.search.pace import Pace
from mer_nas.study.evaluate import FILE as EVALUATION
from mer_nas.study.evaluate import read_evaluation
from mer_nas.wording import brief, some

FILE: Final = "leaderboard.json"
SCHEMA: Final = "mer-nas leaderboard 1"
OWN: Final = "own"
"""The recipe that a network's own entry names."""


class Entry(CandidateSummary):
    """A named network with a recipe: a row, or what may become one."""

    name: str
    """Of the row: "ststnet-own"."""
    space: str
    """The space that offers it."""
    recipe: str
    """`own`, or the trainer that every network is measured with."""
    key: str
    """Of the candidate."""
    also: tuple[str, ...] = ()
    """Other names of the same network with the same recipe."""
    hours: NonNegativeFloat
    """About how long it takes on one core of the machine, all seeds together."""
    why: str = ""
    """Why it is not measured; empty where it is, or waits to be."""


class Leaderboard(Config):
    """What a leaderboard holds, and what it lacks."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["mer-nas leaderboard 1"] = Field(default=SCHEMA, alias="schema")
    data: str
    """Name of the clips."""
    protocol: str
    """As `folds_of` says it."""
    seeds: PositiveInt
    hours: PositiveFloat
    """The most that a row may take."""
    pace: Pace
    """Of the machine, by which the hours are foretold."""
    command: str
    """That makes it, but for where the clips lie."""
    entries: tuple[Entry, ...]
    """Every named network, the cheapest first."""

    def __repr__(self) -> str:
        """Return what it compares, and how much."""
        facts = [("data", self.data), ("protocol", self.protocol), ("seeds", self.seeds)]
        return brief(self, [*facts, ("entries", len(self.entries))])


def read_leaderboard(folder: Path) -> Leaderboard:
    """Return what a leaderboard says of itself.

    Raises:
        StudyError: The file is not readable, or another version of mer-nas wrote it.
        ConfigError: It has been edited into something else, with every mistake.
    """
    remedy = "`mer-nas evaluate --leaderboard` writes it anew, and measures no row twice"
    return read_document(Leaderboard, folder / FILE, SCHEMA, remedy)


def find_leaderboard(word: str) -> Path | None:
    """Return the folder of the leaderboard that a word names: a path, or one that is shipped."""
    shipped = presets.beside("study", word) if Path(word).name == word else None
    places = (Path(word), *([shipped] if isinstance(shipped, Path) else []))
    return next((place for place in places if (place / FILE).is_file()), None)


def measured_rows(folder: Path) -> Iterator[tuple[Entry, tuple[SeedScores, ...]]]:
    """Yield the rows that are measured, each with its scores a seed.

    Raises:
        StudyError: One holds none under the protocol of the leaderboard.
    """
    board = read_leaderboard(folder)
    for entry in board.entries:
        if is_measured(folder, entry):
            file = folder / entry.name / EVALUATION
            found = read_evaluation(file).protocols
            if board.protocol not in found:
                raise StudyError(
                    f"{file}: a row under {board.protocol} would be right, and not "
                    f"{some(found)}; delete it, and it is measured anew"
                )
            yield entry, found[board.protocol]


def is_measured(folder: Path, entry: Entry) -> bool:
    """Return whether a row has its scores; an interrupted one may have a folder without."""
    return (folder / entry.name / EVALUATION).is_file()


def ranked(folder: Path) -> list[str]:
    """Return the names of the rows that are measured, the highest mean UF1 first.

    Raises:
        StudyError: None is.
    """
    rows = [
        (sum(score.uf1 for score in scores) / len(scores), entry.name)
        for entry, scores in measured_rows(folder)
    ]
    if not rows:
        raise StudyError(f"{folder}: no row of this leaderboard is measured yet")
    return [name for _, name in sorted(rows, key=lambda row: (-row[0], row[1]))]


def row_file(folder: Path, name: str) -> Path:
    """Return the evaluation that is a row.

    Raises:
        StudyError: There is no such row, or it is not measured.
    """
    if (file := folder / name / EVALUATION).is_file():
        return file
    entries = {entry.name: entry for entry in read_leaderboard(folder).entries}
    if name in entries:
        why = entries[name].why or "not measured yet"
        raise StudyError(f"{folder}: {name} is not measured: {why}")
    raise StudyError(f"{folder}: {unknown('row', name, ranked(folder))}")
