"""One clip, and a set of clips as arrays.

Subjects carry the name of their data set ("casme2:sub06"), because the sets number their subjects
alike and a protocol must never take two people for one.

Shapes speak of N clips, T frames, C channels, H rows and W columns.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_nas.data.findings import Finding, tally
from mer_nas.data.preprocess.config import Preparation
from mer_nas.errors import DataError
from mer_nas.inputs import ACTION_UNITS
from mer_nas.wording import brief, count, some

Array = NDArray[Any]

SHOWN = 5
"""Findings about people that are said one by one."""


@dataclass(frozen=True)
class Clip:
    """What is known of one recorded micro-expression."""

    dataset: str
    subject: str
    """The subject's name within the data set, as text: "006" and "6" are two names."""
    name: str
    label: int
    """Index into the classes of the set."""
    onset: int | None = None
    """Frame numbers, as the annotation counts them."""
    apex: int | None = None
    offset: int | None = None
    apex_source: str | None = None
    """Where the apex comes from: "annotated", "estimated", or a way of `pipeline.config`."""
    emotion: str | None = None
    """The emotion as annotated, before it was mapped to a class."""
    action_units: tuple[str, ...] | None = None
    """Numbers of those seen, without side and intensity, also of units not in `ACTION_UNITS`;
    None: not annotated, or not asked for."""

    @property
    def group(self) -> str:
        """The subject, unique over all data sets.

        >>> Clip("samm", "006", "006_1_2", 0).group
        'samm:006'
        """
        return f"{self.dataset}:{self.subject}"

    @property
    def id(self) -> str:
        """The clip, unique over all data sets."""
        return f"{self.group}/{self.name}"


def dataset_of(clip: str) -> str:
    """Return the data set of a clip by its id.

    >>> dataset_of("samm:006/006_1_2")
    'samm'
    """
    return clip.partition(":")[0]


