"""What a study's scores are worth: the choice corrected, the headline, the winner against others.

Everything follows from the predictions in the ledger and can be computed again without training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mer_nas.errors import DataError
from mer_nas.report import ComparisonFacts, EstimateFacts, HeadlineFacts, SelectionFacts
from mer_nas.search.config import StudyConfig
from mer_nas.statistics import Counts, Estimate, compare, correct, estimate, uf1
from mer_nas.statistics.counts import FEWEST_SUBJECTS
from mer_nas.wording import count

if TYPE_CHECKING:
    from mer_nas.study.facts import Contender, Memory

FEWEST_COMPLETE = 10
"""Complete trials below which the correction misses too much of the choice."""


def selection(memory: Memory) -> tuple[SelectionFacts | None, str]:
    """Return what choosing among the complete trials does to the best score, or why it is unknown.

    The candidates of the correction are the complete trials under the protocol of the search, the
    earliest first.
    """
    study, shape = memory.settings.study, memory.origin.search
    pool = [memory.counts(shape, key) for key in memory.keys("complete")]
    whole = [counts for counts in pool if counts is not None]
    if not whole:
        return None, "no trial is complete"
    try:
        found = correct(np.stack(whole), memory.origin.data.classes)
    except DataError as error:
        return None, str(error)
    facts = SelectionFacts(
        candidates=found.candidates,
        pruned=len(memory.keys("pruned")),
        protocol=shape.name,
        score=found.score,
        optimism=found.optimism,
        uf1=_facts(found.uf1),
        uar=_facts(found.uar),
        accuracy=_facts(found.accuracy),
        caveat=_caveat(study, found.candidates),
    )
    return facts, ""


def headline(memory: Memory, chosen: SelectionFacts | None) -> HeadlineFacts | None:
    """Return the winner's score less what the choice flatters it by, with its interval.

    The score is that of the final stage where there was one; the optimism is always estimated at
    the fidelity of the search, where the choice was made. It never adds to a score.
    """
    if chosen is None:
        return None
    optimism = max(0.0, chosen.optimism)
    finalists = memory.finalists
    if finalists:
        counts = _of(memory, finalists[0][0])
        mean, seeds = float(uf1(counts.sum(-3)).mean()), len(counts)
        value = _facts(estimate(counts, less=optimism))
    else:
        mean, seeds, value = chosen.score, 1, chosen.uf1
    return HeadlineFacts(
        uf1=value, mean=mean, seeds=seeds, optimism=optimism, upper_bound=bool(chosen.caveat)
    )


def comparisons(memory: Memory) -> tuple[ComparisonFacts, ...]:
    """Compare the winner with the runner-up and with every warm start, under one protocol.

    That is the protocol of the final stage; without one, that of the search.
    """
    finalists = [entry for entry, _ in memory.finalists]
    ranked = finalists or memory.ranked()
    if len(ranked) < 2 or len(memory.origin.data.subjects) < FEWEST_SUBJECTS:
        return ()
    winner, runner_up, *rest = ranked
    others = [runner_up, *(entry for entry in rest if entry.warm_start)]
    counts = {entry.label: _of(memory, entry) for entry in others}
    found = compare(_of(memory, winner), counts)
    shape = memory.origin.final if finalists else None
    return tuple(
        ComparisonFacts(
            label=entry.label,
            origin=entry.origin,
            warm_start=entry.warm_start,
            protocol=(shape or memory.origin.search).name,
            uf1=float(uf1(counts[entry.label].sum(-3)).mean()),
            seeds=len(counts[entry.label]),
            difference=_facts(found[entry.label].difference),
            p=found[entry.label].p,
            adjusted=found[entry.label].adjusted,
        )
        for entry in others
    )


def _of(memory: Memory, entry: Contender) -> Counts:
    """Return the confusions (R, S, K, K) of a contender's whole repetitions."""
    final, shape = memory.settings.study.final, memory.origin.final
    found: list[Counts | None] = []
    if final is not None and shape is not None:
        key = entry.candidate.key
        found = [memory.counts(shape, key, repetition) for repetition in range(final.seeds)]
    whole = [counts for counts in found if counts is not None]
    if not whole:
        searched = memory.counts(memory.origin.search, entry.searched)
        assert searched is not None, f"{entry.label} is not complete"
        whole = [searched]
    return np.stack(whole)


def _caveat(study: StudyConfig, complete: int) -> str:
    """Return why the optimism is only a lower bound; empty where it is an estimate."""
    if complete < FEWEST_COMPLETE:
        return f"{count(complete, 'complete trial')}, and {FEWEST_COMPLETE} are needed"
    if not study.spares:
        return f"the pruner ({study.pruning}) leaves too few runners-up"
    return ""


def _facts(found: Estimate) -> EstimateFacts:
    return EstimateFacts(value=found.value, low=found.low, high=found.high)
