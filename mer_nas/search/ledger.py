"""The ledger: every finished fold with its out-of-fold predictions, and nothing ever taken back.

A journal whose entries are `FoldResult`s. A line is on the disk before anything else hears of its
fold, so a driver that is killed loses at most the folds in flight, and a fold that is in the
ledger is never trained again: it is found by candidate, fold, repetition, seed, data and version
of the code.

Beside it, in a file of its own, lies what the final stage saw when it looked back at its folds: a
leaky diagnostic, which neither the ledger nor whoever reads it knows of.
"""

from pathlib import Path

from mer_nas.evaluation.hindsight import Hindsight
from mer_nas.evaluation.results import FoldResult
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

    def of(self, candidate: str) -> tuple[FoldResult, ...]:
        """Return all results of a candidate, in the order in which they were written."""
        return tuple(result for result in self if result.candidate == candidate)


def read(path: Path) -> tuple[FoldResult, ...]:
    """Return the results in a ledger that another process may be writing to; change nothing.

    Raises:
        StudyError: The file is missing, no ledger, or damaged.
    """
    return FOLDS.read(path)
