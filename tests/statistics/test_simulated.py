"""Corrected scores against the truth, in simulated studies where it is known by construction.

The studies are those of `benchmarks/pruners.py`: the subjects and classes of 309 real clips.
"""

import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mer_nas.data.protocols import divide
from mer_nas.search.config import StudyConfig
from mer_nas.search.pruners import build

CANDIDATES = 30
STUDIES = {"blind": 200, "spread": 100}
DEFAULT = StudyConfig()
PRUNERS = ("none", DEFAULT.pruner)


@cache
def simulator() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / "pruners.py"
    spec = importlib.util.spec_from_file_location("simulated_pruners", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["simulated_pruners"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def finished(world: str, pruner: str) -> list[Any]:
    """Run the studies of a world, on 8 groups of subjects."""
    module = simulator()
    clips = module.clip_set("casme2+smic")
    protocol = divide(clips, 8)
    return [
        module.search(
            study(world, seed),
            protocol,
            build(pruner, DEFAULT.chance, DEFAULT.margin, len(protocol.blocks)),  # type: ignore[arg-type]
            CANDIDATES,
        )
        for seed in range(STUDIES[world])
    ]


@cache
def study(world: str, seed: int) -> Any:
    module = simulator()
    return module.Study(module.clip_set("casme2+smic"), world, seed)


def mean(found: list[Any], of: Callable[[Any], float]) -> float:
    return float(np.mean([of(each) for each in found]))


def test_the_simulated_set_has_the_subjects_and_classes_of_the_real_one() -> None:
    clips = simulator().clip_set("casme2+smic")
    assert clips.counts() == {
        "clips": 309,
        "subjects": 40,
        "negative": 158,
        "positive": 83,
        "surprise": 68,
    }


@pytest.mark.parametrize("pruner", PRUNERS)
def test_where_all_candidates_are_alike_the_corrected_best_is_worth_a_random_one(
    pruner: str,
) -> None:
    found = finished("blind", pruner)
    chance = np.mean(
        [
            float(simulator().uf1(one.answers(one.propose(number, None)).sum(0)))
            for one in (study("blind", seed) for seed in range(STUDIES["blind"]))
            for number in range(CANDIDATES)
        ]
    )
    assert mean(found, lambda each: each.score) > chance + 0.03
    assert mean(found, lambda each: each.correction.uf1.value) == pytest.approx(chance, abs=0.01)


@pytest.mark.parametrize("pruner", PRUNERS)
def test_where_skill_is_known_the_corrected_score_is_the_winners_true_one(pruner: str) -> None:
    found = finished("spread", pruner)
    naive = mean(found, lambda each: each.score - each.truth - each.luck)
    error = mean(found, lambda each: each.correction.uf1.value - each.truth - each.luck)
    covered = mean(
        found, lambda each: each.correction.uf1.low <= each.truth <= each.correction.uf1.high
    )
    assert naive > 0.02
    assert abs(error) <= 0.01
    assert 0.90 <= covered <= 0.99


def test_the_default_pruner_saves_a_third_and_loses_no_winner_to_speak_of() -> None:
    found = finished("spread", DEFAULT.pruner)
    assert mean(found, lambda each: each.saved) > 1 / 3
    assert mean(found, lambda each: each.missed) < 0.002
