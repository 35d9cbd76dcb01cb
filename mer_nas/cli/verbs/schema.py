"""`mer-nas schema`: what a YAML file of a group may hold, for editors."""

import json

import click

from mer_nas.config.presets import FOLDERS
from mer_nas.settings import schema


@click.command()
@click.argument("group", type=click.Choice(list(FOLDERS)))
def verb(group: str) -> None:
    """Print the JSON schema of the YAML files of a group.

    \b
    mer-nas schema space
    mer-nas schema trainer > trainer.json
    """
    click.echo(json.dumps(schema(group), indent=2))
