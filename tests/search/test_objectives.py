"""Searches for several things at once, and studies of a closed list of candidates."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import Heard
from optuna.trial import TrialState
from pydantic import ValidationError
from scripted import ScriptedEvaluator, costing, evaluator, history, propose, search

from mer_nas.errors import Infeasible
from mer_nas.evaluation.results import FoldResult
from mer_nas.search import local
from mer_nas.search.config import SamplerName, StudyConfig
from mer_nas.search.events import SearchEnded
from mer_nas.search.objectives import front
from mer_nas.search.proposals import Proposal
from mer_nas.space import WarmStart

SAMPLERS: tuple[SamplerName, ...] = ("tpe", "random", "gp", "evolutionary")


def dearer(trial: optuna.Trial) -> Proposal:
    """Draw a sketch whose cost grows with its quality, and with y for nothing."""
    drawn = propose(trial)
    values = dict(drawn.candidate.values)  # type: ignore[attr-defined]
    return replace(drawn, cost=costing(int(1000 * values["x"]) + 100 * values["y"] + 1))


def run(folder: Path, scripted: ScriptedEvaluator, **words: Any) -> list[tuple[Any, ...]]:
    folder.mkdir(exist_ok=True)
    words = {"objectives": ("uf1", "macs"), "propose": dearer, **words}
    with search(folder, scripted, **words) as driver:
        local.run(driver, scripted)
        trials = driver.study.get_trials()
    return [(trial.state, trial.values, trial.params) for trial in trials]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_searches_a_front(tmp_path: Path, sampler: SamplerName) -> None:
    words: dict[str, Any] = {"sampler": sampler, "startup": 2, "trials": 4}
    first = run(tmp_path / "a", evaluator(), **words)
    states = [state for state, _, _ in first]
    assert states.count(TrialState.COMPLETE) == 4
    assert TrialState.PRUNED not in states  # although the bound was asked for
    for state, values, params in first:
        if state == TrialState.COMPLETE:
            assert values is not None
            assert 0 <= values[0] <= 1
            assert values[1] == int(1000 * params["x"]) + 100 * params["y"] + 1
    if sampler in ("tpe", "gp"):  # which model several values at once
        assert run(tmp_path / "b", evaluator(), **words) == first


def test_a_search_for_a_front_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    class Breaking(ScriptedEvaluator):
        def fold(self, candidate: Any, index: int, repetition: int = 0) -> FoldResult:
            if len(self.runs) == 40:
                raise KeyboardInterrupt
            return super().fold(candidate, index, repetition)

    whole = run(tmp_path / "whole", evaluator(), trials=6)
    base = evaluator()
    breaking = Breaking(base.clips, base.protocol)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", breaking, trials=6)
    assert run(tmp_path / "parts", base, trials=6) == whole
    assert len(base.runs) == 6 * 12 - 40


def test_the_front_holds_what_nothing_betters() -> None:
    # By hand: b is worse and dearer than a; d as good as a, and dearer; e costs least in weights.
    a, b, c, d, e = (0.8, 50, 9), (0.7, 60, 9), (0.6, 10, 9), (0.8, 51, 9), (0.1, 70, 1)
    assert front([b, c, a, d, e]) == [2, 1, 4]
    assert front([a, a]) == [0]
    assert front([]) == []


@pytest.mark.parametrize("found", [["macs"], ["macs", "uf1"], ["uf1", "macs", "macs"], []])
def test_objectives_begin_with_the_score(found: list[str]) -> None:
    with pytest.raises(ValidationError, match="uf1 first, and behind it macs, params or both"):
        StudyConfig.model_validate({"objectives": found})


# Closed lists


def test_a_grid_trains_every_row_to_its_end_and_stops(tmp_path: Path) -> None:
    scripted, heard = evaluator(), Heard()
    rows = [{"x": x, "kind": "plain", "y": y} for x in (0.0, 0.6) for y in (0, 5)]
    points = (WarmStart("known", {"x": 0.3, "kind": "plain", "y": 0}),)
    words: dict[str, Any] = {"sampler": "grid", "trials": None, "points": points, "grid": rows}
    with search(tmp_path, scripted, on_event=heard.append, **words) as driver:
        local.run(driver, scripted)
        trials = driver.study.get_trials()
        first = history(driver)
    assert [trial.params for trial in trials] == [dict(points[0].params), *rows]
    # y=5 needs x up to 0.5: that row is no candidate, and the others are not pruned.
    assert [row[5] for row in first] == ["complete"] * 4 + ["infeasible"]
    assert len(scripted.runs) == 4 * 12
    assert heard[-1] == SearchEnded("every row is done")
    with search(tmp_path, scripted, **words) as driver:
        assert driver.idle
        local.run(driver, scripted)
        assert history(driver) == first


def test_a_study_of_points_tries_nothing_else(tmp_path: Path) -> None:
    scripted = evaluator()
    with search(tmp_path, scripted, sampler="points", grid=()) as driver:
        local.run(driver, scripted)
        assert [row[5] for row in history(driver)] == ["complete", "complete"]


def test_a_grid_whose_rows_are_all_infeasible_ends_without_a_winner(tmp_path: Path) -> None:
    def impossible(trial: optuna.Trial) -> Proposal:
        trial.suggest_categorical("x", [0, 1])
        raise Infeasible("never")

    scripted = evaluator()
    rows = [{"x": 0}, {"x": 1}]
    with search(
        tmp_path, scripted, propose=impossible, points=(), grid=rows, sampler="grid"
    ) as driver:
        local.run(driver, scripted)
        assert (driver.best, driver.ended) == (None, "every row is done")
