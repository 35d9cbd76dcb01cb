"""The ledger as one source of jobs sees it: the folds of its protocol, data, seed and code."""

from dataclasses import dataclass

from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Fold, Protocol
from mer_nas.errors import StudyError
from mer_nas.evaluation.results import FoldResult
from mer_nas.search.crash_points import crash_point
from mer_nas.search.ledger import Ledger


@dataclass(frozen=True)
class Record:
    """Finished folds by their index in the protocol."""

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
            raise StudyError(
                f"{self.ledger.path}: what is kept of {fold.name} of candidate {candidate} is not "
                "of the clips of this fold; restore the file from a copy, or delete the line, and "
                "the fold runs again"
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
