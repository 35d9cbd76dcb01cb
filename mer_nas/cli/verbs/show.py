"""`mer-nas show`: what a command would work with, fully resolved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mer_nas import api
from mer_nas.cli.lines import columns, room, say
from mer_nas.cli.options import as_json, words
from mer_nas.config import overrides
from mer_nas.errors import ExportError

if TYPE_CHECKING:
    from mer_nas.evaluation.candidate import Candidate
    from mer_nas.export.manifest import Manifest
    from mer_nas.settings import Settings
    from mer_nas.systems import System

WIDTH = 94
"""Letters of a line of a diagram where there is no terminal."""


@click.command()
@words
@click.option("--yaml", "as_yaml", is_flag=True, help="Print a point or an export as YAML.")
@as_json
def verb(words: tuple[str, ...], as_yaml: bool, as_json: bool) -> None:
    """Print the resolved settings, a point with its diagram, or an export with its members.

    \b
    mer-nas show space=moe study=standard
    mer-nas show point=dre_s
    mer-nas show point=dre_s --yaml
    mer-nas show runs/moe-synthetic-1/export/ensemble
    """
    if len(words) == 1 and "=" not in words[0]:
        manifest = _manifest(words[0])
        if as_yaml or as_json:
            _print(manifest.model_dump(mode="json"), as_json=as_json)
        else:
            say(_members(manifest))
        return
    point = overrides.parse(words).plain.get("point")
    rest = [word for word in words if not word.startswith("point=")]
    settings = api.settings(*rest, point=point)
    if point is None:
        _print(settings.dump(), as_json=as_json)
        return
    candidate, system = api.point(point, *rest), api.system(point, *rest)
    if as_yaml or as_json:
        _print({**system._asdict(), **candidate.dump()}, as_json=as_json)
    else:
        say(_portrait(settings, system, candidate))
        click.echo(f"\n{api.diagram(candidate, system.classes, room() or WIDTH)}")


def _manifest(word: str) -> Manifest:
    try:
        return api.open_export(word).manifest
    except ExportError as error:
        right = "" if Path(word).exists() else "; a word of the form key=value would be right too"
        raise ExportError(f"{error}{right}") from None


def _print(tree: dict[str, object], *, as_json: bool) -> None:
    click.echo(json.dumps(tree, indent=2) if as_json else api.as_yaml(tree), nl=as_json)


def _members(manifest: Manifest) -> str:
    """Return what a reader wants to know of an export: what it costs, reads and consists of."""
    origin, took = manifest.provenance, manifest.clip_ms
    rule = origin.rule
    reads = [f"{spec.name} ({', '.join(map(str, spec.shape))})" for spec in manifest.inputs]
    facts = {
        "source": f"trained on all {manifest.clips} clips of {manifest.data}",
        "weights": f"{manifest.parameters:,} deployed",
        "work": f"{manifest.macs:,} multiply-accumulates a clip (nominal)",
        **({"measured": f"{took:.1f} ms a clip at inference, one thread"} if took else {}),
        "reads": "; ".join(reads),
        **({"rule": f"{rule}: how members and weights were chosen"} if rule else {}),
        "score": manifest.expectation(),
    }
    header = ["member", "weight", "parameters", "multiply-accumulates", "reads"]
    rows = [
        [
            member.label,
            f"{member.weight:.3f}",
            f"{member.parameters:,}",
            f"{member.macs:,}",
            ", ".join(member.inputs),
        ]
        for member in manifest.members
    ]
    return "\n".join(
        [
            f"{origin.label} of {origin.study}, {len(manifest.classes)} classes",
            *(f"  {name:<10}{text}" for name, text in facts.items()),
            "",
            columns([header, *rows]),
        ]
    )


def _portrait(settings: Settings, system: System, candidate: Candidate) -> str:
    """Return what a reader wants to know of a point."""
    click.echo("timing a training step", err=True)
    timing = api.time_candidate(candidate, system.classes)
    trainer = candidate.trainer
    facts = {
        **({"source": system.source} if system.source else {}),
        "fidelity": system.faithful,
        **({"but": system.differs} if system.differs else {}),
        "weights": f"{system.params:,} trained, {system.deployed:,} deployed",
        "work": f"{system.macs:,} multiply-accumulates a clip (nominal, deployed)",
        "measured": f"{timing.step_ms:.1f} ms a training step of {timing.batch} clips, "
        f"{timing.clip_ms:.1f} ms a clip at inference; {timing.machine}",
        "recipe": f"{trainer.optimizer}, {trainer.duration}, batch {trainer.batch}, "
        f"lr {trainer.lr:g}, weight decay {trainer.weight_decay:g}",
    }
    return "\n".join(
        [
            f"{system.name}: {system.role} of {settings.space.place}, {system.classes} classes",
            *(f"  {name:<10}{text}" for name, text in facts.items()),
        ]
    )
