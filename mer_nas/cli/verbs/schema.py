"""`mer-nas schema`: what a YAML file of a group may hold, for editors."""

import json

import click

from mer_nas import api
from mer_nas.cli.options import GROUPS


@click.command()
@click.argument("group", type=click.Choice([*GROUPS, "architecture"]))
@click.option("--space", "space", default=None, help="A space whose extensions count too.")
def verb(group: str, space: str | None) -> None:
    """Print the JSON schema of the settings of a group, or of an architecture in closed form.

    \b
    mer-nas schema space
    mer-nas schema trainer > trainer.json
    mer-nas schema architecture --space ./mine.yaml
    """
    click.echo(json.dumps(api.schema(group, space), indent=2))
