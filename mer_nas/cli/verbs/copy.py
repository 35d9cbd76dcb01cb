"""`mer-nas copy`: a preset as a file of your own."""

from pathlib import Path

import click

from mer_nas import api
from mer_nas.cli.options import Word


@click.command()
@click.argument("word", type=Word())
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
def verb(word: str, folder: Path) -> None:
    """Copy a preset to a folder, to be changed there.

    \b
    mer-nas copy space=moe .
    mer-nas search space=./moe.yaml
    """
    group, _, name = word.partition("=")
    click.echo(str(api.copy_preset(group, name, folder)))
