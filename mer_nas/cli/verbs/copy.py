"""`mer-nas copy`: a preset as a file of your own."""

from pathlib import Path

import click

from mer_nas.cli.words import Word
from mer_nas.config import presets
from mer_nas.errors import ConfigError, unknown
from mer_nas.files import write


@click.command()
@click.argument("word", type=Word())
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
def verb(word: str, folder: Path) -> None:
    """Copy a preset to a folder, to be changed there.

    \b
    mer-nas copy space=moe .
    mer-nas search space=./moe.yaml
    """
    group, equals, name = word.partition("=")
    if not equals or group not in presets.FOLDERS:
        raise ConfigError(
            f"{word}: {unknown('group', group, presets.FOLDERS)}; space=moe would be right"
        )
    file = presets.find(group, name)
    target = folder / file.name
    if target.exists():
        raise ConfigError(f"{target}: the file exists and is left as it is")
    folder.mkdir(parents=True, exist_ok=True)
    write(target, file.read_text(encoding="utf-8"))
    click.echo(str(target))
