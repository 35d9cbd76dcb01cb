"""`mer-nas export`: any finalist as files that others can run."""

import click

from mer_nas import api
from mer_nas.cli.options import study_folder, trusting, words
from mer_nas.config import overrides
from mer_nas.errors import ConfigError, unknown


@click.command()
@trusting
@study_folder
@words
def verb(study: str, words: tuple[str, ...]) -> None:
    """Train a finalist on all clips and export it as ONNX and safetensors.

    \b
    mer-nas export runs/moe-synthetic-1
    mer-nas export runs/moe-synthetic-1 rank=2
    """
    from mer_nas.cli.console import View
    from mer_nas.cli.sessions import watched

    read, known = overrides.parse(words), ["rank", "data.root"]
    for key in (*read.plain, *read.dotted):
        if key not in known:
            raise ConfigError(unknown("key", key, known))
    rank = overrides.value(read.plain.get("rank", "1"), "rank")
    if not isinstance(rank, int):
        raise ConfigError(f"rank={rank}: a whole number of 1 or more would be right")
    found = api.load_study(study)
    roots = [word for word in words if word.startswith("data.root")]
    folder = watched(lambda on: found.export(rank, *roots, on_event=on), View(), quiet=False)
    click.echo(str(folder))
