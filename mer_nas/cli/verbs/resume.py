"""`mer-nas resume`: go on with a study that was interrupted, or search on."""

import sys

import click

from mer_nas import api
from mer_nas.cli.options import Planned, as_json, quiet, study_folder, trusting, words
from mer_nas.cli.options import plan as planned


@click.command(cls=Planned)
@trusting
@study_folder
@words
@click.option(
    "--anew",
    is_flag=True,
    help="Where other code began the study, or folds of it are lost, measure its candidates "
    "again with this one.",
)
@planned
@as_json
@quiet
def verb(
    study: str,
    words: tuple[str, ...],
    anew: bool,
    plan: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Go on with a study; nothing that is finished is trained again.

    \b
    mer-nas resume runs/moe-synthetic-1
    mer-nas resume runs/moe-synthetic-1 study.trials=60
    mer-nas resume runs/moe-synthetic-1 --anew
    mer-nas resume runs/moe-synthetic-1 study.trials=60 --plan
    """
    from mer_nas.cli.console import FoldLines, view
    from mer_nas.cli.sessions import conclude, say_plan, watched

    begun = api.load_study(study)
    if plan:
        found = watched(
            lambda on: begun.plan(*words, anew=anew, on_event=on), FoldLines(), quiet=quiet
        )
        say_plan(found, plan, as_json=as_json)
        return
    done = watched(
        lambda on: begun.resume(*words, anew=anew, on_event=on), view(quiet=quiet), quiet=quiet
    )
    sys.exit(conclude(done, as_json=as_json))
