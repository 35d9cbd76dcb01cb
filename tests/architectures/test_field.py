"""Networks that papers of the field compare with, held against their public codes.

The golden numbers are of the public codes, run in float64 on the values that `_fill` gives, in
evaluation mode and, without dropout, in training mode; the last is the sum of the sizes of all
gradients of the sum of the squared logits there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from mer_nas.architectures import Architecture, Cost, Network, parse, parse_drawn
from mer_nas.architectures.blocks.field import averaged
from mer_nas.architectures.blocks.recurrent import GRUCell, LSTMCell
from mer_nas.errors import ConfigError, Infeasible
from mer_nas.settings import resolve
from mer_nas.space import Reference

Tree = dict[str, Any]
CONV: Tree = {"kind": "conv", "padding": 1, "norm": "none", "pool": "max"}


class Golden(NamedTuple):
    """What a public code gives for the first two of four clips."""

    weights: int
    evaluated: list[list[float]]
    trained: list[list[float]]
    gradients: float
    dropouts: list[float]


GOLDEN = {
    "ststnet": Golden(
        1_683,
        [[0.05024158, 0.02110607, -0.09379825], [0.00345204, 0.10095368, -0.02344596]],
        [[-0.06062199, 0.0921803, -0.31138629], [-0.21067303, 0.3513515, -0.09857887]],
        3195.886222,
        [0.5, 0.5, 0.5],
    ),
    "off_apexnet_meb": Golden(
        807_909,
        [[-0.15359901, -0.2479996, -0.48954382], [-0.32640122, -0.37383426, -0.37983105]],
        [[-0.15359901, -0.2479996, -0.48954382], [-0.32640122, -0.37383426, -0.37983105]],
        25550.645388,
        [0.5, 0.5],
    ),
    "rcn_a": Golden(
        55_747,
        [[0.00107975, 0.08273915, 0.03587096], [0.00137083, 0.09353477, 0.03852465]],
        [[-0.01311672, 0.01982875, 0.21996101], [-0.10427843, 0.24070928, -0.04344743]],
        6577.559365,
        [0.5, 0.5],
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_network_of_the_field_gives_what_its_public_code_gives(name: str) -> None:
    golden, architecture = GOLDEN[name], reference(name)
    with _double_precision():
        network = Network(architecture, classes=3)
        _fill(network)
        channels = 2 if name == "off_apexnet_meb" else 3
        clips = 2 * _pseudo(0, 4 * channels * 28 * 28).view(4, channels, 28, 28)
        clips = torch.cat([clips, torch.zeros(4, 3 - channels, 28, 28)], dim=1)  # no strain
        assert _rates(network) == golden.dropouts
        with torch.no_grad():
            evaluated = network.eval()(clips)[:2]
        for dropout in _dropouts(network):
            dropout.p = 0.0
        trained = network.train()(clips).logits
        trained.square().sum().backward()
    grown = [p.grad for p in network.parameters()]
    assert sum(p.numel() for p in network.parameters()) == golden.weights
    torch.testing.assert_close(evaluated, _rows(golden.evaluated), rtol=0, atol=1e-8)
    torch.testing.assert_close(trained[:2].detach(), _rows(golden.trained), rtol=0, atol=1e-8)
    sizes = sum(grad.abs().sum().item() for grad in grown if grad is not None)
    assert sizes == pytest.approx(golden.gradients, abs=1e-5)


@pytest.mark.parametrize("name", ["ststnet", "off_apexnet_meb"])
def test_weights_start_as_torch_has_them(name: str) -> None:
    """Uniform up to the inverse root of what a number is computed from, biases too."""
    for layer in Network(reference(name), classes=3).modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = layer.weight[0].numel() ** -0.5
            assert layer.bias is not None
            assert bound / 2 < layer.weight.abs().max() <= bound
            assert 0 < layer.bias.abs().max() <= bound


def test_rcn_a_starts_as_its_public_code_does() -> None:
    """Kernels by what leaves them, 2 over 25 times 64 and so on; the classifier with 0.01."""
    layers = [m for m in Network(reference("rcn_a"), 3).modules() if isinstance(m, nn.Conv2d)]
    deviations = [layer.weight.std().item() for layer in layers]
    assert deviations == pytest.approx([0.0354, 0.1768, 0.0589], rel=0.1)
    (classify,) = (m for m in Network(reference("rcn_a"), 3).modules() if isinstance(m, nn.Linear))
    assert classify.weight.std().item() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        # 2 x (6 x 26 + 16 x 151) in the streams, 1569 x 1024, 1025 x 1024 and 1025 x 3 behind.
        ("off_apexnet", 2_664_475),
        # A stream: 48 + 138 + 318 + 12 * 5 ... and 6273 x 1024 behind; tables say 6.45 million.
        ("dual_inception", 6_449_867),
    ],
)
def test_readings_have_the_weights_that_tables_of_others_give(name: str, weights: int) -> None:
    assert Cost.of(reference(name), 3).parameters == weights
    assert space().point(name).fidelity == "reading"


def test_parts_of_the_flow_are_its_channels() -> None:
    flow = torch.arange(3.0).view(1, 3, 1, 1).expand(2, 3, 8, 8)
    for name, channels in {"flow_u": [0], "flow_v": [1], "strain": [2], "flow_uv": [0, 1]}.items():
        path = parse(tree({"input": name}, local=CONV)).paths[0]
        assert path.inputs == ("flow_uvs",)
        assert path.read([flow])[0][0, :, 0, 0].tolist() == channels


def test_three_paths_of_one_flow_ask_the_data_for_it_once() -> None:
    parts = ["flow_u", "flow_v", "strain"]
    paths = [tree({"input": name}, local=CONV)["paths"][0] for name in parts]
    for fusion in ({"kind": "stack"}, {"kind": "sum"}, {"kind": "concat"}):
        architecture = parse({"paths": paths, "fusion": fusion, "losses": {"branch_cls": 0.5}})
        assert architecture.inputs == ("flow_uvs",)
        network = Network(architecture, classes=3)
        assert network(torch.randn(2, 3, 8, 8)).logits.shape == (2, 3)


def test_three_paths_that_no_fusion_takes_are_refused_or_concatenated() -> None:
    paths = [tree({}, local=CONV)["paths"][0]] * 3
    with pytest.raises(Infeasible, match="the fusion 'sk' of 3 paths; right: fusion"):
        parse({"paths": paths, "fusion": {"kind": "sk"}})
    assert parse_drawn({"paths": paths, "fusion": {"kind": "sk"}}).fusion.kind == "concat"
    assert parse_drawn({"paths": paths}).fusion.kind == "concat"
    with pytest.raises(ConfigError, match="one path, two or three, not 4"):
        parse({"paths": [*paths, paths[0]]})


def test_maps_of_two_sizes_are_not_stacked() -> None:
    paths = [tree({}, local=local)["paths"][0] for local in (CONV, {**CONV, "window": 4})]
    both = {"paths": paths, "fusion": {"kind": "stack"}}
    with pytest.raises(Infeasible, match="maps of 2 x 2 and 4 x 4 to stack; right: one size"):
        parse(both)
    assert parse_drawn(both).fusion.kind == "concat"


@pytest.mark.parametrize(
    ("local", "size"),
    [
        # (8 + 2 x 2 - 3) / 1 + 1 = 10; (10 + 2 - 3) / 3 + 1 = 4.
        ({"kernel": 3, "padding": 2, "pool": "max", "window": 3, "margin": 1}, 4),
        # (8 - 5) / 2 + 1 = 2.
        ({"kernel": 5, "stride": 2, "padding": 0}, 2),
        # Windows of 3 every 2: (8 - 3) / 2 + 1 = 3.
        ({"pool": "mean", "window": 3, "step": 2}, 3),
    ],
)
def test_a_plain_convolution_leaves_the_map_that_its_settings_say(local: Tree, size: int) -> None:
    head = {"kind": "flatten"}
    architecture = parse({**tree({}, local={"kind": "conv", **local}), "head": head})
    network = Network(architecture, classes=3).eval()
    last = [m for m in network.head.modules() if isinstance(m, nn.Linear)][-1]
    assert last.in_features == 8 * size * size
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 3)


def test_a_convolution_that_leaves_nothing_is_refused_with_the_place() -> None:
    nothing = {"kind": "conv", "kernel": 9, "padding": 0}
    with pytest.raises(Infeasible) as refused:
        parse(tree({}, local=nothing), "net")
    assert "net.paths.0.stages.0.local: 'conv' leaves nothing of a map of 8 x 8" in str(
        refused.value
    )
    assert parse_drawn(tree({}, local=nothing)).paths[0].stages[0].local.kind != "conv"


def test_a_recurrent_convolution_meets_its_map_again() -> None:
    """By hand: f_1x1 and f_3x3 as the identity, norms at rest: x, then x + x, then x + 2 x."""
    stage = {"channels": 3, "local": {"kind": "recurrent", "times": 2}}
    network = Network(
        parse({"paths": [{"size": 4, "stem": {"kind": "none"}, "stages": [stage]}]}), 3
    )
    (layer,) = (m for m in network.modules() if type(m).__name__ == "Recurrence")
    with torch.no_grad():
        for conv in (m for m in layer.modules() if isinstance(m, nn.Conv2d)):
            nn.init.dirac_(conv.weight)
    x = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(layer.eval()(x), 3 * x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("ours", "theirs"), [(LSTMCell, nn.LSTM), (GRUCell, nn.GRU)])
def test_recurrent_cells_are_those_of_torch(
    ours: type[nn.Module], theirs: type[nn.Module]
) -> None:
    torch.manual_seed(0)
    cell, known = ours(5, 4), theirs(5, 4, batch_first=True)
    weights = [known.weight_ih_l0, known.bias_ih_l0, known.weight_hh_l0, known.bias_hh_l0]
    with torch.no_grad():
        for parameter, value in zip(cell.parameters(), weights, strict=True):
            parameter.copy_(torch.as_tensor(value))
    clips = torch.randn(3, 6, 5)
    torch.testing.assert_close(torch.stack(cell(list(clips.unbind(1))), dim=1), known(clips)[0])


@pytest.mark.parametrize(("side", "grid"), [(12, 7), (6, 7), (10, 5), (3, 3)])
def test_averaging_to_a_grid_is_torchs_adaptive_pooling(side: int, grid: int) -> None:
    x = torch.randn(2, 3, side, side)
    torch.testing.assert_close(averaged(x, grid), nn.AdaptiveAvgPool2d(grid)(x))


def test_mmnet_looks_where_it_looked_and_knows_the_face() -> None:
    network = Network(parse({"network": {"kind": "mmnet", "size": 32, "width": 8, "depth": 1}}), 3)
    clips = torch.randn(2, 2, 3, 32, 32)
    assert network.eval()(clips).shape == (2, 3)
    still = clips[:, :1].expand(-1, 2, -1, -1, -1)
    assert not torch.equal(network(still)[0], network(still)[1])  # of two faces that do not move


def test_the_points_of_the_space_are_of_the_size_that_is_said() -> None:
    counts = {"ststnet_s": 1_683, "ststnet": 1_683, "mmnet": 9_241_719}
    for name, weights in counts.items():
        entry = space().point(name)
        found = (
            entry.architecture if isinstance(entry, Reference) else entry.values["architecture"]
        )
        assert Cost.of(parse(found), 3).parameters == weights


def space() -> Any:
    return resolve(["space=shallow"]).space


def reference(name: str) -> Architecture:
    entry = space().point(name)
    assert isinstance(entry, Reference)
    return parse(entry.architecture, name)


def tree(path: Tree, local: Tree) -> Tree:
    stage = {"channels": 8, "local": local}
    return {"paths": [{"size": 8, "stem": {"kind": "none"}, "stages": [stage], **path}]}


def _rows(values: list[list[float]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _dropouts(network: nn.Module) -> list[nn.Dropout]:
    return [module for module in network.modules() if isinstance(module, nn.Dropout)]


def _rates(network: nn.Module) -> list[float]:
    return [dropout.p for dropout in _dropouts(network) if dropout.p]


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
            for name, parameter in module.named_parameters(recurse=False):
                count = parameter.numel()
                if isinstance(module, nn.BatchNorm2d) and name == "weight":
                    values = 1 + 0.2 * _pseudo(0, count)
                elif name == "bias":
                    values = 0.2 * _pseudo(7, count)
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
