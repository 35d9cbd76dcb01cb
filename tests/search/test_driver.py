import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import Heard
from optuna.trial import TrialState
from scripted import (
    POINTS,
    ScriptedEvaluator,
    Sketch,
    costing,
    evaluator,
    history,
    journal,
    propose,
    result_of,
    search,
)

from mer_nas.errors import Infeasible, StudyError
from mer_nas.evaluation.results import FoldResult, pool
from mer_nas.search import local
from mer_nas.search.budget import Budget
from mer_nas.search.config import SamplerName, StudyConfig
from mer_nas.search.driver import StudyDriver
from mer_nas.search.events import Ended, FoldDone, Outcome, Rejected, SearchEnded, Started
from mer_nas.search.failures import Failure
from mer_nas.search.proposals import Proposal
from mer_nas.search.samplers import RepeatableSampler
from mer_nas.search.storage import sqlite_url
from mer_nas.space import WarmStart


def run(folder: Path, scripted: ScriptedEvaluator, **words: Any) -> list[tuple[Any, ...]]:
    """Run a search to its end and return its history."""
    folder.mkdir(exist_ok=True)
    with search(folder, scripted, **words) as driver:
        local.run(driver, scripted)
        return history(driver)


def only_x(trial: optuna.Trial) -> Proposal:
    """Draw from three candidates."""
    x = trial.suggest_categorical("x", [0.0, 0.5, 1.0])
    sketch = Sketch((("kind", "plain"), ("x", x)))
    return Proposal(sketch, costing(1))  # type: ignore[arg-type]


# Trials and their ends


@dataclass(frozen=True)
class Finished:
    """A search that has come to its end."""

    folder: Path
    scripted: ScriptedEvaluator
    heard: Heard

    def open(self) -> AbstractContextManager[StudyDriver]:
        return search(self.folder, self.scripted, trials=30)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    found = Finished(tmp_path_factory.mktemp("finished"), evaluator(), Heard())
    run(found.folder, found.scripted, trials=30, on_event=found.heard.append)
    return found


def test_points_come_first_and_every_trial_has_one_of_five_ends(finished: Finished) -> None:
    with finished.open() as driver:
        trials = driver.study.get_trials()
        counts = dict(driver.counts)
    assert [trials[0].params, trials[1].params] == [dict(point.params) for point in POINTS]
    assert [trial.user_attrs.get("point") for trial in trials[:3]] == ["low", "high", None]
    states = {
        "complete": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "infeasible": TrialState.FAIL,
        "duplicate": TrialState.FAIL,
    }
    assert set(counts) == set(states)
    for trial in trials:
        assert trial.state == states[trial.user_attrs["outcome"]]
    assert counts["complete"] + counts["pruned"] == 30
    assert sum(counts.values()) == len(trials)


def test_only_complete_trials_have_a_value_and_it_is_the_pooled_uf1(finished: Finished) -> None:
    with finished.open() as driver:
        complete = driver.study.get_trials(states=[TrialState.COMPLETE])
        for trial in complete:
            results = driver.results(trial.user_attrs["candidate"])
            assert len(results) == len(finished.scripted.protocol.folds)
            assert trial.value == pytest.approx(pool(results).uf1, abs=1e-12)
            assert driver.study.best_trial.number == driver.best.number  # type: ignore[union-attr]
    assert complete


def test_a_pruned_trial_is_shorter_and_says_why(finished: Finished) -> None:
    with finished.open() as driver:
        pruned = driver.study.get_trials(states=[TrialState.PRUNED])
        for trial in pruned:
            assert "of the draws of its first" in trial.user_attrs["reason"]
            folds = len(driver.results(trial.user_attrs["candidate"]))
            block_ends = driver.board.block_ends
            assert block_ends[folds] == trial.last_step < len(finished.scripted.protocol.blocks)
            assert list(trial.intermediate_values) == list(range(1, trial.last_step + 1))
    assert pruned


