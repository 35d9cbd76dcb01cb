"""What `model.yaml` holds: enough to rebuild a network, and to know where it comes from.

It holds the SHA-256 of every file that the network is loaded from, and its last line that of
itself: what was damaged or exchanged is refused, and so is a manifest that was edited. Who means
to deceive can write all of them anew; what a manifest says of scores is proven by `mer-nas
reproduce` on the report alone.
"""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self

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
from mer_nas.wording import count

FORMAT: Final = "mer-nas model 2"
FILE = "model.yaml"
GRAPH = "model.onnx"
WEIGHTS = "model.safetensors"
AGAIN = "`mer-nas export STUDY` writes the export anew"
MAX_MANIFEST = 2**20
"""Bytes of the largest `model.yaml` that is read: one takes a few KiB."""
MAX_FACE = 4096
"""Pixels of the side of a face, and frames of a clip, up to which clips are prepared."""
MAX_PART = 2**30
"""Bytes of the largest other file of an export that is read: 250 million weights."""

Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
"""A SHA-256."""

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


class ExpectedScore(Config):
    """What to expect of a study's winner on new subjects of the same kind: UF1, in three parts."""

    uf1: float
    """`mean` less `optimism`."""
    low: NonNegativeFloat
    """Of the 95 % interval over subjects, as is the next."""
    high: NonNegativeFloat
    mean: NonNegativeFloat
    """Over the seeds, all subjects held out once."""
    seeds: PositiveInt
    optimism: NonNegativeFloat
    """By how much having been chosen on these subjects flatters the mean."""
    caveat: str = ""
    """Why the optimism is a lower bound, so that less is to be expected; empty: an estimate."""
    candidates: PositiveInt
    """Complete trials among which the choice was made."""

    @property
    def said(self) -> str:
        """The headline in a sentence.

        >>> ExpectedScore(
        ...     uf1=0.66, low=0.55, high=0.75, mean=0.7, seeds=3, optimism=0.04, candidates=9
        ... ).said.partition(": ")[0]
        'UF1 0.660 [0.550, 0.750] on new subjects'
        """
        trials = count(self.candidates, "complete trial")
        interval = f"[{self.low:.3f}, {self.high:.3f}]"
        if self.caveat:
            return (
                f"UF1 at most {self.uf1:.3f} on new subjects: {self.mean:.3f} less at least "
                f"{self.optimism:.3f} for the best of {trials}; that bound has the interval "
                f"{interval}"
            )
        return (
            f"UF1 {self.uf1:.3f} {interval} on new subjects: {self.mean:.3f} less "
            f"{self.optimism:.3f} for the best of {trials}"
        )


class Exported(Config):
    """An export that has been written and checked."""

    folder: Path
    files: tuple[str, ...]
    """Names of the files in the folder."""
    max_difference: NonNegativeFloat
    """Largest absolute difference of a logit between the ONNX graph and the network."""


class Portion(Config):
    """What a data set gave to the training."""

    name: str
    clips: PositiveInt
    subjects: PositiveInt
    classes: dict[str, NonNegativeInt]
    """Clips of each class."""


class Provenance(Config):
    """Where an exported network comes from: what the study knows and the network does not."""

    study: str
    label: str
    """How the study calls the candidate: "trial 17" or "prog_s"."""
    command: str
    """The command line that made the study."""
    seed: NonNegativeInt
    """Seed of the training that gave these weights."""
    code_version: str
    """Hash of the files that can change a score."""
    environment: Tree
    """Python, machine and package versions."""
    scaling: dict[str, str] = Field(default_factory=dict)
    """By input: what was done to its values; those not named are as the data set gives them."""
    protocol: str
    """How the scores below were measured: "LOSO"."""
    seeds: NonNegativeInt = 0
    """Repetitions of the protocol behind the scores; 0 where it was not measured."""
    uf1: NonNegativeFloat | None = None
    """Mean over the repetitions, as are the next two."""
    uar: NonNegativeFloat | None = None
    accuracy: NonNegativeFloat | None = None
    uf1_spread: NonNegativeFloat | None = None
    """Standard deviation of UF1 over the repetitions."""
    worth: ExpectedScore | None = None
    """What to expect on new subjects; None where it is no winner, or nothing is known of it."""
    extensions: tuple[str, ...] = ()
    """Files with blocks of the user's own, to be loaded before the network can be rebuilt."""


class Manifest(Config):
    """`model.yaml`."""

    format: Literal["mer-nas model 2"] = FORMAT
    architecture: Tree
    """Closed form, as a search space's point has it."""
    classes: tuple[str, ...]
    """Names of the logits, in their order."""
    inputs: tuple[InputSpec, ...]
    parameters: PositiveInt
    """Without those that only training used."""
    macs: NonNegativeInt
    """Nominal multiply-accumulates for one clip."""
    how: Preparation | None = None
    """How the inputs are made from the frames of a clip; None: others made them."""
    files: dict[str, Digest]
    """SHA-256 of what the network is loaded from: the graph, the weights, and the extensions by
    their paths."""
    trainer: Tree
    data: str
    """Name of the data set it was trained on."""
    fingerprint: str
    """Hash of that data: arrays, labels, names and classes."""
    clips: PositiveInt
    subjects: PositiveInt
    portions: tuple[Portion, ...] = ()
    """The data sets that the clips come from, by name."""
    provenance: Provenance

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
                f"to be expected of networks of this architecture on people of the kind of "
                f"{self.data}: {origin.worth.said}; less still on other footage"
            )
        spread = f" ± {origin.uf1_spread:.3f}" if origin.uf1_spread is not None else ""
        return (
            f"on unseen people of {self.data} networks of this architecture reach UF1 "
            f"{origin.uf1:.3f}{spread} ({origin.protocol}, {count(origin.seeds, 'seed')}); it was "
            "chosen on these people, so expect less, and less still on other footage"
        )

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
        (folder / FILE).write_text(text + checksum, encoding="utf-8")

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


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the export in `folder`.

    Raises:
        ExportError: There is none, it is not as it was written, or another version of mer-nas
            wrote it.
        ConfigError: It is no YAML, or no manifest, with every mistake.
    """
    path = folder / FILE
    if not path.is_file():
        raise ExportError(f"{folder}: no {FILE} here; `mer-nas export STUDY` writes such a folder")
    text = files.read_text(path, ExportError, MAX_MANIFEST).replace("\r\n", "\n")
    tree = presets.parse(text, str(path))
    if (found := tree.get("format")) != FORMAT:
        raise ExportError(
            f"{path}: format is {shown(found)}, but this version reads {FORMAT!r}; {AGAIN}"
        )
    line = _CHECKSUM.search(text)
    if line is None or files.digest(text[: line.start()]) != line[1]:
        raise ExportError(
            f"{path}: the file was changed after it was written: its last line, the checksum, "
            f"does not fit the others; put the file back, or {AGAIN}"
        )
    del tree["checksum"]
    return validate(Manifest, tree, str(path))
