"""What people would run instead, at the same compute, by replay on the table of `tabular`.

    python benchmarks/peers.py [table=benchmarks/tabular.npz] [studies=20] [scheme=4] [truth=4]

Each search measures in subject groups, and hands over what it would have chosen after a share of
the compute that the longest of them takes (core-minutes); the others in 8 groups with 30 epochs if
nothing else is said, and in those of scheme=:

- `ours`: as `studies/standard.yaml` with `trainer=proxy`: 4 groups, 20 epochs, TPE, of two draws
  the one that is trained soonest, without a final stage; the same with 30 epochs, and with the
  bootstrap pruner;
- `Ray Tune + Optuna`: OptunaSearch as documented, that is Optuna's TPESampler as it comes, every
  trial to its end;
- `... + ASHA`: with Ray's ASHAScheduler on the score after each epoch that the table has (grace
  period 10 of 30 epochs, the default reduction factor);
- `Ray Tune ASHA`: the same on random draws;
- `Optuna`: TPESampler as it comes and MedianPruner (5 trials and 1 fold of warm-up), told of the
  score after each fold;
- `random search`.

Searches see half of the subjects, and what they hand over is asked about the other half with
networks of other seeds (see `searching.py`): mean UF1 over studies, each with a split of its own.
The single winner is the best complete candidate; the ensemble of five is ours, for each of them.
The last lines say with which share of the compute ours comes as close to the best of the others
with all of it as makes no difference (.005). It takes about ten minutes of one core.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from optuna.samplers import TPESampler
from proposing import Sampled
from searching import (
    RULES,
    STUDIES,
    Plan,
    Row,
    Searched,
    judge,
    modelled,
    spared,
    studied,
)
from table import EPOCHS, FILE, SCHEMES, Table

from mer_nas.search.pruners import build

CLOSE = 0.005
"""In UF1, what counts as equal: less than the standard error over studies."""
SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
OURS_PROPOSES = partial(Sampled, sampler=modelled, alternatives=2)
OURS = (
    Plan("ours", "4", 20, propose=OURS_PROPOSES),
    Plan("ours, 30 epochs", "4", propose=OURS_PROPOSES),
    Plan("ours, pruned", "4", 20, pruner=spared, propose=OURS_PROPOSES),
)


class Asha:
    """Ray's ASHA over epochs."""

    def __init__(self) -> None:
        from ray.tune.schedulers import ASHAScheduler

        self._scheduler = ASHAScheduler(
            "epochs", "uf1", "max", max_t=EPOCHS[-1], grace_period=EPOCHS[0]
        )
        self._stop = ASHAScheduler.STOP
        self._added: set[int] = set()

    def stops(self, number: int, epochs: int, score: float) -> bool:
        """Ask the scheduler as Ray does."""
        trial: Any = SimpleNamespace(trial_id=str(number))
        nobody: Any = None
        if number not in self._added:
            self._added.add(number)
            self._scheduler.on_trial_add(nobody, trial)
        told = {"epochs": epochs, "uf1": score}
        return bool(self._scheduler.on_trial_result(nobody, trial, told) == self._stop)


optuna_search = partial(Sampled, sampler=lambda seed: TPESampler(seed=seed))
PEERS = (
    Plan("Ray Tune + Optuna", propose=optuna_search),
    Plan("... + ASHA", propose=optuna_search, rungs=Asha),
    Plan("Ray Tune ASHA", rungs=Asha),
    Plan(
        "Optuna",
        propose=optuna_search,
        pruner=partial(build, "median", 0, 0),
        block=0.0,
    ),
    Plan("random search"),
)

Studies = Sequence[tuple[Searched, Searched]]


def curve(
    table: Table, plan: Plan, found: Studies, rule: str, whole: float
) -> Mapping[float, Row]:
    """Return what a plan hands over, by the share of the whole compute that it had."""
    rows = {share: judge(table, plan, found, rule, share * whole) for share in SHARES}
    return {share: row for share, row in rows.items() if row is not None}


def seconds(found: Studies) -> float:
    """Return how long searches take until all is tried, on average."""
    return float(np.mean([half.seconds for study in found for half in study]))


def main(words: Sequence[str]) -> None:
    """Replay all of them, and print the curves."""
    own = dict(word.split("=", 1) for word in words)
    truth = SCHEMES.index(own.get("truth", "loso"))
    table = replace(Table.load(Path(own.get("table", FILE))), truth=truth)
    print(table.describe())
    given = {"scheme": own["scheme"]} if "scheme" in own else {}
    ours, peers = list(OURS), [replace(plan, **given) for plan in PEERS]
    studies = int(own.get("studies", STUDIES))
    found = {plan: studied(table, plan, studies) for plan in (*ours, *peers)}
    whole = max(seconds(each) for each in found.values())
    print(f"all of the compute: {whole / 60:.1f} core-minutes a search")
    for rule in RULES:
        print(f"\n{rule:<18}" + "".join(f"{share:7.0%}" for share in SHARES))
        curves = {plan: curve(table, plan, each, rule, whole) for plan, each in found.items()}
        for plan, each in curves.items():
            cells = [f"{each[s].score:7.3f}" if s in each else "      -" for s in SHARES]
            print(f"{plan.name:<18}" + "".join(cells), flush=True)
        best = max(peers, key=lambda plan: curves[plan][1.0].score)
        goal = curves[best][1.0].score
        print(f"the best of the others is {best.name} with {goal:.3f}")
        for plan in ours:
            near = [s for s, row in curves[plan].items() if row.score >= goal - CLOSE]
            share = f"{min(near):.0%} of the compute" if near else "no share of the compute"
            print(f"{plan.name} comes within {CLOSE} of that with {share}")


if __name__ == "__main__":
    main(sys.argv[1:])
