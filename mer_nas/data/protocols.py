"""Who is held out when: subjects one at a time, in groups, or by data set.

One subject at a time (LOSO) is what papers report, and groups of subjects are its cheaper
stand-in. One data set at a time (LODO) asks whether what was learned holds elsewhere.

The folds of a protocol come in one fixed order, those with the most clips first, so that partial
scores of two candidates compare like with like and a bound on the pooled score tightens early
(design of the search, and the reason why a protocol belongs to a study and not to a trial).

Sources: MEGC 2019 guideline (LOSO over the subjects of all data sets together); for the groups,
StratifiedGroupKFold of scikit-learn.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator

from mer_nas import files
from mer_nas.config.base import Config
from mer_nas.data.clips import ClipSet
from mer_nas.errors import DataError
from mer_nas.wording import count

Indices = NDArray[np.int64]

Scheme = Literal["loso", "lodo"] | int
"""One subject, or one data set, at a time; or a number of groups of subjects."""


class Fold(Config):
    """Subjects that are held out together."""

    name: str
    """For people: "synthetic:s03", "group 2 (4 subjects)", "casme2"."""
    key: str
    """12 hexadecimal digits that stand for the held-out subjects and nothing else."""
    clips: PositiveInt
    """Number of clips held out."""
    subjects: tuple[str, ...] = ()
    """Who is held out; empty in studies of versions that did not note it."""

    def test(self, clips: ClipSet) -> Indices:
        """Return the indices of the clips that are held out, ascending."""
        return np.flatnonzero(np.isin(clips.groups, self.subjects))

    def train(self, clips: ClipSet) -> Indices:
        """Return the indices of the clips to learn from, ascending."""
        return np.flatnonzero(~np.isin(clips.groups, self.subjects))


class Protocol(Config):
    """All folds, in the order in which every candidate goes through them."""

    name: str
    """"LOSO", "LODO", or "4 subject groups"."""
    folds: Annotated[tuple[Fold, ...], Field(min_length=1)]
    """Most clips first; equal ones by name."""
    blocks: tuple[tuple[int, ...], ...]
    """Indices of consecutive folds; a search asks its pruner after each block."""

    @model_validator(mode="after")
    def _of_its_folds(self) -> Self:
        if sorted(index for block in self.blocks for index in block) != [*range(len(self.folds))]:
            raise ValueError("its blocks do not hold each fold once")
        return self

    @property
    def clips(self) -> int:
        """Clips of all folds."""
        return sum(fold.clips for fold in self.folds)

    @property
    def trained(self) -> int:
        """Training clips of all folds together: what one epoch of the whole protocol costs."""
        return self.clips * (len(self.folds) - 1)


def divide(
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
    subjects = {tuple(sorted(set(clips.groups[part].tolist()))): part for part in parts}
    ordered = sorted(subjects, key=lambda held: (-len(subjects[held]), held))
    held = [
        _fold(clips, folds, group, subjects[group], number)
        for number, group in enumerate(ordered, start=1)
    ]
    blocks = _blocks([fold.clips for fold in held], block)
    return Protocol(name=name_of(folds), folds=tuple(held), blocks=blocks)


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
    by = np.zeros(len(clips), dtype=np.int64) if blind else clips.labels
    of_clips = stratified_groups(by, clips.groups, folds, seed)
    parts = [np.flatnonzero(of_clips == number) for number in range(folds)]
    if any(len(part) == 0 for part in parts):
        raise DataError(
            f"{clips.name}: study.folds={folds} leaves a group without clips; "
            "fewer groups, or loso"
        )
    return parts


def stratified_groups(
    labels: Indices, subjects: NDArray[np.str_], folds: int, seed: int
) -> Indices:
    """Return in which of so many groups each clip is, (N,), such that classes are alike in each.

    Subjects come by how unlike their numbers of clips of each class are, equal ones in a drawn
    order; each joins the group with which the classes then are spread most evenly. The groups are
    those of scikit-learn's `StratifiedGroupKFold`, which takes longer to import than a fold to
    train and more memory than its clips.

    Args:
        labels: (N,) class of each clip.
        subjects: (N,) who is seen.
        folds: At most as many as there are subjects.
        seed: Decides the order.
    """
    _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    _, people, many = np.unique(subjects, return_inverse=True, return_counts=True)
    clips = np.zeros((len(many), len(sizes)))
    np.add.at(clips, (people, classes), 1)
    drawn = np.arange(len(many))
    np.random.RandomState(seed).shuffle(drawn)
    held, of_people = np.zeros((folds, len(sizes))), np.zeros(len(many), dtype=np.int64)
    for person in drawn[np.argsort(-clips[drawn].std(axis=1), kind="stable")]:
        of_people[person] = _evenest(held, clips[person], sizes)
        held[of_people[person]] += clips[person]
    return of_people[people]


def _evenest(held: NDArray[np.float64], added: NDArray[np.float64], sizes: Indices) -> int:
    """Return which group (folds, K) is to take the clips (K,) of a subject; of equals, the least.

    Args:
        held: Clips of each class in each group.
        added: Those of the subject.
        sizes: (K,) clips of each class in all.
    """
    best, least, fewest = 0, np.inf, np.inf
    for group, before in enumerate(held):
        after = held.copy()
        after[group] += added
        uneven, clips = float((after / sizes).std(axis=0).mean()), float(before.sum())
        if uneven < least or (np.isclose(uneven, least) and clips < fewest):
            best, least, fewest = group, uneven, clips
    return best


def _fold(
    clips: ClipSet, folds: Scheme, subjects: tuple[str, ...], test: Indices, number: int
) -> Fold:
    if (left := len(clips) - len(test)) < 2:
        raise DataError(
            f"{clips.name}: without {', '.join(subjects)} there is {count(left, 'clip')} to "
            "learn from; at least 2 are needed"
        )
    match folds:
        case "loso":
            name = ", ".join(subjects)
        case "lodo":
            name = clips.records[test[0]].dataset
        case _:
            name = f"group {number} ({count(len(subjects), 'subject')})"
    key = files.digest("\n".join(subjects))[:12]
    return Fold(name=name, key=key, clips=len(test), subjects=subjects)


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
