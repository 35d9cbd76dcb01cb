"""How people watch clips being prepared, and what they are told when they stop it."""

import io
from pathlib import Path

import pytest

from mer_nas.cli import sessions
from mer_nas.cli.console import View
from mer_nas.cli.sessions import watched
from mer_nas.search.events import Event, Listener, Note, Opened, Preparing

OPENED = Opened(Path("runs/a"), "mer-nas resume runs/a", 3, None, 4, (), 0.0, "runs/a")


def prepared(*done: int, of: int = 10, quiet: bool = False) -> None:
    """Have clips prepared before anybody's eyes."""

    def action(on_event: Listener) -> None:
        for number in done:
            on_event(Preparing(number, of))

    watched(action, View(), quiet=quiet)


def test_without_a_terminal_the_beginning_the_end_and_a_line_now_and_then_are_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([100.0, 104.0, 112.0, 113.0, 140.0])
    monkeypatch.setattr(sessions.time, "monotonic", lambda: next(now))
    prepared(0, 1, 3, 4, 10)
    assert capsys.readouterr().err.splitlines() == [
        "preparing 10 clips; they are kept for the next time",
        "prepared 3 of 10 clips, about 28 s left",
        "prepared 10 clips in 40 s",
    ]


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_said_of_ray_meanwhile_does_not_end_the_watching_of_the_clips(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    screen.isatty = lambda: terminal  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")

    def action(on_event: Listener) -> None:
        for event in (Preparing(0, 8), Note("tried again"), Preparing(7, 8), Preparing(8, 8)):
            on_event(event)

    watched(action, View(), quiet=False)
    before, said, after = screen.getvalue().partition("tried again\n")
    assert said
    assert "8 clips" in before or "0/8" in before
    assert "prepared 8 clips" in after or "8/8" in after


def test_nothing_is_said_where_nothing_is_prepared_or_nothing_is_wanted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepared()
    prepared(0, 10, quiet=True)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_that_is_gone_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    screen.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    prepared(0, 3, of=8)
    shown = screen.getvalue()
    assert "preparing clips" in shown
    assert "3/8" in shown
    hidden, back = (shown.count(f"\x1b[?25{how}") for how in "lh")
    assert hidden == back == 1  # the cursor
    assert shown.endswith("\x1b[2K")  # the line of the bar is empty again


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
        watched(stopped, View(), quiet=True)
    assert ended.value.code == 130
    assert capsys.readouterr().err == f"interrupted; {said}\n"
