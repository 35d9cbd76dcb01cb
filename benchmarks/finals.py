"""How many folds a final stage needs whose finalists race, for the decision that all seeds make.

Seed by seed, the finalists still in the race go through LOSO, the leader first; after each block
of folds (10 % of the clips) one leaves that is as good as the leader, mean of the seeds so far, in
too few of the draws of the subjects so far. At a chance of 0 nobody leaves: no race. Two ways:

- `seeds`, as `mer_nas.search.race` has it: the first seed is for everybody, and the leader gets
  all seeds, because its score is reported;
- `folds`: finalists also leave during the first seed, and the race is over when one is left.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from combining import chosen_by, halves, others, pool_of
from searching import BLOCK, blocks_of
from table import LAST, LOSO, SCHEMES, Table

from mer_nas.evaluation.metrics import Values, uf1
from mer_nas.search.race import MIN_ANSWERED
from mer_nas.statistics import chance_as_good

Way = Literal["seeds", "folds"]
CHANCES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
STUDIES = 20
POOL = 20
"""Candidates of a search, drawn anew for each study."""
DRAWS = 500


def lines(table: Table, finalists: int = 3, scheme: str = "8") -> Iterator[str]:
    """Yield a line for each way and chance, all of the same studies."""
    place = SCHEMES.index(scheme)
    seeds = chosen_by(table, place)[:2]
    studies = [(study, seed) for study in range(STUDIES) for seed in seeds]
    yield "race   chance  folds  share  same winner   true"
    ways: tuple[Way, ...] = ("seeds", "folds")
    for way in ways:
        first: list[tuple[float, ...]] = []
        for chance in CHANCES:
            rows = [_study(table, *study, place, finalists, chance, way) for study in studies]
            first = first or rows
            folds, true, *_ = np.mean(rows, axis=0)
            same = np.mean([row[2:] == base[2:] for row, base in zip(rows, first, strict=True)])
            share = folds / np.mean([base[0] for base in first])
            yield f"{way} {chance:7.2f} {folds:6.0f} {share:6.0%} {same:12.0%} {true:6.3f}"


def _study(
    table: Table, study: int, seed: int, scheme: int, finalists: int, chance: float, way: Way
) -> tuple[float, ...]:
    """Return folds, true score, and the winner of each half of a study."""
    pool = np.random.default_rng([study, seed]).permutation(pool_of(table, seed, scheme))[:POOL]
    parts = halves(table, study)
    found = []
    for half in parts:
        alone = uf1(table.counts[pool, seed, scheme, LAST][:, half > 0].sum(1))
        last = pool[np.argsort(-alone, kind="stable")[:finalists]]
        found.append(race(table, last.tolist(), half, chance, way))
    winners = [winner for winner, _ in found]
    scores = []
    for other in others(table, np.array(winners), seed):
        said = table.counts[winners, other, LOSO, LAST]
        left = [counts[half == 0].sum(0) for counts, half in zip(said, parts, strict=True)]
        scores.append(float(uf1(left[0] + left[1])))
    return float(np.mean([folds for _, folds in found])), float(np.mean(scores)), *winners


def race(
    table: Table, finalists: Sequence[int], half: Values, chance: float, way: Way
) -> tuple[int, int]:
    """Return the winner and how many folds were trained for it.

    Args:
        table: What would have been measured.
        finalists: By the score of the search, the best first.
        half: The subjects that count, (S,).
        chance: Smallest share of draws in which one that stays is as good as the leader.
        way: What the first seed is.
    """
    alive, folds = list(finalists), 0
    seeds = [s for s in range(table.whole.shape[1]) if table.whole[alive, s, LOSO].all()]
    for done, seed in enumerate(seeds, start=1):
        blocks = blocks_of(table, seed, LOSO, BLOCK)
        whole = sum(len(trained) for trained, _ in blocks)
        known = {a: table.counts[a, seeds[:done], LOSO, LAST] for a in alive}
        scores = {a: float(uf1(known[a][:, half > 0].sum(1)).mean()) for a in alive}
        stay, folds = [alive[0]], folds + whole
        free = done == 1 and way == "seeds"
        for one in alive[1:]:
            left = 0 if free else _leaves(known[one], known[alive[0]], blocks, half, chance)
            folds += left or whole
            stay += [] if left else [one]
        alive = sorted(stay, key=lambda a: -scores[a])
        if way == "folds" and len(alive) == 1:
            break
    return alive[0], folds


def _leaves(
    ours: Values,
    leader: Values,
    blocks: Sequence[tuple[Sequence[int], Sequence[int]]],
    half: Values,
    chance: float,
) -> int:
    """Return after how many folds of a seed a finalist leaves the race, 0 if it stays."""
    seen: list[int] = []
    trained = 0
    for folds, subjects in blocks:
        trained += len(folds)
        seen += [s for s in subjects if half[s]]
        if len(seen) >= MIN_ANSWERED:
            as_good = chance_as_good(ours[:, seen], leader[:, seen], DRAWS, seed=len(seen))
            if as_good < chance:
                return trained
    return 0
