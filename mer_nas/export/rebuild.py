"""Reading an export back: the network of its weights, in any process that has mer-nas."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from mer_nas import architectures
from mer_nas.architectures import Architecture
from mer_nas.architectures.extensions import load_extensions
from mer_nas.architectures.shapes import without_numbers
from mer_nas.errors import ExportError
from mer_nas.export.classifier import Classifier
from mer_nas.export.ensemble import as_one, taken_inputs
from mer_nas.export.manifest import AGAIN, GRAPH, WEIGHTS, Manifest, Member, read_manifest
from mer_nas.trust import require, to_reach
from mer_nas.wording import brief


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


def load(folder: Path | str) -> LoadedModel:
    """Rebuild the network of an export, in any process that has mer-nas.

    Raises:
        ExportError: A file is missing or is not what was exported.
        Untrusted: It names Python files with blocks, and the user has not agreed to run them.
    """
    folder = Path(folder)
    found = read_manifest(folder)
    weights = _weights(folder, found)
    load_own_parts(folder, found)
    built = _architectures(folder, found)
    with without_numbers():  # what does not fit takes no memory
        wanted = _rebuilt(built, found).state_dict()
    shapes, held = ({name: (*x.shape,) for name, x in one.items()} for one in (wanted, weights))
    for name in {**shapes, **held}:
        if (there := held.get(name)) != (right := shapes.get(name)):
            raise ExportError(
                f"{folder}: weights and architecture do not fit: {name} is {there or 'missing'}, "
                f"and {right or 'nothing'} would be right; {AGAIN}"
            )
    network = _rebuilt(built, found)
    network.load_state_dict(weights)
    return LoadedModel(network.eval(), found)


def load_own_parts(folder: Path, manifest: Manifest) -> None:
    """Load the files with blocks and inputs of a user's own that an export has.

    Raises:
        ExportError: A file is missing or is not what was exported.
        Untrusted: The user has not agreed to run them.
    """
    own = manifest.provenance.extensions
    require(to_reach(own))
    for name in {*own, *manifest.files} - {GRAPH, WEIGHTS}:
        manifest.content(folder, name)
    load_extensions([folder / name for name in own])


def _architectures(folder: Path, found: Manifest) -> list[Architecture]:
    """Return what the members are built from, each of which finds its inputs in the export."""
    built = []
    for place, member in enumerate(found.members):
        where = f"{folder}: members.{place}.architecture"
        built.append(architecture := architectures.parse(member.architecture, where))
        given, right = _given(found, member), architecture.shapes
        if [*given.items()] != [*right.items()]:
            raise ExportError(f"{where}: it reads {right}, but the export gives {given}; {AGAIN}")
    return built


def _given(found: Manifest, member: Member) -> dict[str, tuple[int, ...]]:
    """Return the shapes of what an export gives a member, by name; nothing that is not there."""
    shapes = {spec.name: spec.shape for spec in found.inputs}
    given = {}
    for name, frames in member.inputs.items():
        shape = shapes.get(name, ())
        if not frames:
            given[name] = shape
        elif shape and max(frames) < shape[0]:
            given[name] = (len(frames), *shape[1:])
    return given


def _rebuilt(built: Sequence[Architecture], found: Manifest) -> nn.Module:
    """Return the network of an export with weights that are still to be loaded."""
    names = [spec.name for spec in found.inputs]
    return as_one(
        [Classifier(architecture, len(found.classes), auxiliary=False) for architecture in built],
        [member.weight for member in found.members],
        [taken_inputs(member.inputs, names) for member in found.members],
    )


def _weights(folder: Path, found: Manifest) -> dict[str, torch.Tensor]:
    content = found.content(folder, WEIGHTS)
    try:
        return safetensors.torch.load(content)
    except Exception as error:  # what is no tensor fails in torch, each in its own way
        raise ExportError(
            f"{folder / WEIGHTS}: not readable as safetensors: {error}; {AGAIN}"
        ) from None
