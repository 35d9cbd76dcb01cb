"""What finished folds add up to, in the one order in which every candidate goes through them."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Protocol
from mer_nas.evaluation.metrics import Counts, uf1
from mer_nas.evaluation.results import FoldResult
from mer_nas.statistics import by_subject


class Scoreboard:
    """Counts answers over folds.

    Args:
        clips: What is learned from.
        protocol: The folds of a trial.
    """

    def __init__(self, clips: ClipSet, protocol: Protocol) -> None:
        self._clips = clips
        self._protocol = protocol
        self.order = tuple(index for block in protocol.blocks for index in block)
        """Indices of the folds, as they come."""

    @cached_property
    def block_ends(self) -> Mapping[int, int]:
        """From the number of folds done to the block that ends there, counted from 1."""
        ends = np.cumsum([len(block) for block in self._protocol.blocks])
        return {int(end): step for step, end in enumerate(ends, start=1)}

    @cached_property
    def remaining(self) -> Sequence[Counts]:
        """Clips of each class that are to come after so many folds."""
        classes = len(self._clips.classes)
        tests = [self._protocol.folds[index].test(self._clips) for index in self.order]
        counts = [np.bincount(self._clips.labels[test], minlength=classes) for test in tests]
        before = np.cumsum([np.zeros(classes, dtype=np.int64), *counts], axis=0)
        return list(before[-1] - before)

    def answers(self, results: Sequence[FoldResult]) -> Mapping[str, Counts]:
        """Return the confusion (K, K) of each subject, true classes in rows."""
        subjects = [subject for result in results for subject in result.subjects]
        counts = by_subject(results, subjects, len(self._clips.classes))
        return dict(zip(subjects, counts, strict=True))

    def uf1(self, results: Sequence[FoldResult]) -> float:
        """Return the pooled UF1; a class that is not among the results counts 0."""
        return float(uf1(np.stack(list(self.answers(results).values())).sum(0)))
