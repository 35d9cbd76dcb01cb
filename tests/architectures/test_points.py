from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mer_nas.architectures import Network, build, measure, parse

Tree = dict[str, Any]

# Parameters and nominal GMAC for three classes at 28 x 28: htnet_ref from the public HTNet code,
# the others from an independent count.
COUNTS = {
    "htnet_ref": (139_582_982, 0.214330),
    "dre": (135_138_730, 0.154194),
    "dre_s": (1_464_603, 0.030154),
    "prog_s": (318_463, 0.021472),
    "hyb_ms_prog_expert": (312_388, 0.076135),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_macs_are_the_published_ones(name: str, points: Tree) -> None:
    cost = measure(parse(points[name], name), classes=3)
    parameters, gmac = COUNTS[name]
    assert cost.parameters == parameters
    assert cost.macs == pytest.approx(gmac * 1e9, rel=0.01)


@pytest.mark.parametrize("name", ["dre_s", "prog_s", "hyb_ms_prog_expert"])
def test_what_is_measured_is_what_is_built(name: str, points: Tree) -> None:
    architecture = parse(points[name], name)
    network = build(architecture, classes=3)
    assert sum(p.numel() for p in network.parameters()) == COUNTS[name][0]
    assert network(torch.randn(2, 3, 28, 28)).logits.shape == (2, 3)


def test_measuring_leaves_the_random_numbers_alone(points: Tree) -> None:
    architecture = parse(points["dre_s"])
    torch.manual_seed(3)
    expected = torch.rand(())
    torch.manual_seed(3)
    measure(architecture, classes=3)
    assert torch.rand(()) == expected


def test_one_more_chosen_expert_costs_its_own_products_only(points: Tree) -> None:
    def macs(top_k: int) -> int:
        points["dre_s"]["paths"][0]["shared"]["expert"]["top_k"] = top_k
        return measure(parse(points["dre_s"]), classes=3).macs

    # An expert of hidden width C / 2 costs C^2 a token.
    layers = [(2, 196, 48), (2, 49, 96), (4, 16, 192)]
    expert = sum(blocks * tokens * width**2 for blocks, tokens, width in layers)
    assert macs(3) - macs(2) == pytest.approx(expert, rel=0.02)


@pytest.mark.parametrize("name", COUNTS)
def test_the_canonical_form_is_its_own(name: str, points: Tree) -> None:
    architecture = parse(points[name], name)
    tree = architecture.model_dump(mode="json")
    assert "shared" not in tree["paths"][0]
    assert parse(tree, name).model_dump(mode="json") == tree


def test_htnet_gives_the_outputs_of_the_public_code(points: Tree) -> None:
    with _double_precision():
        with torch.device("meta"):
            empty = build(parse(points["htnet_ref"]), classes=3)
        network = empty.to_empty(device="cpu").eval()
        _fill(network)
        clips = 2 * _pseudo(0, 2 * 3 * 28 * 28).view(2, 3, 28, 28)
        with torch.no_grad():
            logits = network(clips).logits
    expected = [[-1.57471521, -2.45554861, -2.62005634], [-1.60463206, -2.41378040, -2.57779276]]
    assert torch.allclose(logits, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-6)


@contextmanager
def _double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def _fill(network: Network) -> None:
    """Give every parameter the value that the golden outputs were computed with."""
    with torch.no_grad():
        for module, name, parameter in _named(network):
            count = parameter.numel()
            if isinstance(module, nn.LayerNorm) and name == "weight":
                values = 1 + 0.2 * _pseudo(0, count)
            elif name == "bias":
                values = 0.2 * _pseudo(7, count)
            elif name == "position":
                values = 0.2 * _pseudo(0, count)
            else:
                values = _pseudo(0, count) * (12 / parameter[0].numel()) ** 0.5
            parameter.copy_(values.view_as(parameter))


def _named(network: Network) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            yield module, name, parameter


def _pseudo(start: int, count: int) -> Tensor:
    steps = torch.arange(start, start + count, dtype=torch.int64) * 2654435761 % 2**32
    return steps.double() / 2**32 - 0.5
