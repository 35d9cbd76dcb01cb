"""A published design learns the embedded data: the whole way from rendered faces to pooled UF1."""

from typing import Any

import pytest

from mer_nas.config import presets
from mer_nas.config.base import Tree, validate
from mer_nas.data import load
from mer_nas.data.config import SyntheticData
from mer_nas.data.protocols import plan
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator


def prog_s() -> Tree:
    """Return the progressive-attention network at search scale, 318,463 parameters."""

    def stage(growth: int, down: str) -> dict[str, Any]:
        return {
            "growth": growth,
            "down": {"kind": down},
            "local": {"kind": "res_basic", "blocks": 1},
            "global": {"kind": "none"},
            "gate": {"kind": "prog", "carry": "mul", "kernel": 1},
        }

    stem = {
        "kind": "conv",
        "kernel": 3,
        "stride": 1,
        "width": 16,
        "multi_scale": {"kind": "parallel", "kernels": [3, 5, 7, 9]},
        "pool": False,
    }
    stages = [stage(1, "none"), *(stage(2, "in_block") for _ in range(3))]
    path = {"input": "flow_uvs", "size": 28, "stem": stem, "stages": stages}
    return {"paths": [path], "head": {"kind": "gap"}}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_prog_s_meets_unseen_subjects_with_uf1_of_085(seed: int) -> None:
    trainer = {**presets.read("trainer", "quick"), "device": "cpu"}
    clips = load(validate(SyntheticData, presets.read("data", "synthetic"), "synthetic"))
    candidate = Candidate.parse({"architecture": prog_s(), "trainer": trainer}, "prog_s")
    evaluation = Evaluator(clips, plan(clips), seed).evaluate(candidate)
    assert evaluation.uf1 >= 0.85
