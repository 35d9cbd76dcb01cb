"""The graph of an export, looked at before it is run: a file from others must not run for ever.

What mer-nas exports is one plain list of operators of the ONNX standard, which holds its weights
itself and whose every size follows from the inputs. Anything else is refused unread: loops,
branches, functions and operators of others, weights in other files, tensors that fill the memory.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from mer_nas.errors import ExportError

OUTPUT = "logits"
MAX_VALUES = 2**26
"""Numbers of the largest tensor within a graph for one clip: those of published systems have less
than a hundredth of it."""
SECONDS = 60.0
"""How long a graph may take for one batch of clips."""


class Graph(NamedTuple):
    """A graph that is ready to run."""

    path: Path
    session: Any

    def logits(self, batch: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the logits (B, K) of B clips.

        Args:
            batch: By name of the input, (B, [T,] C, H, W).

        Raises:
            ExportError: The graph fails, or takes longer than `SECONDS`.
        """
        options = onnxruntime.RunOptions()
        clock = threading.Timer(SECONDS, setattr, (options, "terminate", True))
        clock.daemon = True
        clock.start()
        try:
            (found,) = self.session.run([OUTPUT], dict(batch), options)
        except Exception as error:  # onnxruntime's own exceptions have no common base
            late = f"it takes longer than {SECONDS:g} s" if options.terminate else _first(error)
            raise ExportError(f"{self.path}: this graph cannot be run: {late}") from None
        finally:
            clock.cancel()
        return np.asarray(found, dtype=np.float32)


def open_graph(
    content: bytes, shapes: Mapping[str, Sequence[int]], classes: int, path: Path, threads: int = 0
) -> Graph:
    """Return a graph once nothing in it can run for ever.

    Args:
        content: What its file holds.
        shapes: By name of the input, that of one clip.
        classes: K.
        path: The file, for messages.
        threads: How many compute a batch; 0 leaves it to onnxruntime.

    Raises:
        ExportError: It is no graph, holds what mer-nas never writes, or does not fit.
    """
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # protobuf's errors
        raise ExportError(f"{path}: this is no ONNX graph") from None
    if (reason := next(_strange(model), None) or _misfit(model, shapes, classes)) is not None:
        raise ExportError(f"{path}: this graph is not taken: {reason}")
    try:
        return Graph(path, session_of(content, threads))
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise ExportError(f"{path}: this graph cannot be run: {_first(error)}") from None


def session_of(content: bytes, threads: int = 0) -> Any:
    """Return what runs a graph that was looked at, or is our own."""
    onnxruntime.disable_telemetry_events()  # builds that do not look at `privacy.SILENT`
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # a message would reach the user's terminal from C++
    options.add_session_config_entry("session.load_model_format", "ONNX")  # what was looked at
    return onnxruntime.InferenceSession(
        content,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["ConstantFolding"],  # it would run a part here, without a clock
    )


def _strange(model: onnx.ModelProto) -> Iterator[str]:
    """Yield what stands in a graph that mer-nas never writes."""
    if model.functions:
        yield f"it defines a function of its own, {model.functions[0].name!r}"
    if domains := {opset.domain for opset in model.opset_import} - {"", "ai.onnx"}:
        yield f"it uses operators beyond the standard, {sorted(domains)[0]!r}"
    if model.graph.sparse_initializer:
        yield "it holds sparse weights"
    yield from _elsewhere(model.graph.initializer)
    for node in model.graph.node:
        if node.domain not in {"", "ai.onnx"}:
            yield f"it uses an operator beyond the standard, {node.domain}.{node.op_type}"
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                yield f"{node.op_type} holds a graph of its own, which may run for ever"
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                yield f"{node.op_type} holds sparse weights"
            yield from _elsewhere([attribute.t, *attribute.tensors])


def _elsewhere(tensors: Iterable[onnx.TensorProto]) -> Iterator[str]:
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            yield f"{tensor.name!r} lies in another file"


def _misfit(
    model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]], classes: int
) -> str | None:
    """Return how inputs or answers differ, or which size is not known or too large; None: fine."""
    held = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in held]
    found = {value.name: _shape(value) for value in given}
    if {name: shape[1:] for name, shape in found.items()} != {n: [*s] for n, s in shapes.items()}:
        return f"its inputs are {found}, but {dict(shapes)} for each clip would be right"
    for name, (clips, *_) in found.items():
        if clips is not None:  # the exporter may take the number of clips for a constant
            return f"input {name!r} takes exactly {clips} clips, but any number should do"
    try:
        sizes = sizes_of_a_clip(model)
    except Exception as error:  # errors from C++ have no common base
        return _first(error)
    if (reason := next(_unbounded(model.graph, sizes), None)) is not None:
        return reason
    answers = {value.name: sizes[value.name] for value in model.graph.output}
    if answers != {OUTPUT: [1, classes]}:
        return f"its answers are {answers} for a clip, but {OUTPUT} [1, {classes}] would be right"
    return None


def sizes_of_a_clip(model: onnx.ModelProto) -> dict[str, list[int | None]]:
    """Return the shape of all that a graph works out for one clip; None for what does not follow.

    What the file claims of shapes counts for nothing.
    """
    alone = onnx.ModelProto()
    alone.CopyFrom(model)
    held = {tensor.name for tensor in model.graph.initializer}
    for value in alone.graph.input:
        if value.name not in held:
            value.type.tensor_type.shape.dim[0].dim_value = 1
    del alone.graph.value_info[:]
    graph = onnx.shape_inference.infer_shapes(alone, data_prop=True).graph
    return {value.name: _shape(value) for value in (*graph.value_info, *graph.output)}


def _unbounded(graph: onnx.GraphProto, sizes: Mapping[str, list[int | None]]) -> Iterator[str]:
    for node in graph.node:
        for name in filter(None, node.output):
            known = [size for size in sizes.get(name, [None]) if size is not None]
            if len(known) < len(sizes.get(name, [None])):
                yield f"the size of what {node.op_type} gives does not follow from the inputs"
            elif prod(known) > MAX_VALUES or min(known, default=0) < 0:
                yield f"{node.op_type} gives {known} numbers for a clip"


def _shape(value: onnx.ValueInfoProto) -> list[int | None]:
    """Return the shape of a value; None for a size that is not known."""
    sizes = value.type.tensor_type.shape.dim
    return [size.dim_value if size.HasField("dim_value") else None for size in sizes]


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
