"""What `model.yaml` holds: enough to rebuild a network, and to know where it comes from.

It holds the SHA-256 of every file that the network is loaded from, and its last line that of
itself: what was damaged or exchanged is refused, and so is a manifest that was edited. Who means
to deceive can write all of them anew; what a manifest says of scores is proven by `mer-nas
reproduce` on the report alone.
"""

import re
from math import fsum
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from annotated_types import Interval
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from mer_nas import files
from mer_nas.config import presets
from mer_nas.config.base import Config, Tree, validate
from mer_nas.data.preprocess.config import Preparation
from mer_nas.errors import ExportError, shown
from mer_nas.export.origin import Provenance
from mer_nas.wording import count, some

FORMAT: Final = "mer-nas model 3"
BEFORE: Final = "mer-nas model 2"
"""The format that held one network and no members; it is read."""
FILE = "model.yaml"
GRAPH = "model.onnx"
WEIGHTS = "model.safetensors"
AGAIN = "`mer-nas export STUDY` writes the export anew"
MAX_MANIFEST = 2**20
"""Bytes of the largest `model.yaml` that is read: one takes a few KiB."""
MAX_FACE = 4096
"""Pixels of the side of a face, and frames of a clip, up to which clips are prepared."""
MAX_PART = 2**31
"""Bytes of the largest other file of an export that is read: 500 million weights."""

Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
"""A SHA-256."""

MAX_ROUNDING = 1e-6
"""By how much the sum of weights may miss 1."""

_ONE = "networks of this architecture"
_CHECKSUM = re.compile(r"checksum: ([0-9a-f]{64})\n\Z")


class InputSpec(Config):
    """One input of the network, in the order in which it takes them."""

    name: str
    shape: tuple[PositiveInt, ...]
    """Of one clip: channels, height, width, or, of a sequence, frames, channels, height, width; a
    batch has the clips in front."""
    frames: tuple[NonNegativeInt, ...] = ()
    """Of a sequence, which of the frames that the preparation gives the network takes."""
    scaling: str
    """What was done to the values before the network saw them."""
    divisors: tuple[float, ...] = ()
    """What each channel of the prepared values is divided by; empty: they stay as they are."""
    low: tuple[float, ...]
    """Smallest value of each channel over the training clips."""
    high: tuple[float, ...]
    """Largest value of each channel over the training clips."""


class Member(Config):
    """One of the networks that an export holds: the only one, or a member of its ensemble."""

    label: str
    """How the study calls the candidate: "trial 17" or "prog_s"."""
    weight: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Of its probabilities in the mean over the members; together they are 1."""
    seed: NonNegativeInt
    """Seed of the training that gave its weights."""
    inputs: dict[str, tuple[NonNegativeInt, ...]]
    """What it reads of the export's inputs, in its order: by name, the places of the frames that
    it takes; empty: all, or the input has no time."""
    parameters: PositiveInt
    """Without those that only training used."""
    macs: NonNegativeInt
    """Nominal multiply-accumulates for one clip."""
    architecture: Tree
    """Closed form, as a search space's point has it."""
    trainer: Tree


class Exported(Config):
    """An export that has been written and checked."""

    folder: Path
    files: tuple[str, ...]
    """Names of the files in the folder."""
    max_difference: NonNegativeFloat
    """Largest absolute difference of a logit between the ONNX graph and the network."""
    clip_ms: NonNegativeFloat | None = None
    """Milliseconds of one clip at inference, measured when it was exported."""


class Portion(Config):
    """What a data set gave to the training."""

    name: str
    clips: PositiveInt
    subjects: PositiveInt
    classes: dict[str, NonNegativeInt]
    """Clips of each class."""


