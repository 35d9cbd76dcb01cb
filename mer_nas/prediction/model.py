"""An exported network as it is used: its graph, and the preparation that it was trained with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_nas.data.clips import divided
from mer_nas.data.own_inputs import OWN_INPUTS
from mer_nas.data.preprocess.pipeline import Clip, prepare
from mer_nas.data.sources.precomputed import read_flow
from mer_nas.errors import DataError, ExportError, unknown
from mer_nas.export.graph import Graph, open_graph
from mer_nas.export.manifest import (
    AGAIN,
    GRAPH,
    InputSpec,
    Manifest,
    exports_in,
    read_manifest,
)
from mer_nas.files import place
from mer_nas.inputs import DYNAMIC_IMAGE, INPUTS
from mer_nas.prediction.clip_input import ClipInput
from mer_nas.shell import command_line
from mer_nas.wording import brief, some

Inputs = Mapping[str, NDArray[np.float32]]
"""By name, of one clip, (C, H, W) or (T, C, H, W)."""


@dataclass(frozen=True)
class Model:
    """A graph that is ready to run."""

    folder: Path
    manifest: Manifest
    graph: Graph

    def __repr__(self) -> str:
        """Return where it lies and what it tells apart."""
        return brief(self, [("folder", str(self.folder)), ("classes", self.manifest.classes)])

    @classmethod
    def open(cls, folder: Path) -> "Model":
        """Return what was exported to `folder`, or the answer of the study in it.

        A study's answer is its ensemble where it hands that over, else its winner. A study may
        also be called by its name under `runs`.

        Raises:
            ExportError: The folder holds no export, or its graph is not the one that was
                exported, or cannot be run.
            ConfigError: Its manifest is none.
            Untrusted: It reads inputs of a user's own, and the user has not agreed to run them.
        """
        folder = _export_in(folder)
        found = read_manifest(folder)
        _know_inputs(folder, found)
        shapes = {spec.name: spec.shape for spec in found.inputs}
        content = found.content(folder, GRAPH)
        return cls(folder, found, open_graph(content, shapes, len(found.classes), folder / GRAPH))

    def make_inputs(self, clip: ClipInput) -> tuple[Clip, Inputs]:
        """Return what the network sees of a clip, prepared as its training clips were.

        Raises:
            DataError: The clip cannot be prepared, or is less than the network needs.
        """
        how = self.manifest.how
        if how is None:
            raise DataError(f"{clip.name}: {self._flow_wanted()}")
        self._refuse_pair(clip)
        ways = tuple(dict.fromkeys((*how.pipeline.apex, "spotted")))  # nobody annotated it
        pipeline = how.pipeline.model_copy(update={"apex": ways})
        how = how.model_copy(update={"pipeline": pipeline})
        names = tuple(spec.name for spec in self.manifest.inputs)
        prepared = prepare(clip.reader, clip.keyframes, how, names, clip.cropped)
        return prepared, {
            spec.name: _fitted(prepared.inputs[spec.name], spec) for spec in self.manifest.inputs
        }

    def make_flow_inputs(self, file: Path) -> Inputs:
        """Return the flow image in `file` as the network sees it.

        Raises:
            DataError: It is no image of the network's size.
        """
        (spec,) = self.manifest.inputs
        image = read_flow(file)
        if image.shape[1:] != spec.shape[-2:]:
            height, width = image.shape[1:]
            raise DataError(f"{file}: {width} by {height} pixels; {self._flow_wanted()}")
        return {spec.name: image}

    def run(self, inputs: Inputs) -> NDArray[np.float64]:
        """Return the probability of each class, (K,).

        Raises:
            ExportError: The graph fails, or its answers are no numbers.
        """
        batch = {
            name: np.ascontiguousarray(values[None], dtype=np.float32)
            for name, values in inputs.items()
        }
        logits = self.graph.logits(batch)[0].astype(np.float64)
        if not np.isfinite(logits).all():
            raise ExportError(f"{self.graph.path}: the graph's answers are no numbers: {logits}")
        powers = np.exp(logits - logits.max())
        chances: NDArray[np.float64] = powers / powers.sum()
        return chances

    def _flow_wanted(self) -> str:
        height, width = self.manifest.inputs[0].shape[-2:]
        return (
            f"the network in {self.folder} was trained on flow images that others had made "
            f"(data {self.manifest.data}), so how they follow from frames is not known; such an "
            f"image of {width} by {height} pixels (red u, green v, blue strain, each stretched "
            "to 0..255) would be right"
        )

    def _refuse_pair(self, clip: ClipInput) -> None:
        more = [
            spec.name
            for spec in self.manifest.inputs
            if spec.name == DYNAMIC_IMAGE or len(spec.frames) > 2
        ]
        if clip.pair and more:
            raise DataError(
                f"{clip.name}: the network in {self.folder} reads {', '.join(more)}, which takes "
                "more than an onset and an apex; a video or a folder of frames would be right"
            )


def _know_inputs(folder: Path, found: Manifest) -> None:
    """Load what inputs of a user's own are made by, where an export reads any."""
    names = [spec.name for spec in found.inputs]
    if all(name in INPUTS and name not in OWN_INPUTS for name in names):
        return
    from mer_nas.export.rebuild import load_own_parts  # with torch, which the graph needs not

    load_own_parts(folder, found)
    for name in names:
        if name not in INPUTS:
            raise ExportError(f"{folder}: {unknown('input', name, INPUTS)}; {AGAIN}")


def _export_in(folder: Path) -> Path:
    """Return the folder itself, or that of the answer where it is a study's.

    Raises:
        ExportError: There is no such folder, or the study's answer is not exported.
    """
    folder = place(folder, str(folder), ExportError)
    for study in (folder, Path("runs") / folder):
        if (study / "origin.json").is_file():
            return _answer_of(study)
    if not folder.is_dir():
        found = "this is a file" if folder.is_file() else "there is no such folder"
        raise ExportError(f"{folder}: {found}; an exported model is a folder")
    return folder


def _answer_of(study: Path) -> Path:
    """Return the export of what a study hands over: its ensemble says so itself, if it is that."""
    ensemble = study / "export" / "ensemble"
    if ensemble.is_dir() and read_manifest(ensemble).provenance.handed_over:
        return ensemble
    winner, others = study / "export" / "rank1", exports_in(study / "export")
    if winner.is_dir():
        return winner
    if others:
        raise ExportError(f"{study}: its winner is not exported; there are {some(others)}")
    command = command_line("mer-nas", "export", study)
    raise ExportError(f"{study}: this study has exported nothing; `{command}` does")


def _fitted(values: NDArray[np.float32], spec: InputSpec) -> NDArray[np.float32]:
    if spec.frames:
        values = values[list(spec.frames)]
    return np.asarray(divided(values, spec.divisors or None), dtype=np.float32)
