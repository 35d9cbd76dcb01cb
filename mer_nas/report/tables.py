"""Published tables with our scores beside them: as data for the page, as text for a terminal.

Ours are of other clips than the paper's, often of other classes, so the two columns compare what
the rows do to each other, not number with number; both say what they were measured on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mer_nas.config.base import Config
from mer_nas.report.scores import SeedScores, Spread, spreads
from mer_nas.report.summary import StudySummary
from mer_nas.space.published import PublishedScores
from mer_nas.wording import count


class _ComparedRow(Config):
    """A row of a published table, and what we measured."""

    name: str
    about: str
    point: str
    uf1: Spread | None
    """Ours, on the clips of the study; none where the point was not measured."""
    accuracy: Spread | None
    published: dict[str, PublishedScores]
    """The paper's, by data set."""


class ComparedTable(Config):
    """A published table with our scores beside its own."""

    title: str
    source: str
    data: dict[str, str]
    """The paper's data sets."""
    ours: str
    """What ours were measured on, and how: "synthetic (3 classes, 108 clips), LOSO"."""
    rows: tuple[_ComparedRow, ...]

    def to_text(self) -> str:
        """Return a table for a terminal: UF1 and accuracy, ours first."""
        head = ["", "", "ours", "", *(cell for name in self.data for cell in (name, ""))]
        names = ["", "", *(["UF1", "accuracy"] * (1 + len(self.data)))]
        rows = [
            [row.name, row.about, *_ours(row), *_theirs(row, list(self.data))] for row in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(head, names, *rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (head, names, *rows)
        ]
        about = [f"  {name}: {text}" for name, text in {"ours": self.ours, **self.data}.items()]
        return "\n".join([f"{self.title} ({self.source})", *lines, *about])

    @classmethod
    def of_study(cls, facts: StudySummary) -> tuple[ComparedTable, ...]:
        """Return the tables of the study's space with our scores.

        Rows compare under one protocol: the final one if all of a table's points reached the final
        stage, that of the search if not.
        """
        final = {f.origin: f.scores for f in facts.finalists if f.warm_start}
        search = {
            trial.origin: (trial.scores,)
            for trial in facts.trials
            if trial.warm_start and trial.scores is not None
        }
        tables = []
        for table in facts.tables:
            whole = {row.point for row in table.rows} <= set(final)
            scores: Mapping[str, Sequence[SeedScores]] = final if whole else search
            protocol = facts.final_protocol if whole else facts.search_protocol
            clips, classes = facts.data.counts["clips"], len(facts.data.classes)
            ours = f"{facts.data.name} ({classes} classes, {count(clips, 'clip')}), {protocol}"
            rows = []
            for row in table.rows:
                found = spreads(scores[row.point]) if row.point in scores else {}
                rows.append(
                    _ComparedRow(
                        name=row.name,
                        about=row.about,
                        point=row.point,
                        uf1=found.get("uf1"),
                        accuracy=found.get("accuracy"),
                        published=row.scores,
                    )
                )
            tables.append(
                cls(
                    title=table.title,
                    source=table.source,
                    data=table.data,
                    ours=ours,
                    rows=tuple(rows),
                )
            )
        return tuple(tables)


def _ours(row: _ComparedRow) -> list[str]:
    return [_written(row.uf1), _written(row.accuracy)]


def _theirs(row: _ComparedRow, data: Sequence[str]) -> list[str]:
    cells: list[str] = []
    for name in data:
        found = row.published.get(name)
        cells += [f"{found.uf1:.3f}", f"{found.accuracy:.3f}"] if found else ["-", "-"]
    return cells


def _written(score: Spread | None) -> str:
    if score is None:
        return "-"
    spread = f" +- {score.deviation:.3f}" if score.deviation is not None else ""
    return f"{score.mean:.3f}{spread}"
