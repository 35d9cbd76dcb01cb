"""Notices that Ray itself has died: its raylet, or the store of its cluster.

Ray then ends this process after some seconds, with status 1 and without a word; until that, it
goes on asking what is gone. So both are watched, and whoever works with them is told at once.
"""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from mer_nas.errors import TrainingFailed
from mer_nas.search.processes import Process

CORE = ("raylet", "gcs_server")
"""Names of the processes without which Ray is not."""
EVERY = 0.5
"""Seconds between two looks."""
GRACE = 5.0
"""Seconds that Tune is given to let go, before Ray ends the process itself."""


class _Died(BaseException):
    """Ray has; Tune, which takes any `Exception` for one of a trial, lets this one through."""


class RayDied(TrainingFailed):
    """Ray has died while it was at work, and the search cannot go on in this session."""


def _message(dead: Sequence[Process]) -> str:
    names = " and ".join(f"{process.name} ({process.pid})" for process in dead)
    return (
        f"Ray, which the workers run on, has died: its {names} is gone, killed for memory or by "
        "somebody; what was finished is kept, and `mer-nas resume` goes on from there"
    )


@contextlib.contextmanager
def heard(processes: Sequence[Process], clear: Callable[[], object]) -> Iterator[None]:
    """Raise in this thread as soon as one of these processes has died.

    Args:
        processes: Ray's own, on this machine; none where it is a cluster that was joined.
        clear: Ends what is left of it, where this thread does not come back in time.

    Raises:
        RayDied: One has.
    """
    if not processes:
        yield
        return
    here, left = threading.get_ident(), threading.Event()
    dead: list[Process] = []

    def watch() -> None:
        while not left.wait(EVERY):
            dead.extend(process for process in processes if not process.alive())
            if dead:
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
