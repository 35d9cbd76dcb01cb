"""Blocks have an ONNX form that says the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from mer_nas.architectures import build, parse
from mer_nas.export.onnx import Deployed, check_onnx, write_onnx

Tree = dict[str, Any]


@pytest.mark.parametrize("name", ["residual", "embedding"])
def test_a_graph_of_convolutional_blocks_says_what_the_network_says(
    name: str, covers: Tree, tmp_path: Path
) -> None:
    network = build(parse(covers[name]), classes=3)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
    deployed = Deployed(network)
    clips = np.random.default_rng(0).normal(size=(7, 3, 28, 28)).astype(np.float32)
    path = tmp_path / "model.onnx"
    write_onnx(deployed, ["flow_uvs"], [clips], {}, path)
    # A graph that loses the last row of an odd map, or counts its padding, would differ.
    check_onnx(deployed, ["flow_uvs"], [clips], path)
