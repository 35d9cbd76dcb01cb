"""What a training step will take, from what is known before."""

import re
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from torch.utils._python_dispatch import TorchDispatchMode

from mer_nas.architectures import Cost, Network
from mer_nas.architectures.cost import Effort
from mer_nas.errors import ConfigError, Infeasible
from mer_nas.search.draws import KnownDraw
from mer_nas.search.pace import Pace
from mer_nas.search.probes import fitted
from mer_nas.search.proposals import Proposer
from mer_nas.settings import resolve

EFFORTS = [
    Effort(100, 10**6, 10**5),
    Effort(400, 10**6, 10**6),
    Effort(200, 10**8, 10**6),
    Effort(900, 10**7, 10**7),
]


def test_prices_that_explain_every_step_are_found() -> None:
    true = Pace(per_operation=5e-5, per_mac=2e-9, per_value=1e-8)
    found = fitted(EFFORTS, [true.step_seconds(effort) for effort in EFFORTS], "here")
    assert found.per_operation == pytest.approx(5e-5, rel=1e-3)
    assert found.per_mac == pytest.approx(2e-9, rel=1e-3)
    assert found.per_value == pytest.approx(1e-8, rel=1e-3)
    assert found.step_seconds(Effort(1000, 10**9, 0)) == pytest.approx(0.05 + 2, rel=1e-3)


def test_no_price_falls_below_zero() -> None:
    """More values went with shorter steps: by plain least squares they would be paid for."""
    efforts = [Effort(100, 0, 10**6), Effort(100, 0, 5 * 10**5)]
    found = fitted(efforts, [0.01, 0.02], "here")
    assert found.per_value == 0
    assert found.per_operation > 0


@pytest.mark.parametrize("seed", range(20))
def test_prices_are_the_least_squares_ones_of_scipy(seed: int) -> None:
    draw = np.random.default_rng(seed)
    efforts = [Effort(*map(int, row)) for row in draw.integers(1, 10**6, (6, 3))]
    seconds = draw.uniform(0.01, 1.0, 6)
    relative = np.array(efforts, dtype=float) / seconds[:, None]
    right, _ = nnls(relative, np.ones(6))
    found = fitted(efforts, seconds.tolist(), "here")
    prices = [found.per_operation, found.per_mac, found.per_value]
    assert prices == pytest.approx(right, rel=1e-3, abs=1e-15)


class Called(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operators that are called, and the numbers that they give."""

    operations = values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.operations += 1
        self.values += found.numel() if isinstance(found, torch.Tensor) else 0
        return found


@pytest.mark.parametrize("name", ["prog_s", "dre_s"])
def test_what_there_is_to_do_is_what_is_done_of_a_clip(name: str) -> None:
    settings = resolve(["space=moe"])
    proposer = Proposer(settings.space, settings.trainer, classes=3)
    (point,) = (point for point in settings.space.points if point.name == name)
    found = proposer.draft(KnownDraw(point.params, Random(0)))
    network = found.candidate.architecture
    clip = [torch.rand(1, *network.shapes[name]) for name in network.inputs]
    with torch.no_grad():
        module = Network(network, classes=3).eval()
        with Called() as called:
            module(*clip)
    assert found.effort[::2] == (called.operations, called.values)


@pytest.mark.parametrize(("name", "routed"), [("prog_s", False), ("dre_s", True)])
def test_of_routed_experts_all_are_counted(name: str, routed: bool) -> None:
    settings = resolve(["space=moe"])
    proposer = Proposer(settings.space, settings.trainer, classes=3)
    (point,) = (point for point in settings.space.points if point.name == name)
    found = proposer.draft(KnownDraw(point.params, Random(0)))
    nominal = Cost.of(found.candidate.architecture, 3).macs
    assert (found.effort.macs > 1.05 * nominal) is routed
    assert routed or found.effort.macs == nominal


def test_a_draft_is_held_against_the_limits_that_need_no_clock() -> None:
    settings = resolve(["space=moe", "space.limits.params=1000", "space.limits.step_ms=1e-3"])
    with pytest.raises(Infeasible, match=r"weights; the space allows at most 1,000"):
        Proposer(settings.space, settings.trainer, classes=3).draft(KnownDraw({}, Random(1)))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("study.pace={per_operation: 0, per_mac: 0, per_value: 0}", "all three prices are 0"),
        ("study.pace={per_operation: 1e-4}", "the setting 'per_mac' is missing"),
        ("study.pace={per_operation: -1, per_mac: 0, per_value: 0}", "greater than or equal to 0"),
        ("study.alternatives=0", "greater than or equal to 1, not 0"),
    ],
)
def test_a_pace_that_is_none_is_refused(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match="study.(pace|alternatives).*" + re.escape(message)):
        resolve([word])
