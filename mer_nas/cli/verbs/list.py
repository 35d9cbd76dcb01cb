"""`mer-nas list`: presets, published systems and blocks."""

import json
import sys
from collections.abc import Iterable

import click

from mer_nas import api
from mer_nas.cli.catalogue import Row, kept
from mer_nas.cli.lines import say
from mer_nas.cli.options import as_json
from mer_nas.cli.output import drawn
from mer_nas.errors import ConfigError, unknown


@click.command()
@click.argument("what", required=False)
@click.option("--space", "space", default=None, help="A space whose extensions are listed too.")
@as_json
def verb(what: str | None, space: str | None, as_json: bool) -> None:
    """List the presets, what each data set provides, the points of spaces, and all blocks.

    \b
    mer-nas list
    mer-nas list layouts
    mer-nas list points
    mer-nas list blocks --space ./mine.yaml
    """
    parts = {
        **dict.fromkeys(api.GROUPS, _presets),
        "layouts": _layouts,
        "points": _points,
        "blocks": _blocks,
    }
    if what is not None and what not in parts:
        raise ConfigError(unknown("list", what, parts))
    chosen = [what] if what else list(parts)
    rows = {name: parts[name](name, space) for name in chosen}
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for name, entries in rows.items():
        click.echo(click.style(name, bold=True), file=drawn(sys.stdout))
        width = max((len(entry["name"]) for entry in entries), default=0)
        for entry in entries:
            say(f"  {entry['name']:<{width}}  {entry['text']}".rstrip())


def _presets(group: str, _: str | None) -> list[Row]:
    return [{"name": name, "text": text} for name, text in api.presets(group).items()]


def _layouts(_: str, __: str | None) -> list[Row]:
    return [
        {
            "text": f"{row.title:<18} {row.clips:>5} clips, {row.subjects:>3} subjects, fps "
            f"{row.fps:<12} {row.frames:<12} apex: {row.apex:<12} AUs: {row.action_units:<9} "
            f"labels: {row.labels}",
            **row._asdict(),
        }
        for row in api.layouts()
    ]


def _points(_: str, chosen: str | None) -> list[Row]:
    if chosen:
        return _systems_of([chosen])
    return kept("points", lambda: _systems_of(api.presets("space")))


def _systems_of(spaces: Iterable[str]) -> list[Row]:
    rows = []
    for name in spaces:
        for system in api.systems(name):
            text = system.line.removeprefix(system.name).strip()
            rows.append({"space": name, "text": f"{name:<12} {text}", **system._asdict()})
    return rows


def _blocks(_: str, chosen: str | None) -> list[Row]:
    return _known_blocks(chosen) if chosen else kept("blocks", _known_blocks)


def _known_blocks(space: str | None = None) -> list[Row]:
    return [
        {
            "name": f"{slot}.{kind}",
            "slot": slot,
            "kind": kind,
            "text": (block.__doc__ or "").strip().splitlines()[0],
            "source": block.source,
        }
        for slot, kinds in api.blocks(space).items()
        for kind, block in kinds.items()
        if space or block.__module__.startswith("mer_nas.")  # else one that another space loaded
    ]
