"""Networks are pure: their stacked copies run as one with the results that each has alone."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from mer_nas.architectures import ModelOutput, Network, parse

Tree = dict[str, Any]


def _smaller(tree: Tree) -> Tree:
    """Return a network of the same structure that tests can afford three copies of."""
    for path in tree["paths"]:
        path["stem"]["width"] = min(path["stem"]["width"], 48)
        for stage in path["stages"]:
            blocks = stage.get("global", {})
            if "blocks" in blocks:
                blocks["blocks"] = min(blocks["blocks"], 2)
    return tree


def _without_noise(tree: Tree) -> Tree:
    for path in tree["paths"]:
        if "expert" in path.get("shared", {}):
            path["shared"]["expert"]["noise"] = "off"
    tree.get("head", {})["dropout"] = 0.0
    return tree


def _normal(parameter: Tensor) -> object:
    # Larger than at the start, so that no part of a network is a near-zero.
    return nn.init.normal_(parameter, std=0.1)


def _copies(
    tree: Tree, count: int = 3, start: Callable[[Tensor], object] = _normal
) -> list[Network]:
    architecture = parse(_without_noise(_smaller(tree)))
    networks = [Network(architecture, classes=3) for _ in range(count)]
    for network in networks:
        for parameter in network.parameters():
            if parameter.ndim > 1:
                start(parameter)
    return networks


def _together(
    networks: list[Network], clips: list[Tensor]
) -> tuple[ModelOutput, dict[str, Tensor]]:
    parameters, buffers = stack_module_state(networks)
    skeleton = deepcopy(networks[0]).to("meta")

    def one(parameters: Tree, buffers: Tree, *clips: Tensor) -> Any:
        return functional_call(skeleton, (parameters, buffers), clips)

    return _whole(vmap(one)(parameters, buffers, *clips)), buffers


def _whole(output: ModelOutput | Tensor) -> ModelOutput:
    return ModelOutput(output) if isinstance(output, Tensor) else output


STACKED = [
    "prog_s",
    "dre_s",
    "fdp_s",
    "dual_s",
    "medn_s",
    "hyb_ms_prog_expert",
    "hyb_frames_arp_inception",
    "hyb_dual_expert_sparse",
    "dre",
    "htnet_ref",
]


@pytest.mark.parametrize("mode", ["evaluation", "training"])
@pytest.mark.parametrize("name", STACKED)
def test_stacked_copies_give_what_each_gives_alone(name: str, mode: str, points: Tree) -> None:
    networks = _copies(points[name])
    _compare(networks, mode, *parse(points[name]).shapes.values())


def _compare(networks: list[Network], mode: str, *shapes: tuple[int, ...]) -> None:
    for network in networks:
        network.train(mode == "training")
    clips = [torch.randn(3, 4, *shape) for shape in shapes or [(3, 28, 28)]]
    together, buffers = _together(networks, clips)
    for index, network in enumerate(networks):
        alone = _whole(network(*(images[index] for images in clips)))
        assert alone.logits.abs().max() > 1e-2
        assert torch.allclose(together.logits[index], alone.logits, atol=1e-5)
        for found, expected in (
            (together.losses, alone.losses),
            (together.auxiliary_logits, alone.auxiliary_logits),
            (buffers, dict(network.named_buffers())),
        ):
            assert set(found) == set(expected)
            for key, value in expected.items():
                assert torch.allclose(found[key][index].float(), value.float(), atol=1e-5), key


def test_stacked_copies_have_the_gradients_that_each_has_alone(points: Tree) -> None:
    networks = _copies(points["hyb_ms_prog_expert"], count=2)
    parameters, buffers = stack_module_state(networks)
    clips = torch.randn(2, 4, 3, 28, 28)

    def loss(parameters: Tree, buffers: Tree, clips: Tensor) -> Tensor:
        output = functional_call(networks[0], (parameters, buffers), (clips,))
        total: Tensor = output.logits.square().mean() + output.losses["balance"]
        return total

    found = vmap(torch.func.grad(loss))(parameters, deepcopy(buffers), clips)
    for index, network in enumerate(networks):
        output: ModelOutput = network(clips[index])
        (output.logits.square().mean() + output.losses["balance"]).backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            scale = 1 + parameter.grad.abs().max()
            assert ((found[name][index] - parameter.grad).abs() / scale).max() < 1e-4, name


def test_the_balance_is_averaged_over_layers(small: Callable[..., Tree]) -> None:
    # Routers without preference and noise send every token to the same 2 of 4 experts, with even
    # gates: each layer says 2 (4 / 2 - 1), and so does their mean.
    block = {"kind": "expert", "blocks": 3, "experts": 4, "top_k": 2, "noise": "off"}
    network = Network(parse(small({"global": block})), classes=3)
    for name, parameter in network.named_parameters():
        if "router" in name:
            nn.init.zeros_(parameter)
    output: ModelOutput = network(torch.randn(4, 3, 28, 28))
    assert output.losses["balance"].item() == pytest.approx(2.0, abs=1e-5)


def test_in_evaluation_mode_a_network_gives_the_logits_alone(points: Tree) -> None:
    network = Network(parse(points["hyb_ms_prog_expert"]), classes=3).eval()
    logits = network(torch.randn(2, 3, 28, 28))
    assert isinstance(logits, Tensor)
    assert logits.shape == (2, 3)
