import random
from collections.abc import Callable
from typing import Any

import pytest

from mer_nas.architectures import Cost, parse, parse_drawn
from mer_nas.errors import ConfigError, Infeasible

Tree = dict[str, Any]
Make = Callable[..., Tree]

RES = {"kind": "res_basic"}


def refused(tree: object) -> str:
    with pytest.raises(ConfigError) as error:
        parse(tree, "net")
    return str(error.value)


def test_an_unknown_kind_is_refused_with_a_guess(small: Make) -> None:
    assert refused(small({"local": {"kind": "res_basis"}})) == (
        "net.paths.0.stages.0.local: no option is called 'res_basis'; known: conv, inc_a, inc_b, "
        "inc_c, inc_v1, lra, none, recurrent, res12, res_basic, res_eq8. Did you mean 'res_basic'?"
    )


def test_an_unknown_setting_is_refused_with_a_guess(small: Make) -> None:
    assert refused(small({"local": {"kind": "res_basic", "block": 2}})) == (
        "net.paths.0.stages.0.local.res_basic: no setting is called 'block'; known: blocks, kind. "
        "Did you mean 'blocks'?"
    )


def test_every_mistake_is_said_at_once(small: Make) -> None:
    message = refused(
        small({"local": {"kind": "res_basic", "blocks": 0}}, stem={"kind": "convv"}, drop_path=2)
    )
    assert (
        "net.paths.0.stem: no option is called 'convv'; known: conv, conv4, none, patch. "
        in message
    )
    assert "net.paths.0.stages.0.local.res_basic.blocks: " in message
    assert "greater than 0, not 0" in message
    assert "net.drop_path: input should be less than 1, not 2" in message
    assert len(message.splitlines()) == 3


def test_even_kernels_have_no_middle(small: Make) -> None:
    stem = {"kind": "conv", "multi_scale": {"kind": "parallel", "kernels": [2, 3]}}
    assert "a kernel has a middle, so it is odd, not 2" in refused(
        small({"local": RES}, stem=stem)
    )


def test_an_empty_list_is_refused(small: Make) -> None:
    assert refused(small()) == "net.paths.0.stages: at least one is needed"


def test_four_paths_are_one_too_many(small: Make) -> None:
    tree = small({"local": RES}) | {"fusion": {"kind": "concat"}}
    assert len(parse({**tree, "paths": tree["paths"] * 3}).paths) == 3
    tree["paths"] *= 4
    assert refused(tree) == "net.paths: a network has one path, two or three, not 4"


def test_shared_settings_reach_blocks_that_do_not_have_their_own(small: Make) -> None:
    one = {"global": {"kind": "expert", "top_k": 3}}
    other = {"global": {"kind": "expert", "experts": 8, "top_k": 1, "collaboration": "none"}}
    tree = small(one, other)
    tree["paths"][0]["shared"] = {"expert": {"experts": 6, "top_k": 2}, "maa": {"square": True}}
    first, second = (s.global_.model_dump() for s in parse(tree).paths[0].stages)
    assert (first["experts"], first["top_k"]) == (6, 3)
    assert (second["experts"], second["top_k"]) == (8, 1)


@pytest.mark.parametrize(
    ("shared", "message"),
    [
        ({"exprt": {}}, "shared: no block is called 'exprt'; known: "),
        # No part of a path takes these.
        ({"rank_fc": {"hidden": 8}}, "shared: no block is called 'rank_fc'; known: "),
        ({"segnet": {"weight": 2}}, "shared: no block is called 'segnet'; known: "),
        ({"expert": {"topk": 2}}, "Did you mean 'top_k'?"),
        ({"maa": {"square": "x"}}, "shared.maa.square: input should be a valid boolean"),
        ({"expert": {"experts": True}}, "shared.expert.experts: input should be a valid integer"),
        ({"maa": 3}, "shared.maa: settings of the block, not 3"),
        (3, "shared: settings by kind of block, not 3"),
    ],
)
def test_shared_settings_are_checked_even_where_nobody_takes_them(
    shared: object, message: str, small: Make
) -> None:
    tree = small({"local": RES})
    tree["paths"][0]["shared"] = shared
    assert message in refused(tree)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # Widths are multiples of 8: 1.9 and 2 times 16 are both 32.
        ({"growth": 1.9, "local": RES}, {"growth": 2, "local": RES}),
        # Noise of a fixed size is the only one with a size.
        (
            {"global": {"kind": "expert", "noise": "off", "noise_std": 0.3}},
            {"global": {"kind": "expert", "noise": "off"}},
        ),
        # Kernels have no order.
        (
            {"down": {"kind": "maa", "kernels": [5, 3]}, "local": RES},
            {"down": {"kind": "maa", "kernels": [3, 5], "orientations": ["v", "h"]}, "local": RES},
        ),
        # A single grain has nothing to be weighed against.
        (
            {"down": {"kind": "maa", "kernels": [5], "grain_gate": "softmax"}, "local": RES},
            {"down": {"kind": "maa", "kernels": [5]}, "local": RES},
        ),
        # The pyramid of windows ends with the whole map.
        (
            {"global": {"kind": "mhsa", "window": "hier"}},
            {"global": {"kind": "mhsa", "window": "none"}},
        ),
        # Empty slots may be left out.
        ({"local": RES}, {"growth": 1.0, "local": RES, "gate": {"kind": "none"}}),
    ],
)
def test_two_trees_of_one_network_are_one_architecture(
    one: Tree, other: Tree, small: Make
) -> None:
    assert parse(small(one)).model_dump(mode="json") == parse(small(other)).model_dump(mode="json")


