from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures import Cost, Network, parse, parse_drawn
from mer_nas.architectures.layers.experts import (
    EXPERTS,
    Experts,
    RoutedExperts,
)
from mer_nas.architectures.layers.routing import Router
from mer_nas.architectures.state import State
from mer_nas.errors import Infeasible

Tree = dict[str, Any]
Make = Callable[..., Tree]


def made(kind: str, experts: int, size: tuple[int, int] = (5, 5)) -> Any:
    """Return experts of 8 channels and 6 hidden units, none of whose numbers is zero."""
    module = EXPERTS[kind].build(8, experts, 6, size)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def outputs(experts: Experts, x: Tensor) -> Tensor:
    return experts.each(experts.prepare(x))


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        # C = 8, F = 6: C F + F in, F C + C out, and F (kernel + 1) for a depthwise kernel.
        ("mlp", 6 * 110),
        ("conv", 6 * (110 + 60)),
        ("orient", 6 * (110 + 24)),
        ("hetero", 6 * 110 + 2 * 60 + 2 * 24),
        # Queries C F and the way out F C + C for each, keys and values 2 C F for all.
        ("attn", 6 * (48 + 56) + 96),
    ],
)
def test_experts_have_the_parameters_of_their_parts(kind: str, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in made(kind, 6).parameters()) == parameters


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("mlp", [(1, 1)] * 6),
        ("conv", [(3, 3)] * 6),
        ("orient", [(1, 3)] * 3 + [(3, 1)] * 3),
        ("hetero", [(1, 1)] * 2 + [(3, 3)] * 2 + [(1, 3), (3, 1)]),
        ("attn", [(5, 5)] * 6),
    ],
)
def test_an_expert_sees_as_far_as_its_form_says(kind: str, seen: list[tuple[int, int]]) -> None:
    experts = made(kind, 6).double()
    x = torch.randn(1, 25, 8, dtype=torch.float64)
    touched = x.clone()
    touched[:, 12] += 1.0  # the middle
    changed = (outputs(experts, touched) - outputs(experts, x)).abs().amax((0, 3)) > 0
    for expert, (high, wide) in enumerate(seen):
        where = changed[:, expert].view(5, 5)
        assert (where.any(1).sum(), where.any(0).sum()) == (high, wide)
        assert where[2, 2]
        assert where.sum() == high * wide


def test_fewer_experts_than_forms_are_the_first_forms() -> None:
    assert sum(p.numel() for p in made("hetero", 3).parameters()) == 3 * 110 + 60 + 24


def test_an_expert_with_a_convolution_is_two_pointwise_ones_around_a_depthwise_one() -> None:
    experts = made("conv", 2)
    maps = torch.randn(3, 8, 4, 5)
    experts.size = (4, 5)
    found = outputs(experts, maps.flatten(2).transpose(1, 2))
    look = experts.around[0]
    assert isinstance(look, nn.Conv2d)
    assert look.bias is not None
    for expert in range(2):
        rows = slice(6 * expert, 6 * expert + 6)
        enter = experts.enter.weight[rows, :, None, None]
        hidden = functional.conv2d(maps, enter, experts.enter.bias[rows])
        hidden = functional.conv2d(hidden, look.weight[rows], look.bias[rows], padding=1, groups=6)
        leave = experts.weight[expert].T[:, :, None, None]
        bias = experts.bias[8 * expert : 8 * expert + 8]
        expected = functional.conv2d(functional.gelu(hidden), leave, bias)
        assert torch.allclose(
            found[:, :, expert].transpose(1, 2).view_as(maps), expected, atol=1e-4
        )


def test_experts_of_attention_ask_for_themselves_and_share_what_is_asked() -> None:
    experts = made("attn", 3)
    x = torch.randn(2, 25, 8)
    key, value = (x @ half.T for half in experts.key_value.weight.split(6))
    found = outputs(experts, x)
    for expert in range(3):
        query = x @ experts.query.weight[6 * expert : 6 * expert + 6].T
        seen = functional.scaled_dot_product_attention(query, key, value)
        expected = seen @ experts.weight[expert] + experts.bias[8 * expert : 8 * expert + 8]
        assert torch.allclose(found[:, :, expert], expected, atol=1e-4)


@pytest.mark.parametrize("kind", EXPERTS)
def test_the_weighed_sum_is_that_of_the_outputs(kind: str) -> None:
    experts = made(kind, 5)
    x = experts.prepare(torch.randn(2, 25, 8))
    for weights in (torch.rand(2, 25, 5), torch.rand(2, 1, 5)):
        expected = (experts.each(x) * weights[..., None]).sum(2)
        assert torch.allclose(experts(x, weights), expected, atol=1e-3)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_experts_of_ratio_two_over_e_weigh_what_attention_weighs(count: int, small: Make) -> None:
    block = {"kind": "expert", "experts": count, "top_k": 2, "ratio": "2/E"}
    network = Network(parse(small({"global": block})), 3)
    mixer: Any
    (mixer,) = (module for module in network.modules() if isinstance(module, Experts))
    # Queries, keys, values and the way out of 16 channels.
    assert mixer.enter.weight.numel() + mixer.weight.numel() == 4 * 16 * 16


@pytest.mark.parametrize("kind", EXPERTS)
def test_shared_experts_are_of_the_same_kind(kind: str, small: Make) -> None:
    def parameters(shared: int) -> int:
        block = {"kind": "expert", "experts": 4, "expert": kind, "shared": shared}
        return Cost.of(parse(small({"global": block})), classes=3).parameters

    alone = sum(p.numel() for p in EXPERTS[kind].build(16, 2, 8, (28, 28)).parameters())
    assert parameters(2) - parameters(0) == alone


