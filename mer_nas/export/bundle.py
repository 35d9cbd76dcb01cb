"""Writing a network as a folder of files, and reading it back."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn

from mer_nas import architectures, files
from mer_nas.architectures.cost import Cost
from mer_nas.architectures.extensions import load_extensions
from mer_nas.config import presets
from mer_nas.config.base import Tree
from mer_nas.data.annotations.layouts import layout_names, read_layout
from mer_nas.data.clips import Array, ClipSet
from mer_nas.data.scaling import Divisors, divided, divisors
from mer_nas.errors import ExportError
from mer_nas.evaluation.candidate import Candidate
from mer_nas.export import manifest as manifests
from mer_nas.export.manifest import (
    AGAIN,
    GRAPH,
    WEIGHTS,
    Exported,
    InputSpec,
    Manifest,
    Portion,
    Provenance,
    read_manifest,
)
from mer_nas.export.onnx import BATCHES, Deployed, check_onnx, write_onnx
from mer_nas.templates import line, templates
from mer_nas.trust import require, to_reach
from mer_nas.wording import brief

CARD = "card.md"
FILES = (GRAPH, WEIGHTS, manifests.FILE, CARD)
SELECTED = "selected on these subjects; expect less on new ones"


@dataclass(frozen=True)
class LoadedModel:
    """A network that has been rebuilt from an export."""

    network: nn.Module
    """In evaluation mode, on the CPU."""
    manifest: Manifest

    def __repr__(self) -> str:
        """Return what it tells apart, and where it comes from."""
        facts = self.manifest.provenance
        return brief(
            self,
            [
                ("study", facts.study),
                ("label", facts.label),
                ("classes", self.manifest.classes),
                ("parameters", self.manifest.parameters),
            ],
        )


def export_network(
    network: nn.Module, candidate: Candidate, clips: ClipSet, folder: Path, facts: Provenance
) -> Exported:
    """Write `network` to `folder` as ONNX, safetensors, YAML and a model card.

    Args:
        network: A trained network of the candidate; it is left as it is.
        candidate: What the network was built and trained from.
        clips: The clips it was trained on; some of them prove that the ONNX graph is right.
        folder: Made or replaced; nothing is written unless everything is.
        facts: Where the network comes from.

    Raises:
        ExportError: The ONNX graph differs from the network, or the folder holds other things.
    """
    deployed = Deployed(network)
    names = candidate.architecture.inputs
    units = _units(clips)
    seen = candidate.inputs_for(clips, _spread(clips, max(BATCHES)))
    examples = [divided(images, units.get(name)) for name, images in seen.items()]
    with files.whole_folder(folder, FILES, ExportError) as new:
        write_onnx(deployed, names, examples, _notes(clips, facts), new / GRAPH)
        difference = check_onnx(deployed, names, examples, new / GRAPH)
        _write_weights(deployed.network, new / WEIGHTS)
        described = _describe(candidate, clips, facts, new)
        described.write(new)
        write_card(described, difference, new / CARD)
    return Exported(folder=folder, files=FILES, max_difference=difference)


def load(folder: Path | str) -> LoadedModel:
    """Rebuild the network of an export, in any process that has mer-nas.

    Raises:
        ExportError: A file is missing or is not what was exported.
        Untrusted: It names Python files with blocks, and the user has not agreed to run them.
    """
    folder = Path(folder)
    found = read_manifest(folder)
    weights = _weights(folder, found)
    own = found.provenance.extensions
    require(to_reach(own))
    for name in own:
        found.content(folder, name)
    load_extensions([folder / name for name in own])
    with torch.device("meta"):  # what does not fit takes no memory
        wanted = _rebuild(folder, found).state_dict()
    shapes, held = ({name: (*x.shape,) for name, x in one.items()} for one in (wanted, weights))
    for name in {**shapes, **held}:
        if (there := held.get(name)) != (right := shapes.get(name)):
            raise ExportError(
                f"{folder}: weights and architecture do not fit: {name} is {there or 'missing'}, "
                f"and {right or 'nothing'} would be right; {AGAIN}"
            )
    network = _rebuild(folder, found)
    network.load_state_dict(weights)
    return LoadedModel(network.eval(), found)


def _notes(clips: ClipSet, facts: Provenance) -> dict[str, str]:
    return {
        "classes": json.dumps(clips.classes),
        "study": facts.study,
        "candidate": facts.label,
        "data": f"{clips.name} {clips.fingerprint}",
        "score": facts.worth.said if facts.worth else SELECTED,
    }


def _describe(candidate: Candidate, clips: ClipSet, facts: Provenance, folder: Path) -> Manifest:
    tree = candidate.dump()
    cost = Cost.of(candidate.architecture, len(clips.classes))
    return Manifest(
        architecture=tree["architecture"],
        classes=clips.classes,
        inputs=_inputs(candidate, clips, facts),
        how=clips.how,
        parameters=cost.deployed,
        macs=cost.macs,
        files={name: files.digest(folder / name) for name in (GRAPH, WEIGHTS, *facts.extensions)},
        trainer=tree["trainer"],
        data=clips.name,
        fingerprint=clips.fingerprint,
        clips=len(clips),
        subjects=len(clips.subjects),
        portions=tuple(_portion(clips, name) for name in np.unique(clips.datasets).tolist()),
        provenance=facts,
    )


def _portion(clips: ClipSet, name: str) -> Portion:
    part = clips.subset(np.flatnonzero(clips.datasets == name))
    counts = part.counts()
    classes = {label: counts[label] for label in clips.classes}
    return Portion(name=name, clips=len(part), subjects=len(part.subjects), classes=classes)


def _units(clips: ClipSet) -> dict[str, Divisors]:
    """Return what the inputs that are scaled by the training clips are divided by: all train."""
    everyone = np.arange(len(clips))
    return {name: divisors(clips, name, everyone) for name in clips.by_fold}


def _inputs(candidate: Candidate, clips: ClipSet, facts: Provenance) -> tuple[InputSpec, ...]:
    trained = _units(clips)
    return tuple(
        _input(
            name,
            divided(images, trained.get(name)),
            facts,
            frames=candidate.frames(clips, name),
            divisors=_together(clips.units.get(name), trained.get(name)),
        )
        for name, images in candidate.inputs_for(clips, range(len(clips))).items()
    )


def _together(first: Divisors | None, then: Divisors | None) -> Divisors:
    """Return what values are divided by that are divided twice; empty where they never are."""
    if first is None or then is None:
        return first or then or ()
    return tuple(a * b for a, b in zip(first, then, strict=True))


def _input(
    name: str, images: Array, facts: Provenance, frames: tuple[int, ...], divisors: Divisors
) -> InputSpec:
    every = tuple(axis for axis in range(images.ndim) if axis != images.ndim - 3)  # but channels
    return InputSpec(
        name=name,
        shape=images.shape[1:],
        frames=frames,
        divisors=tuple(round(value, 9) for value in divisors),
        scaling=facts.scaling.get(name, "as the data set gives it"),
        low=tuple(round(float(value), 6) for value in images.min(every)),
        high=tuple(round(float(value), 6) for value in images.max(every)),
    )


def _spread(clips: ClipSet, count: int) -> list[int]:
    """Return the places of clips from the whole set rather than of its first subject."""
    places = np.linspace(0, len(clips) - 1, count).round().astype(int)
    return sorted(set(places.tolist()))


def _write_weights(network: nn.Module, path: Path) -> None:
    # Parameters that share memory are stored twice: the file is then plain for every reader.
    state = {name: value.detach().clone() for name, value in network.state_dict().items()}
    path.write_bytes(safetensors.torch.save(state))  # `save_file` makes it the user's alone


def _weights(folder: Path, found: Manifest) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load(found.content(folder, WEIGHTS))
    except Exception as error:  # what is no tensor fails in torch, each in its own way
        raise ExportError(
            f"{folder / WEIGHTS}: not readable as safetensors: {error}; {AGAIN}"
        ) from None


def _rebuild(folder: Path, found: Manifest) -> nn.Module:
    architecture = architectures.parse(found.architecture, f"{folder}: architecture")
    network: nn.Module = architectures.Network(architecture, len(found.classes), auxiliary=False)
    return network


def write_card(manifest: Manifest, difference: float, path: Path) -> None:
    """Write the card of the network that `manifest` describes, for the people who will use it.

    Headings after Mitchell et al. 2019, "Model Cards for Model Reporting" (arXiv:1810.03993).

    Args:
        manifest: What is known of the network.
        difference: Largest difference of a logit between the ONNX graph and the network.
        path: The Markdown file.
    """
    environment = templates("mer_nas.export", html=False)
    environment.filters["yaml"] = lambda tree: presets.dump(tree, compact=True).strip()
    environment.filters["python"] = lambda value: line(repr(value))
    card = environment.get_template("card.md.jinja").render(
        model=manifest,
        difference=difference,
        sets=[_known(portion) for portion in manifest.portions],
        aligned=manifest.how is not None and manifest.how.pipeline.align is not None,
    )
    path.write_text(card, encoding="utf-8")


def _known(portion: Portion) -> Tree:
    """Return what is known of a data set: its proper name, its paper, its terms."""
    if portion.name not in layout_names():
        return {"part": portion, "title": portion.name, "paper": "", "terms": ""}
    layout = read_layout(portion.name)
    told = {"title": layout.title, "paper": layout.paper, "terms": layout.terms}
    return {"part": portion, **told}
