from statistics import NormalDist
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mer_nas.architectures.layers.experts import (
    EXPERTS,
    ExpertAttention,
    ExpertMix,
    Experts,
)
from mer_nas.architectures.layers.routing import GateKind, Router, Routing, RoutingLevel


def gates(kind: GateKind, odds: list[float], top_k: int) -> Tensor:
    """Return the gates of a token whose scores are the logarithms of `odds`."""
    scores = torch.tensor([[odds]]).log()
    return Routing.of(scores, top_k, kind).gates


@pytest.mark.parametrize("top_k", [2, 3, 5])
def test_gates_of_a_token_are_positive_for_exactly_k_experts_and_sum_to_one(top_k: int) -> None:
    routing: Routing = Router(8, 5, top_k).eval()(torch.randn(4, 7, 8))
    gates, chosen = routing.gates, routing.chosen
    assert ((gates > 0).sum(-1) == top_k).all()
    assert torch.equal(gates > 0, chosen > 0)
    assert torch.allclose(gates.sum(-1), torch.ones(4, 7))


def test_gates_are_the_softmax_over_the_chosen_scores() -> None:
    # exp(log 3) : exp(log 1) = 3 : 1, the rest is left out.
    assert torch.allclose(
        gates("softmax_topk", [3.0, 0.5, 1.0, 0.1], 2), torch.tensor([[[0.75, 0.0, 0.25, 0.0]]])
    )


def test_a_single_choice_has_its_probability_among_all_experts_as_gate() -> None:
    assert torch.allclose(
        gates("softmax_topk", [3.0, 0.5, 1.0, 0.5], 1), torch.tensor([[[0.6, 0.0, 0.0, 0.0]]])
    )


def test_sigmoid_gates_are_those_of_the_chosen_scores_alone() -> None:
    # Odds of 3 : 1 are a probability of 3 / 4, whatever the other experts score.
    assert torch.allclose(
        gates("sigmoid", [3.0, 0.25, 1.0, 0.5], 2), torch.tensor([0.75, 0, 0.5, 0])
    )
    assert torch.allclose(
        gates("sigmoid", [3.0, 0.25, 1.0, 0.5], 1), torch.tensor([0.75, 0, 0, 0])
    )


def test_soft_gates_are_the_probabilities_of_all_experts() -> None:
    assert torch.allclose(
        gates("soft", [3.0, 0.5, 1.0, 0.5], 4), torch.tensor([0.6, 0.1, 0.2, 0.1])
    )


@pytest.mark.parametrize("frames", [1, 3])
def test_a_clip_that_is_sent_as_one_goes_where_its_mean_token_goes(frames: int) -> None:
    router = Router(8, 4, 2, level="sample", frames=frames).eval()
    nn.init.normal_(router.score.weight)
    clips = torch.randn(5, frames, 7, 8)
    routing: Routing = router(clips.flatten(0, 1))
    for clip in range(5):
        scores = router.score(clips[clip].mean((0, 1)))
        alone = Routing.of(scores, 2, "softmax_topk").gates
        for frame in range(frames):
            assert torch.allclose(routing.gates[clip * frames + frame], alone, atol=1e-6)
    assert (routing.gates.amax((0, 1)) > 0).sum() > 2  # clips differ


def test_an_expert_is_out_as_often_as_asked() -> None:
    router = Router(1, 4, 1, drop=0.3)
    with torch.no_grad():
        router.score.weight.copy_(torch.tensor([[4.0], [3.0], [2.0], [1.0]]))
    tokens = torch.ones(1, 40_000, 1)
    # The best expert is in with 0.7, the second best takes over with 0.3 x 0.7, and so on.
    share = router(tokens).chosen.mean((0, 1))
    assert torch.allclose(share, torch.tensor([0.7081, 0.21, 0.063, 0.0189]), atol=0.01)
    assert router.eval()(tokens).chosen[..., 0].all()


def test_k_experts_are_chosen_even_where_fewer_are_in() -> None:
    routing: Routing = Router(8, 4, 3, drop=0.9)(torch.randn(64, 7, 8))
    assert ((routing.gates > 0).sum(-1) == 3).all()
    assert torch.allclose(routing.gates.sum(-1), torch.ones(64, 7))


@pytest.mark.parametrize("kind", ["softmax_topk", "sigmoid"])
@pytest.mark.parametrize("top_k", [1, 2])
def test_the_router_learns_from_the_output_alone(top_k: int, kind: GateKind) -> None:
    router = Router(8, 4, top_k, gates=kind).eval()
    routing: Routing = router(torch.randn(2, 6, 8))
    (routing.gates * torch.randn(4)).sum().backward()
    assert router.score.weight.grad is not None
    assert router.score.weight.grad.abs().max() > 0


def test_even_use_has_no_variation() -> None:
    router = Router(4, 4, 1)
    with torch.no_grad():
        router.score.weight.copy_(20 * torch.eye(4))  # each token has an expert of its own
    routing: Routing = router(torch.eye(4).repeat(3, 1, 1))
    assert routing.imbalance is not None
    assert routing.imbalance.item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("experts", "top_k"), [(4, 1), (4, 2), (8, 2)])
