"""`mer-nas keys`: every setting, what it may be and what it does."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mer_nas import api
from mer_nas.cli.lines import say
from mer_nas.cli.options import GROUPS, Setting, as_json
from mer_nas.cli.output import drawn
from mer_nas.errors import ConfigError, unknown

if TYPE_CHECKING:
    from mer_nas.config.keys import Key

WIDEST = 40
"""Columns that a key and its default take at most before what it does."""


@click.command()
@click.argument("of", required=False, type=Setting())
@as_json
def verb(of: str | None, as_json: bool) -> None:
    """List the keys that words can set: all, those of a group, or all about one of them.

    \b
    mer-nas keys
    mer-nas keys study
    mer-nas keys study.final.ensemble
    """
    groups = [of.partition(".")[0]] if of else list(GROUPS)
    known = [key for group in groups for key in api.keys(group)]
    found = [key for key in known if f"{key.name}.".startswith(f"{of or ''}." if of else "")]
    if not found:
        raise ConfigError(unknown("key", of or "", [key.name for key in known]))
    if as_json:
        click.echo(json.dumps([key._asdict() for key in found], indent=2))
        return
    if found[0].name == of:
        say(_all_about(found.pop(0)))
    _print(found)


def _print(found: Sequence["Key"]) -> None:
    names = [f"{key.name}={key.default}" if key.default else key.name for key in found]
    width = min(WIDEST, max(map(len, names), default=0))
    last = ""
    for name, key in zip(names, found, strict=True):
        group = key.name.partition(".")[0]
        if group != last:
            click.echo(click.style(group, bold=True), file=drawn(sys.stdout))
        last = group
        say(f"  {name:<{width}}  {key.brief}".rstrip())


def _all_about(key: "Key") -> str:
    default = f"; where nobody says, {key.default}" if key.default else ""
    return f"{key.name}: {key.kind}{default}\n{key.about}"
