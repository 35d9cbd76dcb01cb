"""The clips of a data set as people see them: one of each class, from onset to dynamic image."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mer_nas.data.clips import ClipSet
from mer_nas.data.preprocess.make_inputs import flow_rgb
from mer_nas.inputs import DYNAMIC_IMAGE, FLOW, KEYFRAMES
from mer_nas.report.charts.canvas import save, style

GALLERY_INPUTS = (KEYFRAMES, FLOW, DYNAMIC_IMAGE)
"""What is shown of a clip."""

PANELS = ("onset", "apex", "flow, onset to apex", "strain", "dynamic image")
PANEL_INCHES = 1.7
"""Inches of a panel."""


def _typical(clips: ClipSet, label: int) -> int:
    """Return the clip of a class whose motion is in the middle of the class, by its mean length.

    Args:
        clips: With flow.
        label: Index of the class, which has a clip.
    """
    places = np.flatnonzero(clips.labels == label)
    flow = clips.inputs[FLOW][places]
    order = np.argsort(np.hypot(flow[:, 0], flow[:, 1]).mean((1, 2)), kind="stable")
    return int(places[order[len(order) // 2]])


def draw_gallery(clips: ClipSet, file: Path) -> None:
    """Write the picture of a data set to `file`: a row for each class, a typical clip of it.

    Motions are to one scale over all rows, so that a brighter flow is a larger one; its hue is the
    direction, counted from downwards: down red, left yellow-green, up cyan, right violet.

    Args:
        clips: With `GALLERY_INPUTS`; classes without a clip are left out.
        file: Its ending says as what.
    """
    labels = [label for label in range(len(clips.classes)) if (clips.labels == label).any()]
    shown = [_typical(clips, label) for label in labels]
    flow, pooled = clips.inputs[FLOW][shown], clips.inputs[DYNAMIC_IMAGE][shown]
    longest = float(np.hypot(flow[:, 0], flow[:, 1]).max()) or 1.0
    strongest, change = float(flow[:, 2].max()) or 1.0, float(np.abs(pooled).max()) or 1.0
    with style("gallery"):
        size = (PANEL_INCHES * len(PANELS) + 0.3, PANEL_INCHES * len(shown) + 0.35)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(shown), len(PANELS), squeeze=False)
        for row, label, place in zip(axes, labels, shown, strict=True):
            onset, apex = clips.inputs[KEYFRAMES][place][:2]
            u, v, strain = clips.inputs[FLOW][place]
            colours = flow_rgb(np.stack([u, v]), full=longest).transpose(1, 2, 0)
            _show(row[0], onset[0], -1, 1)
            _show(row[1], apex[0], -1, 1)
            row[2].imshow(colours)
            _show(row[3], strain, 0, strongest)
            _show(row[4], clips.inputs[DYNAMIC_IMAGE][place][0], -change, change)
            row[0].set_ylabel(_name(clips, label, place))
        for axis, title in zip(axes[0], PANELS, strict=True):
            axis.set_title(title)
        for axis in axes.flat:
            axis.set_xticks([])
            axis.set_yticks([])
            axis.grid(visible=False)
            for spine in axis.spines.values():
                spine.set_visible(False)
        save(figure, file, dpi=90)  # photographs grow fast, and are no sharper for it


def _show(axis: Axes, image: NDArray[Any], low: float, high: float) -> None:
    axis.imshow(image, cmap="gray", vmin=low, vmax=high)


def _name(clips: ClipSet, label: int, place: int) -> str:
    units = clips.records[place].action_units
    moved = f"\nAU {' + '.join(units)}" if units else ""
    return f"{clips.classes[label]}{moved}"