def test_scripted_folds_are_pruned_at_the_block_where_the_bound_falls_below_the_best(
    tmp_path: Path,
) -> None:
    """By hand: all 3 classes of 4 clips; the second trial is wrong from its first fold on.

    One subject a fold, with one clip of each class; a block is a fold. The first trial is right
    throughout but for one negative clip, taken for positive: its F1 are 6/7, 8/9 and 1. A trial
    that takes every positive clip for surprise can reach, after one fold, F1 of 1, 6/7, 8/9,
    which is as much; after two folds 1, 4/6, 8/10, which is less.
    """
    from mer_nas.data.clips import ClipSet
    from mer_nas.data.protocols import divide
    from mer_nas.data.records import Record

    clips = tuple(
        Record("toy", f"s{s}", f"c{label}", label) for s in range(4) for label in range(3)
    )
    toy = ClipSet("toy", ("negative", "positive", "surprise"), clips, {})
    scripted = ScriptedEvaluator(toy, divide(toy, block=0.2))
    points = (WarmStart("good", {"x": 0.0}), WarmStart("bad", {"x": 0.5}))
    with search(
        tmp_path, scripted, propose=only_x, points=points, trials=2, pruner="bound", margin=0.0
    ) as driver:
        first = driver.ask()
        assert first is not None
        for index in first.folds:
            chosen = [1, 1, 2] if index == first.folds[-1] else [0, 1, 2]
            result = result_of(scripted, first.candidate, index, 0, chosen)
            assert driver.observe(first.id, result) is False
        driver.finish(first.id)
        second = driver.ask()
        assert second is not None
        stops = []
        for index in second.folds[:2]:
            result = result_of(scripted, second.candidate, index, 0, [0, 2, 2])
            stops.append(driver.observe(second.id, result))
        driver.finish(second.id)
        good, bad = driver.study.get_trials()
    assert stops == [False, True]
    assert good.value == pytest.approx((6 / 7 + 8 / 9 + 1) / 3)
    assert (good.state, bad.state) == (TrialState.COMPLETE, TrialState.PRUNED)
    # After one fold: F1 of 1, 0 and 2/3, and no score of anything.
    assert bad.intermediate_values == {1: pytest.approx(5 / 9), 2: pytest.approx(5 / 9)}
    bound = (1 + 4 / 6 + 8 / 10) / 3
    assert bad.user_attrs["reason"] == (
        f"can reach a UF1 of at most {bound:.3f}; trial 0 has {good.value:.3f}"
    )


def test_a_complete_trial_is_never_pruned_however_poor(tmp_path: Path) -> None:
    scripted = evaluator(subjects=3)  # with the last of three folds everything is told
    histories = run(tmp_path, scripted, trials=10, block=1.0)
    assert {row[5] for row in histories} <= {"complete", "infeasible", "duplicate"} | {"pruned"}
    for row in histories:
        if row[4] and max(row[4]) == len(scripted.protocol.blocks):
            assert row[5] == "complete"


def test_a_trial_that_fails_keeps_its_error_and_the_others_go_on(tmp_path: Path) -> None:
    class Exploding(ScriptedEvaluator):
        def fold(self, candidate: Any, index: int, repetition: int = 0) -> FoldResult:
            if dict(candidate.values)["kind"] == "gated" and index == 2:
                raise FloatingPointError("the loss is\nnot finite")
            return super().fold(candidate, index, repetition)

    base = evaluator()
    scripted = Exploding(base.clips, base.protocol)
    histories = run(tmp_path, scripted, trials=10, pruner="none")
    failed = [row for row in histories if row[5] == "failed"]
    assert failed
    for row in failed:
        assert row[1] == TrialState.FAIL
        assert row[3]["kind"] == "gated"
        assert row[6] == "FloatingPointError: the loss is not finite"
    assert sum(row[5] in ("complete", "failed") for row in histories) == 10


# The budget


def test_infeasible_and_duplicate_proposals_cost_nothing_of_the_budget(
    finished: Finished,
) -> None:
    with finished.open() as driver:
        histories = history(driver)
    rejected = [row for row in histories if row[5] in ("infeasible", "duplicate")]
    assert len(histories) - len(rejected) == 30
    assert [event.reason for event in finished.heard.of(Rejected)] == [row[6] for row in rejected]
    keys = [row[7] for row in histories if row[7] is not None]
    assert len(set(keys)) == 30


