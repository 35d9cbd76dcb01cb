"""`mer-nas check`: whether a space and everything it names is well formed."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

import click

from mer_nas.cli.lines import say
from mer_nas.cli.words import as_json, words
from mer_nas.settings import resolve
from mer_nas.wording import count

if TYPE_CHECKING:
    from mer_nas.systems import Draw


@click.command()
@words
@as_json
def verb(words: tuple[str, ...], as_json: bool) -> None:
    """Read a space, build its points and references, draw from it; train nothing.

    \b
    mer-nas check space=moe.yaml
    mer-nas check space=./mine.yaml space.architecture.paths.0.stages.repeat=2
    """
    from mer_nas import systems
    from mer_nas.vetting import MAX_DRAWS, vet

    settings = resolve(words)
    space = settings.space
    notes = vet(space, settings.trainer, drawn=settings.study.sampler != "points")
    found = systems.published_systems(space)
    draws = list(systems.draws(space, MAX_DRAWS))
    kinds = Counter(_kind(draw) for draw in draws if draw.reason)
    examples = {_kind(draw): draw.reason for draw in reversed(draws)}
    reasons = {examples[kind]: times for kind, times in kinds.most_common()}
    feasible = sum(not draw.reason for draw in draws)
    if as_json:
        facts = {
            "space": space.name,
            "parameters": len(space.parameters()),
            "systems": [system._asdict() for system in found],
            "feasible": feasible / len(draws),
            "reasons": reasons,
            "notes": notes,
        }
        click.echo(json.dumps(facts, indent=2))
        return
    for system in found:
        say(system.line)
    say(
        f"{space.name}: well formed, {count(len(space.parameters()), 'open parameter')}, "
        f"{feasible} of {len(draws)} draws feasible"
    )
    if space.limits.timed:
        say("  limits of time are held by the search alone, which measures each proposal")
    for reason, times in reasons.items():
        say(f"  {times} x such as: {reason}")
    for line in notes:
        say(line, err=True)


def _kind(draw: Draw) -> str:
    """Return why a draw is infeasible without the numbers, so that like reasons count together."""
    return re.sub(r"\d[\d,.]*", "#", draw.reason)
