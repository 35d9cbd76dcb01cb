"""The five networks that the tests know from outside, and small trees to change."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mer_nas.architectures import SLOTS, refresh

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
def registries() -> Iterator[None]:
    """Forget, after the test, the blocks that it registers."""
    before = {name: dict(registry._components) for name, registry in SLOTS.items()}
    yield
    for name, registry in SLOTS.items():
        registry._components = before[name]
    refresh()
