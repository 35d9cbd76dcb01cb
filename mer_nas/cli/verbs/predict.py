"""`mer-nas predict`: what an exported network says of a clip."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mer_nas import api
from mer_nas.cli.lines import columns, say
from mer_nas.cli.options import trusting
from mer_nas.errors import ConfigError, MerNasError
from mer_nas.files import ensure_folder

if TYPE_CHECKING:
    from mer_nas.export.manifest import Manifest
    from mer_nas.prediction.predict import Prediction


@click.command()
@trusting
@click.argument("model", type=click.Path())
@click.argument("clips", metavar="CLIP...", nargs=-1, required=True)
@click.option("--onset", type=int, help="Number of the frame where the motion begins.")
@click.option("--apex", type=int, help="Number of the frame where it is largest.")
@click.option("--offset", type=int, help="Number of the frame where it has ended.")
@click.option("--fps", type=float, help="Frames per second.")
@click.option("--cropped", is_flag=True, help="Frames show nothing but the face; find none.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the result as CSV.")
@click.option(
    "--picture",
    type=click.Path(file_okay=False),
    help="Folder for a picture of each clip: its flow, and where the network looked.",
)
def verb(
    model: str,
    clips: tuple[str, ...],
    onset: int | None,
    apex: int | None,
    offset: int | None,
    fps: float | None,
    cropped: bool,
    as_json: bool,
    as_csv: bool,
    picture: str | None,
) -> None:
    """Say which expression clips show, with an export: its folder, or a study's answer.

    The answer of a study is its ensemble where it hands that over, else its winner. A CLIP is a
    video, a folder of frames, or two frames as ONSET,APEX. Frames are prepared as the
    network's training clips were. Where no apex is given, it is the frame of the largest motion.

    \b
    mer-nas predict runs/moe-synthetic-1 onset.png,apex.png
    mer-nas predict runs/moe-synthetic-1/export/rank1 face.mp4 --onset 120 --offset 180 --json
    mer-nas predict runs/moe-synthetic-1/export/ensemble face.mp4
    """
    if as_json and as_csv:
        raise ConfigError("--json --csv: one of them would be right")
    if picture is not None:
        ensure_folder(Path(picture), "--picture ")
    network = api.open_export(model)
    found: list[Prediction] = []
    failed: list[str] = []
    for clip in clips:
        try:
            file = None if picture is None else Path(picture) / _picture(clip, len(found))
            prediction = api.predict(
                network,
                clip,
                onset=onset,
                apex=apex,
                offset=offset,
                fps=fps,
                cropped=cropped,
                picture=file,
            )
            if file is not None:
                say(f"picture: {file}", err=True)
        except MerNasError as error:
            failed.append(str(error))
        else:
            found.append(prediction)
            for note in prediction.notes:
                say(f"{clip}: {note}", err=True)
    if as_json:
        tree = {
            "model": network.manifest.identity(),
            "expected": network.manifest.expected_scores(),
            "clips": [prediction.tree() for prediction in found],
        }
        click.echo(json.dumps(tree, indent=2, ensure_ascii=False))
    elif as_csv:
        click.echo(_csv(network.manifest, found), nl=False)
    elif found:
        click.echo(_table(network.manifest, found))
        say(network.manifest.expectation())
    for message in dict.fromkeys(failed):  # one of an option holds for every clip
        say(f"mer-nas: {message}", err=True)
    if failed:
        sys.exit(2)


def _picture(clip: str, place: int) -> str:
    """Return what the picture of a clip is called."""
    name = Path(clip.partition(",")[0]).name[:60]  # a disk takes 255 bytes
    return f"{place + 1:03d}_{name}.png"


def _table(manifest: Manifest, found: list[Prediction]) -> str:
    header = ["clip", "label", *manifest.classes, "onset", "apex"]
    rows = [
        [
            each.clip,
            each.label,
            *(f"{chance:.2f}" for chance in each.probabilities.values()),
            "" if each.onset is None else str(each.onset),
            "" if each.apex is None else f"{each.apex} ({each.apex_source})",
        ]
        for each in found
    ]
    return columns([header, *rows])


def _csv(manifest: Manifest, found: list[Prediction]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "label", *manifest.classes, "onset", "apex", "apex_source"])
    for each in found:
        chances = each.probabilities.values()
        writer.writerow([each.clip, each.label, *chances, each.onset, each.apex, each.apex_source])
    return text.getvalue()
