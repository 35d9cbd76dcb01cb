"""`mer-nas track`: a study that is done, in the trackers of its users."""

import click

from mer_nas import api
from mer_nas.cli.lines import say
from mer_nas.cli.options import study_folder, trusting


@click.command()
@trusting
@study_folder
@click.argument("trackers", nargs=-1, required=True, metavar="TRACKER...")
def verb(study: str, trackers: tuple[str, ...]) -> None:
    """Tell trackers of every trial of a study, and of its winner.

    tensorboard, mlflow or wandb; where they keep it, their own environment says
    (MLFLOW_TRACKING_URI, WANDB_MODE), and without a word it lies beside the study.

    \b
    mer-nas track runs/moe-synthetic-1 mlflow
    mer-nas search space=moe.yaml study.track=[tensorboard,mlflow]   # while it runs
    """
    found = api.load_study(study)
    for tracker in trackers:
        say(f"{tracker}: {found.track(tracker)} runs")
