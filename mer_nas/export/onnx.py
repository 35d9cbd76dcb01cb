"""The deployed graph as ONNX, and the proof that it does what the network does.

Deployed means: evaluation mode, logits only, any number of clips in a batch.
"""

import io
import logging
import re
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mer_nas.architectures import Architecture, Network, deployed
from mer_nas.errors import ExportError
from mer_nas.export.graph import OUTPUT, open_graph, session_of, sizes_of_a_clip
from mer_nas.export.manifest import GRAPH

Images = Sequence[NDArray[np.float32]]
"""One array (clips, [frames,] channels, height, width) an input."""

TOLERANCE = 1e-4
"""Largest difference of a logit that is put down to the order of floating-point sums."""
MAX_BYTES = 2**31 - 1
"""The largest file of protobuf, which ONNX files are (protobuf.dev, "Total Size of the Message").
Weights that lie in other files would be no single file any more."""
GRAPH_BYTES = 2**22
"""More than the operators of a network take in its graph: of published systems at search scale, at
most half."""
BATCHES = (1, 7)
"""Batch sizes on which graph and network are compared."""


class Deployed(nn.Module):
    """A copy of a network as it is used: on the CPU, in evaluation mode, logits only.

    What only training uses is left out.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = deployed(network).cpu()
        self.eval()
        self.requires_grad_(False)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the logits (B, K) of B clips."""
        logits: Tensor = self.network(*inputs)
        return logits if logits.dtype == torch.float32 else logits.float()


def write_onnx(
    deployed: Deployed, names: Sequence[str], clips: Images, notes: Mapping[str, str], path: Path
) -> None:
    """Write the graph of `deployed` to `path`, its inputs called `names`, its output "logits".

    Args:
        deployed: The network.
        names: Of its inputs, in the order in which it takes them.
        clips: At least one clip of each input; their number does not matter.
        notes: What the file says about itself to whoever has nothing but the file.
        path: The file.

    Raises:
        ExportError: A block of the network has no ONNX form.
    """
    # The tracer takes a batch of one for a constant: show it two clips.
    examples = tuple(torch.from_numpy(_repeated(images, 2)) for images in clips)
    batch = torch.export.Dim("batch")
    shapes = (tuple({0: batch} for _ in names),)
    try:
        with _quiet():
            program = torch.onnx.export(
                deployed,
                examples,
                dynamo=True,
                verbose=False,
                input_names=list(names),
                output_names=[OUTPUT],
                dynamic_shapes=shapes,
            )
            assert program is not None  # dynamo=True always gives one
            program.model.metadata_props.update(notes)
            program.save(str(path), external_data=False)
            _say_sizes(path, dict(zip(names, clips, strict=True)))
    except torch.onnx.OnnxExporterError as error:
        cause = _without_form(error) or _cause(error.__cause__ or error)
        raise ExportError(f"{path.name}: the network has no ONNX form: {cause}") from error


