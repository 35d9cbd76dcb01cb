"""`mer-nas evaluate`: one candidate under the protocol of a study."""

import json

import click

from mer_nas import api
from mer_nas.cli.lines import say
from mer_nas.cli.options import as_json, quiet, words


@click.command()
@words
@click.option("--plan", is_flag=True, help="Print what would be done and how long; train nothing.")
@as_json
@quiet
def verb(words: tuple[str, ...], plan: bool, as_json: bool, quiet: bool) -> None:
    """Measure one point, reference or closed space; finished folds are not run again.

    \b
    mer-nas evaluate point=prog_s study.folds=loso
    mer-nas evaluate space=runs/moe-synthetic-1/best.yaml seeds=3
    """
    from mer_nas.cli.console import FoldLines, View
    from mer_nas.cli.sessions import watched

    view = View() if quiet else FoldLines()
    if plan:
        planned = watched(lambda on: api.plan_evaluation(*words, on_event=on), view, quiet=quiet)
        say(planned.to_json() if as_json else planned.text)
        return
    found = watched(lambda on: api.evaluate(*words, on_event=on), view, quiet=quiet)
    if as_json:
        click.echo(json.dumps(found.tree(), indent=2))
        return
    for seed, score in enumerate(found.scores, start=1):
        say(
            f"seed {seed}: UF1 {score.uf1:.4f}, UAR {score.uar:.4f}, accuracy {score.accuracy:.4f}"
        )
    say(f"{found.name}, {found.protocol}: mean UF1 {found.uf1:.4f}; folds in {found.folder}")
    if found.fidelity:
        say(f"{found.name} is {found.faithful}")
