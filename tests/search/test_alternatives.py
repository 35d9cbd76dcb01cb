"""Of several draws for a trial, the one that is soonest trained; and nothing of the others."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from scripted import (
    COSTLY,
    PACE,
    POINTS,
    Sketch,
    costing,
    draft,
    evaluator,
    history,
    propose,
    search,
)

from mer_nas.architectures.cost import Effort
from mer_nas.search import local
from mer_nas.search.alternatives import Draft
from mer_nas.search.config import SamplerName, StudyConfig
from mer_nas.search.proposals import Proposal
from mer_nas.search.storage import sqlite_url
from mer_nas.settings import Settings, resolve


def run(folder: Path, **words: Any) -> list[tuple[Any, ...]]:
    """Run a search to its end and return its history."""
    folder.mkdir(exist_ok=True)
    scripted = evaluator()
    with search(folder, scripted, **{"pruner": "none", **words}) as driver:
        local.run(driver, scripted)
        return history(driver)


def mean_cost(histories: list[tuple[Any, ...]]) -> float:
    """Return the mean cost of what was trained: 2 to the power of y."""
    costs = [2 ** row[3]["y"] for row in histories if row[5] == "complete"]
    return sum(costs) / len(costs)


# What is taken


def test_random_candidates_get_cheaper_as_the_least_of_eight_would(tmp_path: Path) -> None:
    """By hand: y is 0 to 5, each as likely, and costs 2^y, so 10.5 on average.

    Of eight the least is 0 with a chance of 1 - (5/6)^8, and so on: 1.33 on average, an eighth.
    Some y of 5 are infeasible, and a few draws are taken, which moves both a little.
    """
    plain = mean_cost(run(tmp_path / "plain", sampler="random", trials=40, points=()))
    costly = mean_cost(run(tmp_path / "costly", sampler="random", trials=40, points=(), **COSTLY))
    chances = [((6 - y) / 6) ** 8 - ((5 - y) / 6) ** 8 for y in range(6)]
    least = sum(chance * 2**y for y, chance in enumerate(chances))
    assert least == pytest.approx(1.33, abs=0.01)
    assert costly == pytest.approx(least, rel=0.2)
    assert 5 < plain / costly < 9


@pytest.mark.parametrize(
    ("sampler", "startup"), [("tpe", 8), ("evolutionary", 8), ("gp", 16), ("random", 8)]
)
def test_candidates_cost_less_than_half_with_every_sampler(
    tmp_path: Path, sampler: SamplerName, startup: int
) -> None:
    """Eight settings that each double the cost or leave it, and make no difference to scores."""

    def eight(trial: Any) -> Sketch:
        doubled = [trial.suggest_int(f"d{n}", 0, 1) for n in range(8)]
        x = trial.suggest_float("x", 0.0, 1.0, step=0.05)
        return Sketch((("kind", "plain"), ("macs", 2 ** sum(doubled)), ("x", x)))

    def drafted(trial: Any) -> Draft:
        sketch = eight(trial)
        macs = dict(sketch.values)["macs"]
        return Draft(sketch, Effort(0, macs, 0))  # type: ignore[arg-type]

    def cost(folder: str, **words: Any) -> float:
        histories = run(
            tmp_path / folder,
            propose=lambda trial: Proposal(eight(trial), costing(1)),  # type: ignore[arg-type]
            sampler=sampler,
            startup=startup,
            points=(),
            trials=16,
            **words,
        )
        costs = [2 ** sum(row[3][f"d{n}"] for n in range(8)) for row in histories if row[4]]
        assert len(costs) == 16
        return sum(costs) / len(costs)

    assert cost("costly", **{**COSTLY, "draft": drafted}) < cost("plain") / 2


def test_what_is_there_already_is_not_taken_again(tmp_path: Path) -> None:
    def only_x(trial: Any) -> Sketch:
        return Sketch((("kind", "plain"), ("x", trial.suggest_categorical("x", [0.0, 0.5, 1.0]))))

    histories = run(
        tmp_path,
        propose=lambda trial: Proposal(only_x(trial), costing(1)),  # type: ignore[arg-type]
        draft=lambda trial: Draft(only_x(trial), Effort(1, 1, 1)),  # type: ignore[arg-type]
        pace=PACE,
        points=(),
        trials=3,
        alternatives=20,
    )
    assert [row[5] for row in histories] == ["complete"] * 3


def test_points_that_are_soonest_trained_come_first(tmp_path: Path) -> None:
    histories = run(tmp_path / "costly", points=POINTS[::-1], trials=2, **COSTLY)
    assert [row[3]["y"] for row in histories] == [1, 2]
    histories = run(tmp_path / "plain", points=POINTS[::-1], trials=2)
    assert [row[3]["y"] for row in histories] == [2, 1]


@pytest.mark.parametrize(
    ("words", "weighs"),
    [
        ({}, True),
        ({"sampler": "random"}, True),
        ({"alternatives": 1}, False),
        ({"sampler": "grid"}, False),
        ({"sampler": "points"}, False),
        ({"objectives": ["uf1", "macs"]}, False),
    ],
)
def test_costs_weigh_where_one_score_is_sought_among_open_draws(
    words: dict[str, Any], weighs: bool
) -> None:
    assert StudyConfig(**words).weighs_cost is weighs


# What is kept


def test_the_storage_holds_what_was_taken_and_nothing_of_the_others(tmp_path: Path) -> None:
    scripted = evaluator()
    with search(tmp_path, scripted, trials=10, storage=sqlite_url, **COSTLY) as driver:
        local.run(driver, scripted)
        trials = driver.study.get_trials()
    alternatives = [trial.user_attrs.get("alternative") for trial in trials]
    assert alternatives[:2] == [None, None]  # points are given
    assert len(set(alternatives[2:])) > 2
    for trial in trials:
        gates = {"gates"} if trial.params["kind"] == "gated" else set()
        assert set(trial.params) == {"x", "kind", "y"} | gates
        if trial.user_attrs["outcome"] != "infeasible":
            sketch = Sketch(tuple(sorted(trial.params.items())))
            assert trial.user_attrs["candidate"] == sketch.key


def test_one_alternative_is_the_search_of_before(tmp_path: Path) -> None:
    before = run(tmp_path / "before", trials=10)
    assert run(tmp_path / "one", trials=10, **{**COSTLY, "alternatives": 1}) == before


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "evolutionary"])
def test_the_same_seed_and_pace_give_the_same_proposals(
    tmp_path: Path, sampler: SamplerName
) -> None:
    words: dict[str, Any] = {"sampler": sampler, "trials": 6, "startup": 4, **COSTLY}
    assert run(tmp_path / "a", **words) == run(tmp_path / "b", **words)


@pytest.mark.parametrize("moment", ["choosing", "drawing"])
def test_a_trial_that_was_cut_off_goes_on_with_the_same_alternative(
    tmp_path: Path, moment: str
) -> None:
    whole = run(tmp_path / "whole", trials=10, **COSTLY)
    begun = 0

    def draft_breaks_off(suggester: Any) -> Draft:
        nonlocal begun
        begun += 1
        if moment == "choosing" and begun == 2 + 8 * 6 + 3:  # two points, six trials, two draws
            suggester.suggest_float("x", 0.0, 1.0, step=0.05)
            raise KeyboardInterrupt
        return draft(suggester)

    def breaks_off(trial: optuna.Trial) -> Proposal:
        if moment == "drawing" and trial.number == 8:
            trial.suggest_float("x", 0.0, 1.0, step=0.05)
            raise KeyboardInterrupt
        return propose(trial)

    words = {"trials": 10, **COSTLY, "draft": draft_breaks_off, "propose": breaks_off}
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", **words)
    assert run(tmp_path / "parts", trials=10, **COSTLY) == whole


def test_studies_of_before_go_on_without_weighing_costs() -> None:
    new = resolve([]).dump()
    assert new["study"].pop("alternatives") == 2
    assert new["study"].pop("pace") is None
    assert Settings.load(new, "settings.yaml").study.weighs_cost is False
    assert resolve(["study.alternatives=4"]).study.weighs_cost is True
