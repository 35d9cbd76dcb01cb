"""Whatever a shipped space draws can be built, trained, stacked and written down."""

from collections.abc import Callable, Iterator

import torch
import yaml
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from mer_nas.architectures import Architecture, Network, parse
from mer_nas.config import presets
from mer_nas.space import SearchSpace

EACH = -(-300 // len(presets.names("space")))
"""Feasible draws of every space: 300 over all of them."""

Draws = Callable[[SearchSpace], Iterator[Architecture | None]]
Clips = Callable[[Architecture, int], list[Tensor]]


def test_nine_of_ten_draws_are_feasible_and_each_of_them_works(
    space: SearchSpace, affordable: Draws, clips: Clips
) -> None:
    torch.manual_seed(0)
    feasible, drawn = 0, 0
    for architecture in affordable(space):
        drawn += 1
        if architecture is not None:
            feasible += 1
            network = Network(architecture, classes=3)
            learns(network, architecture, clips)
            gives_the_same_stacked(network, architecture, clips)
            survives_yaml(architecture)
        if feasible == EACH:
            break
    # So few draws may miss their share by chance: two standard deviations of it.
    assert feasible >= 0.9 * drawn - 2 * (0.9 * 0.1 * drawn) ** 0.5


def learns(network: Network, architecture: Architecture, clips: Clips) -> None:
    logits, losses, answers = network(*clips(architecture, 2))
    assert logits.shape == (2, 3)
    said = [logits, *losses.values(), *answers.values()]
    torch.stack([part.square().mean() for part in said]).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def gives_the_same_stacked(network: Network, architecture: Architecture, clips: Clips) -> None:
    networks = [network.eval(), Network(architecture, classes=3).eval()]
    seen = [
        torch.stack(pair) for pair in zip(*(clips(architecture, 1) for _ in networks), strict=True)
    ]
    with torch.no_grad():
        alone = [each(*(batch[index] for batch in seen)) for index, each in enumerate(networks)]
    parameters, buffers = stack_module_state(networks)
    skeleton = network.to("meta")

    def logits(
        parameters: dict[str, Tensor], buffers: dict[str, Tensor], seen: list[Tensor]
    ) -> Tensor:
        found: Tensor = functional_call(skeleton, (parameters, buffers), tuple(seen))
        return found

    together = vmap(logits)(parameters, buffers, seen)
    assert torch.allclose(together, torch.stack(alone), atol=1e-5), architecture


def survives_yaml(architecture: Architecture) -> None:
    tree = architecture.model_dump(mode="json")
    assert parse(yaml.safe_load(presets.dump(tree))) == architecture
