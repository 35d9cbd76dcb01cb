"""`mer-nas check`: whether a space and everything it names is well formed."""

import json

import click

from mer_nas import api
from mer_nas.cli.lines import say
from mer_nas.cli.options import as_json, words
from mer_nas.wording import count


@click.command()
@words
@as_json
def verb(words: tuple[str, ...], as_json: bool) -> None:
    """Read a space, build its points and references, draw from it; search nothing.

    Parts of your own are asked about noise, their networks trained on it for one step.

    \b
    mer-nas check space=moe.yaml
    mer-nas check space=./mine.yaml space.architecture.paths.0.stages.repeat=2
    """
    found = api.check(*words)
    space = found.space
    if as_json:
        facts = {
            "space": space.name,
            "parameters": len(space.parameters()),
            "systems": [system._asdict() for system in found.systems],
            "feasible": found.feasible,
            "reasons": dict(found.reasons),
            "notes": list(found.notes),
        }
        click.echo(json.dumps(facts, indent=2))
        return
    for system in found.systems:
        say(system.line)
    say(
        f"{space.name}: well formed, {count(len(space.parameters()), 'open parameter')}, "
        f"{found.draws - sum(found.reasons.values())} of {found.draws} draws feasible"
    )
    if space.limits.timed:
        say("  limits of time are held by the search alone, which measures each proposal")
    for reason, times in found.reasons.items():
        say(f"  {times} x such as: {reason}")
    for note in found.notes:
        say(note, err=True)
