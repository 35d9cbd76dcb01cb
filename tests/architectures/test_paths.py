"""Rules of paths, of time and of what is learned beside: kept, broken, repaired, and one form."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from mer_nas.architectures import FUSIONS, TEMPORALS, Cost, Network, parse, parse_drawn
from mer_nas.errors import Infeasible

Tree = dict[str, Any]
Make = Callable[..., Tree]

RES = {"local": {"kind": "res_basic"}}
HALF = {"down": {"kind": "conv_maxpool"}, **RES}
STEM = {"kind": "conv", "width": 8}
SPARSE = {"global": {"kind": "sparse_vit", "blocks": 1, "heads": 1, "rates": [0.5]}}
POOLS = sorted(set(TEMPORALS) - {"none"})


def refused(tree: Tree) -> str:
    with pytest.raises(Infeasible) as error:
        parse(tree, "net")
    return str(error.value)


def one(*stages: Tree, losses: Tree | None = None, head: Tree | None = None, **path: Any) -> Tree:
    """Return a network of one path, of a stage that keeps the shape unless others are given."""
    tree: Tree = {"paths": [{"stem": STEM, "stages": list(stages) or [RES], **path}]}
    return tree | ({"losses": losses} if losses else {}) | ({"head": head} if head else {})


def frames(*stages: Tree, pool: Tree | None = None, **rest: Any) -> Tree:
    """Return a network of one path that reads four frames."""
    path = {"input": "frames", "frames": 4, "temporal": pool or {"kind": "mean"}}
    return one(*stages, **(path | rest))


def two(fusion: Tree | None = None, *, other: Tree | None = None, **rest: Any) -> Tree:
    """Return a network of two paths; the second as the first unless it is given."""
    paths = [{"stem": STEM, "stages": [RES]}, other or {"stem": STEM, "stages": [RES]}]
    return {"paths": paths, "fusion": fusion or {"kind": "sum", "width": 8}, **rest}


def test_frames_are_of_a_sequence() -> None:
    parse(frames())
    assert refused(one(frames=4)) == (
        "net.paths.0: 4 frames of 'flow_uvs', which is one image; "
        "right: frames: 1, or the input keyframes, keyframes_rgb, frames or clip_frames"
    )
    assert parse_drawn(one(frames=4)).paths[0].frames == 1


def test_a_sequence_has_two_frames_or_more() -> None:
    assert refused(one(input="frames")) == (
        "net.paths.0: frames: 1 of 'frames', a sequence; right: 2 frames or more"
    )
    assert parse_drawn(one(input="frames")).paths[0].frames == 2


def test_there_are_three_key_frames() -> None:
    keys = {"input": "keyframes", "temporal": {"kind": "mean"}}
    parse(one(**keys, frames=3))
    assert refused(one(**keys, frames=4)) == (
        "net.paths.0: frames: 4 of 'keyframes', a sequence; right: 2 to 3 frames"
    )
    assert parse_drawn(one(**keys, frames=4)).paths[0].frames == 3


def test_frames_are_pooled() -> None:
    parse(frames())
    parse(frames(SPARSE, pool={"kind": "none"}))
    assert refused(frames(pool={"kind": "none"})) == (
        "net.paths.0: 4 frames and no temporal pool; "
        "right: temporal: {kind: learned}, or another pool"
    )
    assert parse_drawn(frames(pool={"kind": "none"})).paths[0].temporal.kind == "learned"


def test_frames_are_pooled_once() -> None:
    assert refused(frames(SPARSE)) == (
        "net.paths.0: 2 temporal pools, 'sparse_vit' and 'mean'; "
        "right: one of them; temporal: {kind: none} leaves time to the block"
    )
    assert parse_drawn(frames(SPARSE)).paths[0].temporal.kind == "none"


def test_one_frame_is_not_pooled() -> None:
    assert refused(one(temporal={"kind": "attn"})) == (
        "net.paths.0: the temporal pool 'attn' for one frame; right: temporal: {kind: none}"
    )
    assert parse_drawn(one(temporal={"kind": "attn"})).paths[0].temporal.kind == "none"


def test_a_pool_stands_behind_a_stage_that_there_is() -> None:
    parse(frames(RES, RES, pool={"kind": "max", "where": 1}))
    assert refused(frames(RES, RES, pool={"kind": "max", "where": 2})) == (
        "net.paths.0.temporal: a pool after stage 2, but the last one is stage 1; "
        "right: where: stem, end, or from 0 to 1"
    )
    found = parse_drawn(frames(RES, RES, pool={"kind": "max", "where": 2}))
    assert found.paths[0].pooled_after == 1


def test_rank_features_are_taken_at_the_end() -> None:
    rank = {"kind": "rank_fc"}
    parse(frames(RES, RES, pool={"kind": "conv3d"}, head=rank))
    assert refused(frames(RES, RES, pool={"kind": "conv3d", "where": "stem"}, head=rank)) == (
        "net.paths.0.temporal: rank features after the stem; right: where: end"
    )
    found = parse_drawn(frames(RES, RES, pool={"kind": "conv3d", "where": 0}, head=rank))
    assert found.paths[0].pooled_after == 1


def test_rank_features_stand_alone() -> None:
    other = {"input": "frames", "frames": 4, "stem": STEM, "stages": [RES]}
    other["temporal"] = {"kind": "conv3d"}
    tree = two(other=other, head={"kind": "rank_fc"})
    assert refused(tree) == (
        "net.paths.1.temporal: rank features beside another path, with whose positions they "
        "share nothing; right: one path, or another temporal pool"
    )
    assert parse_drawn(tree).paths[1].temporal.kind == "learned"


def test_rank_features_have_a_head_of_their_own() -> None:
    assert refused(frames(pool={"kind": "conv3d"})) == (
        "net.head: the mean of rank features; right: head: {kind: rank_fc}"
    )
    assert parse_drawn(frames(pool={"kind": "conv3d"})).head.kind == "rank_fc"


def test_the_head_of_rank_features_pools_parts_of_its_map() -> None:
    small = {"stem": {"kind": "patch", "patch": 14}, "head": {"kind": "rank_fc"}}
    parse(one(**small | {"stem": {"kind": "patch", "patch": 7}}))
    assert refused(one(**small)) == (
        "net.head: a map of 2 x 2 to pool in parts of 3 x 3; right: head: {kind: gap}"
    )
    assert parse_drawn(one(**small)).head.kind == "gap"


def test_two_paths_are_fused() -> None:
    parse(two())
    assert refused(two({"kind": "none"})) == (
        "net.fusion: two paths and no fusion; right: fusion: {kind: sk}, or one path"
    )
    assert parse_drawn(two({"kind": "none"})).fusion.kind == "sk"


@pytest.mark.parametrize("kind", sorted(set(FUSIONS) - {"none"}))
def test_one_path_is_not_fused(kind: str) -> None:
    tree = one() | {"fusion": {"kind": kind}}
    assert refused(tree) == (
        f"net.fusion: the fusion {kind!r} of one path; right: fusion: {{kind: none}}, or two paths"
    )
    assert parse_drawn(tree).fusion.kind == "none"


def test_an_input_has_one_size() -> None:
    other = {"stem": STEM, "stages": [RES], "size": 32}
    parse(two(other={**other, "input": "difference"}))
    assert refused(two(other=other)) == (
        "net.paths.1: 'flow_uvs' read at size 32, by an earlier path at 28; "
        "right: one size for one input"
    )
    assert parse_drawn(two(other=other)).paths[1].size == 28


@pytest.mark.parametrize("name", ["orth", "branch_cls"])
def test_two_paths_are_compared_where_there_are_two(name: str) -> None:
    weights = {"orth": {"orth": {"kind": "cos2", "weight": 0.5}}, "branch_cls": {name: 0.5}}[name]
    parse(two(losses=weights))
    right = {"orth": "{kind: none}", "branch_cls": "0"}[name]
    assert refused(one(losses=weights)) == (
        f"net.losses.{name}: a weight of 0.5 for a loss that no block of this network gives "
        f"(it needs two paths); right: {right}"
    )
    assert parse_drawn(one(losses=weights)).losses.weights[name] == 0


@pytest.mark.parametrize("name", ["dyn_image", "rank"])
def test_frames_are_learned_from_where_they_are_pooled(name: str) -> None:
    image = {"dyn_image": {"kind": "small", "weight": 2.0}}
    weights = {"dyn_image": image, "rank": {"rank": 2.0}}[name]
    parse(frames(losses=weights))
    right = {"dyn_image": "{kind: none}", "rank": "0"}[name]
    for tree in (one(losses=weights), frames(SPARSE, pool={"kind": "none"}, losses=weights)):
        assert refused(tree) == (
            f"net.losses.{name}: a weight of 2.0 for a loss that no block of this network gives "
            f"(it needs frames and a pool in the slot temporal); right: {right}"
        )
        assert parse_drawn(tree).losses.weights[name] == 0


def test_scores_are_taught_by_the_rank_loss() -> None:
    parse(frames(pool={"kind": "scored"}, losses={"rank": 0.2}))
    assert refused(frames(pool={"kind": "scored"})) == (
        "net.losses.rank: a weight of 0, but 'scored' learns from this loss only; "
        "right: more than 0"
    )
    assert parse_drawn(frames(pool={"kind": "scored"})).losses.rank == 0.1


def test_a_grid_of_rank_features_halves_as_often_as_its_decoder() -> None:
    def tree(decoder: str, grid: int) -> Tree:
        pool, losses = {"kind": "conv3d", "grid": grid}, {"dyn_image": {"kind": decoder}}
        return frames(pool=pool, head={"kind": "rank_fc"}, losses=losses)

    parse(tree("segnet", 32))
    parse(tree("small", 40))
    assert refused(tree("segnet", 40)) == (
        "net.losses.dyn_image: a map of 40 x 40 for 5 halvings; "
        "right: a grid divisible by 32, or a smaller decoder"
    )
    assert parse_drawn(tree("segnet", 40)).losses.dyn_image.kind == "small"
    assert parse_drawn(tree("small", 36)).losses.dyn_image.kind == "none"


def test_a_decoder_has_something_left_to_halve() -> None:
    losses = {"dyn_image": {"kind": "small"}}
    parse(frames(HALF, losses=losses))
    assert refused(frames(HALF, HALF, losses=losses)) == (
        "net.losses.dyn_image: a map of 7 x 7 for 3 halvings; "
        "right: sides of 8 or more, or a smaller decoder"
    )
    assert parse_drawn(frames(HALF, HALF, losses=losses)).losses.dyn_image.kind == "none"


def test_every_broken_rule_of_both_paths_is_said() -> None:
    stem = {"kind": "patch", "patch": 14}
    gone = {"stem": stem, "stages": [{"down": {"kind": "maxpool"}, **RES}] * 2}
    message = refused(two(other=gone) | {"paths": [gone, {**gone, "frames": 2}]})
    assert [line.split(":")[0] for line in message.splitlines()] == [
        "net.paths.0.stages.1.local",
        "net.paths.1",
        "net.paths.1.stages.1.local",
    ]


@pytest.mark.parametrize(
    ("tree", "other"),
    [
        # After the last stage is at the end.
        (
            frames(RES, RES, pool={"kind": "max", "where": 1}),
            frames(RES, RES, pool={"kind": "max", "where": "end"}),
        ),
        # Of two frames, both are half the difference.
        (
            frames(RES, RES, pool={"kind": "arp", "where": 0}, frames=2),
            frames(RES, RES, pool={"kind": "diff", "where": 0}, frames=2),
        ),
        # What has no weight is not there.
        (frames(losses={"dyn_image": {"kind": "segnet", "weight": 0}}), frames()),
        (two(losses={"orth": {"kind": "frob", "weight": 0}}), two()),
        (one(losses={"rank": 0, "au": 0.0}), one()),
    ],
)
def test_two_trees_of_one_network_are_one_architecture(tree: Tree, other: Tree) -> None:
    assert parse(tree).model_dump(mode="json") == parse(other).model_dump(mode="json")


def test_arp_and_diff_are_two_networks_from_three_frames_on() -> None:
    arp, diff = (frames(RES, RES, pool={"kind": kind, "where": 0}) for kind in ("arp", "diff"))
    assert parse(arp) != parse(diff)


def test_paths_that_read_one_input_are_given_it_once() -> None:
    architecture = parse(two())
    assert architecture.shapes == {"flow_uvs": (3, 28, 28)}
    assert Network(architecture, 3)(torch.randn(2, 3, 28, 28)).logits.shape == (2, 3)


def test_a_path_shares_its_input_only() -> None:
    network = Network(parse(two()), 3)
    pair = zip(*(path.parameters() for path in network.paths), strict=True)
    assert all(
        one is not other and not torch.equal(one, other) for one, other in pair if one.ndim > 1
    )


def test_the_longest_of_two_paths_says_how_many_frames_are_read() -> None:
    def path(count: int) -> Tree:
        return frames(frames=count)["paths"][0]  # type: ignore[no-any-return]

    architecture = parse(two() | {"paths": [path(2), path(5)]})
    assert architecture.shapes == {"frames": (5, 1, 28, 28)}


def test_a_path_takes_frames_evenly_and_key_frames_from_the_first_on() -> None:
    def seen(name: str, count: int, given: int) -> list[float]:
        clip = torch.arange(given).float().view(1, given, 1, 1, 1)
        tree = frames(input=name, frames=count)
        return Network(parse(tree), 2).ways[0].read([clip])[0].flatten().tolist()

    assert seen("frames", 3, given=8) == [0, 4, 7]
    assert seen("frames", 4, given=4) == [0, 1, 2, 3]
    assert seen("frames", 2, given=16) == [0, 15]
    assert seen("keyframes", 2, given=3) == [0, 1]


def test_a_clip_with_fewer_frames_than_a_path_takes_is_refused() -> None:
    network = Network(parse(frames()), 2)
    with pytest.raises(ValueError, match="3 frames of 'frames' for a path of 4"):
        network(torch.randn(1, 3, 1, 28, 28))


def _draw(chance: random.Random, pool: str) -> Tree:
    """Return a network whose parts need not fit together."""
    pick = chance.choice

    def path() -> Tree:
        down = {"kind": pick(["none", "conv_maxpool", "maxpool", "in_block"])}
        stages = [
            pick([{"growth": pick([1, 2]), "down": down, **RES}, SPARSE, HALF])
            for _ in range(pick([1, 2, 3]))
        ]
        where = pick(["stem", "end", 0, 1, 2])
        return {
            "input": pick(["flow_uvs", "keyframes", "frames", "frames"]),
            "frames": pick([1, 2, 3, 6]),
            "stem": pick([STEM, {"kind": "patch", "patch": pick([4, 7]), "width": 16}]),
            "stages": stages,
            "temporal": {"kind": pool} | ({"where": where} if pool != "none" else {}),
        }

    return {
        "paths": pick([[path()], [path()], [path(), path()], [path()] * 2]),
        "fusion": {"kind": pick(list(FUSIONS))},
        "head": {"kind": pick(["gap", "rank_fc"])},
        "losses": {
            "rank": pick([0, 0.1]),
            "au": pick([0, 1.0]),
            "branch_cls": pick([0, 0.5]),
            "dyn_image": {"kind": pick(["none", "small", "segnet"])},
            "orth": {"kind": pick(["none", "cos2", "frob"])},
        },
    }


def test_nearly_all_draws_close_to_a_network_that_is_its_own_closed_form() -> None:
    chance = random.Random(0)
    closed = []
    for pool in list(TEMPORALS) * 12:
        try:
            closed.append(parse_drawn(_draw(chance, pool)))
        except Infeasible:
            continue
    assert len(closed) > 0.9 * 12 * len(TEMPORALS)
    for architecture in closed:
        tree = architecture.model_dump(mode="json")
        assert parse_drawn(tree) == architecture
        assert parse(tree) == architecture
    assert {path.temporal.kind for a in closed for path in a.paths} == {"none", *POOLS}
    assert {architecture.fusion.kind for architecture in closed} == set(FUSIONS)
    assert Cost.of(closed[0], classes=3).macs > 0
