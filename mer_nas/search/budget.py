"""What a search may spend over all its sessions: trials, minutes, and patience with its space."""

import time
from collections import Counter
from collections.abc import Mapping

import optuna

from mer_nas.search.config import StudyConfig
from mer_nas.search.events import Outcome
from mer_nas.wording import count, numberless

PATIENCE = 100
"""Infeasible and duplicate proposals in a row after which the space counts as empty."""

FIRST, ROW = 3, 10
"""Trials in a row that fail for one reason, after which a search is given up: the very first ones,
or any. One bad choice among several fails so many in a row hardly ever."""

COUNTED: tuple[Outcome, ...] = ("complete", "pruned", "failed")
"""What the budget counts."""


class Budget:
    """Counts how trials ended and how long they took; the study keeps both over its sessions.

    Args:
        settings: The bounds.
        study: The Optuna study.
    """

    def __init__(self, settings: StudyConfig, study: optuna.Study) -> None:
        self._settings = settings
        self._study = study
        self._counts: Counter[Outcome] = Counter()
        self._rejections: list[str] = []
        """Why the proposals since the last new candidate were none."""
        self._failed: list[str] = []
        """Why the trials failed since one last did not."""
        self._began: float | None = None
        self._seconds_before = float(study.user_attrs.get("seconds", 0.0))
        self._saved = 0.0
        before = study.user_attrs.get("ended", {})
        self._ended_before = before["reason"] if before.get("bounds") == self._bounds else ""

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many trials came to which end."""
        return dict(self._counts)

    @property
    def seconds(self) -> float:
        """Time spent searching."""
        now = 0.0 if self._began is None else time.monotonic() - self._began
        return self._seconds_before + now

    @property
    def seconds_left(self) -> float | None:
        """Until the minutes of the search are spent; None where there is no such bound."""
        minutes = self._settings.minutes
        return None if minutes is None else max(0.0, 60 * minutes - self.seconds)

    @property
    def _bounds(self) -> list[float | None]:
        return [self._settings.trials, self._settings.minutes]

    def start(self) -> None:
        """Let the clock run, if it does not yet."""
        if self._began is None:
            self._began = time.monotonic()
            self._study.set_user_attr("stopped", "")

    def spent(self, running: int) -> str:
        """Return which bound is reached, with so many trials running; empty if none is."""
        if self._ended_before:
            return self._ended_before
        limit, minutes = self._settings.trials, self._settings.minutes
        begun = sum(self._counts[outcome] for outcome in COUNTED) + running
        if self.failing:
            return self.failing
        if limit is not None and begun >= limit:
            return f"{count(limit, 'trial')} {'is' if limit == 1 else 'are'} done"
        if minutes is not None and self.seconds >= 60 * minutes:
            return f"the {minutes:g} minutes of search are spent"
        return ""

    def count(self, outcome: Outcome) -> None:
        """Count a trial that has ended."""
        self._counts[outcome] += 1

    def ended(self, outcome: Outcome, reason: str) -> None:
        """Count a trial that has come to an end in this session, and why if it failed."""
        self.count(outcome)
        if outcome == "failed":
            self._failed.append(reason)
        else:
            self._failed.clear()

    @property
    def failing(self) -> str:
        """What all trials fail of, once that is sure; empty while it is not."""
        many = len(self._failed)
        alike = len({numberless(reason) for reason in self._failed[-ROW:]}) == 1
        first = many == sum(self._counts[outcome] for outcome in COUNTED) >= FIRST
        if not alike or not (first or many >= ROW):
            return ""
        return f"{many} trials in a row failed for the same reason: {self._failed[-1]}"

    def reject(self, reason: str, *, certain: bool = False) -> None:
        """Count a proposal that was no new candidate; where it is `certain`, none will be."""
        self._rejections += [reason] * (PATIENCE - len(self._rejections) if certain else 1)

    def reset_rejections(self) -> None:
        """Hear that a proposal was a new candidate."""
        self._rejections.clear()

    def renew(self) -> None:
        """Begin a session; what ended an earlier one does not end this, which has more budget."""
        if self.too_many_rejections:
            self._rejections.clear()

    @property
    def too_many_rejections(self) -> bool:
        """Whether the space has given nothing new for too long."""
        return len(self._rejections) >= PATIENCE

    @property
    def rejection_summary(self) -> str:
        """What the rejected proposals had in common."""
        kinds = Counter(map(numberless, self._rejections))
        kind, times = kinds.most_common(1)[0]
        example = next(reason for reason in self._rejections if numberless(reason) == kind)
        return (
            f"{len(self._rejections)} proposals in a row were no new candidates; "
            f"{times} of them because: {example}"
        )

    def end(self, reason: str) -> None:
        """Note that the search has ended under these bounds.

        What trials fail of may be mended (a full disk, a lost GPU), so that does not stay noted.
        """
        self.save(force=True)
        self._study.set_user_attr("stopped", reason)
        if reason == self.failing:
            return
        ended = {"reason": reason, "bounds": self._bounds, "empty": self.too_many_rejections}
        self._study.set_user_attr("ended", ended)

    def save(self, *, force: bool = False) -> None:
        """Keep the time spent, at most once a second."""
        if self._began is not None and (force or self.seconds - self._saved > 1):
            self._saved = self.seconds
            self._study.set_user_attr("seconds", self._saved)
