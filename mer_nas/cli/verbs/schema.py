"""`mer-nas schema`: what a YAML file of a group may hold, for editors."""

import json

import click

from mer_nas.config.presets import FOLDERS
from mer_nas.settings import resolve, schema


@click.command()
@click.argument("group", type=click.Choice([*FOLDERS, "architecture"]))
@click.option("--space", "space", default=None, help="A space whose extensions count too.")
def verb(group: str, space: str | None) -> None:
    """Print the JSON schema of the YAML files of a group, or of an architecture in closed form.

    \b
    mer-nas schema space
    mer-nas schema trainer > trainer.json
    mer-nas schema architecture --space ./mine.yaml
    """
    if group == "architecture":
        from mer_nas import architectures
        from mer_nas.architectures.extensions import load_extensions

        load_extensions(resolve([f"space={space}"]).space.extensions if space else [])
        click.echo(json.dumps(architectures.architecture_schema(), indent=2))
        return
    click.echo(json.dumps(schema(group), indent=2))
