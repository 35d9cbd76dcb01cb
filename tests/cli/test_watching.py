"""What is said while a search runs; every number is counted by hand from the events."""

from io import StringIO

import pytest
from rich.console import Console

from mer_nas.cli.console import Lines, Terminal, View, view
from mer_nas.search.events import (
    Ended,
    EpochDone,
    Event,
    FoldDone,
    Note,
    Rejected,
    SearchEnded,
    Started,
    WorkersReady,
)
from mer_nas.search.progress import Progress


class Clock:
    """A clock that stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    """4 trials of 4 folds each, then 2 repetitions."""
    return Progress(trials=4, final_jobs=2, clock=clock)


def started(job: int) -> Event:
    return Started("search", str(job), f"trial {job}", "0123", 0, 4)


def fold(job: int, done: int) -> Event:
    return FoldDone("search", str(job), f"trial {job}", f"group {done}", done, 4, 2.0)


def ended(
    job: int, outcome: str, done: int, value: float | None = None, reason: str = ""
) -> Event:
    return Ended("search", str(job), f"trial {job}", outcome, done, 4, value, reason)  # type: ignore[arg-type]


# After 10 s a trial is complete, after 16 s one is pruned half way, after 20 s one has failed.
STORY: list[tuple[float, Event]] = [
    (0, WorkersReady(2, 0.5, "http://127.0.0.1:8265", "/home/me/.ray/auth_token")),
    (0, started(0)),
    (2, fold(0, 1)),
    (10, ended(0, "complete", 4, 0.5)),
    (10, Rejected("trial 1", "infeasible", "small: 9 parameters; the limit is 8")),
    (10, started(2)),
    (14, fold(2, 1)),
    (15, fold(2, 2)),
    (16, ended(2, "pruned", 2, reason="at most UF1 0.400 can come of it")),
    (16, started(3)),
    (20, ended(3, "failed", 1, reason="RuntimeError: no")),
]


def tell(listener: object, clock: Clock, story: list[tuple[float, Event]]) -> None:
    for seconds, event in story:
        clock.now = seconds
        listener(event)  # type: ignore[operator]


def test_a_search_adds_up(progress: Progress, clock: Clock) -> None:
    assert progress.status == "search: 0 of 4 trials | 0 complete, 0 pruned | measuring the pace"
    tell(progress.add, clock, STORY)
    assert progress.ended == 3
    # 4 folds of the complete and 2 of the pruned trial were run, 2 of 8 were not; the failed one
    # does not count. 20 s for 3 trials leave 20 / 3 s for the fourth.
    assert progress.status == (
        "search: 3 of 4 trials | 1 complete, 1 pruned | 1 failed | 25% of the folds saved | "
        "best 0.500 (trial 0) | about 7 s left, a first guess"
    )


def test_an_estimate_says_how_far_the_pace_has_changed_so_far(clock: Clock) -> None:
    progress = Progress(trials=8, clock=clock)
    ends = [(float(at), ended(job, "complete", 4, 0.5)) for job, at in enumerate((10, 20, 30))]
    tell(progress.add, clock, ends)
    assert progress.left == "about 50 s left, a first guess"
    # 60 s for 4 trials, the quickest 10 and the slowest 30, and 4 to go
    tell(progress.add, clock, [(60.0, ended(3, "complete", 4, 0.5))])
    assert progress.left == "about 1 min 0 s left (40 s to 2 min 0 s at the paces so far)"


def test_folds_give_a_first_guess_before_any_trial_has_ended(
    progress: Progress, clock: Clock
) -> None:
    tell(progress.add, clock, [(0.0, started(0)), (2.0, fold(0, 1)), (4.0, fold(0, 2))])
    # 2 s a fold, 4 trials of 4 folds, of which two folds are done
    assert progress.left == "about 28 s left, a first guess"


def test_a_running_fold_says_which_epoch_it_is_at(progress: Progress, clock: Clock) -> None:
    epoch = EpochDone("trial 0", 13, 30)
    tell(progress.add, clock, [(0.0, started(0)), (1.0, started(1)), (9.0, epoch)])
    assert [job.where for job in progress.running.values()] == [
        "0/4 folds, epoch 13 of 30",
        "0/4 folds",
    ]
    tell(progress.add, clock, [(20.0, fold(0, 1)), (21.0, EpochDone("trial 0", 2, 0))])
    assert progress.running["0"].where == "1/4 folds, epoch 2"


def test_minutes_bound_the_time_left(clock: Clock) -> None:
    progress = Progress(trials=100, minutes=0.5, clock=clock)
    tell(progress.add, clock, STORY)
    assert progress.seconds_left == 10.0
    assert Progress(minutes=2, clock=clock).seconds_left == 120.0


def test_what_comes_before_the_first_fold_is_no_part_of_the_pace(clock: Clock) -> None:
    progress = Progress(trials=10, clock=clock)
    told = [(20.0, fold(0, 1)), (26.0, ended(0, "complete", 4, 0.5))]
    tell(progress.add, clock, [(18.0, started(0)), *told])
    assert progress.seconds_left == 9 * 8.0  # the first fold began 2 s before its end


def test_a_resumed_search_counts_all_trials_and_takes_its_pace_from_its_own(clock: Clock) -> None:
    progress = Progress(trials=10, clock=clock)
    for event in (
        ended(0, "complete", 4, 0.5),
        ended(1, "pruned", 1),
        ended(2, "complete", 4, 0.4),
    ):
        progress.add(event)
    progress.begin(seconds=60.0)
    assert progress.seconds_left is None
    tell(progress.add, clock, [(5.0, ended(3, "complete", 4, 0.3))])
    assert progress.seconds_left == 5.0 * 6
    assert progress.status.startswith(
        "search: 4 of 10 trials | 3 complete, 1 pruned | 19% of the folds"
    )
    late = Progress(minutes=2, clock=clock)
    late.begin(seconds=60.0)
    assert late.seconds_left == 60.0


def test_the_final_stage_counts_repetitions_and_all_their_folds(
    progress: Progress, clock: Clock
) -> None:
    tell(progress.add, clock, STORY)
    begun = Started("final", "a/0", "trial 0, seed 1 of 2", "0123", 0, 6)
    tell(progress.add, clock, [(30, begun)])
    assert progress.status == (
        "final stage: 0 of 2 repetitions | best 0.500 (trial 0) | measuring the pace"
    )
    done = FoldDone("final", "a/0", "trial 0, seed 1 of 2", "s1", 1, 6, 3.0)
    tell(progress.add, clock, [(33, done)])
    # 3 s for a fold, and 5 of this repetition and 6 of the other to go
    assert progress.status.endswith("| about 33 s left, a first guess")
    tell(
        progress.add,
        clock,
        [(48, Ended("final", "a/0", "trial 0, seed 1 of 2", "complete", 6, 6, 0.4, ""))],
    )
    assert progress.status.startswith("final stage: 1 of 2 repetitions | best 0.500 (trial 0)")


def test_without_a_terminal_each_end_is_a_line(progress: Progress, clock: Clock) -> None:
    paper = StringIO()
    lines = Lines(progress, Console(file=paper, width=200, highlight=False))
    with lines:
        tell(lines, clock, [*STORY, (21, Note("[a] note"))])
        tell(lines, clock, [(22, SearchEnded("4 trials are done"))])
        end = Ended("final", "a/0", "trial 0, seed 1 of 2", "complete", 6, 6, 0.4, "")
        tell(lines, clock, [(30, end)])
    assert paper.getvalue().splitlines() == [
        "2 workers with 0.5 of a GPU each",
        "Ray dashboard: http://127.0.0.1:8265",
        "  it asks for a token: the content of /home/me/.ray/auth_token",
        "trial 0: complete, UF1 0.500 over 4 folds; best 0.500, about 30 s left",
        "trial 2: pruned after 2 of 4 folds: at most UF1 0.400 can come of it",
        "trial 3: failed after 1 of 4 folds: RuntimeError: no",
        "[a] note",
        "search ended: 4 trials are done; 25% of the folds saved by pruning",
        "trial 0, seed 1 of 2: UF1 0.400; about 10 s left",
    ]


def test_a_partial_score_is_never_printed(progress: Progress, clock: Clock) -> None:
    paper = StringIO()
    lines = Lines(progress, Console(file=paper, width=200))
    tell(lines, clock, [(0, started(0)), (1, fold(0, 1)), (2, fold(0, 2))])
    assert paper.getvalue() == ""


def test_without_a_dashboard_no_token_is_spoken_of(progress: Progress, clock: Clock) -> None:
    paper = StringIO()
    lines = Lines(progress, Console(file=paper, width=200))
    lines(WorkersReady(1, 0.0, "", "/home/me/.ray/auth_token"))
    assert paper.getvalue() == "1 worker\n"


def test_the_terminal_shows_the_state_and_the_running_trials(
    progress: Progress, clock: Clock
) -> None:
    console = Console(
        file=StringIO(), width=140, force_terminal=True, record=True, highlight=False
    )
    terminal = Terminal(progress, console)
    tell(progress.add, clock, [*STORY, (20, started(4)), (22, fold(4, 3))])
    clock.now = 62
    console.print(terminal.draw())
    first, second, third = (line.rstrip() for line in console.export_text().splitlines())
    assert first == (
        "search: 3 of 4 trials | 1 complete, 1 pruned | 1 failed | 25% of the folds saved | "
        "best 0.500 (trial 0) | about 21 s left, a first guess"
    )
    assert second.startswith("  trial 4")
    assert second.endswith("3/4 folds, 40 s in this one")
    assert third == "  running for 1 min 2 s"
    # 3 of 4 folds fill 18 of the 24 columns of the bar
    assert second.count("━") + second.count("╸") + second.count("╺") == 24


def test_the_terminal_keeps_lines_above_the_drawing_and_clears_it(
    progress: Progress, clock: Clock
) -> None:
    paper = StringIO()
    console = Console(file=paper, width=140, force_terminal=True, highlight=False)
    with Terminal(progress, console) as terminal:
        tell(terminal, clock, STORY)
    assert (
        "trial 0: complete, UF1 0.500 over 4 folds; best 0.500, about 30 s left"
        in paper.getvalue()
    )
    hidden, shown = (paper.getvalue().count(f"\x1b[?25{how}") for how in "lh")
    assert hidden == shown == 1  # the cursor


def test_the_view_fits_where_stderr_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(view(quiet=True)) is View
    monkeypatch.setattr("sys.stderr", StringIO())
    assert type(view(quiet=False)) is Lines
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert type(view(quiet=False)) is Terminal
