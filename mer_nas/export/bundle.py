"""Writing a network, or several as one, as a folder of files."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn

from mer_nas import files
from mer_nas.architectures import Network, deployed
from mer_nas.architectures.cost import Cost
from mer_nas.architectures.extensions import COPIES, copy_files, copy_names
from mer_nas.architectures.shapes import without_numbers
from mer_nas.architectures.user_blocks import block_line, describe
from mer_nas.data.clips import Array, ClipSet, Divisors, divided
from mer_nas.errors import ExportError, MerNasError
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.deterministic import deterministic
from mer_nas.evaluation.timing import clock_network
from mer_nas.export import manifest as manifests
from mer_nas.export.card import write_card
from mer_nas.export.ensemble import Frames, as_one, own_inputs, taken_inputs, union_of_inputs
from mer_nas.export.manifest import GRAPH, WEIGHTS, Exported, InputSpec, Manifest, Member, Portion
from mer_nas.export.onnx import (
    BATCHES,
    Deployed,
    check_onnx,
    refuse_large,
    try_export,
    write_onnx,
)
from mer_nas.export.origin import Provenance
from mer_nas.space import SearchSpace
from mer_nas.training.fit import pick_device
from mer_nas.vetting.own import own_networks

CARD = "card.md"
FILES = (GRAPH, WEIGHTS, manifests.FILE, CARD)
SELECTED = "selected on these subjects; expect less on new ones"


@dataclass(frozen=True)
class TrainedMember:
    """A network to be exported, alone or with others."""

    network: nn.Module
    """Trained; it is left as it is."""
    candidate: Candidate
    """What it was built and trained from."""
    label: str
    """How the study calls it."""
    seed: int
    """Of its training."""
    weight: float = 1.0
    """Of its probabilities in the mean over the members."""


def export_networks(
    members: Sequence[TrainedMember],
    clips: ClipSet,
    folder: Path,
    facts: Provenance,
    extensions: Sequence[Path] = (),
) -> Exported:
    """Write one network, or several as one, to `folder` as ONNX, safetensors, YAML and a card.

    Several are one network that gives the weighted mean of their probabilities
    (`EnsembleNetwork`), and takes every input that any of them reads.

    Args:
        members: The networks, their weights together 1.
        clips: The clips they were trained on; some of them prove that the ONNX graph is right.
        folder: Made or replaced; nothing is written unless everything is.
        facts: Where the networks come from.
        extensions: Files with blocks of the user's own, which are copied into it.

    Raises:
        ExportError: The ONNX graph differs from the network, a block of the user's own fails, or
            the folder holds other things.
    """
    try:
        return _exported(members, clips, folder, facts, extensions)
    except MerNasError:
        raise
    except Exception as error:  # code of the user's own may fail of anything
        if not block_line(error):
            raise
        raise ExportError(f"{folder}: {describe(error)}") from error


def _exported(
    members: Sequence[TrainedMember],
    clips: ClipSet,
    folder: Path,
    facts: Provenance,
    extensions: Sequence[Path],
) -> Exported:
    shared = union_of_inputs([member.candidate for member in members], clips)
    network = Deployed(_assembled(members, clips, shared))
    units, names = _units(clips), tuple(shared)
    some = _spread(clips, max(BATCHES))
    examples = [divided(_seen(clips, name, shared[name], some), units.get(name)) for name in names]
    facts = facts.model_copy(update={"extensions": copy_names(extensions)})
    with files.whole_folder(folder, (*FILES, COPIES), ExportError) as new:
        write_onnx(network, names, examples, _notes(clips, facts), new / GRAPH)
        difference = check_onnx(network, names, examples, new / GRAPH)
        _write_weights(network.network, new / WEIGHTS)
        device = pick_device(members[0].candidate.trainer.device)  # its trials were timed there
        took = clock_network(network, [torch.from_numpy(seen[:1]) for seen in examples], device)
        copied = copy_files(extensions, new)
        held = copied | {name: files.digest(new / name) for name in (GRAPH, WEIGHTS)}
        described = _describe(members, clips, shared, facts, held, took)
        described.write(new)
        write_card(described, difference, new / CARD)
    return Exported(folder=folder, files=FILES, max_difference=difference, clip_ms=took)


def unexportable(space: SearchSpace, classes: int) -> Iterator[str]:
    """Yield which networks with blocks of the user's own could not be exported, and why."""
    for kinds, architecture in own_networks(space, classes).items():
        try:
            with deterministic(0, torch.device("cpu")):
                try_export(Network(architecture, classes), architecture)
        except MerNasError as error:
            yield f"{space.place}: a winner with {kinds} will not be exported: {error}"


