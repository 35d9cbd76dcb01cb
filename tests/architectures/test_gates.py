from math import exp, sqrt

import pytest
import torch
from torch import Tensor

from mer_nas.architectures.layers.recalibration import Carry, ProgressiveAttention, max_pool_to
from mer_nas.architectures.state import State


def _sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def _gate(carry: Carry = "mul", *, residual: bool = False) -> ProgressiveAttention:
    """Return a gate that reads maximum + 2 mean + 0.5."""
    gate = ProgressiveAttention(carry, 1, residual)
    with torch.no_grad():
        gate.look.weight.copy_(torch.tensor([1.0, 2.0]).view(1, 2, 1, 1))
        gate.look.bias.fill_(0.5)
    return gate


# One clip, two channels, one row of two positions: maximum 3 and -1, mean 1 and -2.
X = torch.tensor([[[[3.0, -1.0]], [[-1.0, -3.0]]]])
A = [_sigmoid(3 + 2 * 1 + 0.5), _sigmoid(-1 + 2 * -2 + 0.5)]


def _row(values: list[float]) -> Tensor:
    return torch.tensor(values).view(1, 1, 1, 2)


def test_the_first_gate_multiplies_with_the_map_of_equation_9() -> None:
    y, state = _gate("none")(X, State())
    assert state.attention is not None
    assert torch.allclose(state.attention, _row(A))
    assert torch.allclose(y, X * _row(A))


@pytest.mark.parametrize(
    ("carry", "meet"),
    [
        ("mul", lambda a, p: a * p),  # equation (10)
        ("geo", lambda a, p: sqrt(a * p)),
        ("mean", lambda a, p: (a + p) / 2),
        ("max", max),
        ("learned", lambda a, p: 0.5 * a + 0.5 * a * p),
        ("none", lambda a, _: a),
    ],
)
def test_later_gates_meet_the_pooled_earlier_map(carry: Carry, meet: object) -> None:
    assert callable(meet)
    # 2 x 4 to 1 x 2: the largest of each 2 x 2 part.
    earlier = torch.tensor([[0.1, 0.2, 0.3, 0.1], [0.4, 0.1, 0.1, 0.9]]).view(1, 1, 2, 4)
    expected = _row([meet(A[0], 0.4), meet(A[1], 0.9)])
    y, state = _gate(carry)(X, State(attention=earlier))
    assert state.attention is not None
    assert torch.allclose(state.attention, expected)
    assert torch.allclose(y, X * expected)


def test_a_residual_gate_passes_one_more_x() -> None:
    y, _ = _gate("none", residual=True)(X, State())
    assert torch.allclose(y, X * (1 + _row(A)))


def test_the_root_of_a_vanished_map_has_a_finite_slope() -> None:
    gate = _gate("geo")
    y, _ = gate(X, State(attention=torch.zeros(1, 1, 1, 2)))
    y.sum().backward()
    assert gate.look.weight.grad is not None
    assert gate.look.weight.grad.isfinite().all()


@pytest.mark.parametrize(
    ("before", "after"), [(28, 28), (28, 14), (28, 7), (14, 4), (7, 4), (7, 3), (14, 3), (7, 1)]
)
def test_earlier_maps_reach_any_halved_size(before: int, after: int) -> None:
    pooled = max_pool_to(torch.rand(2, 1, before, before), (after, after))
    assert pooled.shape == (2, 1, after, after)


@pytest.mark.parametrize("start", range(1, 65))
def test_earlier_maps_follow_downs_that_round_up_and_down(start: int) -> None:
    sizes = {start}
    for _ in range(3):
        sizes = {half for size in sizes for half in (size // 2, -(-size // 2)) if half}
        for size in sizes:
            pooled = max_pool_to(torch.rand(1, 1, start, start), (size, size))
            assert pooled.shape == (1, 1, size, size)


def test_pooling_by_halves_keeps_the_odd_last_row() -> None:
    attention = torch.zeros(1, 1, 7, 7)
    attention[..., 6, 6] = 1.0
    assert max_pool_to(attention, (4, 4))[0, 0, 3, 3] == 1.0
