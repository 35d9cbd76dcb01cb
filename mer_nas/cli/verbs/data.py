"""`mer-nas data`: look a data set through, or write one of the same form."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from mer_nas.cli import SubVerbs
from mer_nas.cli.words import as_json, quiet, words
from mer_nas.settings import resolve
from mer_nas.wording import count

if TYPE_CHECKING:
    from mer_nas.data.check import Report

SHOWN = 20
"""Findings of a kind that are listed; `--all` lists every one."""


@click.group(cls=SubVerbs)
def verb() -> None:
    """Look a data set through without training, or write one of the same form.

    \b
    mer-nas data check data=casme2 data.root=DIR
    mer-nas data check data=megc2019 data.roots.casme2=DIR data.roots.samm=DIR data.roots.smic=DIR
    """


@verb.command()
@words
@as_json
@quiet
@click.option("--all", "everything", is_flag=True, help=f"List more than {SHOWN} clips of a kind.")
def check(words: tuple[str, ...], as_json: bool, quiet: bool, everything: bool) -> None:
    """Read a data set and every frame of it; compare with the official counts.

    Exit status: 0 where everything can be used, warnings or not; 2 where something cannot.

    \b
    mer-nas data check data=casme2 data.root=DIR
    mer-nas data check data=smic data.root=DIR data.frames=cropped
    """
    from mer_nas.data.check import check as look_through

    settings = resolve(words)
    with click.progressbar(
        length=1, label="frames", file=sys.stderr, hidden=quiet or not sys.stderr.isatty()
    ) as bar:

        def progress(done: int, of: int) -> None:
            bar.length = of
            bar.update(done - bar.pos)

        report = look_through(settings.data, progress)
    click.echo(json.dumps(_tree(report), indent=2) if as_json else _text(report, everything))
    if report.errors:
        sys.exit(2)


def _tree(report: Report) -> dict[str, Any]:
    return {
        "places": dict(report.places),
        "counts": [{**line._asdict(), "differs": line.differs} for line in report.counts],
        "findings": [finding._asdict() for finding in report.findings],
        "errors": report.errors,
    }


def _text(report: Report, everything: bool) -> str:
    from mer_nas.data.findings import tally

    lines = [f"{name}: {place}" for name, place in report.places.items()]
    lines += ["", f"{'data set':<10}{'':<28}{'found':>8}{'official':>10}"] if lines else []
    for line in report.counts:
        official = "" if line.official is None else f"{line.official:,}"
        mark = "  differs" if line.differs else ""
        lines.append(f"{line.dataset:<10}{line.what:<28}{line.found:>8,}{official:>10}{mark}")
    for (severity, kind), times in tally(report.findings).items():
        lines += ["", f"{severity}: {kind} ({times})"]
        found = [f for f in report.findings if (f.severity, f.kind) == (severity, kind)]
        shown = found if everything else found[:SHOWN]
        lines += [f"  {finding}" for finding in shown]
        lines += [f"  and {times - len(shown)} more; --all lists them"] * (times > len(shown))
    warnings = count(len(report.findings) - report.errors, "warning")
    differing = f"{count(report.differing, 'count')} unlike the official release"
    return "\n".join([*lines, "", f"{count(report.errors, 'error')}, {warnings}, {differing}"])
