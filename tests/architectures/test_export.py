"""Blocks have an ONNX form that says the same.

What stands here is not in the points that the repository ships, or is there in another form: those
are exported by `tests/export`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mer_nas.architectures import SLOTS, Network, parse
from mer_nas.config import presets
from mer_nas.export.onnx import Deployed, check_onnx, write_onnx
from mer_nas.space import SearchSpace

Tree = dict[str, Any]

PATCHES = {"kind": "patch", "patch": 4, "width": 16}
TOKENS: dict[str, Tree] = {
    "experts of every form": {
        "stem": PATCHES,
        "stages": [
            {
                "global": {
                    "kind": "expert",
                    "expert": "conv",
                    "router": "sigmoid",
                    "router_level": "sample",
                    "collaboration": "xattn",
                    "shared": 1,
                },
                "gate": {"kind": "prog", "carry": "none"},
            },
            {
                "growth": 1.5,
                "down": {
                    "kind": "maa",
                    "kernels": [3, 5],
                    "orientations": ["h", "v", "d1", "d2"],
                    "square": True,
                    "attention": "coord",
                    "grain_gate": "softmax",
                },
                "global": {"kind": "expert", "expert": "attn", "top_k": 1, "prior": True},
            },
            {
                "down": {"kind": "maa", "orientations": ["d2"], "attention": "eca"},
                "global": {"kind": "expert", "expert": "hetero", "router": "soft"},
            },
        ],
    },
    "experts of frames, aggregators, and ever sparser tokens": {
        "input": "keyframes",
        "frames": 3,
        "stem": PATCHES,
        "stages": [
            {"global": {"kind": "expert", "expert": "orient", "router_level": "sample"}},
            {"global": {"kind": "gra", "growth": 2, "reduction": 2, "rounding": 8}},
            {
                "global": {
                    "kind": "sparse_vit",
                    "blocks": 2,
                    "heads": 4,
                    "rates": [0.25, 0.5],
                    "rate_mode": "progressive",
                    "select": "gumbel",
                }
            },
        ],
    },
}


def _frames(temporal: str, where: str | int, **blocks: Any) -> Tree:
    """Return a path over frames that pools them by `temporal`."""
    stages = [{"local": {"kind": "res_basic"}}, {"down": {"kind": "in_block"}, **blocks}]
    pool = {"kind": temporal, "where": where}
    return {"input": "frames", "frames": 4, "stem": PATCHES, "stages": stages, "temporal": pool}


def _fused(fusion: str, one: Tree, other: Tree, **losses: Any) -> Tree:
    return {"paths": [one, other], "fusion": {"kind": fusion, "width": 16}, "losses": losses}


BASIC = {"local": {"kind": "res_basic"}}
CONVOLVED = {"down": {"kind": "conv_maxpool"}, **BASIC}
FLOW = {
    "layout": "tiles4",
    "stem": PATCHES,
    "stages": [{"global": {"kind": "mhsa"}}, CONVOLVED],
}
FUSED = {
    "sum": _fused("sum", _frames("mean", "stem", **BASIC), _frames("max", "end", **BASIC)),
    "concat": _fused("concat", FLOW, _frames("diff", 0, **BASIC)),
    "gate": _fused("gate", _frames("attn", "end", **BASIC), _frames("arp", "end", **BASIC)),
    "sk": _fused(
        "sk",
        {"stem": PATCHES, "stages": [BASIC]},
        {**_frames("scored", "stem", **BASIC), "stem": {"kind": "conv", "stride": 2, "width": 8}},
        rank=0.1,
        dyn_image={"kind": "small"},
        orth={"kind": "frob", "weight": 0.1},
    ),
}
RANKED = {
    "paths": [
        {**_frames("conv3d", "end", **BASIC), "stem": {"kind": "conv4", "width": 16}},
    ],
    "head": {"kind": "rank_fc", "hidden": 16},
    "losses": {"dyn_image": {"kind": "segnet"}},
}
"""Rank features, and what only training has, which the graph must not hold."""


def _kinds(tree: Any, slot: str = "") -> Iterator[tuple[str, str]]:
    """Yield every block of a closed form with its slot."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        if key == "kind":
            yield slot, value
        for part in value if isinstance(value, list) else [value]:
            yield from _kinds(part, key)


def test_the_graphs_hold_every_block_of_every_slot(covers: Tree) -> None:
    token = [{"paths": [path]} for path in TOKENS.values()]
    shipped = SearchSpace.read(presets.read("space", "hybrid"), "space=hybrid").file.points
    points = [point.values["architecture"] for point in shipped]
    trees = [*covers.values(), *token, *FUSED.values(), RANKED, *points]
    found = {kind for tree in trees for kind in _kinds(parse(tree).model_dump(mode="json"))}
    offered = {
        (slot, kind)
        for slot, registry in SLOTS.items()
        for kind, block in registry.items()
        if block.__module__.startswith("mer_nas.")
    }
    assert found == offered


@pytest.mark.parametrize("name", FUSED)
def test_a_graph_of_paths_and_frames_says_what_the_network_says(name: str, tmp_path: Path) -> None:
    _compare(FUSED[name], tmp_path / "model.onnx")


def test_a_graph_of_rank_features_says_what_the_network_says(tmp_path: Path) -> None:
    _compare(RANKED, tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["residual", "embedding"])
def test_a_graph_of_convolutional_blocks_says_what_the_network_says(
    name: str, covers: Tree, tmp_path: Path
) -> None:
    # A graph that loses the last row of an odd map, or counts its padding, would differ.
    _compare(covers[name], tmp_path / "model.onnx")


@pytest.mark.parametrize("name", TOKENS)
def test_a_graph_of_token_blocks_says_what_the_network_says(name: str, tmp_path: Path) -> None:
    _compare({"paths": [TOKENS[name]]}, tmp_path / "model.onnx")


def _compare(tree: Tree, path: Path) -> None:
    architecture = parse(tree)
    network = Network(architecture, classes=3)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
    deployed = Deployed(network)
    names = architecture.inputs
    chance = np.random.default_rng(0)
    clips = [
        chance.normal(size=(7, *architecture.shapes[name])).astype(np.float32) for name in names
    ]
    said = deployed(*map(torch.from_numpy, clips))
    assert said.std(0).min() > 1e-2  # clips make a difference
    write_onnx(deployed, names, clips, {}, path)
    check_onnx(deployed, names, clips, path)
