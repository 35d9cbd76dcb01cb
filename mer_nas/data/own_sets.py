"""Data sets of users: functions that yield clips, in YAML `kind: own` and `function: NAME`.

    @dataset("ours")
    def ours(root: Path, fps: int = 100) -> Iterator[OwnClip]:
        for file in sorted(root.glob("*.npy")):
            subject, name, label = file.stem.split("_")
            yield OwnClip(subject, name, label, np.load(file))

What becomes of the frames is as for any recorded clip: `data.pipeline`. Arguments behind `root`
are settings, `data.arguments`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer_nas.registry import Functions


@dataclass(frozen=True, eq=False)
class OwnClip:
    """One clip, its frames in memory."""

    subject: str
    """Who is seen; clips of one subject are held out together."""
    name: str
    """The clip, unique within its subject."""
    label: str
    """One of `data.classes`."""
    frames: np.ndarray
    """(T, H, W, 3), red first, or grey (T, H, W); uint8."""
    onset: int = 0
    """Place of the first frame of the expression, from 0."""
    apex: int | None = None
    """Place of its largest; None: `data.pipeline.apex` finds it."""
    offset: int | None = None
    """Place of its last; None: the last that there is."""
    fps: float | None = None
    """Frames a second, where that is known."""


DATA_SETS = Functions("data set", {"root": Path}, Iterator[OwnClip], more=True)
"""The data sets by their names."""
dataset = DATA_SETS.named
"""Makes a function that yields clips a data set: `@dataset("ours")`."""
