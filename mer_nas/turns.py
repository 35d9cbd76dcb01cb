"""One thread of a process at a time: the stream of chance and the terminal are one for all.

Two searches in two threads would draw from one another's stream and get other scores than alone.
"""

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from mer_nas.errors import ConfigError

P = ParamSpec("P")
R = TypeVar("R")

_turn = threading.RLock()
_at_work = ""
"""What has the turn, for the message."""


def one_at_a_time(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function run in one thread of this process at a time, with all that are marked so.

    A call from another thread meanwhile is refused, a `ConfigError`; one from within is not.
    """

    @functools.wraps(function)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        global _at_work
        if not _turn.acquire(blocking=False):
            raise ConfigError(
                f"{function.__name__}: another thread of this Python is at work ({_at_work}), and "
                "chance is one for both, so that their scores would be others than alone; one "
                "after the other, or in a process of its own, would be right"
            )
        before, _at_work = _at_work, _at_work or function.__name__
        try:
            return function(*args, **kwargs)
        finally:
            _at_work = before
            _turn.release()

    return alone
