"""A study's winner against the points its search began with, all under one protocol.

    python benchmarks/against_warm_starts.py runs/moe-synthetic-1 [seeds=2] [study.folds=loso] ...

Evaluates the winner and every point of its space with the same trainer, seeds and folds, and
prints pooled UF1 and the paired difference to the winner with a 95 % interval over subjects and a
p-value corrected for all comparisons (see `mer_nas.statistics`). Finished folds are
kept, so an interrupted run goes on where it was.

The trainer is that of the study's final stage with each candidate's own learning rate and decay.
"""

import sys
from dataclasses import replace

import numpy as np

from mer_nas.config import overrides
from mer_nas.data.clips import ClipSet
from mer_nas.evaluation.metrics import Counts
from mer_nas.evaluation.results import FoldResult
from mer_nas.search.events import Event, FoldDone, Listener
from mer_nas.search.ledger import read
from mer_nas.settings import Settings, resolve
from mer_nas.statistics import by_subject, compare_pairs
from mer_nas.study.clips import load_clips
from mer_nas.study.evaluate import Evaluated, evaluate
from mer_nas.study.folder import find_study


def counts(found: Evaluated, clips: ClipSet, seeds: int) -> Counts:
    """Return the confusions (R, S, K, K) of every seed and subject, from the ledger."""
    by_seed: list[list[FoldResult]] = [[] for _ in range(seeds)]
    for result in read(found.folder / "ledger.jsonl"):
        same = (result.candidate, result.protocol, result.seed, result.data)
        wanted = (found.candidate.key, found.protocol, found.seed, found.data)
        if same == wanted and result.repetition < seeds:
            by_seed[result.repetition].append(result)
    classes = len(clips.classes)
    return np.stack([by_subject(results, clips.subjects, classes) for results in by_seed])


def main(words: list[str]) -> None:
    """Evaluate, compare, print."""
    folder = find_study(words[0])
    read_words = overrides.parse(words[1:])
    seeds = int(read_words.plain.get("seeds", "2"))
    stored = folder.settings()
    clips = load_clips(stored)
    rest = ["study.folds=loso", *(w for w in words[1:] if not w.startswith("seeds="))]
    winner_settings = _like(stored, resolve([f"space={folder.best}", *rest]))
    found = {"winner": evaluate(winner_settings, clips, None, seeds, _progress("winner"))}
    for point in stored.space.file.points:
        settings = _like(stored, resolve([f"space={stored.space.name}", *rest]))
        found[point.name] = evaluate(settings, clips, point.name, seeds, _progress(point.name))
    tables = {name: counts(evaluated, clips, seeds) for name, evaluated in found.items()}
    paired = compare_pairs(tables.pop("winner"), tables)
    for name, evaluated in found.items():
        each = ", ".join(f"{score.uf1:.4f}" for score in evaluated.scores)
        line = f"{name:<20} UF1 {evaluated.uf1:.4f} ({each}; {evaluated.protocol})"
        if name in paired:
            lead = paired[name].difference
            line += (
                f"  winner {lead.value:+.4f}, 95 % [{lead.low:+.4f}, {lead.high:+.4f}], "
                f"p {paired[name].adjusted:.2g}"
            )
        print(line)


def _like(stored: Settings, settings: Settings) -> Settings:
    """Return settings with the trainer and seed that the study was made with."""
    study = settings.study.model_copy(update={"seed": stored.study.seed})
    return replace(settings, trainer=stored.trainer, study=study)


def _progress(name: str) -> Listener:
    def tell(event: Event) -> None:
        if isinstance(event, FoldDone):
            line = f"{name}: {event.done}/{event.of} {event.fold} {event.seconds:.1f} s"
            print(line, file=sys.stderr)

    return tell


if __name__ == "__main__":
    main(sys.argv[1:])
