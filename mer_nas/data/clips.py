"""A set of clips as arrays: the tensors of many records, and what is known of each.

What was measured is made of the order of 1 by what is known of the training clips alone. A network
learns best from values near 1, but a motion must keep its size: a clip stretched by itself no
longer tells a twitch from a grin. So every clip is divided by the same numbers, the root mean
squares over the training clips of the fold. No mean is taken off, so that stillness stays 0.

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
from mer_nas.data.needs import Provides
from mer_nas.data.preprocess.config import Preparation
from mer_nas.data.records import Record
from mer_nas.errors import DataError
from mer_nas.inputs import ACTION_UNITS, COUNTED, FLOW
from mer_nas.wording import brief, count, some

Array = NDArray[Any]

Divisors = tuple[float, ...]
"""(C,): what each channel of an input is divided by."""

_TOGETHER: dict[str, Sequence[Sequence[int]]] = {FLOW: ((0, 1), (2,))}
"""By input, the channels of one unit, which share a divisor; of others, all do."""

_SHOWN = 5
"""Findings about people that are said one by one."""


@dataclass(frozen=True, eq=False)
class ClipSet:
    """Labelled clips and the arrays that networks see.

    Raises:
        DataError: A label has no class, two clips share a name, or an array has another length.
    """

    name: str
    classes: tuple[str, ...]
    records: tuple[Record, ...]
    """What is known of each clip."""
    inputs: Mapping[str, Array]
    """By name of the input, (N, C, H, W) or (N, T, C, H, W) float32; see `inputs`."""
    official: Mapping[str, int] | None = None
    """Counts of the full set, where this may be a part of one: clips, subjects and each class."""
    scaling: Mapping[str, str] = field(default_factory=dict)
    """By name of the input, how its values follow from what was measured."""
    units: Mapping[str, Divisors] = field(default_factory=dict)
    """By name of the input, what each channel of its measured values was divided by."""
    by_fold: frozenset[str] = frozenset()
    """Inputs that are divided by a statistic of the training clips of a fold; see `divisors`."""
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
        for record in self.records:
            if not 0 <= record.label < len(self.classes):
                raise DataError(
                    f"{self.name}: {record.id} has label {record.label}; "
                    f"labels go from 0 to {len(self.classes) - 1}"
                )
        twice = [
            name for name, n in Counter(record.id for record in self.records).items() if n > 1
        ]
        if twice:
            are = "is" if len(twice) == 1 else "are"
            raise DataError(
                f"{self.name}: {count(len(twice), 'clip')} {are} named twice: {some(twice)}"
            )
        for name, array in self.inputs.items():
            if len(array) != len(self.records):
                raise DataError(
                    f"{self.name}: input {name!r} has {len(array)} clips, not {len(self.records)}"
                )

    def __len__(self) -> int:
        """Return N."""
        return len(self.records)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(N,), indices into `classes`."""
        return np.array([record.label for record in self.records], dtype=np.int64)

    @cached_property
    def groups(self) -> NDArray[np.str_]:
        """(N,), the subject of each clip with its data set in front."""
        return np.array([record.group for record in self.records], dtype=np.str_)

    @cached_property
    def action_units(self) -> NDArray[np.float32]:
        """(N, 12): 1 for each of `ACTION_UNITS` that was seen, else 0; NaN where not annotated."""
        rows = [
            [math.nan] * len(ACTION_UNITS)
            if record.action_units is None
            else [float(unit in record.action_units) for unit in ACTION_UNITS]
            for record in self.records
        ]
        return np.array(rows, dtype=np.float32).reshape(len(self), len(ACTION_UNITS))

    @cached_property
    def datasets(self) -> NDArray[np.str_]:
        """(N,), the data set of each clip."""
        return np.array([record.dataset for record in self.records], dtype=np.str_)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The different subjects, sorted."""
        return tuple(sorted({record.group for record in self.records}))

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
        digest.update(repr([(record.id, record.label) for record in self.records]).encode())
        digest.update(repr(self.classes).encode())
        if self.by_fold:
            digest.update(repr(sorted(self.by_fold)).encode())
        if any(record.action_units is not None for record in self.records):
            digest.update(self.action_units.tobytes())
        return digest.hexdigest()[:16]

    @property
    def provides(self) -> Provides:
        """What the set has, now that it is loaded."""
        counted = [self.inputs[name].shape[1] for name in self.inputs if name in COUNTED]
        return Provides(
            self.name,
            tuple(self.inputs),
            next(array.shape[-1] for array in self.inputs.values()),
            min(counted, default=0),
            any(record.action_units is not None for record in self.records),
        )

    def counts(self) -> dict[str, int]:
        """Return the number of clips, of subjects, and of clips of each class."""
        labels = Counter(record.label for record in self.records)
        return {
            "clips": len(self),
            "subjects": len(self.subjects),
            **{name: labels[index] for index, name in enumerate(self.classes)},
        }

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> "ClipSet":
        """Return the clips at `indices`, in that order."""
        return replace(
            self,
            records=tuple(self.records[index] for index in indices),
            inputs={name: array[np.asarray(indices)] for name, array in self.inputs.items()},
        )

    def divisors(self, name: str, train: NDArray[np.int64]) -> Divisors:
        """Return what each channel of an input is divided by, (C,).

        Those of one unit share a divisor, so that the direction of a motion stays. A channel that
        is 0 in every training clip is divided by 1.

        Args:
            name: An input of one image a clip, (N, C, H, W).
            train: The training clips, by index.
        """
        squares = _mean_squares(self.inputs[name], train)
        found = np.ones(len(squares))
        for channels in _TOGETHER.get(name, [range(len(squares))]):
            if power := squares[list(channels)].mean():
                found[list(channels)] = np.sqrt(power)
        return tuple(found.tolist())

    def describe(self) -> str:
        """Say what was found, what the full set has where that is known, and what is odd.

        Names that stand for one person, and pictures that two clips share, are shown one by one.

        >>> records = Record("a", "1", "x", 0), Record("a", "2", "y", 1), Record("a", "2", "z", 1)
        >>> ClipSet("tiny", ("no", "yes"), records, {}).describe()
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


def divided(images: Array, by: Divisors | None) -> Array:
    """Return images (..., C, H, W) with each channel divided by its number; None: as they are."""
    if by is None:
        return images
    units = np.array(by, dtype=np.float32)[:, None, None]
    return np.asarray(images / units, dtype=np.float32)


def _mean_squares(images: Array, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean square of each channel of images (N, C, H, W) over those chosen, (C,)."""
    total = np.zeros(images.shape[1])
    for index in chosen:  # one at a time: the images may be larger than the memory
        total += np.square(images[index], dtype=np.float64).mean((1, 2))
    mean: NDArray[np.float64] = total / len(chosen)
    return mean


def _tally_text(findings: Sequence[Finding]) -> str:
    return ", ".join(f"{kind} ({times})" for (_, kind), times in tally(findings).items())


def _people(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield what concerns who is one person: no fold is right where it was answered wrong."""
    told = [finding for finding in findings if finding.people]
    yield from (f"{finding.kind}: {finding}" for finding in told[:_SHOWN])
    if len(told) > _SHOWN:
        yield f"and {len(told) - _SHOWN} more of these"


def _count_text(counts: Mapping[str, int]) -> str:
    whole = [
        count(counts[name], name.removesuffix("s"))
        for name in ("clips", "subjects")
        if name in counts
    ]
    rest = [f"{name} {n}" for name, n in counts.items() if name not in ("clips", "subjects")]
    return ", ".join(whole + rest)
