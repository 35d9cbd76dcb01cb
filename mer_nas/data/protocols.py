"""Who is held out when: subjects one at a time, in groups, or by data set.

One subject at a time (LOSO) is what papers report, and groups of subjects are its cheaper
stand-in. One data set at a time (LODO) asks whether what was learned holds elsewhere.

The folds of a protocol come in one fixed order, those with the most clips first, so that partial
scores of two candidates compare like with like and a bound on the pooled score tightens early
(design of the search, and the reason why a protocol belongs to a study and not to a trial).

Sources: MEGC 2019 guideline (LOSO over the subjects of all data sets together); for the groups,
StratifiedGroupKFold of scikit-learn.
"""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mer_nas.data.clips import ClipSet
from mer_nas.errors import DataError
from mer_nas.wording import count

Indices = NDArray[np.int64]

Scheme = Literal["loso", "lodo"] | int
"""One subject, or one data set, at a time; or a number of groups of subjects."""


@dataclass(frozen=True, eq=False)
class Fold:
    """Subjects that are held out together."""

    name: str
    """For people: "synthetic:s03", "group 2 (4 subjects)", "casme2"."""
    subjects: tuple[str, ...]
    train: Indices
    """Indices of the clips to learn from, ascending."""
    test: Indices
    """Indices of the clips of `subjects`, ascending."""

    @property
    def key(self) -> str:
        """12 hexadecimal digits that stand for the held-out subjects and nothing else."""
        return hashlib.sha256("\n".join(self.subjects).encode()).hexdigest()[:12]


@dataclass(frozen=True, eq=False)
class Protocol:
    """All folds, in the order in which every candidate goes through them."""

    folds: tuple[Fold, ...]
    """Most clips first; equal ones by name."""
    blocks: tuple[tuple[int, ...], ...]
    """Indices of consecutive folds; a search asks its pruner after each block."""
    name: str
    """"LOSO", "LODO", or "4 subject groups"."""
    labels: NDArray[np.int64]
    """(N,), the true class of each clip of the set."""
    classes: int
    """How many classes there are."""


def plan(
    clips: ClipSet,
    folds: Scheme = "loso",
    seed: int = 0,
    block: float = 0.1,
    *,
    blind: bool = False,
) -> Protocol:
    """Divide `clips` by subject.

    Args:
        clips: What is divided.
        folds: "loso", "lodo", or into how many groups of subjects, stratified by class.
        seed: Decides the groups; LOSO and LODO do not depend on it.
        block: Share of the clips after which a block ends, in whole folds.
        blind: Whether groups are alike in their number of clips alone, so that no label has a say
            in who is held out with whom.

    Raises:
        DataError: The clips cannot be divided so.
    """
    _refuse(clips, folds, blind)
    match folds:
        case "loso":
            parts = [np.flatnonzero(clips.groups == subject) for subject in clips.subjects]
        case "lodo":
            parts = [np.flatnonzero(clips.datasets == name) for name in np.unique(clips.datasets)]
        case number:
            parts = _groups(clips, number, seed, blind=blind)
    held = sorted((_fold(clips, part) for part in parts), key=lambda f: (-len(f.test), f.subjects))
    held = [_named(clips, folds, fold, number) for number, fold in enumerate(held, start=1)]
    return Protocol(
        folds=tuple(held),
        blocks=_blocks([len(fold.test) for fold in held], block),
        name=name_of(folds),
        labels=clips.labels,
        classes=len(clips.classes),
    )


def name_of(folds: Scheme) -> str:
    """Return how people call a protocol.

    >>> name_of("loso"), name_of(4)
    ('LOSO', '4 subject groups')
    """
    return f"{folds} subject groups" if isinstance(folds, int) else folds.upper()


def _refuse(clips: ClipSet, folds: Scheme, blind: bool) -> None:
    found = len(clips.subjects)
    if found < 2:
        raise DataError(f"{clips.name}: at least 2 subjects are needed, found {found}")
    if len(clips.classes) < 2:
        only = ", ".join(clips.classes)
        raise DataError(f"{clips.name}: at least 2 classes are needed, found only: {only}")
    empty = [name for name in clips.classes if clips.counts()[name] == 0]
    if empty:
        raise DataError(
            f"{clips.name}: every class needs a clip, but there is none of: {', '.join(empty)}"
        )
    datasets = np.unique(clips.datasets)
    if folds == "lodo" and len(datasets) < 2:
        raise DataError(
            f"{clips.name}: study.folds=lodo holds out one data set at a time, but there is only "
            f"{datasets[0]}; loso, or data of several sets such as data=megc2019"
        )
    most = max(clips.counts()[name] for name in clips.classes)
    if isinstance(folds, int) and most < folds <= found and not blind:
        told = ", ".join(f"{name} {clips.counts()[name]}" for name in clips.classes)
        raise DataError(
            f"{clips.name}: study.folds={folds} asks for more groups than any class has clips "
            f"({told}); {f'at most {most}' if most > 1 else 'more clips'}, or loso"
        )
    if isinstance(folds, int) and folds > found:
        raise DataError(
            f"{clips.name}: study.folds={folds} asks for more groups than there are subjects "
            f"({found}); at most {found}, or loso"
        )


def _groups(clips: ClipSet, folds: int, seed: int, *, blind: bool) -> list[Indices]:
    from sklearn.model_selection import StratifiedGroupKFold  # not in workers: see `metrics`

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer clips than groups is no mistake: scores are pooled over the folds.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        by = np.zeros(len(clips)) if blind else clips.labels
        splits = list(splitter.split(np.zeros(len(clips)), by, clips.groups))
    parts = [np.asarray(test, dtype=np.int64) for _, test in splits]
    if any(len(part) == 0 for part in parts):
        raise DataError(
            f"{clips.name}: study.folds={folds} leaves a group without clips; "
            "fewer groups, or loso"
        )
    return parts


def _fold(clips: ClipSet, test: Indices) -> Fold:
    subjects = tuple(sorted(set(clips.groups[test].tolist())))
    train = np.setdiff1d(np.arange(len(clips)), test)
    if len(train) < 2:
        raise DataError(
            f"{clips.name}: without {', '.join(subjects)} there is {count(len(train), 'clip')} to "
            "learn from; at least 2 are needed"
        )
    return Fold(", ".join(subjects), subjects, train, test)


def _named(clips: ClipSet, folds: Scheme, fold: Fold, number: int) -> Fold:
    match folds:
        case "loso":
            return fold
        case "lodo":
            name = clips.records[fold.test[0]].dataset
        case _:
            name = f"group {number} ({count(len(fold.subjects), 'subject')})"
    return Fold(name, fold.subjects, fold.train, fold.test)


def _blocks(sizes: Sequence[int], share: float) -> tuple[tuple[int, ...], ...]:
    """Close a block at the first fold with which it has `share` of all clips.

    >>> _blocks([5, 3, 1, 1], 0.4)
    ((0,), (1, 2), (3,))
    """
    least = share * sum(sizes)
    ends = [0]
    held = 0
    for index, size in enumerate(sizes, start=1):
        held += size
        if held >= least or index == len(sizes):
            ends.append(index)
            held = 0
    return tuple(tuple(range(start, end)) for start, end in pairwise(ends))
