"""What each pruner saves, and what that does to the corrected score, in studies of known truth.

    python benchmarks/pruners.py [studies=100] [candidates=60] [set=casme2+smic] [folds=4,8,loso]

Simulated searches on the fold structure of real sets: subjects as large as those of the MEGC 2019
composite, classes as frequent. An answer is the class with the highest score, and the score of a
class is a sum of normal draws: what makes a clip or a subject hard for all candidates, what a
candidate makes of a subject, its chance with a clip, its leaning to a class, and, for the true
class, its skill. So the truth is known: the mean UF1 that the chosen candidate has on fresh sets
of the same make. Four kinds of studies:

- `blind`: all candidates are equally skilled, so that whatever is found is chance;
- `even`, `spread`: skill varies such that true UF1 has a standard deviation of 0.015 and 0.03;
- `guided`: as `spread`, but from the 13th on, candidates descend from the best so far and share
  half of its luck, as a sampler that learns makes them.

Columns: share of the folds that pruning saved; complete trials; how far the score of the winner,
and its corrected score, lie above the truth on average, with the standard error; how often the
95 % interval covers the truth; how far the winner's score lies below the best of all candidates.
From the two errors, the luck of the set is taken off, which is how far the scores of the first
candidates, not chosen by anything, lie above their truths: its mean is 0, its spread is not.
"""

import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import TrialState

from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Protocol, divide
from mer_nas.data.records import Record
from mer_nas.evaluation.metrics import Counts, uf1
from mer_nas.search.config import PrunerName
from mer_nas.search.pruners import Best, Pruner, TrialSnapshot, build
from mer_nas.statistics import Correction, correct

# fmt: off
SIZES = {
    "casme2": (3, 9, 5, 2, 6, 4, 5, 1, 10, 4, 11, 2, 3, 3, 3, 31, 11, 2, 1, 2, 8, 3, 5, 11),
    "smic": (6, 6, 39, 19, 2, 4, 13, 4, 7, 9, 10, 10, 4, 7, 2, 22),
    "samm": (11, 8, 4, 4, 20, 3, 6, 10, 3, 5, 4, 3, 1, 4, 2, 5, 1, 1, 9, 3, 3, 1, 4, 5, 3, 8,
             1, 1),
}
# fmt: on
"""Clips of each subject."""
CLASSES = {"casme2": (88, 32, 25), "smic": (70, 51, 43), "samm": (92, 26, 15)}
"""Clips of each class: negative, positive, surprise."""
WORLDS = {"blind": 0.0, "even": 0.07, "spread": 0.14, "guided": 0.14}
"""Standard deviation of skill."""

SKILL = 1.4
"""Of the mean candidate: a UF1 of about 0.72."""
LEANING = 0.15
CLIP, SUBJECT, READING, CHANCE = 0.35, 0.1, 0.15, 0.4
"""Variances: of what is hard for all in a clip and in a subject, of what a candidate makes of a
subject, and of its chance with a clip."""
PRUNERS: tuple[tuple[PrunerName, float], ...] = (
    ("none", 0),
    *(("bound", margin) for margin in (0, 0.02, 0.04)),
    *(("bootstrap", chance) for chance in (0.02, 0.05, 0.1)),
    ("wilcoxon", 0),
    ("median", 0),
    ("hyperband", 0),
)
"""By name and setting: the margin of the bound, the chance of the bootstrap."""
STARTUP, SHARED = 12, 0.5
FRESH = 60
"""Sets over which a truth is the mean."""
DRAWS = 300
"""Of subjects, for a correction."""


@cache
def clip_set(names: str) -> ClipSet:
    """Return the clips of sets such as "casme2+smic", their classes dealt at random.

    Subjects lean to classes of their own, as people do: half of a set's clips lie sorted by class
    when they are dealt.
    """
    dice, clips = np.random.default_rng(0), []
    for name in names.split("+"):
        labels = np.repeat(np.arange(3), CLASSES[name])
        loose = dice.random(len(labels)) < 0.5
        labels[loose] = dice.permutation(labels[loose])
        order = dice.permutation(len(SIZES[name]))
        subjects = np.repeat(order, np.array(SIZES[name])[order])
        for clip, (subject, label) in enumerate(zip(subjects, labels, strict=True)):
            clips.append(Record(name, f"s{subject:02}", f"c{clip}", int(label)))
    return ClipSet(names, ("negative", "positive", "surprise"), tuple(clips), {})


@dataclass(frozen=True, eq=False)
class Candidate:
    """What decides a candidate's answers."""

    number: int
    skill: float
    leaning: NDArray[np.float64]
    """(K,)"""
    readings: NDArray[np.float64]
    """(S, K), of every subject."""
    chances: NDArray[np.float64]
    """(N, K), with every clip."""