@dataclass(frozen=True, eq=False)
class ClipSet:
    """Labelled clips and the arrays that networks see.

    Raises:
        DataError: A label has no class, two clips share a name, or an array has another length.
    """

    name: str
    classes: tuple[str, ...]
    clips: tuple[Clip, ...]
    inputs: Mapping[str, Array]
    """By name of the input, (N, C, H, W) or (N, T, C, H, W) float32; see `inputs`."""
    official: Mapping[str, int] | None = None
    """Counts of the full set, where this may be a part of one: clips, subjects and each class."""
    scaling: Mapping[str, str] = field(default_factory=dict)
    """By name of the input, how its values follow from what was measured."""
    units: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """By name of the input, what each channel of its measured values was divided by."""
    by_fold: frozenset[str] = frozenset()
    """Inputs that are divided by a statistic of the training clips of each fold; see `scaling`."""
    how: Preparation | None = None
    """How the inputs were made from frames; None: others made them, and how is not known."""
    left_out: tuple[Finding, ...] = ()
    """Clips that are listed and not here, and why."""
    findings: tuple[Finding, ...] = ()
    """What else there is to say of the clips; a check of the data lists every one."""

    def __repr__(self) -> str:
        """Return how many clips of what there are."""
        shapes = {name: array.shape for name, array in self.inputs.items()}
        return brief(self, [("name", self.name), *self.counts().items(), ("inputs", shapes)])

    def __post_init__(self) -> None:
        """Refuse what no protocol could use."""
        for clip in self.clips:
            if not 0 <= clip.label < len(self.classes):
                raise DataError(
                    f"{self.name}: {clip.id} has label {clip.label}; "
                    f"labels go from 0 to {len(self.classes) - 1}"
                )
        twice = [name for name, n in Counter(clip.id for clip in self.clips).items() if n > 1]
        if twice:
            are = "is" if len(twice) == 1 else "are"
            raise DataError(
                f"{self.name}: {count(len(twice), 'clip')} {are} named twice: {some(twice)}"
            )
        for name, array in self.inputs.items():
            if len(array) != len(self.clips):
                raise DataError(
                    f"{self.name}: input {name!r} has {len(array)} clips, not {len(self.clips)}"
                )

    def __len__(self) -> int:
        """Return N."""
        return len(self.clips)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(N,), indices into `classes`."""
        return np.array([clip.label for clip in self.clips], dtype=np.int64)

    @cached_property
    def groups(self) -> NDArray[np.str_]:
        """(N,), the subject of each clip with its data set in front."""
        return np.array([clip.group for clip in self.clips], dtype=np.str_)

    @cached_property
    def action_units(self) -> NDArray[np.float32]:
        """(N, 12): 1 for each of `ACTION_UNITS` that was seen, else 0; NaN where not annotated."""
        rows = [
            [math.nan] * len(ACTION_UNITS)
            if clip.action_units is None
            else [float(unit in clip.action_units) for unit in ACTION_UNITS]
            for clip in self.clips
        ]
        return np.array(rows, dtype=np.float32).reshape(len(self), len(ACTION_UNITS))

    @cached_property
    def datasets(self) -> NDArray[np.str_]:
        """(N,), the data set of each clip."""
        return np.array([clip.dataset for clip in self.clips], dtype=np.str_)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The different subjects, sorted."""
        return tuple(sorted({clip.group for clip in self.clips}))

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with any pixel, label, action unit, name or class.

        The order of the clips counts too: it decides the batches.
        """
        digest = hashlib.sha256()
        for name in sorted(self.inputs):
            array = np.ascontiguousarray(self.inputs[name])
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(array.data)
        digest.update(repr([(clip.id, clip.label) for clip in self.clips]).encode())
        digest.update(repr(self.classes).encode())
        if self.by_fold:
            digest.update(repr(sorted(self.by_fold)).encode())
        if any(clip.action_units is not None for clip in self.clips):
            digest.update(self.action_units.tobytes())
        return digest.hexdigest()[:16]

    def counts(self) -> dict[str, int]:
        """Return the number of clips, of subjects, and of clips of each class."""
        labels = Counter(clip.label for clip in self.clips)
        return {
            "clips": len(self),
            "subjects": len(self.subjects),
            **{name: labels[index] for index, name in enumerate(self.classes)},
        }

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> "ClipSet":
        """Return the clips at `indices`, in that order."""
        return replace(
            self,
            clips=tuple(self.clips[index] for index in indices),
            inputs={name: array[np.asarray(indices)] for name, array in self.inputs.items()},
        )

    def describe(self) -> str:
        """Say what was found, what the full set has where that is known, and what is odd.

        Names that stand for one person, and pictures that two clips share, are shown one by one.

        >>> clips = (Clip("a", "1", "x", 0), Clip("a", "2", "y", 1), Clip("a", "2", "z", 1))
        >>> ClipSet("tiny", ("no", "yes"), clips, {}).describe()
        'tiny: 3 clips, 2 subjects, no 1, yes 2'
        """
        text = f"{self.name}: {_count_text(self.counts())}"
        if self.official is not None:
            whole = self.official == self.counts()
            known = "the full set" if whole else f"the full set: {_count_text(self.official)}"
            text += f" ({known})"
        if self.left_out:
            text += f"\n  left out: {_tally_text(self.left_out)}"
        if self.findings:
            text += f"\n  warnings: {_tally_text(self.findings)}; `mer-nas data check` lists them"
        return text + "".join(f"\n  {line}" for line in _people(self.findings))


def _tally_text(findings: Sequence[Finding]) -> str:
    return ", ".join(f"{kind} ({times})" for (_, kind), times in tally(findings).items())


def _people(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield what concerns who is one person: no fold is right where it was answered wrong."""
    told = [finding for finding in findings if finding.people]
    yield from (f"{finding.kind}: {finding}" for finding in told[:SHOWN])
    if len(told) > SHOWN:
        yield f"and {len(told) - SHOWN} more of these"


def _count_text(counts: Mapping[str, int]) -> str:
    whole = [
        count(counts[name], name.removesuffix("s"))
        for name in ("clips", "subjects")
        if name in counts
    ]
    rest = [f"{name} {n}" for name, n in counts.items() if name not in ("clips", "subjects")]
    return ", ".join(whole + rest)
