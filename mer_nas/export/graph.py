"""The exported graph as it is run, by onnxruntime on the CPU."""

from pathlib import Path

import onnxruntime


def open_graph(path: Path, threads: int = 0) -> onnxruntime.InferenceSession:
    """Return the graph in a file, ready to run.

    Args:
        path: An ONNX file.
        threads: How many compute a batch; 0 leaves it to onnxruntime.

    Raises:
        Exception: The graph cannot be run; onnxruntime's own exceptions have no common base.
    """
    onnxruntime.disable_telemetry_events()  # builds that do not look at `privacy.SILENT`
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors; a warning would reach the terminal from C++
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
