"""`mer-nas search`: the main job."""

import sys

import click

from mer_nas import api
from mer_nas.cli.options import Searching, as_json, quiet, words


@click.command(cls=Searching)
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
    from mer_nas.cli.console import FoldLines, view
    from mer_nas.cli.sessions import conclude, watched

    if plan:
        found = watched(lambda on: api.plan(*words, on_event=on), FoldLines(), quiet=quiet)
        click.echo(found.to_json() if as_json else found.text)
        return
    study = watched(lambda on: api.search(*words, on_event=on), view(quiet=quiet), quiet=quiet)
    sys.exit(conclude(study, as_json=as_json))
