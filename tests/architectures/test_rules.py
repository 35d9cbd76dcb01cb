"""Every rule of the grammar: a network that keeps it, one that breaks it, and what is said."""

from collections.abc import Callable
from typing import Any

import pytest

from mer_nas.architectures import parse, parse_drawn
from mer_nas.errors import ConfigError, Infeasible

Tree = dict[str, Any]
Make = Callable[..., Tree]

RES = {"kind": "res_basic"}
PROG = {"kind": "prog"}
NONE = {"kind": "none"}
IN_BLOCK = {"kind": "in_block"}
PATCH_MERGE = {"kind": "patch_merge"}
LRA = {"kind": "lra", "rounding": 8}
HALVE = {"down": {"kind": "conv_maxpool"}, "local": RES, "growth": 1}
PLAIN = {"local": RES}


def refused(tree: Tree) -> str:
    with pytest.raises(Infeasible) as error:
        parse(tree, "net")
    return str(error.value)


def conv(**settings: Any) -> Tree:
    return {"kind": "conv", "width": 16, **settings}


def parallel(*kernels: int) -> Tree:
    return {"kind": "parallel", "kernels": list(kernels)}


def expert(**settings: Any) -> Tree:
    return {"global": {"kind": "expert", **settings}}


def mhsa(**settings: Any) -> Tree:
    return {"global": {"kind": "mhsa", **settings}}


def test_a_patch_divides_the_input(small: Make) -> None:
    parse(small(PLAIN, stem={"kind": "patch", "patch": 7}))
    assert refused(small(PLAIN, stem={"kind": "patch", "patch": 5})) == (
        "net.paths.0.stem: a patch of 5 does not divide the input size 28; "
        "right: 1, 2, 4, 7, 14 or 28"
    )


def test_a_drawn_patch_becomes_the_nearest_divisor(small: Make) -> None:
    found = parse_drawn(small(PLAIN, stem={"kind": "patch", "patch": 5}))
    assert found.model_dump()["paths"][0]["stem"]["patch"] == 4


def test_the_stem_splits_evenly_into_branches(small: Make) -> None:
    parse(small(PLAIN, stem=conv(width=24, multi_scale=parallel(3, 5, 7))))
    assert refused(small(PLAIN, stem=conv(multi_scale=parallel(3, 5, 7)))) == (
        "net.paths.0.stem.multi_scale: a width of 16 does not split into 3 equal branches; "
        "right: a width divisible by 3"
    )


def test_a_drawn_stem_takes_the_nearest_width_in_eights_that_splits(small: Make) -> None:
    found = parse_drawn(small(PLAIN, stem=conv(width=32, multi_scale=parallel(3, 5, 7))))
    assert found.paths[0].stem.width == 24


def test_a_kernel_of_the_stem_reaches_no_further_than_its_map(small: Make) -> None:
    tree = small(PLAIN, stem=conv(multi_scale=parallel(3, 9)))
    tree["paths"][0]["size"] = 5
    parse(tree)
    tree["paths"][0]["size"] = 4
    assert refused(tree) == (
        "net.paths.0.stem.multi_scale: a kernel of 9 is too large for a map of 4 x 4; "
        "right: kernels up to 7"
    )


def test_behind_the_pool_of_the_stem_kernels_have_half_the_map(small: Make) -> None:
    def tree(place: str) -> Tree:
        scales = {**parallel(3, 9), "place": place}
        made = small(PLAIN, stem=conv(pool=True, multi_scale=scales))
        made["paths"][0]["size"] = 8
        return made

    parse(tree("before"))
    assert refused(tree("after")) == (
        "net.paths.0.stem.multi_scale: a kernel of 9 is too large for a map of 4 x 4; "
        "right: kernels up to 7"
    )
    found = parse_drawn(tree("after")).model_dump(mode="json")["paths"][0]["stem"]["multi_scale"]
    assert found["kernels"] == [3, 7]


def test_a_kernel_of_an_aggregation_reaches_no_further_than_its_map(small: Make) -> None:
    stem = {"kind": "patch", "patch": 14}

    def stage(kernel: int) -> Tree:
        return {**PLAIN, "down": {"kind": "maa", "kernels": [3, kernel]}}

    parse(small(PLAIN, stage(3), stem=stem))
    assert refused(small(PLAIN, stage(5), stem=stem)) == (
        "net.paths.0.stages.1.down: a kernel of 5 is too large for a map of 2 x 2; "
        "right: kernels up to 3"
    )
    found = parse_drawn(small(PLAIN, stage(5), stem=stem)).model_dump(mode="json")
    assert found["paths"][0]["stages"][1]["down"]["kernels"] == [3]


