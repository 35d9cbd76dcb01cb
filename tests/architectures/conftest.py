"""The sixteen networks that the tests know from outside, and small trees to change."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mer_nas.architectures import BuildContext, parse

Tree = dict[str, Any]


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def _points() -> Tree:
    tree: Tree = yaml.safe_load((Path(__file__).parent / "points.yaml").read_text())
    return tree


@pytest.fixture
def points(_points: Tree) -> Tree:
    return deepcopy(_points)


@pytest.fixture
def small() -> Callable[..., Tree]:
    """Return a maker of trees: stages as given, behind a small stem on a 28 x 28 input."""

    def make(*stages: Tree, stem: Tree | None = None, **rest: Any) -> Tree:
        path = {"stem": stem or {"kind": "conv", "width": 16}, "stages": list(stages)}
        return {"paths": [path], **rest}

    return make


@pytest.fixture
def context(small: Callable[..., Tree]) -> Callable[..., BuildContext]:
    """Return a maker of contexts on a path that has nothing special."""
    path = parse(small({"local": {"kind": "res_basic"}})).paths[0]

    def make(channels: int, width: int, size: int) -> BuildContext:
        stages = tuple(stage.blocks for stage in path.stages)
        return BuildContext("here", channels, width, (size, size), stages)

    return make