def _say_sizes(path: Path, clips: Mapping[str, NDArray[np.float32]]) -> None:
    """Write as numbers what a graph would reckon of shapes, where its sizes do not follow else.

    The exporter lays the directions of a recurrent layer side by side by products of shapes, which
    shape inference does not follow, and `open_graph` takes no graph that it cannot follow.

    Args:
        path: The file of a graph for any number of clips.
        clips: Of each input, by its name.
    """
    model = onnx.load(path)
    held = {tensor.name for tensor in model.graph.initializer}
    shaped = [node for node in model.graph.node if node.op_type == "Reshape"]
    reckoned = [node for node in shaped if node.input[1] not in held]
    sizes = sizes_of_a_clip(model) if reckoned else {}
    vague = [node for node in reckoned if None in sizes[node.output[0]]]
    if not vague:
        return
    names = [node.input[1] for node in vague]
    outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in names]
    model.graph.output.extend(outputs)
    session = session_of(model.SerializeToString())
    for _ in outputs:
        model.graph.output.pop()
    few, many = (
        session.run(names, {name: _repeated(images, size) for name, images in clips.items()})
        for size in (2, 3)
    )
    for node, one, other in zip(vague, few, many, strict=True):
        if (one != other).sum() <= 1:  # the number of clips, or a multiple of it
            said = onnx.numpy_helper.from_array(np.where(one == other, one, -1))
            said.name = node.input[1] = f"{node.output[0]}_sizes"
            model.graph.initializer.append(said)
    _drop_unused(model.graph)
    onnx.save(model, path)


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Take out of a graph what nothing reads any more."""
    read, kept = {value.name for value in graph.output}, []
    for node in reversed(graph.node):
        if read & set(node.output):
            read |= set(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def refuse_large(weights: int, networks: int) -> None:
    """Refuse what does not fit into one ONNX file.

    Args:
        weights: Bytes of all weights.
        networks: How many networks have them.

    Raises:
        ExportError: They do not; says how many bytes it would take.
    """
    if (needed := weights + networks * GRAPH_BYTES) <= MAX_BYTES:
        return
    what, right = "the network takes", "a smaller one"
    if networks > 1:
        what = f"the {networks} members take"
        right = "fewer members, or smaller ones (study.final.ensemble.params),"
    raise ExportError(
        f"{what} {needed:,} bytes in one ONNX file, which holds at most {MAX_BYTES:,} (protobuf's "
        f"limit), so nothing was trained for the export; {right} would be right"
    )


def check_onnx(deployed: Deployed, names: Sequence[str], clips: Images, path: Path) -> float:
    """Return the largest difference between the logits of the graph at `path` and the network.

    Args:
        deployed: The network.
        names: Of its inputs, in the order in which it takes them.
        clips: Real clips; they are repeated where there are fewer than the largest batch.
        path: The ONNX file.

    Raises:
        ExportError: They differ by more than `TOLERANCE`, or choose another class for a clip, or
            it is no graph that `open_graph` takes: a block has fixed the number of clips.
    """
    classes = _logits(deployed, [_repeated(images, 2) for images in clips]).shape[-1]
    shapes = {name: images.shape[1:] for name, images in zip(names, clips, strict=True)}
    graph = open_graph(path.read_bytes(), shapes, classes, Path(path.name), threads=1)
    differences = []
    for size in BATCHES:
        for start in range(0, max(BATCHES), size):
            batch = [_repeated(images, max(BATCHES))[start : start + size] for images in clips]
            found = graph.logits(dict(zip(names, batch, strict=True)))
            differences.append(_compare(_logits(deployed, batch), found, size, path))
    return max(differences)


def _without_form(error: BaseException) -> str:
    """Return which operator ONNX has none for, and the line of code that asks for it; or nothing.

    The exporter tells neither apart: its errors hold the node of the graph only in their frames.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    held = [frame.f_locals.get("node") for frame, _ in traceback.walk_tb(error.__traceback__)]
    node = next((node for node in reversed(held) if isinstance(node, torch.fx.Node)), None)
    if node is None:
        return ""
    library = str(Path(torch.__file__).parent)
    calls = re.findall(r'File "(.+)", line (\d+)', str(node.meta.get("stack_trace")))
    own = [f"{Path(file).name}, line {line}: " for file, line in calls if library not in file]
    return f"{''.join(own[-1:])}the exporter knows no form of {node.target}"


def _cause(error: BaseException) -> str:
    """Return the first line of the exporter's pages of advice, and the line of code they mean."""
    said, _, rest = (str(error) or type(error).__name__).partition("\n")
    _, found, place = rest.partition("The following call raised this error:\n")
    return "\n".join([said.strip(), *place.splitlines()[:2]]) if found else said.strip()


def try_export(network: Network, architecture: Architecture) -> None:
    """Export a network with the numbers that it has, for noise, and keep nothing of it.

    Raises:
        ExportError: A block of it has no ONNX form, or answers otherwise there.
    """
    names, used = architecture.inputs, Deployed(network)
    dice = np.random.default_rng(0)
    shapes = [(max(BATCHES), *architecture.shapes[name]) for name in names]
    clips = [dice.standard_normal(shape, dtype=np.float32) for shape in shapes]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / GRAPH
        write_onnx(used, names, clips, {}, path)
        check_onnx(used, names, clips, path)


def _compare(
    expected: NDArray[np.float32], found: NDArray[np.float32], size: int, path: Path
) -> float:
    where = f"{path.name}, batch of {size}"
    if found.shape != expected.shape:
        raise ExportError(f"{where}: logits are {found.shape}, but the network's {expected.shape}")
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise ExportError(
            f"{where}: logits differ from the network's by {difference:.2g}, "
            f"but {TOLERANCE:g} is the most that rounding explains"
        )
    chosen, wanted = found.argmax(-1), expected.argmax(-1)
    if (chosen != wanted).any():
        raise ExportError(
            f"{where}: classes {chosen.tolist()} are chosen, by the network {wanted.tolist()}"
        )
    return difference


def _logits(deployed: Deployed, batch: Images) -> NDArray[np.float32]:
    with torch.no_grad():
        logits: Tensor = deployed(*map(torch.from_numpy, batch))
    return np.asarray(logits.numpy(), dtype=np.float32)


def _repeated(images: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return `count` clips, beginning again at the first where there are fewer."""
    taken = images[np.arange(count) % len(images)]
    return np.ascontiguousarray(taken, dtype=np.float32)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and its deprecations of its own parts off the terminal."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