def test_the_square_kernel_of_an_aggregation_needs_a_map(small: Make) -> None:
    def one(square: bool) -> Tree:
        down = {"kind": "maa", "kernels": [1], "square": square}
        return small({**PLAIN, "down": down}, stem={"kind": "patch", "patch": 28})

    parse(one(square=False))
    assert refused(one(square=True)) == (
        "net.paths.0.stages.0.down: a kernel of 3 is too large for a map of 1 x 1; "
        "right: kernels up to 1"
    )
    assert parse_drawn(one(square=True)) == parse(one(square=False))


def test_a_stage_has_a_block(small: Make) -> None:
    parse(small(PLAIN))
    assert refused(small({"gate": NONE})) == (
        "net.paths.0.stages.0: a stage without a block; right: a local or a global block"
    )
    assert parse_drawn(small({"gate": NONE})).paths[0].stages[0].local.kind == "res_basic"


def test_a_stride_in_the_block_needs_a_residual_block(small: Make) -> None:
    parse(small(PLAIN, {"down": IN_BLOCK, "local": RES}))
    assert refused(small(PLAIN, {"down": IN_BLOCK, **expert()})) == (
        "net.paths.0.stages.1.down: 'in_block' needs a residual local block to carry it out, not "
        "'none'; right: local: {kind: res_basic}, or another down"
    )
    found = parse_drawn(small(PLAIN, {"down": IN_BLOCK, **expert()}))
    assert found.paths[0].stages[1].down.kind == "conv_maxpool"


def test_an_inner_down_becomes_the_one_that_its_local_block_carries_out(small: Make) -> None:
    lra = small(PLAIN, {"down": IN_BLOCK, "local": LRA})
    assert parse_drawn(lra).paths[0].stages[1].down.kind == "patch_merge"
    residual = small(PLAIN, {"down": PATCH_MERGE, "local": RES})
    assert parse_drawn(residual).paths[0].stages[1].down.kind == "in_block"
    inception = small(PLAIN, {"down": IN_BLOCK, "local": {"kind": "inc_a"}})
    assert parse_drawn(inception).paths[0].stages[1].down.kind == "maxpool"


def test_merged_patches_need_a_block_that_embeds_them(small: Make) -> None:
    parse(small(PLAIN, {"down": PATCH_MERGE, "local": LRA}))
    assert refused(small(PLAIN, {"down": PATCH_MERGE, "local": RES})) == (
        "net.paths.0.stages.1.down: 'patch_merge' needs a local block that embeds patches to carry "
        "it out, not 'res_basic'; right: local: {kind: lra}, or another down"
    )


def test_a_block_that_embeds_patches_follows_no_other_down(small: Make) -> None:
    parse(small({"local": LRA}, {"local": LRA, "growth": 2}))
    pooled = small(PLAIN, {"down": {"kind": "maxpool"}, "local": {**LRA, "blocks": 2}})
    assert refused(pooled) == (
        "net.paths.0.stages.1.local: 'lra', which embeds patches itself, after the down 'maxpool'; "
        "right: down: {kind: patch_merge}, or none"
    )
    found = parse_drawn(pooled).paths[0].stages[1]
    assert (found.down.kind, found.local.kind, found.depth) == ("maxpool", "res_basic", 2)


def test_the_map_does_not_vanish(small: Make) -> None:
    stage = {"down": {"kind": "maxpool"}, "local": RES}
    parse(small(PLAIN, stage, stage, stage, stage))  # 28, 14, 7, 3, 1
    vanishing = small(PLAIN, stage, stage, stage, stage, stage, PLAIN)
    assert refused(vanishing) == (
        "net.paths.0.stages.5.local: the map has vanished; right: fewer or gentler downs"
    )
    downs = [stage.down.kind for stage in parse_drawn(vanishing).paths[0].stages]
    assert downs == ["none", "maxpool", "maxpool", "maxpool", "maxpool", "none", "none"]


def test_an_inception_block_splits_its_width_in_eights(small: Make) -> None:
    inception = {"local": {"kind": "inc_b", "blocks": 2}}
    parse(small(inception, stem=conv(width=24)))
    assert refused(small(inception, stem=conv(width=20))) == (
        "net.paths.0.stages.0.local: an Inception block of 20 channels, which do not split evenly; "
        "right: a width divisible by 8"
    )
    found = parse_drawn(small(inception, stem=conv(width=20)))
    assert found == parse(small({"local": {**RES, "blocks": 2}}, stem=conv(width=20)))


