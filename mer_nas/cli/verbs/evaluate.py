"""`mer-nas evaluate`: one candidate under the protocol of a study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mer_nas import api
from mer_nas.cli.lines import say
from mer_nas.cli.options import Planned, as_json, quiet, words
from mer_nas.cli.options import plan as planned
from mer_nas.wording import count

if TYPE_CHECKING:
    from mer_nas.study.leaderboard import Leaderboard


@click.command(cls=Planned)
@words
@planned
@click.option(
    "--leaderboard",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Measure every named network, of one space or of all, and keep them in a folder.",
)
@click.option(
    "--hours", default=2.0, show_default=True, help="The most that a row of it takes on a core."
)
@as_json
@quiet
def verb(
    words: tuple[str, ...],
    plan: str | None,
    folder: Path | None,
    hours: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure one point, reference or closed space; finished folds are not run again.

    A leaderboard holds the named networks, each trained by its own recipe and by the trainer; its
    README.md is the table, and `mer-nas compare leaderboard mine` adds a network of your own.

    \b
    mer-nas evaluate point=prog_s study.folds=loso
    mer-nas evaluate space=runs/moe-synthetic-1/best.yaml seeds=3
    mer-nas evaluate --leaderboard DIR study.folds=loso seeds=2 trainer=proxy
    """
    from mer_nas.cli.console import FoldLines, View
    from mer_nas.cli.sessions import say_plan, watched

    view = View() if quiet else FoldLines()
    if folder is not None:
        board = watched(
            lambda on: api.leaderboard(
                *words, folder=folder, hours=hours, plan=bool(plan), on_event=on
            ),
            view,
            quiet=quiet,
        )
        _say_board(board, folder, as_json=as_json, plan=bool(plan))
        return
    if plan:
        say_plan(api.plan_evaluation(*words), plan, as_json=as_json)
        return
    found = watched(lambda on: api.evaluate(*words, on_event=on), view, quiet=quiet)
    if as_json:
        click.echo(json.dumps(found.tree(), indent=2))
        return
    for seed, score in enumerate(found.scores, start=1):
        say(
            f"seed {seed}: UF1 {score.uf1:.4f}, UAR {score.uar:.4f}, accuracy {score.accuracy:.4f}"
            + "".join(f", {name} {values[seed - 1]:.4f}" for name, values in found.own.items())
        )
    say(f"{found.name}, {found.protocol}: mean UF1 {found.uf1:.4f}; folds in {found.folder}")
    if found.fidelity:
        say(f"{found.name} is {found.faithful}")


def _say_board(board: Leaderboard, folder: Path, *, as_json: bool, plan: bool) -> None:
    """Print what a leaderboard comes to, or would."""
    if as_json:
        click.echo(board.model_dump_json(indent=2, by_alias=True))
        return
    for entry in board.entries if plan else ():
        say(f"{entry.name:<32}{entry.hours:>10,.2f} h  {entry.why}".rstrip())
    waiting = [entry for entry in board.entries if not entry.why]
    say(
        f"{count(len(waiting), 'row')} to measure, about {sum(e.hours for e in waiting):.1f} h on "
        f"one core; {count(len(board.entries) - len(waiting), 'row')} without a score"
        if plan
        else f"the table lies in {folder / 'README.md'}"
    )
