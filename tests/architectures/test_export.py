"""Blocks have an ONNX form that says the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mer_nas.architectures import build, parse
from mer_nas.export.onnx import Deployed, check_onnx, write_onnx

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
    network = build(architecture, classes=3)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
    deployed = Deployed(network)
    (source,) = architecture.inputs
    shape = (7, *architecture.shapes[source])
    clips = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert deployed(torch.from_numpy(clips)).std(0).min() > 1e-2  # clips make a difference
    write_onnx(deployed, [source], [clips], {}, path)
    check_onnx(deployed, [source], [clips], path)
