import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mer_nas.architectures import Architecture, Cost, Network, State, deployed, parse
from mer_nas.architectures.state import advance
from mer_nas.errors import Infeasible

Tree = dict[str, Any]


class Count(NamedTuple):
    """What is known of a network from outside: from public code, or from an independent count."""

    classes: int
    parameters: int
    gmac: float
    decoder: bool = False
    """Whether the decoder of dynamic images is among the products that were counted."""


COUNTS = {
    "htnet_ref": Count(3, 139_582_982, 0.214330),
    "dre": Count(3, 135_138_730, 0.154194),
    "fdp_code": Count(5, 85_304_206, 8.6265, decoder=True),
    "fdp": Count(5, 96_251_342, 9.4859, decoder=True),
    "prog": Count(5, 11_339_473, 3.823823),
    "prog_eq8": Count(5, 2_283_473, 2.4879),
    "dual": Count(5, 9_963_415, 1.488878),
    "medn": Count(5, 13_735_895, 0.950078),
    "dre_s": Count(3, 1_464_603, 0.030154),
    "fdp_s": Count(3, 848_356, 0.055746, decoder=True),
    "prog_s": Count(3, 318_463, 0.021472),
    "dual_s": Count(3, 159_145, 0.018729),
    "medn_s": Count(3, 154_643, 0.017256),
    "hyb_ms_prog_expert": Count(3, 312_388, 0.076135),
    "hyb_frames_arp_inception": Count(3, 60_953, 0.151272),
    "hyb_dual_expert_sparse": Count(3, 150_068, 0.023279),
}
SMALL = [name for name in COUNTS if name.endswith("_s") or name.startswith("hyb")]
ROUTED = re.compile("dre|expert")
"""Those that run more than they are counted for."""


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_macs_are_the_published_ones(name: str, points: Tree) -> None:
    architecture, count = parse(points[name], name), COUNTS[name]
    cost = Cost.of(architecture, count.classes)
    beside = _decoder_macs(architecture) if count.decoder else 0
    assert cost.parameters == count.parameters
    assert cost.macs + beside == pytest.approx(count.gmac * 1e9, rel=0.01)


@pytest.mark.parametrize(
    ("name", "aside"),
    [
        # SegNet on 8 channels: the convolutions with their biases, and two numbers a BatchNorm.
        ("fdp_code", 29_446_465),
        # A quarter as wide, three resolutions.
        ("fdp_s", 219_409),
        # 512 to 12 action units, and 192 to 5 classes.
        ("medn", 512 * 12 + 12 + 192 * 5 + 5),
        ("prog_s", 0),
    ],
)
def test_what_only_training_uses_is_not_deployed(name: str, aside: int, points: Tree) -> None:
    architecture, count = parse(points[name], name), COUNTS[name]
    cost = Cost.of(architecture, count.classes)
    assert cost.parameters - cost.deployed == aside
    with torch.device("meta"):
        network = Network(architecture, count.classes)
        alone = Network(architecture, count.classes, auxiliary=False)
    assert deployed(network).state_dict().keys() == alone.state_dict().keys()
    assert sum(p.numel() for p in alone.parameters()) == cost.deployed


@pytest.mark.parametrize("name", SMALL)
def test_what_is_measured_is_what_is_built(name: str, points: Tree) -> None:
    architecture = parse(points[name], name)
    network = Network(architecture, classes=3)
    assert sum(p.numel() for p in network.parameters()) == COUNTS[name].parameters
    clips = [torch.randn(2, *architecture.shapes[name]) for name in architecture.inputs]
    assert network(*clips).logits.shape == (2, 3)


@pytest.mark.parametrize("name", [name for name in SMALL if not ROUTED.search(name)])
def test_the_macs_are_those_that_torch_counts_in_the_real_network(name: str, points: Tree) -> None:
    architecture = parse(points[name], name)
    network = Network(architecture, classes=3).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*(torch.randn(1, *architecture.shapes[name]) for name in architecture.inputs))
    with torch.inference_mode():  # where torch takes products apart no more
        assert 2 * Cost.of(architecture, classes=3).macs == counter.get_total_flops()