class Manifest(Config):
    """`model.yaml`."""

    format: Literal["mer-nas model 3"] = FORMAT
    members: Annotated[tuple[Member, ...], Field(min_length=1)]
    """The networks: one, or those of an ensemble, by their part in its answer."""
    classes: tuple[str, ...]
    """Names of the logits, in their order."""
    inputs: tuple[InputSpec, ...]
    """All that any member reads."""
    how: Preparation | None = None
    """How the inputs are made from the frames of a clip; None: others made them."""
    clip_ms: NonNegativeFloat | None = None
    """Milliseconds of one clip at inference through all members, alone in its batch, with one
    thread of the processor that `provenance.environment` names."""
    files: dict[str, Digest]
    """SHA-256 of what the network is loaded from: the graph, the weights, and the copies of
    users' own files; in exports of before, those files by their paths."""
    data: str
    """Name of the data set it was trained on."""
    fingerprint: str
    """Hash of that data: arrays, labels, names and classes."""
    clips: PositiveInt
    subjects: PositiveInt
    portions: tuple[Portion, ...] = ()
    """The data sets that the clips come from, by name."""
    provenance: Provenance

    @property
    def parameters(self) -> int:
        """Of all members, without those that only training used."""
        return sum(member.parameters for member in self.members)

    @property
    def macs(self) -> int:
        """Nominal multiply-accumulates of all members for one clip."""
        return sum(member.macs for member in self.members)

    @property
    def kind(self) -> str:
        """What scores belong to that were measured of networks like these."""
        several = len(self.members)
        return f"ensembles of these {several} candidates" if several > 1 else _ONE

    @model_validator(mode="after")
    def _of_whole_weight(self) -> Self:
        if abs((total := fsum(member.weight for member in self.members)) - 1) > MAX_ROUNDING:
            raise ValueError(f"the weights of the members add up to {total:g}, not to 1")
        return self

    @model_validator(mode="after")
    def _of_one_size(self) -> Self:
        if self.how is None:
            return self
        wrong = [spec.name for spec in self.inputs if {*spec.shape[-2:]} != {self.how.size}]
        if wrong:
            raise ValueError(f"input {wrong[0]!r} has not the size that `how` gives it")
        if (face := self.how.pipeline.face) > MAX_FACE or self.how.frames > MAX_FACE:
            raise ValueError(f"`how` prepares {self.how.frames} frames of faces of {face} pixels")
        return self

    def expectation(self) -> str:
        """Say which score is to be expected on people whom the network has never seen."""
        origin = self.provenance
        if origin.uf1 is None:
            return (
                f"no score on unseen people is known: {origin.label} of {origin.study} was never "
                f"measured under a final protocol; it was trained on {self.data}"
            )
        if origin.worth is not None:
            return (
                f"to be expected of {self.kind} on people of the kind of {self.data}: "
                f"{origin.worth.said}; less still on other footage"
            )
        spread = f" ± {origin.uf1_spread:.3f}" if origin.uf1_spread is not None else ""
        return (
            f"on unseen people of {self.data} {self.kind} reach UF1 {origin.uf1:.3f}{spread} "
            f"({origin.protocol}, {count(origin.seeds, 'seed')}); it was chosen on these people, "
            "so expect less, and less still on other footage"
        )

    def identity(self) -> Tree:
        """Return what answers, as a plain tree: how its study calls it, and its members."""
        return {
            "study": self.provenance.study,
            "label": self.provenance.label,
            "rule": self.provenance.rule or None,
            "members": [{"label": each.label, "weight": each.weight} for each in self.members],
        }

    def expected_scores(self) -> Tree:
        """Return the scores to be expected on unseen people as a plain tree."""
        origin = self.provenance
        return {
            "protocol": origin.protocol,
            "data": self.data,
            "seeds": origin.seeds,
            "uf1": origin.uf1,
            "uf1_spread": origin.uf1_spread,
            "uar": origin.uar,
            "accuracy": origin.accuracy,
            "on_new_subjects": origin.worth.model_dump() if origin.worth else None,
            "selected_on_these_subjects": True,
        }

    def write(self, folder: Path) -> None:
        """Write `model.yaml` into `folder`."""
        text = presets.dump(self.model_dump(mode="json"), compact=True)
        checksum = f"checksum: {files.digest(text)}\n"
        files.write(folder / FILE, text + checksum)

    def content(self, folder: Path, name: str) -> bytes:
        """Return what a file of the export in `folder` holds, being what was exported.

        Args:
            folder: Where the manifest lies.
            name: One of `files`; that of an extension is its path.

        Raises:
            ExportError: It is missing, cannot be read, is too large, or holds something else.
        """
        path = folder / name
        if not path.exists():
            raise ExportError(f"{path}: the file is missing, and {FILE} names it; {AGAIN}")
        content = files.read_bytes(path, ExportError, MAX_PART)
        expected, found = self.files.get(name, "none"), files.digest(content)
        if found != expected:
            raise ExportError(
                f"{path}: this is not what was exported: its SHA-256 is {found[:12]}..., but "
                f"{FILE} says {expected[:12]}...; put the file back, or {AGAIN}"
            )
        return content


def exports_in(folder: Path) -> list[str]:
    """Return the exports that lie in a folder, each as a path."""
    return sorted(str(file.parent) for file in folder.glob(f"*/{FILE}"))


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the export in `folder`.

    Raises:
        ExportError: There is none, it is not as it was written, or another version of mer-nas
            wrote it.
        ConfigError: It is no YAML, or no manifest, with every mistake.
    """
    path = folder / FILE
    if not path.is_file():
        if inner := exports_in(folder) or exports_in(folder / "export"):
            raise ExportError(f"{folder}: there are exports in it; {some(inner)} would be right")
        raise ExportError(f"{folder}: no {FILE} here; `mer-nas export STUDY` writes such a folder")
    text = files.read_text(path, ExportError, MAX_MANIFEST).replace("\r\n", "\n")
    tree = presets.parse(text, str(path))
    if (found := tree.get("format")) not in (FORMAT, BEFORE):
        raise ExportError(
            f"{path}: format is {shown(found)}, but this version reads {FORMAT!r} and {BEFORE!r}; "
            f"{AGAIN}"
        )
    line = _CHECKSUM.search(text)
    if line is None or files.digest(text[: line.start()]) != line[1]:
        raise ExportError(
            f"{path}: the file was changed after it was written: its last line, the checksum, "
            f"does not fit the others; put the file back, or {AGAIN}"
        )
    del tree["checksum"]
    return validate(Manifest, _with_members(tree) if found == BEFORE else tree, str(path))


def _with_members(tree: Tree) -> Tree:
    """Return a manifest of before, which describes one network, as one with a member."""
    origin = tree.get("provenance")
    facts = dict(origin) if isinstance(origin, dict) else {}
    member = {key: tree.pop(key) for key in _OF_A_MEMBER if key in tree}
    member |= {key: facts[key] for key in ("label", "seed") if key in facts}
    facts.pop("seed", None)
    specs = tree["inputs"] if isinstance(tree.get("inputs"), list) else []
    member["inputs"] = {str(each.get("name")): [] for each in specs if isinstance(each, dict)}
    return tree | {"format": FORMAT, "members": [member], "provenance": facts or origin}


_OF_A_MEMBER = ("parameters", "macs", "architecture", "trainer")
