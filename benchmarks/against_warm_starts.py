"""A study's winner against the points its search began with, all under one protocol.

    python benchmarks/against_warm_starts.py runs/moe-synthetic-1 [seeds=2] [study.folds=loso] ...

Evaluates the winner and every point of its space with the same trainer, seeds and folds, and
prints pooled UF1 and the paired difference to the winner with a 95 % interval: subjects, the unit
that is independent, are drawn with replacement, for both candidates the same. Finished folds are
kept, so an interrupted run goes on where it was.

The trainer is that of the study's final stage with each candidate's own learning rate and decay.
"""

import statistics
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mer_nas.config import overrides
from mer_nas.evaluation.evaluator import FoldResult
from mer_nas.search.ledger import read
from mer_nas.settings import Settings, resolve
from mer_nas.study import find, load_clips
from mer_nas.study.evaluate import Evaluated, evaluate

DRAWS = 2000


def answers(found: Evaluated, seeds: int) -> list[dict[str, tuple[str, int, int]]]:
    """Return, for each seed, subject, label and prediction of every clip."""
    tables: list[dict[str, tuple[str, int, int]]] = [{} for _ in range(seeds)]
    results: tuple[FoldResult, ...] = read(found.folder / "ledger.jsonl")
    for result in results:
        same = (result.candidate, result.protocol, result.seed, result.data)
        if same != (found.candidate.key, found.protocol, found.seed, found.data):
            continue
        if result.repetition < seeds:
            for clip, label, said in zip(
                result.clips, result.labels, result.predicted, strict=True
            ):
                tables[result.repetition][clip] = (clip.rpartition("/")[0], label, said)
    return tables


def bootstrap(one: Evaluated, other: Evaluated, seeds: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference in mean UF1 over drawn subjects."""
    tables = [answers(one, seeds), answers(other, seeds)]
    clips = sorted(tables[0][0])
    subjects = np.array([tables[0][0][clip][0] for clip in clips])
    rows = {subject: np.flatnonzero(subjects == subject) for subject in np.unique(subjects)}
    labels = np.array([tables[0][0][clip][1] for clip in clips])
    said = [[np.array([t[clip][2] for clip in clips]) for t in table] for table in tables]
    chance = np.random.default_rng(0)
    classes = int(labels.max()) + 1
    differences = []
    for _ in range(DRAWS):
        drawn = np.concatenate([rows[s] for s in chance.choice(list(rows), len(rows))])
        means = [
            statistics.fmean(_uf1(labels[drawn], answer[drawn], classes) for answer in answers_)
            for answers_ in said
        ]
        differences.append(means[0] - means[1])
    # The fast UF1 above is the library's.
    assert np.isclose(_uf1(labels, said[0][0], classes), one.scores[0].uf1)
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)


def _uf1(labels: np.ndarray, said: np.ndarray, classes: int) -> float:
    confusion = np.bincount(labels * classes + said, minlength=classes**2).reshape(
        classes, classes
    )
    right = confusion.diagonal()
    return float(np.mean(2 * right / np.maximum(1, confusion.sum(0) + confusion.sum(1))))


def main(words: list[str]) -> None:
    """Evaluate, compare, print."""
    folder = find(words[0])
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
    for name, evaluated in found.items():
        each = ", ".join(f"{score.uf1:.4f}" for score in evaluated.scores)
        line = f"{name:<20} UF1 {evaluated.uf1:.4f} ({each}; {evaluated.protocol})"
        if name != "winner":
            low, high = bootstrap(found["winner"], evaluated, seeds)
            difference = found["winner"].uf1 - evaluated.uf1
            line += f"  winner {difference:+.4f}, 95 % [{low:+.4f}, {high:+.4f}]"
        print(line)


def _like(stored: Settings, settings: Settings) -> Settings:
    """Return settings with the trainer and seed that the study was made with."""
    study = settings.study.model_copy(update={"seed": stored.study.seed})
    return replace(settings, trainer=stored.trainer, study=study)


def _progress(name: str) -> Callable[[FoldResult, int, int], None]:
    def tell(result: FoldResult, done: int, of: int) -> None:
        print(f"{name}: {done}/{of} {result.fold_name} {result.seconds:.1f} s", file=sys.stderr)

    return tell


if __name__ == "__main__":
    main(sys.argv[1:])