def test_a_space_without_a_feasible_candidate_ends_with_the_reason(tmp_path: Path) -> None:
    def impossible(trial: optuna.Trial) -> Proposal:
        width = trial.suggest_int("width", 1, 1000)
        if width % 50 == 0:
            raise Infeasible("widths of 50 do not fit")
        raise Infeasible(f"toy: {width + 10**6:,} parameters; the limit is 1,000")

    scripted = evaluator()
    with (
        search(tmp_path, scripted, propose=impossible, points=()) as driver,
        pytest.raises(StudyError) as error,
    ):
        local.run(driver, scripted)
    assert str(error.value).startswith("100 proposals in a row were no new candidates; ")
    assert "parameters; the limit is 1,000. Widen the space or its limits" in str(error.value)
    assert scripted.runs == []


def test_a_space_that_is_used_up_ends_the_search_with_what_it_has(tmp_path: Path) -> None:
    scripted, heard = evaluator(), Heard()
    words = {"propose": only_x, "points": (), "trials": 30, "on_event": heard.append}
    with search(tmp_path, scripted, **words) as driver:
        local.run(driver, scripted)
        histories, ended = history(driver), driver.study.user_attrs["ended"]
    assert ended["empty"]  # so nobody is told to search on
    assert sum(row[5] in ("complete", "pruned") for row in histories) == 3
    assert sum(row[5] == "duplicate" for row in histories) == 100 + len(histories) - 103
    (said,) = heard.of(SearchEnded)
    assert isinstance(said, SearchEnded)
    assert said.reason == ended["reason"]
    assert "100 proposals in a row were no new candidates" in said.reason
    assert "because: the same as trial" in said.reason


def test_a_space_with_nothing_open_evaluates_its_one_candidate(tmp_path: Path) -> None:
    def single(trial: optuna.Trial) -> Proposal:
        sketch = Sketch((("kind", "plain"), ("x", 0.5)))
        return Proposal(sketch, costing(1))  # type: ignore[arg-type]

    histories = run(tmp_path, evaluator(), propose=single, points=(), trials=30)
    assert [row[5] for row in histories] == ["complete", "duplicate"]


def test_minutes_bound_the_search_over_all_its_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("mer_nas.search.budget.time.monotonic", lambda: clock[0])

    class Slow(ScriptedEvaluator):
        def fold(self, candidate: Any, index: int, repetition: int = 0) -> FoldResult:
            clock[0] += 3.0
            return super().fold(candidate, index, repetition)

    base = evaluator()  # 12 folds of 3 seconds make a complete trial of 36
    slow = Slow(base.clips, base.protocol)
    words: dict[str, Any] = {"trials": None, "pruner": "none"}
    first = run(tmp_path, slow, minutes=1.0, **words)
    assert [row[5] for row in first] == ["complete", "complete"]
    assert run(tmp_path, slow, minutes=1.0, **words) == first
    more = run(tmp_path, slow, minutes=1.5, **words)
    assert sum(row[5] == "complete" for row in more) == 3


def test_a_search_that_has_ended_is_idle_until_it_gets_more_budget(tmp_path: Path) -> None:
    scripted = evaluator()
    with search(tmp_path, scripted, propose=only_x, points=(), trials=30) as driver:
        assert not driver.idle
        local.run(driver, scripted)  # three candidates, and no more
        ended, before = driver.ended, history(driver)
    heard = Heard()
    with search(
        tmp_path, scripted, propose=only_x, points=(), trials=30, on_event=heard.append
    ) as driver:
        assert driver.idle
        local.run(driver, scripted)
        assert history(driver) == before
    assert heard == [SearchEnded(ended)]
    with search(tmp_path, scripted, propose=only_x, points=(), trials=31) as driver:
        assert not driver.idle


