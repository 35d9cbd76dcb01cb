"""What a candidate costs, held against the limits of its space before anything is trained."""

from typing import NamedTuple

from mer_nas.architectures import Cost, measure
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.timing import Timing, clock
from mer_nas.space.search_space import Limits


class Price(NamedTuple):
    """What a candidate costs."""

    cost: Cost
    timing: Timing | None = None
    """None where no limit asks for it."""


def price(candidate: Candidate, classes: int, limits: Limits, place: str) -> Price:
    """Return what a candidate costs; times are measured only where a limit speaks of them.

    Raises:
        Infeasible: It costs more than a limit allows.
    """
    cost = measure(candidate.architecture, classes)
    limits.hold(place, params=cost.deployed, macs=cost.macs)
    if not limits.timed:
        return Price(cost)
    timing = clock(candidate, classes)
    limits.hold(place, step_ms=timing.step_ms, clip_ms=timing.clip_ms)
    return Price(cost, timing)
