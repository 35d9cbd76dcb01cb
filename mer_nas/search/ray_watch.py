"""Notices that Ray itself has died: its raylet, the store of its cluster, or the head that has it.

Ray then ends this process after some seconds, with status 1 and without a word of ours; until
that, it goes on asking what is gone. So they are watched, and whoever works with them is told.
"""

import contextlib
import ctypes
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from mer_nas.errors import TrainingFailed
from mer_nas.search.processes import Process

CORE = ("raylet", "gcs_server")
"""Names of the processes without which Ray is not."""
EVERY = 0.5
"""Seconds between two looks."""
GRACE = 5.0
"""Seconds that Tune is given to let go, before Ray ends the process itself."""
SILENT = 40.0
"""Seconds without an answer after which a head is gone; after 60, Ray ends the process."""

Missing = Callable[[], str]
"""Says what of Ray is gone, in words; nothing while all of it is there."""


class _Died(BaseException):
    """Ray has; Tune, which takes any `Exception` for one of a trial, lets this one through."""


class RayDied(TrainingFailed):
    """Ray has died while it was at work, and the search cannot go on in this session."""


def own_core(processes: Sequence[Process]) -> Missing:
    """Return what says which of these processes is gone.

    Args:
        processes: Those without which a Ray that was started here is not.
    """

    def missing() -> str:
        dead = [process for process in processes if not process.alive()]
        names = " and ".join(f"{process.name} ({process.pid})" for process in dead)
        return names and f"{names} is gone, killed for memory or by somebody"

    return missing


def head(
    address: str, silent: float = SILENT, clock: Callable[[], float] = time.monotonic
) -> Missing:
    """Return what says whether the head of a cluster is gone.

    Args:
        address: Of its store, "HOST:PORT".
        silent: Seconds that it may be without an answer: a network may be, too.
        clock: Seconds from anywhere.
    """
    host, _, port = address.rpartition(":")
    answered = clock()

    def missing() -> str:
        nonlocal answered
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=EVERY).close()
        except OSError:
            if clock() - answered >= silent:
                return f"head at {address} has not answered for {silent:.0f} s"
        else:
            answered = clock()
        return ""

    return missing


def _message(missing: str) -> str:
    return (
        f"Ray, which the workers run on, has died: its {missing}; what was finished is kept: "
        "`mer-nas resume` goes on with a study, and the same command with everything else"
    )


def refuse_dead(missing: Missing) -> None:
    """Raise where something of Ray is gone: for who asks in rounds, and is not `heard`.

    Args:
        missing: Says what is.

    Raises:
        RayDied: Something is.
    """
    if dead := missing():
        raise RayDied(_message(dead))


@contextlib.contextmanager
def heard(missing: Missing, clear: Callable[[], object]) -> Iterator[None]:
    """Raise in this thread as soon as something of Ray is gone.

    Args:
        missing: Says what is.
        clear: Ends what is left of it, where this thread does not come back in time.

    Raises:
        RayDied: Something is.
    """
    here, left = threading.get_ident(), threading.Event()
    dead = ""

    def watch() -> None:
        nonlocal dead
        while not left.wait(EVERY):
            if dead := missing():
                _raise_in(here, _Died)
                if not left.wait(GRACE):
                    _leave(_message(dead), clear)
                return

    watcher = threading.Thread(target=watch, name="mer-nas-ray-watch", daemon=True)
    watcher.start()
    try:
        try:
            yield
        finally:
            left.set()
            watcher.join()
            if dead:
                _raise_in(here, None)  # where it has not come up yet
    except _Died:
        raise RayDied(_message(dead)) from None


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have an exception come up in another thread, or one that has not come up stay away."""
    what = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)


def _leave(message: str, clear: Callable[[], object]) -> None:
    """Say what has happened and end this process: every fold that was finished is on the disk."""
    sys.stderr.write(f"mer-nas: {message}\n")
    sys.stderr.flush()
    with contextlib.suppress(Exception):
        clear()
    os._exit(1)
