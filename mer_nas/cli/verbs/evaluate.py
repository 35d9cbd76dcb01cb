"""`mer-nas evaluate`: one candidate under the protocol of a study."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from mer_nas.cli.lines import say
from mer_nas.cli.words import as_json, quiet, words
from mer_nas.config import overrides
from mer_nas.errors import ConfigError
from mer_nas.settings import resolve, with_space_of
from mer_nas.wording import count, duration

if TYPE_CHECKING:
    from mer_nas.data.clips import ClipSet
    from mer_nas.settings import Settings


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
    plain = overrides.parse(words).plain
    point = plain.get("point")
    known = words if point is None else with_space_of(point, words)
    settings = resolve(known, also=("point", "seeds"))
    seeds = overrides.value(plain.get("seeds", "1"), "seeds")
    if not isinstance(seeds, int) or seeds < 1:
        raise ConfigError(f"seeds={seeds}: a whole number of 1 or more would be right")
    from mer_nas.cli.folds import FoldLines
    from mer_nas.cli.loading import load
    from mer_nas.search.events import ignore
    from mer_nas.study.evaluate import evaluate

    clips = load(settings, plain.get("point"), quiet=quiet)
    if plan:
        say(_plan(settings, clips, point, seeds, as_json=as_json))
        return
    say(clips.describe(), err=True)
    try:
        found = evaluate(settings, clips, point, seeds, ignore if quiet else FoldLines(seeds))
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here", err=True)
        sys.exit(130)
    if as_json:
        click.echo(json.dumps(found.tree(), indent=2))
        return
    for seed, score in enumerate(found.scores, start=1):
        say(
            f"seed {seed}: UF1 {score.uf1:.4f}, UAR {score.uar:.4f}, accuracy {score.accuracy:.4f}"
        )
    say(f"{found.name}, {found.protocol}: mean UF1 {found.uf1:.4f}; folds in {found.folder}")
    if found.fidelity:
        say(f"{found.name} is {found.fidelity}: {found.source}")


def _plan(
    settings: Settings, clips: ClipSet, point: str | None, seeds: int, *, as_json: bool
) -> str:
    """Return what would be measured and how long that takes; nothing is made or trained."""
    from mer_nas.config import presets
    from mer_nas.data.protocols import plan as divide
    from mer_nas.study.evaluate import chosen
    from mer_nas.study.forecast import evaluation_seconds

    name, candidate = chosen(settings, point)
    protocol = divide(clips, settings.study.folds, settings.study.seed, settings.study.block)
    seconds = evaluation_seconds(settings, candidate, clips, seeds)
    if as_json:
        tree = {
            "name": name,
            "data": clips.counts(),
            "protocol": protocol.name,
            "folds": len(protocol.folds),
            "seeds": seeds,
            "seconds": seconds,
            **candidate.dump(),
        }
        return json.dumps(tree, indent=2)
    return "\n".join(
        [
            presets.dump(candidate.dump()),
            clips.describe(),
            f"{name}: {count(len(protocol.folds), 'fold')} ({protocol.name}) x "
            f"{count(seeds, 'seed')}, about {duration(seconds)}",
        ]
    )
