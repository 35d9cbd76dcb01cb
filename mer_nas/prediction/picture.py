"""A picture of what a network saw of a clip, and of where it looked.

Where it looked is the gradient of the chosen class's logit by the input, times the input: what
would change the answer most, were it larger (Simonyan et al. 2014, arXiv:1312.6034, section 3). An
ensemble's logit is the logarithm of the mean probability.
This is the one part of prediction that needs torch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mer_nas.data.preprocess.make_inputs import flow_rgb
from mer_nas.export.rebuild import load
from mer_nas.files import ensure_folder
from mer_nas.inputs import FLOW
from mer_nas.prediction.model import Inputs
from mer_nas.prediction.predict import Prediction
from mer_nas.report.charts.canvas import save, style

Image = NDArray[np.float64]
SIDE = 2.2
"""Inches of a panel."""


def draw(model: Path, prediction: Prediction, inputs: Inputs, file: Path) -> None:
    """Write a picture: a row for each input, what it shows and where the network looked.

    Args:
        model: Folder of the export.
        prediction: What the network said.
        inputs: What it saw.
        file: Ends in .svg, .png or .pdf; its folder is made.

    Raises:
        ConfigError: Its folder cannot be made.
        ExportError: The network cannot be rebuilt from the folder.
    """
    looked = attention(model, prediction, inputs)
    rows = [(name, _panels(name, np.asarray(values))) for name, values in inputs.items()]
    columns = 1 + max(len(panels) for _, panels in rows)
    with style("prediction", {"font.size": 8, "text.parse_math": False}):  # names may hold dollars
        figure = Figure(figsize=(SIDE * columns, SIDE * len(rows) + 0.4), layout="constrained")
        chance = prediction.probabilities[prediction.label]
        figure.suptitle(f"{prediction.clip}: {prediction.label} ({chance:.0%})")
        axes = figure.subplots(len(rows), columns, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for line, (name, panels) in zip(axes, rows, strict=True):
            last = ("where it looked", _stretched(looked[name]), "magma")
            for axis, (title, image, colours) in zip(line, [*panels, last], strict=False):
                axis.imshow(image, cmap=colours)
                axis.set_title(title)
        ensure_folder(file.parent, "--picture ")
        save(figure, file, dpi=120)


def attention(model: Path, prediction: Prediction, inputs: Inputs) -> Mapping[str, Image]:
    """Return, by input, how much each pixel spoke for the label, (H, W), none negative."""
    loaded = load(model)
    network, manifest = loaded.network, loaded.manifest
    tensors = {
        name: torch.tensor(np.asarray(values)[None]).requires_grad_()
        for name, values in inputs.items()
    }
    logits = network(*tensors.values())
    logits[0, manifest.classes.index(prediction.label)].backward()
    return {name: _summed(tensor) for name, tensor in tensors.items()}


def _summed(tensor: torch.Tensor) -> Image:
    gradient = tensor.grad if tensor.grad is not None else torch.zeros_like(tensor)
    spoke = (gradient * tensor).detach().abs()[0]
    flat: Image = spoke.reshape(-1, *spoke.shape[-2:]).sum(0).double().numpy()
    return flat


Panel = tuple[str, Any, str]
"""A title, an image (H, W) or (H, W, 3), and the colours of the former."""


def _panels(name: str, values: NDArray[np.float32]) -> list[Panel]:
    if name == FLOW:
        longest = float(np.hypot(values[0], values[1]).max()) or 1.0
        colours = flow_rgb(values[:2], full=longest).transpose(1, 2, 0)
        return [("flow", colours, "gray"), ("strain", _stretched(values[2]), "gray")]
    frames = values[None] if values.ndim == 3 else values
    titles = [name] if len(frames) == 1 else [f"{name} {place}" for place in range(len(frames))]
    return [(title, _picture(frame), "gray") for title, frame in zip(titles, frames, strict=True)]


def _picture(frame: NDArray[np.float32]) -> Any:
    shown = _stretched(frame)
    return shown[0] if len(shown) == 1 else shown.transpose(1, 2, 0)


def _stretched(values: Any) -> Any:
    """Return values stretched to 0..1, for the eye."""
    low, high = values.min(), values.max()
    return (values - low) / ((high - low) or 1)
