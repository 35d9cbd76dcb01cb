"""The table of a leaderboard, `README.md` in its folder: scores beside what papers claim."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mer_nas.files import write
from mer_nas.report.literature import EPOCHS, claim_of
from mer_nas.study.compare import ComparedCandidate, compare_candidates
from mer_nas.study.leaderboard import Entry, Leaderboard, is_measured, ranked
from mer_nas.wording import ahead, between, count

TABLE = "README.md"
_HEAD = (
    "network", "recipe", "fidelity", "weights", "MMAC", "UF1", "95 %", "over seeds", "UAR",
    "against the first", "p", "its paper claims", "whose epoch is",
)  # fmt: skip
_LACKING = ("network", "recipe", "fidelity", "weights", "MMAC", "about", "its paper claims", "why")


def write_table(board: Leaderboard, folder: Path) -> None:
    """Write the table of a leaderboard into its folder."""
    write(folder / TABLE, "\n".join(_page(board, folder)) + "\n")


def _page(board: Leaderboard, folder: Path) -> Iterator[str]:
    done = [entry for entry in board.entries if is_measured(folder, entry)]
    yield from ("# Named networks under one protocol", "")
    yield (
        f"{board.data}, {board.protocol}, {count(board.seeds, 'seed')}, the last epoch of each "
        f"training; {board.pace.machine}. {count(len(done), 'row')} of {len(board.entries)} "
        "measured."
    )
    yield from ("", f"    {board.command}", "")
    yield (
        "makes this page and goes on where it was interrupted: rows that are here are not "
        "measured again. `mer-nas compare leaderboard mine` puts a network of your own beside "
        "them, `mer-nas compare mine leaderboard` holds it against each."
    )
    yield from ("", *_measured(board, done, folder))
    lacking = [entry for entry in board.entries if entry not in done]
    if lacking:
        yield from ("", "## Not measured", "", *_table(_LACKING, map(_lacking, lacking)))


def _measured(board: Leaderboard, done: list[Entry], folder: Path) -> Iterator[str]:
    if len(done) < 2:
        yield "Rows are compared once there are two."
        return
    names = ranked(folder)
    found = compare_candidates([f"{folder}:{name}" for name in names])
    entries = {entry.name: entry for entry in done}
    rows = zip((entries[name] for name in names), found.rows, strict=True)
    yield from _table(_HEAD, (_row(entry, row) for entry, row in rows))
    yield from ("", *_notes(found.clips, found.subjects))
    yield from (f"* {note}" for note in found.notes)


def _notes(clips: int, subjects: int) -> Iterator[str]:
    yield (
        f"* {count(clips, 'clip')} of {count(subjects, 'subject')} here, 442 of 68 in the papers: "
        "a claim is no target for a score beside it."
    )
    yield (
        "* Intervals over subjects, drawn again; against the first: difference in UF1, with p of "
        "signed ranks over subjects, corrected for all rows. The first is the best of many and "
        "therefore flattered."
    )
    yield "* own: the recipe that the network's entry names, its paper's or its code's."


def _row(entry: Entry, row: ComparedCandidate) -> list[str]:
    against = ["", ""]
    if row.against is not None:
        lead = row.against.difference
        against = [
            ahead(lead.value, lead.low, lead.high),
            f"{row.against.adjusted:.2g}",
        ]
    return [
        *_facts(entry),
        f"{row.uf1.value:.3f}",
        between(row.uf1.low, row.uf1.high),
        "-" if row.deviation is None else f"± {row.deviation:.3f}",
        f"{row.uar.value:.3f}",
        *against,
        _claimed(entry),
        _epoch(entry),
    ]


def _facts(entry: Entry) -> list[str]:
    weights, work = entry.parameters or 0, (entry.macs or 0) / 1e6
    names = ", ".join((entry.origin, *entry.also))
    return [names, entry.recipe, str(entry.fidelity), f"{weights:,}", f"{work:.1f}"]


def _lacking(entry: Entry) -> list[str]:
    why = entry.why or "not measured yet; the command goes on with it"
    return [*_facts(entry), f"{entry.hours:,.1f} h", _claimed(entry), why]


def _claimed(entry: Entry) -> str:
    claim = claim_of(entry.origin)
    full = claim.scores.get("full") if claim is not None else None
    return "" if full is None or full.uf1 is None else f"{full.uf1:.3f}"


def _epoch(entry: Entry) -> str:
    claim = claim_of(entry.origin)
    return EPOCHS[claim.epoch] if claim is not None and _claimed(entry) else ""


def _table(head: tuple[str, ...], rows: Iterable[list[str]]) -> Iterator[str]:
    for cells in (list(head), ["---"] * len(head), *rows):
        yield f"| {' | '.join(cells)} |"
