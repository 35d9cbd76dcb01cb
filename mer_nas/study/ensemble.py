"""The ensemble of a study: complete trials that answer together.

Members and weights are chosen by what the trials said in the search, as finalists are. The final
stage then trains the members like any finalist, and what they say of a held-out clip with one seed
is combined with that seed, so that an ensemble is measured seed by seed as a single candidate is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mer_nas import files
from mer_nas.architectures import Cost
from mer_nas.evaluation.results import FoldResult
from mer_nas.search.config import EnsembleConfig
from mer_nas.statistics import EnsembleRule, OutOfFold, RuleName
from mer_nas.study.trial import Trial


@dataclass(frozen=True)
class Ensemble:
    """Trials whose class probabilities are combined."""

    rule: RuleName
    """How they were chosen."""
    members: tuple[Trial, ...]
    """At least two, the heaviest first, of equals the better."""
    weights: tuple[float, ...]
    """One a member, above 0; they sum to 1."""

    @property
    def label(self) -> str:
        """How people call it."""
        return f"ensemble of {len(self.members)}"

    @property
    def origin(self) -> str:
        """The rule: nobody else proposed it."""
        return self.rule

    @property
    def key(self) -> str:
        """What identifies it: equal keys, equal answers; in the form of a candidate's."""
        parts = (
            f"{member.candidate.key} {weight!r}"
            for member, weight in zip(self.members, self.weights, strict=True)
        )
        return files.digest("\n".join(sorted(parts)))[: len(self.members[0].candidate.key)]

    def combined(self, answers: Sequence[FoldResult]) -> FoldResult:
        """Return what it says of the held-out clips of a fold.

        Args:
            answers: What each member says of them, with one seed.
        """
        said = OutOfFold.of([[each] for each in answers], answers[0].subjects)
        mean = np.tensordot(self.weights, said.probabilities, 1)
        return replace(
            answers[0],
            candidate=self.key,
            probabilities=tuple(map(tuple, mean.tolist())),
            epochs=max(each.epochs for each in answers),
            seconds=math.fsum(each.seconds for each in answers),
            losses=(),
        )


def choose_ensemble(
    complete: Sequence[Trial], pool: OutOfFold, config: EnsembleConfig, classes: int
) -> tuple[Ensemble | None, str]:
    """Return the ensemble of complete trials, or why there is none.

    Args:
        complete: The trials, two or more, earliest first.
        pool: What they said in the search, in the same order.
        config: How members are chosen.
        classes: K.
    """
    weights = rule_of(config, complete, classes)(pool, np.ones(int(pool.subjects.max()) + 1))
    order = sorted(
        np.flatnonzero(weights).tolist(),
        key=lambda place: (-weights[place], -(complete[place].value or 0.0), place),
    )
    if not order:
        return None, f"no complete trial costs as little as {_limits(config)}"
    if len(order) == 1:
        within = f" within {_limits(config)}" if config.limited else ""
        return None, f"the rule {config.rule} took {complete[order[0]].label} alone{within}"
    members = tuple(complete[place] for place in order)
    return Ensemble(config.rule, members, tuple(float(weights[place]) for place in order)), ""


def rule_of(config: EnsembleConfig, complete: Sequence[Trial], classes: int) -> EnsembleRule:
    """Return the rule that chooses members among complete trials."""
    limits = {"macs": config.macs, "deployed": config.params}
    known = {name: float(limit) for name, limit in limits.items() if limit is not None}
    costs = [Cost.of(t.candidate.architecture, classes) for t in complete] if known else []
    return EnsembleRule(
        config.rule,
        config.members,
        [[float(getattr(cost, name)) for name in known] for cost in costs],
        tuple(known.values()),
    )


def _limits(config: EnsembleConfig) -> str:
    said = {"macs": config.macs, "params": config.params}
    return " and ".join(
        f"study.final.ensemble.{name}={limit:,}" for name, limit in said.items() if limit
    )
