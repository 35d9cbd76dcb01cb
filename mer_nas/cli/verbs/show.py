"""`mer-nas show`: what a command would work with, fully resolved."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from mer_nas import api
from mer_nas.cli.options import as_json, words
from mer_nas.config import overrides

if TYPE_CHECKING:
    from mer_nas.evaluation.candidate import Candidate
    from mer_nas.settings import Settings
    from mer_nas.systems import System

FIDELITY = {
    "code": "equal to public code",
    "paper": "fully specified by the text",
    "reading": "our reading of the text",
}


@click.command()
@words
@click.option("--yaml", "as_yaml", is_flag=True, help="Print a point in closed form, as YAML.")
@as_json
def verb(words: tuple[str, ...], as_yaml: bool, as_json: bool) -> None:
    """Print the resolved settings, or a point: source, fidelity, cost, and its diagram.

    \b
    mer-nas show space=moe study=standard
    mer-nas show point=dre_s
    mer-nas show point=dre_s --yaml
    """
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
        click.echo(_portrait(settings, system, candidate))


def _print(tree: dict[str, object], *, as_json: bool) -> None:
    click.echo(json.dumps(tree, indent=2) if as_json else api.as_yaml(tree), nl=as_json)


def _portrait(settings: Settings, system: System, candidate: Candidate) -> str:
    """Return what a reader wants to know of a point, with its diagram."""
    click.echo("timing a training step", err=True)
    timing = api.time_candidate(candidate, system.classes)
    trainer = candidate.trainer
    facts = {
        "source": system.source,
        "fidelity": f"{system.fidelity}: {FIDELITY[system.fidelity]}",
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
            "",
            api.diagram(candidate, system.classes),
        ]
    )
