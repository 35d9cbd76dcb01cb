"""`mer-nas check`: whether a space and everything it names is well formed."""

import json
from collections import Counter

import click

from mer_nas.cli.words import as_json, words
from mer_nas.settings import resolve

DRAWS = 200


@click.command()
@words
@as_json
def verb(words: tuple[str, ...], as_json: bool) -> None:
    """Read a space, build its points and references, draw from it; train nothing.

    \b
    mer-nas check space=moe.yaml
    mer-nas check space=./mine.yaml space.architecture.paths.0.stages.repeat=2
    """
    from mer_nas import catalogue

    space = resolve(words).space
    systems = catalogue.systems(space)
    draws = catalogue.draw(space, DRAWS)
    reasons = Counter(draw.reason for draw in draws if draw.reason)
    feasible = sum(not draw.reason for draw in draws)
    if as_json:
        facts = {
            "space": space.name,
            "parameters": len(space.parameters()),
            "systems": [system._asdict() for system in systems],
            "feasible": feasible / len(draws),
            "reasons": dict(reasons.most_common()),
        }
        click.echo(json.dumps(facts, indent=2))
        return
    for system in systems:
        click.echo(catalogue.line(system))
    click.echo(
        f"{space.name}: well formed, {len(space.parameters())} open parameters, "
        f"{feasible} of {len(draws)} draws feasible"
    )
    for reason, times in reasons.most_common(5):
        click.echo(f"  {times} x {reason}")