@pytest.mark.parametrize("level", ["token", "sample"])
@pytest.mark.parametrize("kind", ["softmax_topk", "sigmoid"])
def test_a_router_that_sends_all_tokens_one_way_is_charged_for_gates_and_load(
    kind: GateKind, level: RoutingLevel, experts: int, top_k: int
) -> None:
    router = Router(1, experts, top_k, gates=kind, level=level)
    nn.init.constant_(router.score.weight, 0.0)
    with torch.no_grad():
        router.score.weight[:top_k] = 3.0
    routing: Routing = router(torch.ones(2, 6, 1))
    assert routing.imbalance is not None
    assert routing.imbalance.item() == pytest.approx(2 * (experts / top_k - 1), abs=1e-6)


def test_a_new_router_with_noise_spreads_tokens_almost_evenly() -> None:
    routing: Routing = Router(8, 4, 2, noise="learned")(torch.randn(64, 49, 8))
    assert routing.imbalance is not None
    assert routing.imbalance.item() < 0.01


def test_noise_is_for_training_only() -> None:
    router = Router(8, 4, 2, noise="fixed", noise_std=0.5)
    nn.init.normal_(router.score.weight)
    x = torch.randn(2, 6, 8)
    assert not torch.equal(router(x).gates, router(x).gates)
    router.eval()
    assert torch.equal(router(x).gates, router(x).gates)
    assert router(x).imbalance is None


def test_no_imbalance_is_reported_where_no_expert_is_left_out() -> None:
    assert Router(8, 4, 4)(torch.randn(2, 6, 8)).imbalance is None


def test_the_chance_of_two_equal_experts_depends_on_the_noise_of_the_other() -> None:
    # Both score 0. Each is chosen when its new noise exceeds the noise that the other one has.
    router = Router(8, 2, 1, noise="fixed", noise_std=0.5)
    torch.manual_seed(0)
    one, other = (0.5 * torch.randn(1, 1, 2)).flatten().tolist()
    torch.manual_seed(0)
    routing: Routing = router(torch.ones(1, 1, 8))
    beats = NormalDist(0.0, 0.5)
    chances = 1 - beats.cdf(other), 1 - beats.cdf(one)
    # The gates, one of which is 0, vary by 1; the chances by their own difference.
    load = ((chances[0] - chances[1]) / (chances[0] + chances[1])) ** 2
    assert routing.imbalance is not None
    assert routing.imbalance.item() == pytest.approx(1 + load, rel=1e-5)


def _parts(experts: int) -> tuple[Any, Tensor, Routing]:
    perceptrons: Experts = EXPERTS["mlp"].build(8, experts, 6, (1, 5))
    for parameter in perceptrons.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, 5, 8)
    scores = torch.randn(2, 5, experts)
    return perceptrons, x, Routing.of(scores, 2, "softmax_topk")


def _one_by_one(perceptrons: Any, x: Tensor) -> list[Tensor]:
    """Return the output of each expert, computed as two linear maps of its own."""
    outputs = []
    for expert in range(perceptrons.experts):
        rows = slice(6 * expert, 6 * expert + 6)
        hidden = nn.functional.gelu(
            x @ perceptrons.enter.weight[rows].T + perceptrons.enter.bias[rows]
        )
        bias = perceptrons.bias[8 * expert : 8 * expert + 8]
        outputs.append(hidden @ perceptrons.weight[expert] + bias)
    return outputs


def test_experts_side_by_side_are_the_weighed_sum_of_single_ones() -> None:
    perceptrons, x, routing = _parts(4)
    single = _one_by_one(perceptrons, x)
    expected = sum(routing.gates[..., e, None] * y for e, y in enumerate(single))
    assert torch.allclose(perceptrons(x, routing.gates), expected, atol=1e-4)
    assert torch.allclose(perceptrons.each(x), torch.stack(single, 2), atol=1e-4)


def test_mixing_starts_as_no_mixing() -> None:
    perceptrons, x, routing = _parts(4)
    assert torch.allclose(ExpertMix(4)(perceptrons, x, routing), perceptrons(x, routing.gates))


def test_mixing_passes_outputs_among_the_chosen_only() -> None:
    perceptrons, x, routing = _parts(4)
    mix = ExpertMix(4)
    nn.init.normal_(mix.weight)
    matrix = mix.weight + torch.eye(4)
    single = _one_by_one(perceptrons, x)
    expected = torch.zeros(2, 5, 8)
    for e in range(4):
        for j in range(4):
            both = routing.chosen[..., e] * routing.chosen[..., j]
            weight = routing.gates[..., e] * matrix[e, j] * both
            expected = expected + weight[..., None] * single[j]
    assert torch.allclose(mix(perceptrons, x, routing), expected, atol=1e-3)


def test_attention_among_experts_ignores_the_ones_not_chosen() -> None:
    perceptrons, x, routing = _parts(3)
    together = ExpertAttention(8)
    before = together(perceptrons, x, routing)
    # Without influence of expert 2, tokens that did not choose it keep their output.
    with torch.no_grad():
        perceptrons.weight[2] += 1.0
    after = together(perceptrons, x, routing)
    untouched = routing.chosen[..., 2] == 0
    assert untouched.any()
    assert torch.allclose(before[untouched], after[untouched], atol=1e-5)
    assert not torch.allclose(before[~untouched], after[~untouched], atol=1e-5)


def test_attention_that_cannot_tell_experts_apart_adds_their_mean() -> None:
    perceptrons, x, routing = _parts(3)
    together = ExpertAttention(8)
    nn.init.zeros_(together.query_key.weight)
    outputs = perceptrons.each(x)
    mean = (outputs * routing.chosen[..., None]).sum(2) / 2
    expected = perceptrons(x, routing.gates) + mean  # the gates sum to one
    assert torch.allclose(together(perceptrons, x, routing), expected, atol=1e-4)