def test_more_trials_extend_a_search_that_has_ended(tmp_path: Path) -> None:
    scripted = evaluator()
    whole = run(tmp_path / "whole", evaluator(), trials=14)
    run(tmp_path / "parts", scripted, trials=6)
    assert run(tmp_path / "parts", scripted, trials=14) == whole
    assert len(scripted.runs) == len(set(scripted.runs))


# Repetition


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "evolutionary"])
def test_equal_seeds_give_equal_searches_and_unequal_ones_do_not(
    tmp_path: Path, sampler: SamplerName
) -> None:
    words: dict[str, Any] = {"sampler": sampler, "startup": 3}
    first = run(tmp_path / "a", evaluator(), trials=7, **words)
    assert run(tmp_path / "b", evaluator(), trials=7, **words) == first
    assert run(tmp_path / "c", evaluator(seed=1), seed=1, trials=3, **words) != first[:3]


def test_a_sampler_that_repeats_itself_in_vain_is_set_aside(tmp_path: Path) -> None:
    """The Gaussian process of Optuna does not hear of infeasible proposals."""
    histories = run(tmp_path, evaluator(), sampler="gp", trials=6, startup=2)
    assert sum(row[5] in ("complete", "pruned") for row in histories) == 6


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tpe", "TPESampler"),
        ("random", "RandomSampler"),
        ("gp", "GPSampler"),
        ("evolutionary", "NSGAIISampler"),
    ],
)
def test_names_choose_optunas_samplers(
    name: SamplerName, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr(optuna.samplers, kind, lambda **_: made.append(kind))
    RepeatableSampler(name, startup=8, seed=0)
    assert made == [kind]


def test_what_the_ledger_holds_is_not_trained_again(tmp_path: Path) -> None:
    first, second = evaluator(), evaluator()
    run(tmp_path, first, trials=10)
    (tmp_path / "study.log").unlink()
    histories = run(tmp_path, second, trials=10)
    assert second.runs == []
    assert sum(row[5] in ("complete", "pruned") for row in histories) == 10


def test_a_half_drawn_trial_continues_with_the_same_draws(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", evaluator(), trials=10)
    drawn = 0

    def breaks_off(trial: optuna.Trial) -> Proposal:
        nonlocal drawn
        if trial.number == 8:
            drawn += 1
            trial.suggest_float("x", 0.0, 1.0, step=0.05)
            raise KeyboardInterrupt
        return propose(trial)

    scripted = evaluator()
    (tmp_path / "parts").mkdir()
    with (
        search(tmp_path / "parts", scripted, propose=breaks_off, trials=10) as driver,
        pytest.raises(KeyboardInterrupt),
    ):
        local.run(driver, scripted)
    assert drawn == 1
    assert run(tmp_path / "parts", scripted, trials=10) == whole


def test_trials_in_flight_are_adopted_and_none_stays_running(tmp_path: Path) -> None:
    scripted = evaluator()
    with search(tmp_path, scripted, trials=6) as driver:
        jobs = [driver.ask() for _ in range(3)]  # three workers
        for job in jobs:
            assert job is not None
            result = scripted.fold(job.candidate, job.folds[0])
            driver.observe(job.id, result)
        keys = [job.candidate.key for job in jobs if job is not None]
    with search(tmp_path, scripted, trials=6) as driver:
        again = [driver.ask() for _ in range(3)]
        assert [job.candidate.key for job in again if job is not None] == keys
        order = [index for block in scripted.protocol.blocks for index in block]
        assert [job.folds for job in again if job is not None] == [tuple(order[1:])] * 3
    histories = run(tmp_path, scripted, trials=6)
    assert TrialState.RUNNING not in {row[1] for row in histories}
    assert len(scripted.runs) == len(set(scripted.runs))


# What is heard


def test_events_tell_of_every_fold_and_of_no_partial_score(finished: Finished) -> None:
    heard = finished.heard
    assert len(heard.of(FoldDone)) == len(finished.scripted.runs)
    assert len(heard.of(Started)) == len(heard.of(Ended)) == 30
    for event in heard.of(Ended):
        assert isinstance(event, Ended)
        assert (event.value is not None) == (event.outcome == "complete") == (event.done == 12)
    assert heard[-1] == SearchEnded("30 trials are done")


def test_a_second_finish_changes_nothing(tmp_path: Path) -> None:
    scripted = evaluator()
    with search(tmp_path, scripted, trials=1) as driver:
        job = driver.ask()
        assert job is not None
        driver.finish(job.id, Failure("worker died"))
        driver.finish(job.id)
        (row,) = [row for row in history(driver) if row[5] is not None]
    assert row[5:7] == ("failed", "worker died")


# The storage


def test_every_storage_holds_the_same_search(tmp_path: Path) -> None:
    histories = [
        run(tmp_path / storage.__name__, evaluator(), storage=storage)
        for storage in (journal, sqlite_url)
    ]
    assert histories[0] == histories[1]
    assert {file.name for file in tmp_path.rglob("study.*")} == {"study.log", "study.db"}


def test_optunas_tools_can_read_while_the_search_writes(tmp_path: Path) -> None:
    run(tmp_path, evaluator(), trials=2, storage=sqlite_url)
    with sqlite3.connect(tmp_path / "study.db") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all/study.db", "carrierpigeon://x"])
def test_a_storage_that_cannot_be_opened_is_named(tmp_path: Path, url: str) -> None:
    from mer_nas.search.ledger import Ledger

    scripted = evaluator()
    with (
        Ledger(tmp_path / "ledger.jsonl") as ledger,
        pytest.raises(StudyError, match=f"study.storage={url}: the storage cannot be opened"),
    ):
        StudyDriver(
            propose=propose,
            points=(),
            settings=StudyConfig(),
            clips=scripted.clips,
            protocol=scripted.protocol,
            ledger=ledger,
            code="",
            storage=url,
        )


def test_results_of_other_conditions_do_not_count(tmp_path: Path) -> None:
    from mer_nas.search.ledger import Ledger

    scripted = evaluator()
    run(tmp_path, scripted, trials=1)
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        old = [replace(result, code="another") for result in ledger]
    path.unlink()
    with Ledger(path) as ledger:
        for result in old:
            ledger.append(result)
    (tmp_path / "study.log").unlink()
    again = evaluator()
    run(tmp_path, again, trials=1)
    assert again.runs == scripted.runs


def test_a_fold_that_other_code_trained_is_refused(tmp_path: Path) -> None:
    scripted = evaluator()
    with search(tmp_path, scripted, trials=1) as driver:
        job = driver.ask()
        assert job is not None
        result = scripted.fold(job.candidate, job.folds[0])
        with pytest.raises(StudyError, match="trained by version other of the code that decides"):
            driver.observe(job.id, replace(result, code="other"))
        assert not driver.observe(job.id, result)


# What every trial fails of


class Counted:
    """Stands in for the study that a budget keeps its counts in."""

    def __init__(self) -> None:
        self.user_attrs: dict[str, object] = {}


@pytest.mark.parametrize(
    ("ends", "given_up"),
    [
        ("fff", True),  # the first three, for one reason
        ("ff", False),
        ("cfffff", False),  # one that was complete: the fault may be of some choices only
        ("cffffffffff", True),  # ten in a row
        ("fffffffffcf", False),
        ("fgfgf", False),  # for two reasons
        ("pfffffffff", False),
    ],
)
def test_only_what_fails_again_and_again_for_one_reason_ends_a_search(
    ends: str, given_up: bool
) -> None:
    budget = Budget(StudyConfig(trials=40), Counted())  # type: ignore[arg-type]
    outcomes: dict[str, Outcome] = {"c": "complete", "p": "pruned", "f": "failed", "g": "failed"}
    reasons = {"f": "Diverged: after {} steps", "g": "OutOfMemory: {} MiB"}
    for number, end in enumerate(ends):
        budget.ended(outcomes[end], reasons.get(end, "").format(number))
    assert bool(budget.failing) is given_up
    assert budget.spent(0) == budget.failing
