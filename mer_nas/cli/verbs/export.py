"""`mer-nas export`: any finalist, or the ensemble, as files that others can run."""

from pathlib import Path

import click

from mer_nas import api
from mer_nas.cli.lines import say
from mer_nas.cli.options import Planned, study_folder, trusting, words
from mer_nas.cli.options import plan as planned
from mer_nas.config import overrides
from mer_nas.errors import ConfigError, unknown

ENSEMBLE = "ensemble"
"""The word in place of a rank."""
MANIFEST = "model.yaml"
"""The file by which an export is known."""


@click.command(cls=Planned)
@trusting
@study_folder
@words
@click.option(
    "--anew",
    is_flag=True,
    help="Where other code began the study, train with this one what that has measured.",
)
@planned
@click.option(
    "--hub",
    type=click.Path(path_type=Path),
    help="Also make this folder, as the Hugging Face Hub takes it; sends nothing.",
)
def verb(
    study: str, words: tuple[str, ...], anew: bool, plan: str | None, hub: Path | None
) -> None:
    """Train a finalist, or the ensemble, on all clips and export it as ONNX and safetensors.

    With --hub, STUDY may be an export that there is, and nothing is trained.

    \b
    mer-nas export runs/moe-synthetic-1
    mer-nas export runs/moe-synthetic-1 rank=2
    mer-nas export runs/moe-synthetic-1 ensemble
    mer-nas export runs/moe-synthetic-1/export/rank1 --hub DIR
    """
    from mer_nas.cli.console import View
    from mer_nas.cli.sessions import say_plan, watched

    if hub is not None and not words and (Path(study) / MANIFEST).is_file():
        if plan:
            say(f"{study} is copied to {hub}; nothing is trained")
            return
        click.echo(str(api.hub_folder(study, hub)))
        return
    place, roots = _named(words)
    found = api.load_study(study)
    if plan:
        say_plan(found.plan_export(place, *roots, anew=anew), plan, as_json=False)
        return
    folder = watched(
        lambda on: found.export(place, *roots, anew=anew, on_event=on), View(), quiet=False
    )
    click.echo(str(folder if hub is None else api.hub_folder(folder, hub)))


def _named(words: tuple[str, ...]) -> tuple[int | str, list[str]]:
    """Return what is exported, and the words that say where the data lie."""
    rest = [word for word in words if word != ENSEMBLE]
    if strange := [word for word in rest if "=" not in word]:
        raise ConfigError(unknown("export", strange[0], [ENSEMBLE, "rank=1"]))
    read = overrides.parse(rest)
    for key in (*read.plain, *read.dotted):
        if key != "rank" and not overrides.below(key, overrides.PLACE_KEYS):
            raise ConfigError(unknown("key", key, ["rank", *overrides.PLACE_KEYS]))
    if "rank" in read.plain and len(rest) < len(words):
        raise ConfigError(f"{ENSEMBLE} rank={read.plain['rank']}: one of them would be right")
    rank = overrides.whole(read, "rank", 1)
    place = rank if len(rest) == len(words) else ENSEMBLE
    return place, [word for word in rest if word.startswith("data.")]
