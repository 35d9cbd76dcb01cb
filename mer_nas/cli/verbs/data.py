"""`mer-nas data`: look a data set through, or write one of the same form."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mer_nas import api
from mer_nas.cli import SubVerbs
from mer_nas.cli.lines import say
from mer_nas.cli.options import as_json, quiet, words
from mer_nas.cli.output import drawn
from mer_nas.config.overrides import parse, value
from mer_nas.errors import ConfigError
from mer_nas.shell import command_line
from mer_nas.wording import count

if TYPE_CHECKING:
    from mer_nas.data.checks.check import CheckReport, Count

BAR = 24
"""Columns of the bar itself."""
SHOWN = {"error": 20, "warning": 3}
"""Findings of a kind that are listed; `--all` lists every one."""


@click.group(cls=SubVerbs)
def verb() -> None:
    """Look a data set through without training, draw it, or write one of the same form.

    \b
    mer-nas data check data=casme2 data.root=DIR
    mer-nas data check data=megc2019 data.roots.casme2=DIR data.roots.samm=DIR data.roots.smic=DIR
    """


@verb.command()
@words
@as_json
@quiet
@click.option("--all", "everything", is_flag=True, help="List every finding of each kind.")
def check(words: tuple[str, ...], as_json: bool, quiet: bool, everything: bool) -> None:
    """Read a data set and every frame of it; compare with the official counts.

    Exit status: 0 where everything can be used, warnings or not; 2 where something cannot.

    \b
    mer-nas data check data=casme2 data.root=DIR
    mer-nas data check data=smic data.root=DIR data.frames=cropped
    """
    with _bar("clips", quiet=quiet) as progress:
        report = api.check_data(*words, progress=progress)
    if as_json:
        click.echo(json.dumps(_tree(report), indent=2))
    else:
        say(_text(report, everything))
    if report.errors:
        sys.exit(2)


def _tree(report: CheckReport) -> dict[str, Any]:
    return {
        "places": dict(report.places),
        "counts": [{**line._asdict(), "differs": line.differs} for line in report.counts],
        "findings": [finding._asdict() for finding in report.findings],
        "errors": report.errors,
    }


def _text(report: CheckReport, everything: bool) -> str:
    lines = [f"{name}: {place}" for name, place in report.places.items()]
    lines += ["", *_table(report.counts)] if report.counts else []
    for (severity, kind), times in report.tally.items():
        lines += ["", f"{severity}: {kind} ({times})"]
        found = [f for f in report.findings if (f.severity, f.kind) == (severity, kind)]
        shown = found if everything else found[: SHOWN[severity]]
        lines += [f"  {finding}" for finding in shown]
        lines += [f"  and {times - len(shown)} more; --all lists them"] * (times > len(shown))
    kinds = sum(severity == "warning" for severity, _ in report.tally)
    of = f" of {count(kinds, 'kind')}" if kinds < report.warnings else ""
    warnings = f"{count(report.warnings, 'warning')}{of}"
    differing = f"{count(report.differing, 'count')} unlike the official release"
    return "\n".join([*lines, "", f"{count(report.errors, 'error')}, {warnings}, {differing}"])


def _table(counts: Sequence[Count]) -> Iterator[str]:
    """Yield the lines of the table, each column as wide as what stands in it."""
    rows = [("data set", "", "found", "official", "")]
    for line in counts:
        official = "" if line.official is None else f"{line.official:,}"
        mark = "differs" if line.differs else ""
        rows.append((line.dataset, line.what, f"{line.found:,}", official, mark))
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, what, found, official, mark in rows:
        left = f"{name:<{wide[0]}}  {what:<{wide[1]}}  {found:>{wide[2]}}"
        yield f"{left}  {official:>{wide[3]}}  {mark}".rstrip()


@verb.command()
@words
@quiet
def synthesize(words: tuple[str, ...], quiet: bool) -> None:
    """Write synthetic clips in the official form of a data set, its oddities included.

    \b
    mer-nas data synthesize layout=casme2 out=DIR
    mer-nas data synthesize layout=samm out=DIR counts=official
    """
    read = parse(words)
    tree = {key: value(text, key) for key, text in read.plain.items()} | dict(read.dotted)
    with _bar("clips", quiet=quiet) as progress:
        clips = api.synthesize(progress, **tree)
    # Drawn faces fill the picture, and no detector knows them; a few clips make two groups.
    named = [f"data={tree['layout']}", f"data.root={tree['out']}", "data.pipeline.align=none"]
    if tree.get("counts") != "official":
        named.append("study.folds=2")
    click.echo(f"{count(clips, 'clip')} in {tree['out']}; next:")
    click.echo(f"  {command_line('mer-nas', 'data', 'check', *named)}")
    click.echo(f"  {command_line('mer-nas', 'search', *named)}")


@verb.command()
@words
def picture(words: tuple[str, ...]) -> None:
    """Draw a typical clip of each class: onset, apex, flow, strain and dynamic image.

    The ending of the file says as what: .svg, .png or .pdf.

    \b
    mer-nas data picture data=synthetic data.size=112 out=synthetic.png
    mer-nas data picture data=casme2 data.root=DIR out=casme2.png
    """
    read = parse(words)
    if "out" not in read.plain:
        raise ConfigError("data picture: out= is missing; out=FILE names the picture")
    file = Path(read.plain["out"])
    api.draw_clips(file, *(word for word in words if not word.startswith("out=")))
    click.echo(str(file))


@contextmanager
def _bar(label: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal, and nothing elsewhere."""
    hidden = quiet or not sys.stderr.isatty()
    with click.progressbar(
        length=1, label=label, file=drawn(sys.stderr), hidden=hidden, width=BAR
    ) as bar:

        def progress(done: int, of: int) -> None:
            bar.length = of
            bar.update(done - bar.pos)

        yield progress
