"""Telling trackers of a study: live, beside the search, or all of it afterwards.

A tracker is told in a thread of its own. One that is slow, cannot be reached or fails keeps nobody
waiting: the search goes on without it, and what it missed is told it by `mer-nas track`.
"""

import queue
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from mer_nas.errors import MerNasError, StudyError
from mer_nas.report import Report
from mer_nas.search.config import TrackerName
from mer_nas.search.events import (
    Ended,
    Event,
    FoldDone,
    Listener,
    Note,
    SearchEnded,
    Started,
    WorkersReady,
)
from mer_nas.shell import command_line
from mer_nas.tracking.adapters import Tracker, open_tracker
from mer_nas.tracking.ray_gauges import RayGauges
from mer_nas.tracking.runs import News, StudyRuns, StudyWon

WAIT = 60.0
"""Seconds that trackers are given at the end of a search to take in what is left."""
WAIT_STOPPED = 5.0
"""The same where the search was stopped."""


class Tracking:
    """Passes the events of a search on, and tells trackers what the study's files say by then.

    Args:
        runs: The study.
        names: Its trackers.
        on_event: Whom events are passed on to; is also told of a tracker that fails.
    """

    def __init__(self, runs: StudyRuns, names: Iterable[TrackerName], on_event: Listener) -> None:
        self._runs, self._emit = runs, on_event
        self._beside: list[_Beside] = []
        self._gauges: RayGauges | None = None
        self._unsaid: list[str] = []
        self.notes: list[str] = []
        """What a report should say of them."""
        for name in names:
            try:
                self._beside.append(_Beside(name, open_tracker(name, runs.folder)))
            except Exception as error:  # whatever a library raises when it is imported
                self._unsaid.append(_failed(name, error, runs.folder))
        self._say()

    def __call__(self, event: Event) -> None:
        """Pass an event on; where it says that a file has grown, read on there."""
        self._emit(event)
        if isinstance(event, WorkersReady) and event.dashboard:
            self._gauges = RayGauges(self._runs.study)
        growing = isinstance(event, Started | FoldDone | Ended) and event.stage == "search"
        if growing or isinstance(event, SearchEnded):
            self._tell()

    def catch_up(self) -> None:
        """Wait until the trackers know what there is, so that the report can say who does not."""
        self._tell()
        for each in self._beside:
            each.wait(WAIT)
        self._say()

    def win(self, report: Report) -> None:
        """Tell of the winner, once its report is written."""
        if (news := won(self._runs, report)) is not None:
            self._pass((news,))

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the trackers."""
        if self._gauges is not None:
            self._gauges.close()
        for each in self._beside:
            each.close(WAIT if kind is None else WAIT_STOPPED)
        self._say()

    def _tell(self) -> None:
        if not self._beside and self._gauges is None:
            return
        try:
            self._pass(self._runs.news())
        except (MerNasError, OSError) as error:
            self._beside, self._gauges = [], None
            self._unsaid.append(f"trackers: {error}; the search goes on without them")
        self._say()

    def _pass(self, found: Sequence[News]) -> None:
        for each in self._beside:
            each.tell(found)
        if self._gauges is not None and not self._gauges.told(found):
            self._gauges = None

    def _say(self) -> None:
        for each in self._beside:
            if each.failure is not None:
                self._unsaid.append(_failed(each.name, each.failure, self._runs.folder))
        self._beside = [each for each in self._beside if each.failure is None]
        while self._unsaid:
            self.notes.append(said := self._unsaid.pop(0))
            self._emit(Note(said))


class _Beside:
    """Tells a tracker in a thread of its own."""

    def __init__(self, name: TrackerName, tracker: Tracker) -> None:
        self.name = name
        self.failure: BaseException | None = None
        self._tracker = tracker
        self._news: queue.SimpleQueue[Sequence[News] | None] = queue.SimpleQueue()
        self._idle = threading.Condition()
        self._waiting = 0
        self._thread = threading.Thread(target=self._run, name=f"mer-nas-{name}", daemon=True)
        self._thread.start()

    def tell(self, found: Sequence[News]) -> None:
        """Have it told when its turn comes."""
        with self._idle:
            self._waiting += 1
        self._news.put(found)

    def wait(self, seconds: float) -> None:
        """Wait until it has heard everything; one that has not by then has failed."""
        with self._idle:
            done = self._idle.wait_for(lambda: not self._waiting or self.failure, seconds)
        if not done:
            self.failure = TimeoutError(f"it does not answer within {seconds:g} s")

    def close(self, seconds: float) -> None:
        """Have it bring everything to its place; what does not come back in time is left."""
        self._news.put(None)
        self._thread.join(0.0 if self.failure else seconds)
        if self._thread.is_alive() and self.failure is None:
            self.failure = TimeoutError(f"it does not answer within {seconds:g} s")

    def _run(self) -> None:
        try:
            while (found := self._news.get()) is not None:
                for each in found:
                    self._tracker.hear(each)
                with self._idle:
                    self._waiting -= 1
                    self._idle.notify_all()
            self._tracker.close()
        except BaseException as error:  # nothing that a library does may reach the search
            with self._idle:
                self.failure = error
                self._idle.notify_all()


def won(runs: StudyRuns, report: Report) -> StudyWon | None:
    """Return what a report says of the winner; None where nothing won."""
    answer, headline = report.answer, report.study.headline
    if answer is None:
        return None
    values = {"uf1": answer.uf1.mean}
    if headline is not None:
        values["uf1_corrected"] = headline.uf1.value
    run = runs.named("winner", "winner", {"winner": answer.label, "candidate": answer.key})
    kept = [runs.folder / "report.html", runs.folder / "report.json"]
    kept += sorted((runs.folder / "export").glob("*/"))
    return StudyWon(run, values, tuple(path for path in kept if path.exists()))


def track(runs: StudyRuns, name: TrackerName, report: Report | None) -> int:
    """Tell a tracker all of a study that there is; return how many runs that is.

    Args:
        runs: The study, of which nothing was told yet.
        name: The tracker.
        report: Of the study, where there is one.

    Raises:
        StudyError: It is not installed, cannot be reached or refuses, or the study has no trials.
    """
    found = runs.news()
    if not found:
        raise StudyError(
            f"{runs.folder / 'trials.jsonl'}: holds no trial that was trained; "
            "`mer-nas resume` writes it for a study from before there was such a file"
        )
    if report is not None and (news := won(runs, report)) is not None:
        found.append(news)
    tracker = open_tracker(name, runs.folder)
    try:
        for each in found:
            tracker.hear(each)
        tracker.close()
    except Exception as error:  # each library has errors of its own
        raise StudyError(f"tracker {name}: {_line(error)}") from error
    return len({each.run.identity for each in found})


def _failed(name: TrackerName, error: BaseException, folder: Path) -> str:
    return (
        f"tracker {name}: {_line(error)}; the search goes on without it, and "
        f"`{command_line('mer-nas', 'track', folder, name)}` makes up for it"
    )


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]
