"""How people watch clips being prepared, and what they are told when they stop it."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from mer_nas.cli import loading
from mer_nas.cli.console import Silent
from mer_nas.cli.loading import ClipBar, ClipLines
from mer_nas.cli.sessions import watched
from mer_nas.search.events import Event, Listener, Note, Opened, Preparing

OPENED = Opened(Path("runs/a"), "mer-nas resume runs/a", 3, None, 4, (), 0.0, "runs/a")


def test_without_a_terminal_the_beginning_the_end_and_a_line_now_and_then_are_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([100.0, 104.0, 112.0, 113.0, 140.0])
    monkeypatch.setattr(loading.time, "monotonic", lambda: next(now))
    with ClipLines() as view:
        for done in (0, 1, 3, 4, 10):
            view(Preparing(done, 10))
        view(Note("of no interest here"))
    assert capsys.readouterr().err.splitlines() == [
        "preparing 10 clips; they are kept for the next time",
        "prepared 3 of 10 clips, about 28 s left",
        "prepared 10 clips in 40 s",
    ]


def test_nothing_is_said_where_nothing_is_prepared_or_nothing_is_wanted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ClipLines():
        pass
    with ClipLines(quiet=True) as view:
        view(Preparing(0, 10))
        view(Preparing(10, 10))
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_that_is_gone_in_the_end() -> None:
    screen = io.StringIO()
    with ClipBar(Console(file=screen, force_terminal=True, width=80)) as view:
        view(Preparing(0, 8))
        view(Preparing(3, 8))
        assert view.progress.tasks[0].completed == 3
        assert view.progress.tasks[0].total == 8
    assert "preparing clips" in screen.getvalue()
    assert view.progress.finished is False
    assert not view.progress.live.is_started


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], "the clips that are prepared are kept, and the same command goes on"),
        ([Preparing(3, 9)], "the clips that are prepared are kept, and the same command goes on"),
        ([Note("24 clips")], "the same command goes on from here"),
        ([OPENED], "`mer-nas resume runs/a` goes on from here"),
    ],
)
def test_ctrl_c_says_how_to_go_on(
    events: list[Event], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(on_event: Listener) -> None:
        for event in events:
            on_event(event)
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        watched(stopped, Silent(), quiet=True)
    assert ended.value.code == 130
    assert capsys.readouterr().err == f"interrupted; {said}\n"
