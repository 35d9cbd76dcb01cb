"""The page of a study as it stands now: its report so far, how far it is, and who is at work.

Nothing of the study is touched, by whatever process it is driven: it is read as anybody's data.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from optuna.trial import TrialState

from mer_nas.errors import MerNasError
from mer_nas.report import build_report
from mer_nas.report.live import Live, LiveJob
from mer_nas.report.page import render, render_waiting
from mer_nas.search.budget import COUNTED
from mer_nas.search.lock import Driver, driver_of
from mer_nas.study.folder import StudyFolder
from mer_nas.study.state import StudyState
from mer_nas.study.summary import summary
from mer_nas.wording import count

GROWING = (
    "*.jsonl",
    "settings.yaml",
    "driver.lock",
    "outer/*/ledger.jsonl",
    "outer/*/trials.jsonl",
)
"""The files of a study that say whether there is something new, as patterns."""
REST = 9.0
"""Seconds of rest after each second of a processor that a page took: the study comes first."""


class LivePage:
    """The page of a study, written anew when the study has grown.

    Args:
        folder: The study.
        clock: Tells seconds.
        cost: Tells the seconds of a processor that this thread has had.

    Raises:
        MerNasError: The study cannot be read, or wants to run files that nobody agreed to.
    """

    def __init__(
        self,
        folder: StudyFolder,
        clock: Callable[[], float] = time.monotonic,
        cost: Callable[[], float] = time.thread_time,
    ) -> None:
        self._folder, self._clock, self._cost = folder, clock, cost
        self._writing = threading.Lock()
        self._version, self._html, self._until = "", "", 0.0
        folder.settings()  # a mistake in them is said before anybody waits for a page
        self.html()

    def version(self) -> str:
        """Return what stands for the page that `html` would return now."""
        if self._clock() < self._until:
            return self._version
        return _version(self._folder.path)

    def html(self) -> str:
        """Return the page, anew where the study has grown and the last one is long enough ago."""
        with self._writing:
            version = self.version()
            if version != self._version:
                began = self._cost()
                self._html, self._version = self._written(version), version
                self._until = self._clock() + REST * (self._cost() - began)
            return self._html

    def _written(self, version: str) -> str:
        """Return the page, or one that says why there is none."""
        try:
            state = StudyState(self._folder, self._folder.origin(), looking=True)
            if not state.told_of:
                return render_waiting(self._folder.name, "No trial has begun yet.", version)
            return render(build_report(summary(state)), live(state), version)
        except MerNasError as error:
            if not self._html:
                raise
            return render_waiting(self._folder.name, str(error), version)


def live(state: StudyState) -> Live:
    """Return how a study stands."""
    driver = driver_of(state.folder.path)
    ledger, now = state.folder.ledger, datetime.now(UTC)
    ray = state.settings.ray
    return Live(
        running=driver is not None and bool(driver.alive),
        driver=_driven(driver),
        stage=_stage(state),
        jobs=(*_searched(state), *_measured(state)),
        workers="as many as there are processors or GPUs for"
        if ray.workers is None
        else count(ray.workers, "worker")
        if ray.workers
        else "the process of the study itself",
        last_fold=datetime.fromtimestamp(ledger.stat().st_mtime, UTC)
        if state.results and ledger.is_file()
        else None,
        seen=now,
    )


def _version(folder: Path) -> str:
    """Return what changes whenever a study grows."""
    found = []
    for file in sorted(path for pattern in GROWING for path in folder.glob(pattern)):
        facts = file.stat()
        found.append(f"{facts.st_size:x}.{facts.st_mtime_ns:x}")
    return "-".join(found)


def _driven(driver: Driver | None) -> str:
    if driver is None:
        return "nobody drives it now"
    who = f"process {driver.pid} on {driver.host}"
    if driver.alive is None:
        return f"last driven by {who}; whether it still runs cannot be seen from this machine"
    if driver.alive:
        return f"driven by {who} since {driver.since}"
    return f"{who}, which drove it since {driver.since}, has died; `mer-nas resume` goes on"


def _stage(state: StudyState) -> str:
    """Return how far search and final stage are."""
    study = state.settings.study
    outcomes = Counter(str(trial.user_attrs["outcome"]) for trial in state.trials)
    ended = sum(outcomes[outcome] for outcome in COUNTED)
    of = "" if study.trials is None else f" of {study.trials}"
    parts = [f"{outcomes[name]} {name}" for name in COUNTED if outcomes[name]]
    search = f"search: {ended}{of} trials" + "".join(f", {part}" for part in parts)
    if not state.stopped or study.final is None or state.origin.final is None:
        return search
    entries, protocol = state.for_final(), state.origin.final
    whole = sum(
        len(state.under(protocol, entry.candidate.key, seed)) == len(protocol.folds)
        for entry in entries
        for seed in range(study.final.seeds)
    )
    return f"{search}; final stage: {whole} of {len(entries) * study.final.seeds} repetitions"


def _searched(state: StudyState) -> Iterator[LiveJob]:
    """Yield the trials that have begun and not ended."""
    shape = state.origin.search
    for trial in state.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if key := trial.user_attrs.get("candidate"):
            done = len(state.under(shape, key))
            label = f"trial {trial.number}"
            yield LiveJob(label, state.origin_of(trial), done, len(shape.folds))


def _measured(state: StudyState) -> Iterator[LiveJob]:
    """Yield the repetitions of the final stage of which some folds are there, but not all."""
    final, protocol = state.settings.study.final, state.origin.final
    if final is None or protocol is None or not state.stopped:
        return
    for entry in state.for_final():
        for seed in range(final.seeds):
            done = len(state.under(protocol, entry.candidate.key, seed))
            if 0 < done < len(protocol.folds):
                label = f"{entry.label}, seed {seed + 1} of {final.seeds}"
                yield LiveJob(label, entry.origin, done, len(protocol.folds))
