"""Random draws of the shipped spaces."""

import random
from collections.abc import Callable, Iterator

import pytest
from torch import Tensor, randn

from mer_nas.architectures import Architecture, Cost, parse_drawn
from mer_nas.config import presets
from mer_nas.errors import Infeasible
from mer_nas.settings import resolve
from mer_nas.space import SearchSpace

Draws = Callable[[SearchSpace], Iterator[Architecture | None]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for a `space` each shipped one."""
    if "space" in metafunc.fixturenames:
        metafunc.parametrize("space", sorted(presets.names("space")), indirect=True)


@pytest.fixture
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return resolve([f"space={request.param}"]).space


@pytest.fixture
def closed() -> Draws:
    """Draws without end, brought into form; None for one that breaks a rule."""

    def draws(space: SearchSpace) -> Iterator[Architecture | None]:
        chance = random.Random(0)
        while True:
            try:
                yield parse_drawn(space.draw(chance)["architecture"])
            except Infeasible:
                yield None

    return draws


@pytest.fixture
def affordable(closed: Draws) -> Draws:
    """The same; None for one that costs more than the space allows, too."""

    def draws(space: SearchSpace) -> Iterator[Architecture | None]:
        for architecture in closed(space):
            try:
                if architecture is not None:
                    cost = Cost.of(architecture, classes=3)
                    space.limits.hold(space.name, params=cost.deployed, macs=cost.macs)
                yield architecture
            except Infeasible:
                yield None

    return draws


@pytest.fixture
def clips() -> Callable[[Architecture, int], list[Tensor]]:
    """What a network is given: so many random clips for each of its inputs."""

    def drawn(architecture: Architecture, count: int) -> list[Tensor]:
        return [randn(count, *architecture.shapes[name]) for name in architecture.inputs]

    return drawn