class Study:
    """The candidates of one study, drawn as it goes; the same for the same history.

    Args:
        clips: Of N clips, S subjects and K classes.
        world: One of `WORLDS`.
        seed: Decides everything.
    """

    def __init__(self, clips: ClipSet, world: str, seed: int) -> None:
        self.clips, self.world = clips, world
        self.seed = (seed, list(WORLDS).index(world))
        self.labels = clips.labels
        self.names = clips.subjects
        self.subjects = np.searchsorted(np.array(self.names), clips.groups)
        self.hard = self._hard(self._dice(0), ())
        self._known: dict[tuple[int, Candidate | None], Candidate] = {}
        self._answers: dict[Candidate, Counts] = {}
        self._truths: dict[tuple[Candidate, int], float] = {}

    def propose(self, number: int, best: Candidate | None) -> Candidate:
        """Return the candidate of a trial, given the best so far."""
        parent = best if self.world == "guided" and number >= STARTUP else None
        if (number, parent) not in self._known:
            drawn = self._draw(number)
            self._known[number, parent] = drawn if parent is None else self._child(drawn, parent)
        return self._known[number, parent]

    def answers(self, candidate: Candidate) -> Counts:
        """Return the confusions (S, K, K) of a candidate."""
        if candidate not in self._answers:
            own = candidate.readings[self.subjects] + candidate.chances
            self._answers[candidate] = self._counts(candidate, self.hard + own)
        return self._answers[candidate]

    def truth(self, candidate: Candidate, sets: int = FRESH) -> float:
        """Return the mean UF1 of a candidate on fresh sets."""
        if (candidate, sets) not in self._truths:
            dice = self._dice(1, candidate.number)
            shape = (sets, len(self.names), len(candidate.leaning))
            readings = np.sqrt(READING) * dice.standard_normal(shape)[:, self.subjects]
            chances = np.sqrt(CHANCE) * dice.standard_normal(readings.shape)
            noise = self._hard(dice, (sets,)) + readings + chances
            counts = self._counts(candidate, noise)
            self._truths[candidate, sets] = float(uf1(counts.sum(-3)).mean())
        return self._truths[candidate, sets]

    @cached_property
    def luck(self) -> float:
        """How much easier the clips of this study are than those of other sets, in UF1."""
        unchosen = [self.propose(number, None) for number in range(STARTUP)]
        scores = [float(uf1(self.answers(candidate).sum(0))) for candidate in unchosen]
        truths = [self.truth(candidate, FRESH // STARTUP) for candidate in unchosen]
        return float(np.mean(scores) - np.mean(truths))

    def _draw(self, number: int) -> Candidate:
        dice, spread = self._dice(2, number), WORLDS[self.world]
        normal, classes = dice.standard_normal, len(self.clips.classes)
        return Candidate(
            number,
            SKILL + spread * (normal() - 0.5 * dice.exponential()),
            leaning=(LEANING if spread else 0.0) * normal(classes),
            readings=np.sqrt(READING) * normal((len(self.names), classes)),
            chances=np.sqrt(CHANCE) * normal((len(self.clips), classes)),
        )

    def _child(self, drawn: Candidate, parent: Candidate) -> Candidate:
        """Return a candidate near the parent, who passes on a part of all it is made of."""

        def mixed(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.sqrt(1 - SHARED) * ours + np.sqrt(SHARED) * theirs

        return Candidate(
            drawn.number,
            parent.skill + 0.5 * (drawn.skill - SKILL),
            mixed(drawn.leaning, parent.leaning),
            mixed(drawn.readings, parent.readings),
            mixed(drawn.chances, parent.chances),
        )

    def _dice(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([*self.seed, *purpose])

    def _hard(self, dice: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        sizes = (len(self.names), len(self.clips))
        subjects, clips = (dice.standard_normal((*shape, n, 3)) for n in sizes)
        return np.sqrt(SUBJECT) * subjects[..., self.subjects, :] + np.sqrt(CLIP) * clips

    def _counts(self, candidate: Candidate, noise: NDArray[np.float64]) -> Counts:
        """Return confusions (..., S, K, K) from noise (..., N, K)."""
        subjects, classes = len(self.names), len(candidate.leaning)
        scores = noise + candidate.leaning + candidate.skill * np.eye(classes)[self.labels]
        places = (self.subjects * classes + self.labels) * classes + scores.argmax(-1)
        sets = places.reshape(-1, len(self.labels))
        size = subjects * classes**2
        flat = np.bincount(
            (sets + size * np.arange(len(sets))[:, None]).ravel(), minlength=size * len(sets)
        )
        return flat.reshape(*noise.shape[:-2], subjects, classes, classes)


@dataclass(frozen=True)
class Finished:
    """What a search came to."""

    saved: float
    """Share of the folds that were not run."""
    complete: int
    score: float
    """Of the winner."""
    missed: float
    """By how much a pruned candidate would have been better."""
    correction: Correction
    study: Study
    winner: Candidate

    @property
    def truth(self) -> float:
        """Mean UF1 of the winner on fresh sets."""
        return self.study.truth(self.winner)

    @property
    def luck(self) -> float:
        """Of the set."""
        return self.study.luck


def search(study: Study, protocol: Protocol, pruner: Pruner, candidates: int) -> Finished:
    """Run a search as the driver does, and correct its winner's score."""
    order = {subject: row for row, subject in enumerate(study.names)}
    blocks = [
        [order[subject] for index in block for subject in protocol.folds[index].subjects]
        for block in protocol.blocks
    ]
    drawn: list[Candidate] = []
    scores: list[float] = []
    complete: list[int] = []
    best: Best | None = None
    run = 0
    for number in range(candidates):
        drawn.append(study.propose(number, drawn[best.number] if best else None))
        counts = study.answers(drawn[-1])
        scores.append(float(uf1(counts.sum(0))))
        done = _blocks_done(study, counts, blocks, pruner, number, best)
        run += sum(len(block) for block in protocol.blocks[:done])
        if done < len(blocks):
            pruner.ended(number, TrialState.PRUNED, None)
            continue
        pruner.ended(number, TrialState.COMPLETE, scores[-1])
        complete.append(number)
        if best is None or scores[-1] > best.value:
            best = Best(number, scores[-1], dict(zip(study.names, counts, strict=True)))
    assert best is not None
    pool = np.stack([study.answers(drawn[number]) for number in complete])
    return Finished(
        saved=1 - run / (candidates * len(protocol.folds)),
        complete=len(complete),
        score=best.value,
        missed=max(scores) - best.value,
        correction=correct(pool, study.clips.classes, draws=DRAWS),
        study=study,
        winner=drawn[best.number],
    )


def _blocks_done(
    study: Study,
    counts: Counts,
    blocks: Sequence[Sequence[int]],
    pruner: Pruner,
    number: int,
    best: Best | None,
) -> int:
    seen: dict[str, Counts] = {}
    remaining = counts.sum((0, 2))
    for step, block in enumerate(blocks, start=1):
        seen |= {study.names[row]: counts[row] for row in block}
        remaining = remaining - counts[list(block)].sum((0, 2))
        snapshot = TrialSnapshot(number, seen, remaining, best)
        pruner.report(number, step, float(uf1(snapshot.counts.sum(0))))
        if step < len(blocks) and pruner.should_prune(snapshot):
            return step
    return len(blocks)


def row(found: Sequence[Finished]) -> Mapping[str, float]:
    """Return what a number of studies came to on average."""
    errors = np.array([each.correction.uf1.value - each.truth - each.luck for each in found])
    covered = [each.correction.uf1.low <= each.truth <= each.correction.uf1.high for each in found]
    return {
        "saved": float(np.mean([each.saved for each in found])),
        "complete": float(np.mean([each.complete for each in found])),
        "naive": float(np.mean([each.score - each.truth - each.luck for each in found])),
        "corrected": float(errors.mean()),
        "se": float(errors.std(ddof=1) / np.sqrt(len(errors))),
        "covered": float(np.mean(covered)),
        "missed": float(np.mean([each.missed for each in found])),
    }


def line(found: Sequence[Finished]) -> str:
    """Return a number of studies as a line of the table."""
    mean = row(found)
    return (
        f"{mean['saved']:4.0%} {mean['complete']:8.1f}  {mean['naive']:+.3f} "
        f"{mean['corrected']:+.4f} ({mean['se']:.4f}) {mean['covered']:7.0%} {mean['missed']:.4f}"
    )


def main(words: Sequence[str]) -> None:
    """Simulate, and print the table."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    given = dict(word.split("=", 1) for word in words)
    studies, candidates = int(given.get("studies", 100)), int(given.get("candidates", 60))
    clips = clip_set(given.get("set", "casme2+smic"))
    print(f"{clips.describe()}; {studies} studies of {candidates} candidates each")
    print("folds world  pruner         saved complete  naive corrected (se)   covered missed")
    folds = given.get("folds", "4,8,loso").split(",")
    protocols = {word: divide(clips, "loso" if word == "loso" else int(word)) for word in folds}
    cases = list(itertools.product(folds, PRUNERS))
    for world in WORLDS:
        found: dict[Any, list[Finished]] = {case: [] for case in cases}
        for seed in range(studies):
            study = Study(clips, world, seed)
            for word, (name, setting) in cases:
                protocol = protocols[word]
                pruner = build(name, setting, setting, len(protocol.blocks))
                found[word, (name, setting)].append(search(study, protocol, pruner, candidates))
        for (word, (name, setting)), each in found.items():
            label = f"{name} {setting:g}" if name in ("bound", "bootstrap") else name
            print(f"{word:<5} {world:<6} {label:<14} {line(each)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
