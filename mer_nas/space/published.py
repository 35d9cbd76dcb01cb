"""Tables of a paper as data, so that our scores can stand beside the published ones."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from mer_nas.config.base import Config, Share
from mer_nas.errors import unknown


class PublishedScores(Config):
    """What a paper states for one system on one data set."""

    accuracy: Share
    uf1: Share
    """Unweighted F1: the mean over classes of each class's F1."""


class TableRow(Config):
    """A system of the table, and the point of the space that it is."""

    name: str
    """What the paper calls it: "A"."""
    point: str
    """Name of the point."""
    about: str
    """What it is, in a few words."""
    scores: dict[str, PublishedScores]
    """By data set."""


class PublishedTable(Config):
    """A table of a paper."""

    title: str
    source: str
    """Where it was published: DOI or arXiv number, and which table."""
    data: dict[str, str]
    """The data sets it is about, each with its classes, clips and subjects: what our scores, which
    are about other clips, cannot be held against number by number."""
    rows: Annotated[tuple[TableRow, ...], Field(min_length=1)]

    def mistakes(self, place: str, points: list[str]) -> Iterator[str]:
        """Yield what its rows name and nobody has.

        Args:
            place: How the user knows the file.
            points: Names of the points of the space.
        """
        for row in self.rows:
            here = f"{place}: table {self.title!r}, row {row.name}"
            if row.point not in points:
                yield f"{here}: {unknown('point', row.point, points)}"
            for name in row.scores:
                if name not in self.data:
                    yield f"{here}: {unknown('data set', name, self.data)}"
