"""A graph from others: taken if it is a plain list of operators of known sizes, else one message."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from mer_nas.errors import ExportError
from mer_nas.export import graph as graphs
from mer_nas.export.graph import Graph, open_graph

FLOAT, INT64, BOOL = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL
PATH = Path("model.onnx")
SHAPES = {"flow_uvs": (3, 4, 4)}
ENDS = [
    helper.make_node("ReduceMean", ["seen"], ["logits"], keepdims=0, axes=[2, 3]),
]


def written(
    nodes: Sequence[onnx.NodeProto],
    numbers: dict[str, Any] | None = None,
    batch: str | int = "batch",
    domain: str = "",
    **more: Any,
) -> onnx.ModelProto:
    """Return a graph that makes three logits of a clip by `nodes`, which give what is "seen"."""
    graph = helper.make_graph(
        [*nodes, *ENDS],
        "network",
        [helper.make_tensor_value_info("flow_uvs", FLOAT, [batch, 3, 4, 4])],
        [helper.make_tensor_value_info("logits", FLOAT, [batch, 3])],
        [
            numpy_helper.from_array(np.array(value), name)
            for name, value in (numbers or {}).items()
        ],
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)


def opened(model: onnx.ModelProto | bytes, classes: int = 3) -> Graph:
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return open_graph(content, SHAPES, classes, PATH)


PLAIN = helper.make_node("Relu", ["flow_uvs"], ["seen"])


def endless() -> onnx.ModelProto:
    """Return a graph that goes round without an end."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still_going"]),
            helper.make_node("Relu", ["before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", INT64, []),
            helper.make_tensor_value_info("going", BOOL, []),
            helper.make_tensor_value_info("before", FLOAT, ["batch", 3, 4, 4]),
        ],
        [
            helper.make_tensor_value_info("still_going", BOOL, []),
            helper.make_tensor_value_info("after", FLOAT, ["batch", 3, 4, 4]),
        ],
    )
    loop = helper.make_node("Loop", ["", "true", "flow_uvs"], ["seen"], body=body)
    return written([loop], {"true": True})


def elsewhere() -> onnx.ModelProto:
    """Return a graph whose weights lie in a file of others."""
    model = written([helper.make_node("Add", ["flow_uvs", "w"], ["seen"])], {"w": np.float32([1])})
    (weights,) = model.graph.initializer
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="/etc/passwd")
    return model


def of_functions() -> onnx.ModelProto:
    """Return a graph with a function, of which few lines can stand for ever so many operators."""
    twice = helper.make_function(
        "own", "twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    node = helper.make_node("twice", ["flow_uvs"], ["seen"], domain="own")
    return written([node], domain="own", functions=[twice])


def grown(operator: str, numbers: dict[str, Any], *names: str) -> onnx.ModelProto:
    """Return a graph in which an operator makes much of little."""
    nodes = [
        helper.make_node(operator, list(names), ["much"]),
        helper.make_node("ReduceMax", ["much"], ["one"], keepdims=0),
        helper.make_node("Add", ["flow_uvs", "one"], ["seen"]),
    ]
    return written(nodes, numbers)


def by_content() -> onnx.ModelProto:
    """Return a graph in which the numbers of a clip say how large a tensor is."""
    nodes = [
        helper.make_node("NonZero", ["flow_uvs"], ["places"]),
        helper.make_node("ReduceMax", ["places"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["one"], to=FLOAT),
        helper.make_node("Add", ["flow_uvs", "one"], ["seen"]),
    ]
    return written(nodes)


HOSTILE = {
    "loop": (endless(), "Loop holds a graph of its own, which may run for ever"),
    "function": (of_functions(), "it defines a function of its own, 'twice'"),
    "domain": (
        written([helper.make_node("Gelu", ["flow_uvs"], ["seen"], domain="com.microsoft")],
                domain="com.microsoft"),
        "beyond the standard, 'com.microsoft'",
    ),
    "external": (elsewhere(), "'w' lies in another file"),
    "tile": (
        grown("Expand", {"x": np.float32([1]), "n": [100_000, 100_000]}, "x", "n"),
        r"Expand gives \[100000, 100000\] numbers for a clip",
    ),
    "constant": (
        grown("ConstantOfShape", {"n": [10**12]}, "n"),
        "ConstantOfShape gives .1000000000000. numbers",
    ),
    "content": (by_content(), "the size of what NonZero gives does not follow from the inputs"),
    "batch": (written([PLAIN], batch=2), "input 'flow_uvs' takes exactly 2 clips"),
    "no input": (written([helper.make_node("Relu", ["flow_uvz"], ["seen"])]), "of what Relu gives does"),
}  # fmt: skip


def test_a_plain_graph_is_taken_and_gives_what_it_computes() -> None:
    clip = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4)
    found = opened(written([PLAIN])).logits({"flow_uvs": clip})
    assert found.tolist() == [[7.5, 23.5, 39.5]]  # the means of 0..15, 16..31, 32..47


@pytest.mark.parametrize(("model", "found"), HOSTILE.values(), ids=HOSTILE)
def test_what_mer_nas_never_writes_is_not_taken(model: onnx.ModelProto, found: str) -> None:
    with pytest.raises(ExportError, match=f"^model.onnx: this graph .*{found}"):
        opened(model)


def test_other_inputs_or_classes_than_those_of_the_manifest_are_not_taken() -> None:
    with pytest.raises(
        ExportError, match=r"its answers are .* but logits \[1, 4\] would be right"
    ):
        opened(written([PLAIN]), classes=4)
    with pytest.raises(ExportError, match=r"its inputs are .* but {'keyframes'"):
        open_graph(written([PLAIN]).SerializeToString(), {"keyframes": (1,)}, 3, PATH)


@pytest.mark.parametrize("content", [b"", b"no graph", b"\0" * 100, b"\x0a" * 5000])
def test_what_is_no_graph_is_one_message(content: bytes) -> None:
    with pytest.raises(ExportError, match=r"^model.onnx: this [^\n]+$"):
        opened(content)


def test_a_graph_that_is_damaged_anywhere_works_or_is_one_message() -> None:
    whole = written([PLAIN]).SerializeToString()
    clip = {"flow_uvs": np.ones((1, 3, 4, 4), np.float32)}
    draw = np.random.default_rng(0)
    for cut in range(0, len(whole), 7):
        damaged = [whole[:cut], bytearray(whole)]
        damaged[1][cut] ^= 1 << int(draw.integers(8))  # type: ignore[index]
        for content in map(bytes, damaged):
            said = ""
            try:
                assert opened(content).logits(clip).shape == (1, 3)
            except ExportError as error:
                said = str(error)
            assert not said or said.startswith("model.onnx: this ")


def test_a_graph_is_stopped_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [f"x{step}" for step in range(400)]
    products = [
        helper.make_node("MatMul", [before, "w"], [after])
        for before, after in zip(["w", *steps], steps, strict=False)
    ]
    ends = [
        helper.make_node("ReduceMax", [steps[-1]], ["one"], keepdims=0),
        helper.make_node("Add", ["flow_uvs", "one"], ["seen"]),
    ]
    model = written([*products, *ends], {"w": np.eye(1000, dtype=np.float32)})
    monkeypatch.setattr(graphs, "SECONDS", 0.05)
    with pytest.raises(ExportError, match=r"cannot be run: it takes longer than 0\.05 s"):
        opened(model).logits({"flow_uvs": np.ones((1, 3, 4, 4), np.float32)})
