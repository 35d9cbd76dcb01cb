"""The ledger: every finished fold with its out-of-fold predictions, and nothing ever taken back.

A journal whose entries are `FoldResult`s. A line is on the disk before anything else hears of its
fold, so a driver that is killed loses at most the folds in flight, and a fold that is in the
ledger is never trained again: it is found by candidate, fold, repetition, seed, data and version
of the code.

Beside it, in a file of its own, lies what the final stage saw when it looked back at its folds: a
leaky diagnostic, which neither the ledger nor whoever reads it knows of.
"""

from dataclasses import dataclass
from pathlib import Path

from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Fold, Protocol
from mer_nas.errors import StudyError
from mer_nas.evaluation.hindsight import Hindsight
from mer_nas.evaluation.results import FoldResult
from mer_nas.search.crash_points import crash_point
from mer_nas.search.events import Listener, ignore
from mer_nas.search.journal import Journal, JournalFormat

FOLDS = JournalFormat(
    format="mer-nas fold ledger",
    parse=FoldResult.from_json,
    torn="its fold runs again",
    safe="the {count} folds written before are safe, and `mer-nas resume` goes on from them",
)
HINDSIGHT = JournalFormat(
    format="mer-nas hindsight",
    parse=Hindsight.from_json,
    torn="its fold goes without the diagnostic",
    safe="the ledger is not touched by it, and `mer-nas resume` goes on",
)


class Ledger(Journal[FoldResult]):
    """Finished folds on disk; to be opened by one process at a time (see `lock`).

    Args:
        path: The file; made if it does not exist.
        on_event: Is told when a torn line was cut off.

    Raises:
        StudyError: The file is no ledger, is damaged, or cannot be written.
    """

    def __init__(self, path: Path, on_event: Listener = ignore) -> None:
        super().__init__(FOLDS, path, on_event)

    def find(
        self, candidate: str, fold: str, repetition: int, seed: int, data: str, code: str
    ) -> FoldResult | None:
        """Return the result of a fold if it was ever finished under just these conditions."""
        return self.at((candidate, fold, repetition, seed, data, code))


def read(path: Path) -> tuple[FoldResult, ...]:
    """Return the results in a ledger that another process may be writing to; change nothing.

    Raises:
        StudyError: The file is missing, no ledger, or damaged.
    """
    return FOLDS.read(path)


@dataclass(frozen=True)
class FoldStore:
    """The ledger as a search or a measurement sees it: finished folds by index in its protocol."""

    ledger: Ledger
    clips: ClipSet
    protocol: Protocol
    seed: int
    """Of the study."""
    code: str
    """Version of the code that trains."""

    def find(self, candidate: str, index: int, repetition: int = 0) -> FoldResult | None:
        """Return the result of a fold if it was ever finished under these conditions.

        Raises:
            StudyError: It is of other clips, labels or classes than the fold.
        """
        fold, data = self.protocol.folds[index], self.clips.fingerprint
        result = self.ledger.find(candidate, fold.key, repetition, self.seed, data, self.code)
        if result is not None and not self._fits(result, fold):
            line = FOLDS.line_of(self.ledger.path, result)
            raise StudyError(
                f"{self.ledger.path}: line {line}: what is kept of {fold.name} of candidate "
                f"{candidate} is not of the clips of this fold; restore the file from a copy, or "
                "delete the line, and the fold runs again"
            )
        return result

    def _fits(self, result: FoldResult, fold: Fold) -> bool:
        held_out = [self.clips.records[clip] for clip in fold.test(self.clips)]
        return (
            [(clip.id, clip.label) for clip in held_out]
            == list(zip(result.clips, result.labels, strict=True))
            and len(result.probabilities[0]) == len(self.clips.classes)
            and set(result.subjects) == set(fold.subjects)
        )

    def keep(self, result: FoldResult) -> None:
        """Bring a result to the disk.

        Raises:
            StudyError: The ledger cannot be written, or the files that decide scores were changed
                while the search ran.
        """
        if result.code != self.code:
            raise StudyError(
                f"{result.fold_name}: trained by version {result.code} of the code that decides "
                f"scores, while the search began with {self.code}; put the files back and resume, "
                "or begin anew"
            )
        crash_point("mid_fold")
        self.ledger.append(result)
        crash_point("after_ledger")
