"""`mer-nas search`: the main job."""

import shlex
import sys

import click

from mer_nas.cli.words import as_json, quiet, words
from mer_nas.settings import resolve


@click.command()
@words
@click.option("--plan", is_flag=True, help="Print what would be done and how long; train nothing.")
@as_json
@quiet
def verb(words: tuple[str, ...], plan: bool, as_json: bool, quiet: bool) -> None:
    """Search a space, retrain the best, export the winner, write the report.

    \b
    mer-nas search space=moe.yaml
    mer-nas search space=moe data=megc2019_flow data.root=DIR study=standard trainer=proxy
    """
    settings = resolve(words)
    from mer_nas.cli import sessions
    from mer_nas.cli.loading import load

    clips = load(settings, quiet=quiet)
    if plan:
        click.echo(sessions.plan(settings, clips, as_json=as_json))
        return
    command = shlex.join(["mer-nas", "search", *words])
    sys.exit(sessions.begin(settings, clips, command, as_json=as_json, quiet=quiet))