@pytest.mark.parametrize(
    ("kind", "macs"),
    [
        # A token of 16 channels, through 8 hidden units; then its gate times 16 biases.
        ("mlp", 2 * 16 * 8 + 16),
        ("conv", 2 * 16 * 8 + 9 * 8 + 16),
        ("orient", 2 * 16 * 8 + 3 * 8 + 16),
        # 49 tokens to look at; keys and values are made whoever is chosen.
        ("attn", 2 * 16 * 8 + 2 * 49 * 8),
    ],
)
def test_one_more_chosen_expert_costs_what_that_expert_does(
    kind: str, macs: int, small: Make
) -> None:
    def cost(top_k: int) -> int:
        block = {"kind": "expert", "expert": kind, "collaboration": "none", "top_k": top_k}
        stem = {"kind": "patch", "width": 16}
        return Cost.of(parse(small({"global": block}, stem=stem)), classes=3).macs

    assert cost(2) - cost(1) == pytest.approx(49 * macs, rel=0.01)


def test_a_router_of_clips_is_asked_once_a_clip(small: Make) -> None:
    def cost(level: str) -> int:
        block = {"kind": "expert", "router_level": level, "collaboration": "none", "noise": "off"}
        stem = {"kind": "patch", "width": 16}
        return Cost.of(parse(small({"global": block}, stem=stem)), classes=3).macs

    # Four scores, and the gates of two chosen experts times their biases, for 48 tokens less.
    assert cost("token") - cost("sample") == 48 * 16 * (4 + 2)


def refused(tree: Tree) -> str:
    with pytest.raises(Infeasible) as error:
        parse(tree, "net")
    return str(error.value)


def expert(**settings: Any) -> Tree:
    return {"global": {"kind": "expert", **settings}}


@pytest.mark.parametrize("kind", ["conv", "orient", "hetero", "attn"])
def test_experts_that_look_around_need_a_map(kind: str, small: Make) -> None:
    parse(small(expert(expert=kind), stem={"kind": "patch", "patch": 14}))
    one = small(expert(expert=kind), stem={"kind": "patch", "patch": 28})
    assert refused(one) == (
        f"net.paths.0.stages.0.global: expert '{kind}' looks around on a map of 1 x 1; "
        "right: expert: mlp, or a larger map"
    )
    assert parse_drawn(one) == parse(
        small(expert(expert="mlp"), stem={"kind": "patch", "patch": 28})
    )


GATED = {"local": {"kind": "res_basic"}, "gate": {"kind": "prog", "carry": "none"}}


def test_a_prior_needs_a_gate_before(small: Make) -> None:
    parse(small(GATED, expert(prior=True)))
    behind = small({**expert(prior=True), "gate": {"kind": "prog", "carry": "none"}})
    assert refused(behind) == (
        "net.paths.0.stages.0.global: a prior, with no progressive gate in the stages before; "
        "right: prior: false, or gate: {kind: prog} before"
    )
    behind["paths"][0]["stages"][0]["global"]["prior"] = False
    plain = parse(behind)
    behind["paths"][0]["stages"][0]["global"]["prior"] = True
    assert parse_drawn(behind) == plain


def test_a_prior_sends_tokens_by_what_the_gate_let_through() -> None:
    # The score of the second expert is what the gate let through, less a half.
    router = Router(8 + 1, 2, 1).eval()
    with torch.no_grad():
        router.score.weight.zero_()
        router.score.weight[1, 8] = 1.0
        router.score.weight[0, 0] = 0.5
    sent: list[Tensor] = []
    router.register_forward_hook(lambda _, args, routing: sent.append(routing.chosen[0, :, 1]))
    layer = RoutedExperts(router, made("mlp", 2, (2, 2)), None, None, prior=(2, 2))
    tokens = torch.ones(1, 4, 8)
    # The gate stood at twice the resolution; the maximum of each quarter counts.
    attention = torch.zeros(1, 1, 4, 4)
    attention[0, 0, 0, 1], attention[0, 0, 3, 3], attention[0, 0, 2, 0] = 0.9, 0.6, 0.4
    layer(tokens, State(attention=attention))
    assert sent[0].tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # A softmax over all experts, all of which are chosen.
        ({"router": "soft", "experts": 4}, {"router": "softmax_topk", "experts": 4, "top_k": 4}),
        ({"router": "soft", "top_k": 1}, {"router": "soft", "top_k": 3, "expert_drop": 0.2}),
        # 2 / 8 of 16 channels, and less than the 4 hidden units that an expert has at least.
        ({"experts": 8, "ratio": "2/E"}, {"experts": 8, "ratio": 0.1}),
    ],
)
def test_two_trees_of_one_expert_layer_are_one(one: Tree, other: Tree, small: Make) -> None:
    assert parse(small(expert(**one))) == parse(small(expert(**other)))


def test_a_soft_router_leaves_nobody_out(small: Make) -> None:
    tree = small(expert(router="soft", top_k=1, collaboration="mix"))
    assert parse(tree).losses.balance == 0
    assert parse_drawn(tree) == parse(tree)
    assert refused({**tree, "losses": {"balance": 0.1}}).startswith("net.losses.balance: ")


@pytest.mark.parametrize("kind", EXPERTS)
@pytest.mark.parametrize("router", ["softmax_topk", "sigmoid", "soft"])
def test_every_kind_of_expert_learns_from_every_router(
    router: str, kind: str, small: Make
) -> None:
    block = {"expert": kind, "router": router, "expert_drop": 0.2, "shared": 1}
    stem = {"kind": "patch", "width": 16}
    network = Network(parse(small(expert(**block), stem=stem)), classes=3)
    output = network(torch.randn(8, 3, 28, 28))
    (output.logits.square().sum() + sum(output.losses.values())).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
