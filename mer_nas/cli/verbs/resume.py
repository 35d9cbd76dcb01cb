"""`mer-nas resume`: go on with a study that was interrupted, or search on."""

import sys

import click

from mer_nas import api
from mer_nas.cli.options import as_json, quiet, study_folder, trusting, words


@click.command()
@trusting
@study_folder
@words
@click.option(
    "--anew",
    is_flag=True,
    help="Where other code began the study, or folds of it are lost, measure its candidates "
    "again with this one.",
)
@as_json
@quiet
def verb(study: str, words: tuple[str, ...], anew: bool, as_json: bool, quiet: bool) -> None:
    """Go on with a study; nothing that is finished is trained again.

    \b
    mer-nas resume runs/moe-synthetic-1
    mer-nas resume runs/moe-synthetic-1 study.trials=60
    mer-nas resume runs/moe-synthetic-1 --anew
    """
    from mer_nas.cli.console import view
    from mer_nas.cli.sessions import conclude, watched

    begun = api.load_study(study)
    done = watched(
        lambda on: begun.resume(*words, anew=anew, on_event=on), view(quiet=quiet), quiet=quiet
    )
    sys.exit(conclude(done, as_json=as_json))
