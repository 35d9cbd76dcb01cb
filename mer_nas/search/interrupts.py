"""Ctrl-C, SIGTERM and a terminal that is closed: the same, and none of them lost.

Each raises KeyboardInterrupt in the main thread, wherever that is. Where it is inside what
throws exceptions away (a callback from C code, `__del__`), nothing would come of it; so a signal
is remembered until it has ended what it was meant to end, and whoever works in rounds asks in
each.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""What ends a search; SIGHUP is sent when a terminal is closed or its connection breaks."""
may_exit = False
"""Whether this process is the command's alone: a fold that nothing else ends may end it too."""
_asked: list[str] = []
"""The signals that have come, while something is interruptible."""
_depth = 0


def own_this_process() -> None:
    """Say that this process is the command's alone."""
    global may_exit
    may_exit = True


@contextmanager
def interruptible() -> Iterator[None]:
    """Let all of `SIGNALS` do what Ctrl-C does: raise KeyboardInterrupt in the main thread.

    Those that this process was started to ignore stay so, as `nohup` and a shell's `&` ask.
    """
    global _depth
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    known = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: known[number] for number in known if known[number] != signal.SIG_IGN}
    try:
        _depth += 1
        for number in before:
            signal.signal(number, _interrupt)
        yield
    finally:
        _depth -= 1
        if not _depth:
            _asked.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


def heed() -> None:
    """Raise KeyboardInterrupt if a signal has come whose own one was thrown away."""
    if _asked and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt(_asked[0])


def _interrupt(number: int, frame: FrameType | None) -> None:
    _asked.append(signal.Signals(number).name)
    raise KeyboardInterrupt(_asked[-1])