@pytest.mark.parametrize("kind", ["inc_a", "inc_b", "inc_c"])
def test_an_inception_block_needs_neighbours(kind: str, small: Make) -> None:
    inception = {"local": {"kind": kind}}
    parse(small(inception, stem={"kind": "patch", "patch": 14}))
    one = small(inception, stem={"kind": "patch", "patch": 28})
    assert refused(one) == (
        "net.paths.0.stages.0.local: an Inception block on a map of 1 x 1; "
        "right: a map of 2 x 2 or more, or another local block"
    )
    assert parse_drawn(one).paths[0].stages[0].local.kind == "res_basic"


def test_the_heads_of_an_aggregator_share_the_width_evenly(small: Make) -> None:
    parse(small({"local": {**LRA, "heads": 4}}))
    assert refused(small({"local": {**LRA, "heads": 5}})) == (
        "net.paths.0.stages.0.local: 5 heads do not share 16 channels evenly; "
        "right: a divisor of 16"
    )
    assert parse_drawn(small({"local": {**LRA, "heads": 5}})) == parse(
        small({"local": {**LRA, "heads": 4}})
    )


def test_the_second_convolution_of_the_deep_stem_has_half_its_width(small: Make) -> None:
    parse(small(PLAIN, stem={"kind": "conv4", "width": 16}))
    with pytest.raises(ConfigError) as error:
        parse(small(PLAIN, stem={"kind": "conv4", "width": 15}), "net")
    assert str(error.value) == (
        "net.paths.0.stem.conv4.width: input should be a multiple of 2, not 15"
    )


def test_a_head_of_attention_has_eight_channels_or_more(small: Make) -> None:
    parse(small(mhsa(heads=2)))
    assert refused(small(mhsa(heads=4))) == (
        "net.paths.0.stages.0.global: 4 heads share 16 channels, fewer than 8 each; "
        "right: at most 2 heads"
    )
    assert parse_drawn(small(mhsa(heads=4))) == parse(small(mhsa(heads=2)))


def test_heads_share_the_channels_evenly_but_in_htnet(small: Make) -> None:
    stem = conv(width=32)
    parse(small(mhsa(heads=4), stem=stem))
    parse(small(mhsa(heads=3, window="hier"), stem=stem))
    assert refused(small(mhsa(heads=3), stem=stem)) == (
        "net.paths.0.stages.0.global: 3 heads do not share 32 channels evenly; "
        "right: a divisor of 32"
    )
    found = parse_drawn(small(mhsa(heads=3), stem=stem)).model_dump()["paths"][0]["stages"][0]
    assert found["global"]["heads"] in {2, 4}


def test_attention_needs_two_tokens_but_in_htnet(small: Make) -> None:
    parse(small(mhsa(), stem={"kind": "patch", "patch": 14}))
    parse(small(mhsa(window="hier"), stem={"kind": "patch", "patch": 28}))
    one = small(mhsa(), stem={"kind": "patch", "patch": 28})
    assert refused(one) == (
        "net.paths.0.stages.0.global: attention over a map of 1 x 1, a single token; "
        "right: at least 2 tokens, or another global block"
    )
    assert parse_drawn(one) == parse(small(PLAIN, stem={"kind": "patch", "patch": 28}))


def test_the_windows_of_the_pyramid_tile_the_map(small: Make) -> None:
    last = {"down": {"kind": "conv_maxpool"}, **mhsa(window="hier")}
    parse(small(mhsa(window="hier"), last))
    stem = {"kind": "patch", "patch": 4, "width": 16}
    assert refused(small(mhsa(window="hier"), last, stem=stem)) == (
        "net.paths.0.stages.0.global: a map of 7 x 7 does not split into 2 x 2 windows; "
        "right: window: none"
    )
    found = parse_drawn(small(mhsa(window="hier"), last, stem=stem)).model_dump()
    assert found["paths"][0]["stages"][0]["global"]["window"] == "none"


def test_no_more_experts_are_chosen_than_there_are(small: Make) -> None:
    parse(small(expert(experts=4, top_k=4), losses={"balance": 0.0}))
    assert refused(small(expert(experts=4, top_k=5))) == (
        "net.paths.0.stages.0.global: top_k 5 is more than the 4 experts; right: top_k from 1 to 4"
    )
    found = parse_drawn(small(expert(experts=4, top_k=5))).model_dump()["paths"][0]["stages"][0]
    assert found["global"]["top_k"] == 4


