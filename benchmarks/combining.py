"""What a rule that chooses one candidate or several hands over, as it looks and as it is.

Naive: the UF1 by which it chose. Corrected: BBC-CV with the whole choice repeated in every draw of
subjects. True: chosen on one half of the subjects, asked about the other half, by networks of
other seeds where there are any; both halves are pooled before they are scored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from table import LAST, Table

from mer_nas.evaluation.metrics import Values, uf1
from mer_nas.statistics.ensembles import (
    Choose,
    EnsembleRule,
    OutOfFold,
    best_one,
    correct_choice,
)

SPLITS = 20
"""Into halves of the subjects."""
DRAWS = 200
"""Of subjects, for a correction."""
POOLS = 4
"""Random pools of a size, of which a correction is the mean."""


@dataclass(frozen=True)
class Rule:
    """A way to choose, and how many seeds of what was chosen answer together."""

    name: str
    choose: Choose
    seeds: int = 1


def all_alike(pool: OutOfFold, draw: Values) -> Values:
    """Give every candidate the same weight."""
    return np.full(len(pool.probabilities), 1 / len(pool.probabilities))


def better_of(first: Choose, second: Choose, lead: float) -> Choose:
    """Return a rule: what the first chooses, unless what the second does leads by more."""

    def choose(pool: OutOfFold, draw: Values) -> Values:
        one, two = first(pool, draw), second(pool, draw)
        ahead = pool.scores(pool.answers(two), draw) - pool.scores(pool.answers(one), draw)
        return two if ahead > lead else one

    return choose


def near(members: int, gap: float) -> Choose:
    """Return a rule: the mean of the best few, those too far below the best left out."""

    def choose(pool: OutOfFold, draw: Values) -> Values:
        scores = pool.scores(pool.probabilities.argmax(-1), draw)
        best = np.argsort(-scores, kind="stable")[:members]
        weights = np.zeros(len(scores))
        weights[best] = scores[best] >= scores[best[0]] - gap
        return weights / weights.sum()

    return choose


RULES = (
    Rule("the best one", best_one),
    Rule("2 seeds of it", best_one, seeds=2),
    Rule("3 seeds of it", best_one, seeds=3),
    *(Rule(f"mean of the best {n}", EnsembleRule("mean", n)) for n in (2, 3, 5, 7, 10)),
    Rule("5, or 1 that leads .02", better_of(EnsembleRule("weights", 5), best_one, 0.02)),
    Rule("up to 5 within .02", near(5, 0.02)),
    Rule("up to 5 within .05", near(5, 0.05)),
    Rule("mean of all", all_alike),
    Rule("best 3, 2 seeds each", EnsembleRule("mean", 3), seeds=2),
    Rule("best 5, 2 seeds each", EnsembleRule("mean", 5), seeds=2),
    *(Rule(f"weights of {n}", EnsembleRule("weights", n)) for n in (3, 5, 10)),
    Rule("weights of 3, 2 seeds", EnsembleRule("weights", 3), seeds=2),
    Rule("weights of 5, 2 seeds", EnsembleRule("weights", 5), seeds=2),
    *(Rule(f"greedy, {n} times", EnsembleRule("greedy", n)) for n in (5, 10, 20)),
)
HEAD = "handed over            members  naive corrected   true  ahead (sd)    for"


def lines(table: Table, scheme: int, epoch: int, size: int) -> Iterator[str]:
    """Yield a line for each rule, chosen among `size` candidates at one fidelity."""
    single: Values | None = None
    seeds = chosen_by(table, scheme)
    yield HEAD
    for rule in RULES:
        if rule.seeds > len(seeds):
            continue
        rows = [row for seed in seeds for row in _looks(table, rule, seed, scheme, epoch, size)]
        members, naive, corrected = np.mean(rows, axis=0)
        true = np.array([true_scores(table, rule, s, scheme, epoch, size) for s in seeds])
        single = true if single is None else single
        ahead = (true - single).mean(0)
        yield (
            f"{rule.name:<22} {members:7.1f} {naive:6.3f} {corrected:9.3f} {true.mean():6.3f} "
            f"{ahead.mean():+6.3f} ({ahead.std(ddof=1):.3f}) {(ahead > 0).mean():4.0%}"
        )


def chosen_by(table: Table, scheme: int) -> list[int]:
    """Return the seeds of which a pool is whole; seeds that few candidates have are left out."""
    sizes = [len(pool_of(table, seed, scheme)) for seed in range(table.whole.shape[1])]
    return [seed for seed, size in enumerate(sizes) if size >= 0.9 * max(sizes) > 2]


def pool_of(table: Table, seed: int, scheme: int) -> Values:
    """Return the candidates whose scheme and LOSO are whole with a seed and all seeds before.

    Of a table that is still being measured, seeds that few candidates have are no part of it.
    """
    whole = table.whole[:, seed, scheme] & table.whole[:, : seed + 1, table.truth].all(1)
    return np.flatnonzero(whole)


def others(table: Table, pool: Values, seed: int) -> list[int]:
    """Return the seeds that score what `seed` chose: others if there are any."""
    known = [s for s in range(table.whole.shape[1]) if table.whole[pool, s, table.truth].all()]
    return [s for s in known if s != seed] or [seed]


def _looks(
    table: Table, rule: Rule, seed: int, scheme: int, epoch: int, size: int
) -> list[tuple[float, float, float]]:
    """Return members, naive and corrected UF1 of a rule in some pools."""
    every = pool_of(table, seed, scheme)
    pools = POOLS if size < len(every) else 1
    found = []
    for number in range(pools):
        pool = np.random.default_rng([number, seed]).permutation(every)[:size]
        said = table.said[pool, seed, scheme, epoch]
        if rule.seeds > 1:
            ours = [seed, *others(table, pool, seed)][: rule.seeds]
            asked = [s for s in ours if table.whole[pool, s, scheme].all()]
            if len(asked) < rule.seeds:
                return [(np.nan, np.nan, np.nan)]
            said = table.said[pool][:, asked, scheme, epoch].mean(1)
        known = OutOfFold(said.astype(np.float64), table.labels, table.subjects)
        corrected = correct_choice(known, rule.choose, table.made["classes"], DRAWS)
        weights = rule.choose(known, np.ones(table.subjects.max() + 1))
        found.append(((weights > 0).sum() * rule.seeds, corrected.score, corrected.uf1.value))
    return found


def true_scores(
    table: Table, rule: Rule, seed: int, scheme: int, epoch: int, size: int
) -> list[float]:
    """Return the true score in each split; the same splits and pools for every rule."""
    every = pool_of(table, seed, scheme)
    found = []
    for split in range(SPLITS):
        chance = np.random.default_rng([split, seed])
        pool = chance.permutation(every)[:size]
        known = table.said[pool, seed, scheme, epoch].astype(np.float64)
        seeds = others(table, pool, seed)
        if rule.seeds > 1:
            seeds = [*seeds, *({seed} - set(seeds))][: rule.seeds]
            handed = [table.said[pool][:, seeds, table.truth, LAST].mean(1)]
        else:
            handed = [table.said[pool, s, table.truth, LAST] for s in seeds]
        found.append(true_score(table, rule.choose, known, handed, halves(table, split)))
    return found


def halves(table: Table, split: int) -> Sequence[Values]:
    """Return two draws of subjects, (S,) of ones and zeros, each the half of the other."""
    subjects = table.subjects.max() + 1
    first = np.zeros(subjects)
    first[np.random.default_rng(split).permutation(subjects)[: subjects // 2]] = 1
    return first, 1 - first


def true_score(
    table: Table, choose: Choose, known: Values, handed: Sequence[Values], parts: Sequence[Values]
) -> float:
    """Choose on each half what answers for the other; return the pooled UF1, mean of `handed`.

    Args:
        table: Whose clips they are.
        choose: The rule.
        known: What it sees of the candidates, (C, N, K).
        handed: What the candidates say where it is scored, (C, N, K) for each seed.
        parts: The halves.
    """
    pool = OutOfFold(known, table.labels, table.subjects)
    scores = []
    chosen = [choose(pool, half) for half in parts]
    for said in handed:
        confusion = 0
        for half, weights in zip(parts, chosen, strict=True):
            counts = table.counted(np.tensordot(weights, said, 1))
            confusion = confusion + counts[half == 0].sum(0)
        scores.append(float(uf1(confusion)))
    return float(np.mean(scores))
