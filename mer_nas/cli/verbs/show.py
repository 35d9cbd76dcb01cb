"""`mer-nas show`: what a command would work with, fully resolved."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from mer_nas.cli.words import as_json, words
from mer_nas.config import overrides, presets
from mer_nas.settings import Settings, resolve, with_space_of

if TYPE_CHECKING:
    from mer_nas.evaluation.candidate import Candidate
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
    if point is None:
        _print(resolve(words).dump(), as_json=as_json)
        return
    settings = resolve(with_space_of(point, words), also=("point",))
    from mer_nas import systems

    candidate = systems.candidate(settings.space, point, settings.trainer, settings.trainer_words)
    system = next(s for s in systems.published_systems(settings.space) if s.name == point)
    if as_yaml or as_json:
        _print({**system._asdict(), **candidate.dump()}, as_json=as_json)
    else:
        click.echo(_portrait(settings, system, candidate))


def _print(tree: dict[str, object], *, as_json: bool) -> None:
    click.echo(json.dumps(tree, indent=2) if as_json else presets.dump(tree), nl=as_json)


def _portrait(settings: Settings, system: System, candidate: Candidate) -> str:
    """Return what a reader wants to know of a point, with its diagram."""
    from mer_nas.diagram import Diagram
    from mer_nas.evaluation.timing import BATCH, clock

    click.echo(f"timing a training step of {BATCH} clips", err=True)
    timing = clock(candidate, system.classes)
    trainer = candidate.trainer
    facts = {
        "source": system.source,
        "fidelity": f"{system.fidelity}: {FIDELITY[system.fidelity]}",
        "weights": f"{system.params:,} trained, {system.deployed:,} deployed",
        "work": f"{system.macs:,} multiply-accumulates a clip (nominal, deployed)",
        "measured": f"{timing.step_ms:.1f} ms a training step of {BATCH} clips, "
        f"{timing.clip_ms:.1f} ms a clip at inference; {timing.machine}",
        "recipe": f"{trainer.optimizer}, {trainer.duration}, batch {trainer.batch}, "
        f"lr {trainer.lr:g}, weight decay {trainer.weight_decay:g}",
    }
    return "\n".join(
        [
            f"{system.name}: {system.role} of {settings.space.place}, {system.classes} classes",
            *(f"  {name:<10}{text}" for name, text in facts.items()),
            "",
            Diagram.of(candidate.architecture, system.classes).as_text(),
        ]
    )
