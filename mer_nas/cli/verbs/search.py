"""`mer-nas search`: the main job."""

import sys

import click

from mer_nas import api
from mer_nas.cli.options import Searching, as_json, quiet, words
from mer_nas.cli.options import plan as planned


@click.command(cls=Searching)
@words
@planned
@as_json
@quiet
def verb(words: tuple[str, ...], plan: str | None, as_json: bool, quiet: bool) -> None:
    """Search a space, retrain the best, export the winner, write the report.

    \b
    mer-nas search space=moe.yaml
    mer-nas search space=moe data=megc2019_flow data.root=DIR study=standard trainer=proxy
    """
    from mer_nas.cli.console import FoldLines, view
    from mer_nas.cli.sessions import conclude, say_plan, watched

    if plan:
        found = watched(lambda on: api.plan(*words, on_event=on), FoldLines(), quiet=quiet)
        say_plan(found, plan, as_json=as_json)
        return
    study = watched(lambda on: api.search(*words, on_event=on), view(quiet=quiet), quiet=quiet)
    sys.exit(conclude(study, as_json=as_json))
