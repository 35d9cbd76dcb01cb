"""The search as numbers in Ray's metrics, which its dashboard and Grafana draw by trial.

Ray forgets a gauge that is not set again within some 20 s, and a fold may take longer: so they are
set again and again, those of a trial until it ends.
"""

import threading
from collections.abc import Sequence
from typing import Any

from mer_nas.tracking.runs import News, RunAdvanced, RunBegan, RunEnded

GAUGES = {
    "uf1_partial": ("UF1 over the folds so far; no score until all are done.", True),
    "folds_done": ("Folds of the trial that are done.", True),
    "loss": ("Mean training loss of the last epoch of the last fold.", True),
    "fold_seconds": ("Seconds that the last fold took.", True),
    "best_uf1": ("UF1 of the best complete trial.", False),
    "complete": ("Complete trials.", False),
    "pruned": ("Pruned trials.", False),
    "failed": ("Failed trials.", False),
}
"""By name, after "mer_nas_": what it says, and whether of each trial."""


EVERY = 5.0
"""Seconds after which all are set again; Ray reads them every ten."""


class RayGauges:
    """Sets the gauges, in the process that drives the search.

    Args:
        study: Its name, a tag of every gauge.
        every: Seconds after which all are set again.
    """

    def __init__(self, study: str, every: float = EVERY) -> None:
        from ray.util.metrics import Gauge

        self._study = study
        self._gauges: dict[str, Any] = {
            name: Gauge(
                f"mer_nas_{name}", said, tag_keys=("study", "trial") if each else ("study",)
            )
            for name, (said, each) in GAUGES.items()
        }
        self._best = 0.0
        self._ends = {"complete": 0, "pruned": 0, "failed": 0}
        self._values: dict[tuple[str, str], float] = {}
        """By gauge and trial; by gauge and nothing those of the study."""
        self._changing, self._closed = threading.Lock(), threading.Event()
        again = threading.Thread(
            target=self._again, args=(every,), name="mer-nas-gauges", daemon=True
        )
        again.start()

    def told(self, found: Sequence[News]) -> bool:
        """Set what has changed; return False where Ray takes no more of it."""
        import ray

        if not ray.is_initialized():
            return False
        for news in found:
            match news:
                case RunAdvanced(run, _, _, values):
                    self._advance(run.name, values)
                case RunEnded(run, outcome, _, uf1, _) if outcome in self._ends:
                    self._ends[outcome] += 1
                    self._best = max(self._best, uf1 or 0.0)
                    self._set(outcome, self._ends[outcome])
                    self._set("best_uf1", self._best)
                    self._forget(run.name)
                case RunBegan(run):
                    self._set("folds_done", 0, run.name)
        return True

    def close(self) -> None:
        """Set none again."""
        self._closed.set()

    def _advance(self, trial: str, values: Any) -> None:
        for name in ("uf1_partial", "folds_done", "fold_seconds"):
            self._set(name, values[name], trial)
        if "fold_loss" in values:
            self._set("loss", values["fold_loss"], trial)

    def _set(self, name: str, value: float, trial: str = "") -> None:
        with self._changing:
            self._values[name, trial] = float(value)
        self._tell(name, trial, float(value))

    def _forget(self, trial: str) -> None:
        with self._changing:
            self._values = {key: v for key, v in self._values.items() if key[1] != trial}

    def _again(self, every: float) -> None:
        import ray

        while not self._closed.wait(every) and ray.is_initialized():
            with self._changing:
                known = dict(self._values)
            for (name, trial), value in known.items():
                self._tell(name, trial, value)

    def _tell(self, name: str, trial: str, value: float) -> None:
        tags = {"study": self._study, **({"trial": trial} if trial else {})}
        self._gauges[name].set(value, tags=tags)