def test_scalar_positions_need_global_blocks(small: Make) -> None:
    def position(kind: str) -> Tree:
        return small({"local": RES}, stem={"kind": "patch", "position": kind})

    assert parse(position("scalar")) == parse(position("none"))
    assert parse(position("full")) != parse(position("none"))


def test_the_rate_of_stochastic_depth_of_a_single_block_is_none(small: Make) -> None:
    assert parse(small({"local": RES}, drop_path=0.3)) == parse(small({"local": RES}))
    assert parse(small({"local": RES}, {"local": RES}, drop_path=0.3)).drop_path == 0.3
    inception = {"local": {"kind": "inc_a"}}
    assert parse(small({"local": RES}, inception, drop_path=0.3)).drop_path == 0
    assert parse(small(inception, {"local": RES}, drop_path=0.3)).drop_path == 0.3


def _draw(chance: random.Random) -> Tree:
    """Return a tree whose parts need not fit together."""
    pick = chance.choice
    scales = {"kind": "parallel", "kernels": [3, 5, 7], "place": pick(["before", "after"])}
    conv = {"kind": "conv", "width": pick([16, 20, 32]), "pool": pick([True, False])}
    conv["multi_scale"] = pick([{"kind": "none"}, scales])
    conv4 = {"kind": "conv4", "width": pick([16, 20])}
    patch = {"kind": "patch", "patch": pick([2, 3, 4, 7]), "position": pick(["full", "scalar"])}
    downs = [
        {"kind": "none"},
        {"kind": pick(["in_block", "patch_merge"])},
        {"kind": pick(["conv_maxpool", "maxpool"])},
        {"kind": "maa", "kernels": pick([[3], [5, 9], [3, 15]]), "square": pick([True, False])},
    ]
    experts = {
        "kind": "expert",
        "top_k": pick([1, 2, 5]),
        "router": pick(["softmax_topk", "sigmoid", "soft"]),
        "router_level": pick(["token", "sample"]),
        "expert": pick(["mlp", "conv", "orient", "attn", "hetero"]),
        "ratio": pick([0.25, "2/E"]),
        "collaboration": pick(["none", "mix", "xattn"]),
    }
    mhsa = {"kind": "mhsa", "heads": pick([1, 3, 4]), "window": pick(["none", "hier"])}
    gra = {"kind": "gra", "growth": pick([1, 1.5]), "reduction": pick([1, 4]), "rounding": 8}
    sparse = {"kind": "sparse_vit", "heads": 3, "rate_mode": pick(["parallel", "progressive"])}
    locals_ = [RES, {"kind": pick(["res_eq8", "res12", "inc_a", "inc_b", "inc_c"])}]
    locals_.append({"kind": "lra", "heads": pick([1, 3]), "rounding": 8})
    gates = [{"kind": "prog", "carry": pick(["mul", "learned"])}]
    gates.append({"kind": pick(["cbam_seq", "cbam_par", "se", "eca"])})
    stages = [
        {
            "growth": pick([1, 1.5, 2]),
            "down": pick(downs),
            "local": pick([{"kind": "none"}, *locals_]),
            "global": pick([{"kind": "none"}, experts, mhsa, pick([gra, sparse])]),
            "gate": pick([{"kind": "none"}, *gates]),
        }
        for _ in range(chance.randrange(1, 5))
    ]
    path = {"stem": pick([conv, conv4, patch]), "stages": stages}
    path |= pick([{}, {"input": "keyframes", "frames": 2}])
    return {"paths": [path], "drop_path": pick([0.0, 0.2]), "losses": {"balance": pick([0, 0.1])}}


def test_what_closes_can_be_run_and_closes_to_itself() -> None:
    chance = random.Random(0)
    feasible = 0
    for _ in range(60):
        try:
            architecture = parse_drawn(_draw(chance))
        except Infeasible:
            continue
        feasible += 1
        tree = architecture.model_dump(mode="json")
        assert parse_drawn(tree) == architecture
        assert parse(tree) == architecture
        assert Cost.of(architecture, classes=3).macs > 0
    assert feasible > 54
