"""The rows of the ablations of the progressive-attention paper, as points, references and tables."""

from typing import Any

import pytest

from mer_nas import systems
from mer_nas.settings import resolve
from mer_nas.space import SearchSpace
from mer_nas.space.published import PublishedTable

KERNELS = {"d": (3, 5, 7, 9), "e": (1, 3, 5, 7), "g": (5, 7, 9, 11), "h": (3,) * 4, "i": (9,) * 4}


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return resolve(["space=progressive_ablation"]).space


@pytest.fixture(scope="module")
def weights(space: SearchSpace) -> dict[str, int]:
    return {system.name: system.params for system in systems.published_systems(space, classes=3)}


def rows(table: PublishedTable) -> dict[str, Any]:
    return {row.name: row for row in table.rows}


def test_rows_differ_by_what_they_say_and_by_nothing_else(weights: dict[str, int]) -> None:
    """By hand: a branch of kernel k has k x k x C x C/4 weights; BatchNorm over C has 2 C.

    A gate is a 1 x 1 convolution from two maps to one, with bias: 3 weights, 4 times.
    """
    assert weights["ablation_d_224"] == 11_339_473  # the published network
    for size, width in (("", 16), ("_224", 64)):
        for row, kernels in KERNELS.items():
            module = sum(k * k for k in kernels) * width * width // 4 + 2 * width
            gates = weights[f"ablation_b{size}"]
            assert weights[f"ablation_{row}{size}"] - gates == module
        for with_gates, without in (("b", "a"), ("d", "c")):
            more = weights[f"ablation_{with_gates}{size}"] - weights[f"ablation_{without}{size}"]
            assert more == 4 * 3


def test_the_published_numbers_are_those_of_the_paper(space: SearchSpace) -> None:
    modules, kernels = (rows(table) for table in space.file.tables)
    assert list(modules) == ["A", "B", "C", "D"]
    assert list(kernels) == ["E", "F", "G", "H", "I"]
    assert modules["D"].scores == kernels["F"].scores
    assert modules["D"].point == kernels["F"].point
    # The gains that the text states, in accuracy; its 0.154 on SAMM is the gain in F1.
    gains = {
        name: round(modules["D"].scores[name].accuracy - modules["A"].scores[name].accuracy, 3)
        for name in ("SMIC", "CASME II")
    }
    assert gains == {"SMIC": 0.173, "CASME II": 0.209}
    samm = modules["D"].scores["SAMM"].uf1 - modules["A"].scores["SAMM"].uf1
    assert round(samm, 3) == 0.154
    # An accuracy is a number of clips; on SAMM two are not, in the paper.
    sizes = {"SMIC": 167, "CASME II": 249, "SAMM": 136}
    odd = {
        (row.name, name)
        for row in (*modules.values(), *kernels.values())
        for name, clips in sizes.items()
        if abs(row.scores[name].accuracy - round(row.scores[name].accuracy * clips) / clips)
        > 0.00051
    }
    assert odd == {("G", "SAMM"), ("H", "SAMM")}


def test_the_study_goes_through_the_rows_and_nothing_else(space: SearchSpace) -> None:
    settings = resolve(["space=progressive_ablation", "study=ablation"])
    assert systems.grid(settings.space, settings.study.sampler) == []
    named = {row.point for table in space.file.tables for row in table.rows}
    assert [point.name for point in settings.space.points] == sorted(named)
    assert settings.study.folds == "loso"
    assert settings.study.final is not None
    assert settings.study.final.candidates == len(named)
