"""`mer-nas show`: what a command would work with, fully resolved."""

import json

import click

from mer_nas.cli.words import as_json, words
from mer_nas.config import overrides, presets
from mer_nas.settings import Settings, resolve


@click.command()
@words
@as_json
def verb(words: tuple[str, ...], as_json: bool) -> None:
    """Print the resolved settings, or one point of the space with its cost and source.

    \b
    mer-nas show space=moe study=standard
    mer-nas show space=moe point=dre_s
    """
    settings = resolve(words, also=("point",))
    point = overrides.parse(words).plain.get("point")
    tree = settings.dump() if point is None else _point(settings, point)
    click.echo(json.dumps(tree, indent=2) if as_json else presets.dump(tree), nl=as_json)


def _point(settings: Settings, name: str) -> dict[str, object]:
    from mer_nas import catalogue

    candidate = catalogue.candidate(settings.space, name, settings.trainer, settings.trainer_words)
    system = next(s for s in catalogue.systems(settings.space) if s.name == name)
    return {**system._asdict(), **candidate.dump()}