def test_measuring_leaves_the_random_numbers_alone(points: Tree) -> None:
    architecture = parse(points["dre_s"])
    torch.manual_seed(3)
    expected = torch.rand(())
    torch.manual_seed(3)
    Cost.of(architecture, classes=3)
    assert torch.rand(()) == expected


def test_one_more_chosen_expert_costs_its_own_products_only(points: Tree) -> None:
    def macs(top_k: int) -> int:
        points["dre_s"]["paths"][0]["shared"]["expert"]["top_k"] = top_k
        return Cost.of(parse(points["dre_s"]), classes=3).macs

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
            empty = Network(parse(points["htnet_ref"]), classes=3)
        network = empty.to_empty(device="cpu").eval()
        _fill(network)
        clips = 2 * _pseudo(0, 2 * 3 * 28 * 28).view(2, 3, 28, 28)
        with torch.no_grad():
            logits = network(clips)
    expected = [[-1.57471521, -2.45554861, -2.62005634], [-1.60463206, -2.41378040, -2.57779276]]
    assert torch.allclose(logits, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-6)


def test_fdp_gives_the_outputs_of_the_public_code(points: Tree) -> None:
    with _double_precision():
        with torch.device("meta"):
            empty = Network(parse(points["fdp_code"]), classes=5)
        network = empty.to_empty(device="cpu").eval()
        _fill(network)
        clips = 2 * _pseudo(0, 2 * 8 * 64 * 64).view(2, 8, 1, 64, 64)
        with torch.no_grad():
            logits = network(clips)
            features, _ = advance(network.paths[0], clips.flatten(0, 1), State())
            images = _decoder(network)(features)
    expected = [
        [-0.03040638, 0.91010286, -2.27884784, 0.22269942, 2.05225351],
        [-0.02853788, 0.90967326, -2.27536270, 0.21888163, 2.05078798],
    ]
    assert torch.allclose(logits, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-6)
    assert images.shape == (2, 64, 64)
    assert images.mean().item() == pytest.approx(0.49272069, abs=1e-6)
    assert images[0, 10, 20].item() == pytest.approx(0.49036396, abs=1e-6)


def test_only_references_reproduce_the_order_of_the_public_code(points: Tree) -> None:
    parse(points["fdp_code"], "net")
    parse(points["fdp"], "net", searched=True)
    with pytest.raises(Infeasible) as error:
        parse(points["fdp_code"], "net", searched=True)
    assert str(error.value) == (
        "net.paths.0.temporal: axis 'code_reshape', which is there to reproduce published code "
        "only; right: axis: time, or a reference in place of a point"
    )


def _decoder_macs(architecture: Architecture) -> int:
    pool = architecture.paths[0].temporal.model_dump()
    with torch.device("meta"):
        decoder = _decoder(Network(architecture, classes=2)).eval()
        features = torch.empty(1, pool["channels"], pool["grid"], pool["grid"])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        decoder(features)
    return int(counter.get_total_flops() // 2)


def _decoder(network: Network) -> nn.Module:
    return network.get_submodule("auxiliary.tasks.dyn_image.decoder")


@contextmanager
def _double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def _fill(network: Network) -> None:
    """Give every number the value that the golden outputs were computed with."""
    with torch.no_grad():
        for module in network.modules():
            normal = isinstance(module, nn.LayerNorm | nn.BatchNorm2d)
            for name, parameter in module.named_parameters(recurse=False):
                count = parameter.numel()
                if normal and name == "weight":
                    values = 1 + 0.2 * _pseudo(0, count)
                elif name == "bias":
                    values = 0.2 * _pseudo(7, count)
                elif name == "position":
                    values = 0.2 * _pseudo(0, count)
                else:
                    values = _pseudo(0, count) * (12 / parameter[0].numel()) ** 0.5
                parameter.copy_(values.view_as(parameter))
            if isinstance(module, nn.BatchNorm2d):
                count = module.num_features
                module.get_buffer("running_mean").copy_(0.1 * _pseudo(3, count))
                module.get_buffer("running_var").copy_(1 + 0.2 * _pseudo(5, count))


def _pseudo(start: int, count: int) -> Tensor:
    steps = torch.arange(start, start + count, dtype=torch.int64) * 2654435761 % 2**32
    return steps.double() / 2**32 - 0.5
