"""`mer-nas list`: presets, published systems and blocks."""

import json
import sys
from typing import Any

import click

from mer_nas.cli.lines import say
from mer_nas.cli.output import drawn
from mer_nas.cli.words import as_json
from mer_nas.config import presets
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
        **dict.fromkeys(presets.FOLDERS, _presets),
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


Row = dict[str, Any]


def _presets(group: str, _: str | None) -> list[Row]:
    return [{"name": name, "text": _summary(group, name)} for name in presets.names(group)]


def _summary(group: str, name: str) -> str:
    """Return a preset's `summary`, or the first sentence of the comment that opens it."""
    if (summary := presets.read(group, name).get("summary")) is not None:
        return str(summary)
    text = presets.find(group, name).read_text(encoding="utf-8")
    lines = [line.lstrip("# ").rstrip() for line in text.splitlines() if line.startswith("#")]
    prose = " ".join(
        x for x in lines if x and not x.startswith(("yaml-language-server", "mer-nas "))
    )
    return prose.split(". ")[0].rstrip(".")


def _layouts(_: str, __: str | None) -> list[Row]:
    from mer_nas.data.checks.overview import overview

    return [
        {
            "text": f"{row.title:<18} {row.clips:>5} clips, {row.subjects:>3} subjects, fps "
            f"{row.fps:<12} {row.frames:<12} apex: {row.apex:<12} AUs: {row.action_units:<9} "
            f"labels: {row.labels}",
            **row._asdict(),
        }
        for row in overview()
    ]


def _points(_: str, chosen: str | None) -> list[Row]:
    from mer_nas import systems
    from mer_nas.settings import resolve

    rows = []
    for name in [chosen] if chosen else presets.names("space"):
        for system in systems.published_systems(resolve([f"space={name}"]).space):
            text = system.line.removeprefix(system.name).strip()
            rows.append({"space": name, "text": f"{name:<12} {text}", **system._asdict()})
    return rows


def _blocks(_: str, chosen: str | None) -> list[Row]:
    from mer_nas.architectures import SLOTS
    from mer_nas.architectures.extensions import load_extensions
    from mer_nas.settings import resolve

    load_extensions(resolve([f"space={chosen}"]).space.extensions if chosen else [])
    return [
        {
            "name": f"{slot}.{kind}",
            "slot": slot,
            "kind": kind,
            "text": (block.__doc__ or "").strip().splitlines()[0],
            "source": block.source,
        }
        for slot, registry in SLOTS.items()
        for kind, block in registry.items()
    ]