def test_one_expert_alone_does_not_collaborate(small: Make) -> None:
    parse(small(expert(top_k=1, collaboration="none")))
    assert refused(small(expert(top_k=1, collaboration="mix"))) == (
        "net.paths.0.stages.0.global: collaboration 'mix' with top_k 1, an expert alone; "
        "right: collaboration: none, or top_k 2 or more"
    )
    alone = parse(small(expert(top_k=1, collaboration="none")))
    assert parse_drawn(small(expert(top_k=1, collaboration="mix"))) == alone
    assert parse(small(expert(top_k=1))) == alone


@pytest.mark.parametrize("kind", ["prog", "cbam_seq", "cbam_par"])
def test_a_spatial_gate_needs_a_map(kind: str, small: Make) -> None:
    settings = {"carry": "none"} if kind == "prog" else {}
    gated = {**PLAIN, "gate": {"kind": kind, **settings}}
    parse(small(gated, stem={"kind": "patch", "patch": 14}))
    one = small(gated, stem={"kind": "patch", "patch": 28})
    assert refused(one) == (
        "net.paths.0.stages.0.gate: a spatial gate on a map of 1 x 1; right: gate: {kind: none}"
    )
    assert parse_drawn(one).paths[0].stages[0].gate.kind == "none"


@pytest.mark.parametrize("kind", ["se", "eca"])
def test_a_gate_of_channels_needs_none(kind: str, small: Make) -> None:
    parse(small({**PLAIN, "gate": {"kind": kind}}, stem={"kind": "patch", "patch": 28}))


def test_a_map_is_carried_from_one_progressive_gate_to_another(small: Make) -> None:
    carrying = {**PLAIN, "gate": {"kind": "prog", "carry": "geo"}}
    parse(small(carrying, carrying))
    assert refused(small(carrying, PLAIN)) == (
        "net.paths.0.stages.0.gate: carry 'geo' with 1 progressive gate in the path; "
        "right: carry: none, or two progressive gates or more"
    )
    alone = parse(small({**PLAIN, "gate": {"kind": "prog", "carry": "none"}}, PLAIN))
    assert parse_drawn(small(carrying, PLAIN)) == alone
    assert parse(small({**PLAIN, "gate": PROG}, PLAIN)) == alone


def test_a_gate_that_falls_away_takes_the_carry_of_the_other_along(small: Make) -> None:
    # The second gate stands on a map of 1 x 1; without it the first has nobody to carry to.
    stem = {"kind": "patch", "patch": 14}
    found = parse_drawn(small({**PLAIN, "gate": PROG}, {**HALVE, "gate": PROG}, stem=stem))
    first, second = (stage.gate.model_dump() for stage in found.paths[0].stages)
    assert (first["carry"], second["kind"]) == ("none", "none")


@pytest.mark.parametrize("stage", [PLAIN, expert(experts=2, top_k=2)])
def test_balance_is_for_routers_that_leave_experts_out(stage: Tree, small: Make) -> None:
    parse(small(expert(experts=4, top_k=2), losses={"balance": 0.1}))
    assert refused(small(stage, losses={"balance": 0.1})) == (
        "net.losses.balance: a weight of 0.1 for a loss that no block of this network gives "
        "(routed experts give it where top_k < experts); right: 0"
    )
    assert parse_drawn(small(stage, losses={"balance": 0.1})).losses.balance == 0
    assert parse(small(stage)).losses.balance == 0


def test_a_stage_that_nothing_widens_keeps_its_width(small: Make) -> None:
    parse(small(expert(), {**expert(), "growth": 1}))
    parse(small(expert(), {**expert(), "growth": 2, "down": {"kind": "conv_maxpool"}}))
    parse(small(expert(), {**expert(), "growth": 2, "local": RES}))
    widening = small(expert(), {**expert(), "growth": 2})
    assert refused(widening) == (
        "net.paths.0.stages.1: down 'none' and no local block to go from 16 to 32 channels; "
        "right: growth: 1"
    )
    assert parse_drawn(widening) == parse(small(expert(), {**expert(), "growth": 1}))


def test_a_pool_leaves_the_width_to_a_local_block(small: Make) -> None:
    pool = {"down": {"kind": "maxpool"}, "growth": 2}
    parse(small(PLAIN, {**pool, "local": RES}))
    parse(small(PLAIN, {**pool, **expert(), "growth": 1}))
    assert refused(small(PLAIN, {**pool, **expert()})) == (
        "net.paths.0.stages.1: down 'maxpool' and no local block to go from 16 to 32 channels; "
        "right: growth: 1"
    )


def test_every_broken_rule_is_said_at_once(small: Make) -> None:
    message = refused(small(expert(experts=4, top_k=5), {"gate": NONE}))
    assert "top_k 5" in message
    assert "a stage without a block" in message
