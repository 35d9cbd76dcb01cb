"""`mer-nas compare`: candidates side by side, paired over subjects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mer_nas import api
from mer_nas.cli.lines import say
from mer_nas.cli.options import as_json
from mer_nas.wording import between, count, signed

if TYPE_CHECKING:
    from mer_nas.study.compare import ComparedCandidate, ComparedCandidates


@click.command()
@click.argument("words", metavar="WHAT...", nargs=-1, required=True)
@as_json
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for a picture of the scores and differences: .svg, .png or .pdf.",
)
def verb(words: tuple[str, ...], as_json: bool, picture: Path | None) -> None:
    """Compare studies, points of a study and reports under one protocol.

    The first is compared with each of the others, over the same subjects. A study or a report.json
    stands for what it hands over, a candidate or an ensemble; STUDY:rank1 for its best candidate
    alone, STUDY:ensemble for its ensemble, STUDY:POINT and STUDY:17 for a point and a trial of
    it, and a bare POINT for one of the first study. What `mer-nas evaluate` measured is named by
    its folder or its name, and `leaderboard` stands for every named network. What is named
    twice, as a study and the point that won it, is compared once.
    Nothing is trained.

    \b
    mer-nas compare runs/moe-synthetic-1 runs/hybrid-synthetic-1
    mer-nas compare runs/moe-synthetic-1:rank1 prog_s dre_s --picture compare.svg
    mer-nas compare mine leaderboard
    mer-nas compare runs/moe-synthetic-1:17 other/report.json --json
    mer-nas compare runs/moe-synthetic-1:ensemble runs/moe-synthetic-1:rank1
    """
    found = api.compare(*words, picture=picture)
    if picture is not None:
        click.echo(f"picture: {picture}", err=True)
    if as_json:
        click.echo(found.to_json(), nl=False)
    else:
        say(_text(found))


def _text(found: ComparedCandidates) -> str:
    first = found.rows[0].name
    titles = ["", "UF1", "95 % interval", "over seeds", "UAR", "accuracy", "weights", "MMAC"]
    table = [[*titles, f"against {first}", "95 % interval", "p"]]
    table += [_cells(row) for row in found.rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    comparisons = count(len(found.rows) - 1, "comparison")
    lines += [
        f"{found.data}: {count(found.clips, 'clip')}, {count(found.subjects, 'subject')}; "
        f"{found.protocol}",
        "intervals over subjects, drawn again; p: signed ranks of the correct answers of each "
        f"subject, corrected for {comparisons}",
        *(f"note: {note}" for note in found.notes),
    ]
    return "\n".join(lines)


def _cells(row: ComparedCandidate) -> list[str]:
    spread = f"+- {row.deviation:.3f}" if row.deviation is not None else "-"
    weights = row.deployed if row.parameters is None else row.parameters
    against = ["", "", ""]
    if row.against is not None:
        lead = row.against.difference
        ends = f"[{signed(lead.low)}, {signed(lead.high)}]"
        against = [signed(lead.value), ends, f"{row.against.adjusted:.2g}"]
    return [
        row.name,
        f"{row.uf1.value:.3f}",
        between(row.uf1.low, row.uf1.high),
        f"{spread} ({row.seeds})",
        f"{row.uar.value:.3f}",
        f"{row.accuracy.value:.3f}",
        "-" if weights is None else f"{weights:,}",
        "-" if row.macs is None else f"{row.macs / 1e6:.1f}",
        *against,
    ]
