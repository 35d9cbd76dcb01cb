"""A candidate that trains in a moment, and clips to train it on."""

import pytest

from mer_nas.config.base import Tree
from mer_nas.data import load
from mer_nas.data.clips import ClipSet
from mer_nas.data.config import SyntheticData
from mer_nas.evaluation.candidate import Candidate


def stage(growth: int, **blocks: Tree) -> Tree:
    """Return a stage with the blocks named and none elsewhere."""
    none: Tree = {"kind": "none"}
    slots = {name: blocks.get(name, none) for name in ("down", "local", "global", "gate")}
    return {"growth": growth, **slots}


def tree() -> Tree:
    """Return a candidate of two small stages, with dropout and a routed block."""
    return {
        "architecture": {
            "paths": [
                {
                    "input": "flow_uvs",
                    "size": 28,
                    "stem": {
                        "kind": "conv",
                        "kernel": 3,
                        "stride": 2,
                        "width": 8,
                        "multi_scale": {"kind": "none"},
                        "pool": False,
                    },
                    "stages": [
                        stage(1, local={"kind": "res_basic", "blocks": 1}),
                        stage(1, **{"global": {"kind": "expert", "experts": 2, "top_k": 1}}),
                    ],
                }
            ],
            "head": {"kind": "gap", "dropout": 0.3},
            "drop_path": 0.1,
        },
        "trainer": {"epochs": 2, "batch": 8, "device": "cpu"},
    }


@pytest.fixture
def candidate() -> Candidate:
    return Candidate.parse(tree(), "small")


@pytest.fixture(scope="session")
def clips() -> ClipSet:
    return load(SyntheticData(subjects=3, clips=18))
