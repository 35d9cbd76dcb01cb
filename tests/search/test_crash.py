"""A driver that is killed with SIGKILL at every moment at which it has something to lose.

Each case is a process that kills itself at a named point (see `mer_nas.search.crash_points`); a second one
resumes. Afterwards everything must be as in a search that nobody disturbed.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from killed import TRIALS
from optuna.trial import TrialState
from scripted import COSTLY, evaluator, history, search

from mer_nas.search import interrupts, local
from mer_nas.search.ledger import read
from mer_nas.search.storage import sqlite_url

SCRIPT = Path(__file__).with_name("killed.py")

MOMENTS = (
    ("after_create", 4, "bootstrap"),  # Optuna knows the trial, nothing is drawn
    ("after_choice", 4, "bootstrap"),  # it is noted which of its draws it becomes
    ("after_ask", 3, "bootstrap"),  # drawn, and nobody trains it
    ("mid_fold", 9, "bootstrap"),  # trained, and not in the ledger
    ("after_ledger", 12, "bootstrap"),  # in the ledger, and not in the study
    ("after_report", 5, "bootstrap"),  # in the study, and the pruner is not asked
    ("after_report", 14, "halving"),  # the same, for a pruner that keeps notes
    ("after_should_prune", 14, "halving"),
    ("before_tell", 4, "bootstrap"),  # its end is noted, and not told
    ("after_tell", 3, "bootstrap"),  # told
)


def undisturbed(folder: Path, pruner: str) -> list[tuple[Any, ...]]:
    folder.mkdir()
    scripted = evaluator()
    with search(folder, scripted, trials=TRIALS, pruner=pruner, **COSTLY) as driver:
        local.run(driver, scripted)
        return history(driver)


def in_storage(folder: Path) -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.db'}")
    trials = optuna.load_study(study_name="search", storage=storage).get_trials()
    storage.engine.dispose()
    return trials


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Any, ...]]]:
    """Histories of searches that nobody disturbs, by pruner."""
    folder = tmp_path_factory.mktemp("whole")
    return {pruner: undisturbed(folder / pruner, pruner) for pruner in ("bootstrap", "halving")}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int, str], Path]:
    """Folders of searches that were killed, by moment."""
    root = tmp_path_factory.mktemp("killed")
    folders = {moment: root / f"{moment[0]}-{moment[2]}" for moment in MOMENTS}
    for folder in folders.values():
        folder.mkdir()
    words = [f"{point}/{n}/{pruner}/{folders[point, n, pruner]}" for point, n, pruner in MOMENTS]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "each", *words], capture_output=True, text=True, timeout=600
    )
    assert done.stdout.split() == [str(-signal.SIGKILL)] * len(MOMENTS), done.stderr
    return folders


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: f"{moment[0]}-{moment[2]}")
def test_a_search_killed_at_any_moment_ends_as_if_nothing_had_been(
    moment: tuple[str, int, str],
    killed: dict[tuple[str, int, str], Path],
    whole: dict[str, list[tuple[Any, ...]]],
) -> None:
    folder, pruner = killed[moment], moment[2]
    before = read(folder / "ledger.jsonl")
    (running,) = [t for t in in_storage(folder) if t.state == TrialState.RUNNING] or [None]
    assert (running is None) == (moment[0] == "after_tell")

    scripted = evaluator()
    words = {"trials": TRIALS, "pruner": pruner, "storage": sqlite_url}
    with search(folder, scripted, **words, **COSTLY) as driver:
        local.run(driver, scripted)
        resumed = history(driver)

    assert resumed == whole[pruner]
    after = read(folder / "ledger.jsonl")
    assert after[: len(before)] == before
    assert set(Counter(result.key for result in after).values()) == {1}
    assert len(scripted.runs) == len(after) - len(before)
    assert TrialState.RUNNING not in {row[1] for row in resumed}


def test_ctrl_c_ends_a_search_at_once_and_leaves_it_to_be_resumed(tmp_path: Path) -> None:
    for number in interrupts.SIGNALS:

        class Interrupted(type(evaluator())):  # type: ignore[misc]
            def fold(
                self, candidate: Any, index: int, repetition: int = 0, n: int = number
            ) -> Any:
                if len(self.runs) == 15:
                    os.kill(os.getpid(), n)
                return super().fold(candidate, index, repetition)

        base = evaluator()
        scripted = Interrupted(base.clips, base.protocol)
        folder = tmp_path / number.name
        folder.mkdir()
        handlers = [signal.getsignal(n) for n in interrupts.SIGNALS]
        with (
            search(folder, scripted, trials=3, pruner="none") as driver,
            pytest.raises(KeyboardInterrupt),
        ):
            local.run(driver, scripted)
        assert [signal.getsignal(n) for n in interrupts.SIGNALS] == handlers
        assert len(read(folder / "ledger.jsonl")) == 15
        again = evaluator()
        with search(folder, again, trials=3, pruner="none") as driver:
            local.run(driver, again)
            assert dict(driver.counts) == {"complete": 3}
        assert len(again.runs) == 3 * 12 - 15


def test_a_signal_whose_exception_was_thrown_away_ends_the_search_all_the_same(
    tmp_path: Path,
) -> None:
    class Deaf(type(evaluator())):  # type: ignore[misc]
        def fold(self, candidate: Any, index: int, repetition: int = 0) -> Any:
            if len(self.runs) == 3:
                with contextlib.suppress(KeyboardInterrupt):  # as a callback from C code does
                    os.kill(os.getpid(), signal.SIGTERM)
            return super().fold(candidate, index, repetition)

    base = evaluator()
    scripted = Deaf(base.clips, base.protocol)
    with (
        search(tmp_path, scripted, trials=3, pruner="none") as driver,
        pytest.raises(KeyboardInterrupt, match="SIGTERM"),
    ):
        local.run(driver, scripted)
    assert len(read(tmp_path / "ledger.jsonl")) == 4  # the fold is kept, and nothing begins


def test_what_was_to_be_ignored_from_the_start_ends_nothing() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as `nohup` does with SIGHUP
    try:
        with interrupts.interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
