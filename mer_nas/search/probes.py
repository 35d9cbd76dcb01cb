"""How the prices of a pace are found: a few of the networks that were counted are timed."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from mer_nas.architectures.cost import Effort
from mer_nas.errors import TrainingFailed
from mer_nas.evaluation.metrics import Values
from mer_nas.evaluation.timing import Step, clock_step
from mer_nas.search.alternatives import Draft
from mer_nas.search.pace import Pace

TIMED = 6
"""Candidates that are timed."""


def measured_pace(drafts: Sequence[Draft], classes: int) -> Pace:
    """Return the pace of this machine, from training steps of some of these candidates.

    They are spread over the work that there is to do, and the one with the most is not among
    them: its step alone may take minutes.

    Args:
        drafts: Candidates, at least one.
        classes: Of their data.

    Raises:
        ConfigError: The device that a trainer names is not here.
        TrainingFailed: The network of each of them fails.
    """
    unlike = {draft.effort: draft for draft in drafts}
    by_work = sorted(unlike.values(), key=lambda draft: draft.effort.macs)
    some = by_work[:: max(1, len(by_work) // TIMED)][:TIMED]
    steps: dict[Effort, Step] = {}
    for draft in some:
        try:
            steps[draft.effort] = clock_step(draft.candidate, classes)
        except TrainingFailed as error:  # a trial that draws it will tell
            failed = error
    if not steps:
        raise TrainingFailed(f"no network that was drawn can be trained; of the last, {failed}")
    (machine,) = {step.machine for step in steps.values()}
    return fitted([*steps], [step.seconds for step in steps.values()], machine)


def fitted(efforts: Sequence[Effort], seconds: Sequence[float], machine: str) -> Pace:
    """Return the prices, none below zero, by which relative errors are least.

    With three prices the answer is plain least squares over some of them, the others at zero: of
    these seven the best that has none below zero.

    Args:
        efforts: Of networks, at least one.
        seconds: What a training step of 16 clips took of each; above zero.
        machine: Where that was.
    """
    amounts = np.asarray(efforts, dtype=float)
    scale = np.maximum(amounts.max(axis=0), 1.0)
    relative = amounts / scale / np.asarray(seconds)[:, None]
    found = min(_over_some(relative), key=lambda prices: ((relative @ prices - 1) ** 2).sum())
    operation, mac, value = (float(f"{price:.4g}") for price in found / scale)
    return Pace(per_operation=operation, per_mac=mac, per_value=value, machine=machine)


def _over_some(relative: Values) -> Iterator[Values]:
    """Yield the least-squares prices over each choice of columns, where none is below zero."""
    columns = range(relative.shape[1])
    for size in columns:
        for some in combinations(columns, size + 1):
            prices = np.zeros(len(columns))
            prices[list(some)] = np.linalg.lstsq(relative[:, some], np.ones(len(relative)))[0]
            if prices.min() >= 0:
                yield prices