def refuse_unexportable(candidates: Sequence[Candidate], classes: int) -> None:
    """Refuse networks that no one file can hold together, before any is trained.

    Raises:
        ExportError: They would need more than an ONNX file can hold; says how much.
    """
    needed = 0
    for candidate in candidates:
        with without_numbers():
            network = Network(candidate.architecture, classes, auxiliary=False)
        needed += sum(value.nbytes for value in network.state_dict().values())
    refuse_large(needed, len(candidates))


def _notes(clips: ClipSet, facts: Provenance) -> dict[str, str]:
    return {
        "classes": json.dumps(clips.classes),
        "study": facts.study,
        "candidate": facts.label,
        "data": f"{clips.name} {clips.fingerprint}",
        "score": facts.worth.said if facts.worth else SELECTED,
    }


def _describe(
    members: Sequence[TrainedMember],
    clips: ClipSet,
    shared: Frames,
    facts: Provenance,
    held: dict[str, str],
    clip_ms: float,
) -> Manifest:
    return Manifest(
        members=tuple(_member(member, clips, shared) for member in members),
        classes=clips.classes,
        inputs=_inputs(clips, shared, facts),
        how=clips.how,
        clip_ms=clip_ms,
        files=held,
        data=clips.name,
        fingerprint=clips.fingerprint,
        clips=len(clips),
        subjects=len(clips.subjects),
        portions=tuple(_portion(clips, name) for name in np.unique(clips.datasets).tolist()),
        provenance=facts,
    )


def _member(member: TrainedMember, clips: ClipSet, shared: Frames) -> Member:
    tree = member.candidate.dump()
    cost = Cost.of(member.candidate.architecture, len(clips.classes))
    return Member(
        label=member.label,
        weight=member.weight,
        seed=member.seed,
        inputs=dict(own_inputs(member.candidate, clips, shared)),
        parameters=cost.deployed,
        macs=cost.macs,
        architecture=tree["architecture"],
        trainer=tree["trainer"],
    )


def _portion(clips: ClipSet, name: str) -> Portion:
    part = clips.subset(np.flatnonzero(clips.datasets == name))
    counts = part.counts()
    classes = {label: counts[label] for label in clips.classes}
    return Portion(name=name, clips=len(part), subjects=len(part.subjects), classes=classes)


def _units(clips: ClipSet) -> dict[str, Divisors]:
    """Return what the inputs that are scaled by the training clips are divided by: all train."""
    everyone = np.arange(len(clips))
    return {name: clips.divisors(name, everyone) for name in clips.by_fold}


def _seen(
    clips: ClipSet, name: str, frames: Sequence[int], indices: Sequence[int] | slice
) -> Array:
    """Return an input of some clips, (N, C, H, W), or (N, T, C, H, W) of a sequence's frames."""
    images = clips.inputs[name][indices]
    return images[:, list(frames)] if frames and len(frames) < images.shape[1] else images


def _inputs(clips: ClipSet, shared: Frames, facts: Provenance) -> tuple[InputSpec, ...]:
    trained = _units(clips)
    return tuple(
        _input(
            name,
            divided(_seen(clips, name, frames, slice(None)), trained.get(name)),
            facts,
            frames=frames,
            divisors=_together(clips.units.get(name), trained.get(name)),
        )
        for name, frames in shared.items()
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


def _assembled(members: Sequence[TrainedMember], clips: ClipSet, shared: Frames) -> nn.Module:
    """Return trained networks as one, without what only training uses."""
    return as_one(
        [deployed(member.network).cpu() for member in members],
        [member.weight for member in members],
        [
            taken_inputs(own_inputs(member.candidate, clips, shared), tuple(shared))
            for member in members
        ],
    )
