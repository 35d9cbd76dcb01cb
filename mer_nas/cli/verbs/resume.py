"""`mer-nas resume`: go on with a study that was interrupted, or search on."""

import shlex
import sys

import click

from mer_nas.cli.words import as_json, quiet, study_folder, trusting, words


@click.command()
@trusting
@study_folder
@words
@click.option(
    "--anew",
    is_flag=True,
    help="Where other code began the study, measure its candidates again with this one.",
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
    from mer_nas.cli import sessions
    from mer_nas.cli.loading import load
    from mer_nas.study import extended, find_study

    folder = find_study(study)
    settings = extended(folder.settings(), words)
    clips = load(settings, quiet=quiet)
    command = shlex.join(["mer-nas", "resume", study, *words, *["--anew"] * anew])
    sys.exit(
        sessions.go_on(folder, settings, clips, command, as_json=as_json, quiet=quiet, anew=anew)
    )
