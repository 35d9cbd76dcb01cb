"""Blocks in ONNX: graphs that say what the networks say, a few blocks in each."""

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
NETWORKS: dict[str, Tree] = {
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


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_says_what_the_network_says(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    architecture = parse({"paths": [NETWORKS[name]]}, name)
    network = build(architecture, classes=3)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.2)
    (source,) = architecture.inputs
    clips = [np.random.default_rng(0).normal(size=(7, *architecture.shapes[source]))]
    clips = [images.astype(np.float32) for images in clips]
    deployed = Deployed(network)
    assert deployed(torch.from_numpy(clips[0])).std(0).min() > 1e-2  # clips make a difference
    path = tmp_path / "model.onnx"
    write_onnx(deployed, [source], clips, {}, path)
    check_onnx(deployed, [source], clips, path)
