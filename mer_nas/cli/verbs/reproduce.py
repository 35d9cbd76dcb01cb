"""`mer-nas reproduce`: the winner of a report trained again, every number compared."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from mer_nas import api
from mer_nas.cli.lines import say
from mer_nas.cli.options import Planned, as_json, quiet, trusting, words
from mer_nas.cli.options import plan as planned
from mer_nas.wording import count

if TYPE_CHECKING:
    from mer_nas.study.reproduction.reproduce import Reproduction
    from mer_nas.study.reproduction.verdicts import Number

REPRODUCED, DIFFERENT = 0, 1


@click.command(cls=Planned)
@trusting
@click.argument("report", type=click.Path())
@words
@planned
@as_json
@quiet
def verb(
    report: str, words: tuple[str, ...], plan: str | None, as_json: bool, quiet: bool
) -> None:
    """Train the winner of a report again and say of every number whether it is the same.

    Of an ensemble every member is trained, and all are combined seed by seed. Before anything is
    trained, the numbers of the report are held against one another. The exit status is 0 where all
    are identical or within the range that the seeds of the report have, 1 where one is not, two
    contradict each other, or the winner cannot be trained here, and 2 where nothing can be
    checked.

    \b
    mer-nas reproduce runs/moe-synthetic-1/report.json
    mer-nas reproduce report.json data.root=DIR ray.workers=4
    """
    from mer_nas.cli.console import FoldLines, View
    from mer_nas.cli.sessions import say_plan, watched

    if plan:
        say_plan(api.plan_reproduction(report, *words), plan, as_json=as_json)
        return
    view = View() if quiet else FoldLines()
    done = watched(lambda on: api.reproduce(report, *words, on_event=on), view, quiet=quiet)
    if as_json:
        click.echo(json.dumps(done.tree(), indent=2))
    elif done.folder is None:
        click.echo(_refutation(done))
    else:
        say(_table(done))
    sys.exit(DIFFERENT if done.verdict == "different" else REPRODUCED)


def _table(done: Reproduction) -> str:
    """Return a line a number, and what they come to."""
    rows = [*map(_line, done.numbers)]
    many = count(len(done.numbers), "number")
    match done.verdict:
        case "identical":
            rows.append(f"reproduced: all {many} are identical")
        case "within tolerance":
            rows.append(
                f"reproduced: {done.count('identical')} of {many} are identical, the others "
                "within the range over the seeds of the report"
            )
        case "different":
            rows.append(
                f"not reproduced: {done.count('different')} of {many} differ by more than the "
                f"seeds of the report do, {done.count('identical')} are identical"
            )
    return "\n".join([*rows, f"folds in {done.folder}"])


def _refutation(refuted: Reproduction) -> str:
    """Return a line for each number that contradicts the others, and what that means."""
    lines = [
        f"{number.name}: {_value(number.stored)} in the report, but "
        + ("nothing like it" if number.found is None else _value(number.found))
        + " follows from what it holds"
        for number in refuted.numbers
    ]
    many = count(len(lines), "number")
    return "\n".join(
        [*lines, f"not reproduced: the report contradicts itself in {many}; nothing was trained"]
    )


def _line(number: Number) -> str:
    text = f"{number.verdict:<17} {number.name:<48} {_value(number.stored)}"
    if number.verdict == "identical":
        return text
    if number.found is None or number.difference is None:
        return f"{text}, here nothing"
    why = (
        "follows from the scores"
        if number.tolerance is None
        else f"seeds differ by {number.tolerance:.4g}"
    )
    return f"{text}, here {_value(number.found)} ({number.difference:+.4g}; {why})"


def _value(value: float) -> str:
    if not isinstance(value, float):
        return f"{value:,}"
    return f"{value:.4f}" if abs(value) >= 0.001 or value == 0 else f"{value:.4g}"
