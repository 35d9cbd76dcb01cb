"""How people watch clips being prepared, and what they are told when they stop it."""

import io

import pytest
from rich.console import Console

from mer_nas.cli import loading
from mer_nas.cli.loading import Bar, Lines
from mer_nas.search.events import Note, Preparing
from mer_nas.settings import resolve


def test_without_a_terminal_the_beginning_the_end_and_a_line_now_and_then_are_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([100.0, 104.0, 112.0, 113.0, 140.0])
    monkeypatch.setattr(loading.time, "monotonic", lambda: next(now))
    with Lines() as view:
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
    with Lines():
        pass
    with Lines(quiet=True) as view:
        view(Preparing(0, 10))
        view(Preparing(10, 10))
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_that_is_gone_in_the_end() -> None:
    screen = io.StringIO()
    with Bar(Console(file=screen, force_terminal=True, width=80)) as view:
        view(Preparing(0, 8))
        view(Preparing(3, 8))
        assert view.progress.tasks[0].completed == 3
        assert view.progress.tasks[0].total == 8
    assert "preparing clips" in screen.getvalue()
    assert view.progress.finished is False
    assert not view.progress.live.is_started


def test_ctrl_c_says_that_what_is_prepared_is_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "load_clips", stopped)
    with pytest.raises(SystemExit) as ended:
        loading.load(resolve([]))
    assert ended.value.code == 130
    assert capsys.readouterr().err == (
        "interrupted; the clips that are prepared are kept, and the same command goes on\n"
    )
