"""One thread of a process works at a time: chance is one for all of them."""

import threading

import pytest

from mer_nas import api
from mer_nas.errors import ConfigError
from mer_nas.turns import one_at_a_time


def test_a_second_thread_is_refused_and_what_a_call_calls_itself_is_not() -> None:
    begun, over = threading.Event(), threading.Event()

    @one_at_a_time
    def inner() -> int:
        return 7

    @one_at_a_time
    def search() -> int:
        begun.set()
        over.wait(60)
        return inner()

    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(search()))
    thread.start()
    begun.wait(60)
    with pytest.raises(ConfigError, match=r"check: another thread of this .* at work \(search\)"):
        api.check(space="moe")
    over.set()
    thread.join(60)
    assert found == [7]
    assert inner() == 7
