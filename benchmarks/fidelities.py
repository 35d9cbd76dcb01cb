"""How well each cheaper measurement ranks what LOSO over all seeds ranks, and what it costs."""

from collections.abc import Iterator

import numpy as np
from table import EPOCHS, LAST, LOSO, SCHEMES, Table, spearman

from mer_nas.evaluation.metrics import Values

HEAD = "scheme epochs  core-s  Spearman all  others  chosen  candidates"


def lines(table: Table) -> Iterator[str]:
    """Yield the table of the fidelities, the cheapest of each scheme first."""
    seeds = [seed for seed in range(table.whole.shape[1]) if table.whole[:, seed, LOSO].sum() > 2]
    yield HEAD
    for scheme, name in enumerate(SCHEMES):
        for epoch, epochs in enumerate(EPOCHS):
            found = [_row(table, seed, seeds, scheme, epoch) for seed in seeds]
            known = [row for row in found if row is not None]
            if not known:
                continue
            cost, every, others, chosen, count = np.nanmean(np.array(known), axis=0)
            yield (
                f"{name:<6} {epochs:6} {cost:7.1f} {every:13.3f} {others:7.3f} {chosen:+7.3f}"
                f"  {count:.0f} x {len(known)}"
            )


def _row(
    table: Table, seed: int, seeds: list[int], scheme: int, epoch: int
) -> tuple[float, ...] | None:
    """Return what one fidelity of one seed says, or nothing where it is not there."""
    here = table.whole[:, seed, scheme] & table.whole[:, seeds, LOSO].all(1)
    if here.sum() < 3:
        return None
    cheap = table.scores[here, seed, scheme, epoch]
    full: Values = table.scores[here][:, seeds, LOSO, LAST]
    cost = float(table.cost[here, seed, scheme, epoch].mean())
    every = spearman(cheap, full.mean(1))
    apart = [place for place, other in enumerate(seeds) if other != seed]
    if not apart:
        return cost, every, np.nan, np.nan, here.sum()
    truth = full[:, apart].mean(1)
    return cost, every, spearman(cheap, truth), truth[cheap.argmax()] - truth.mean(), here.sum()
