"""Which helpers Ray begins beside its workers on this machine.

By itself Ray begins a process that looks for more machines, one that prints what workers log, and
a server of the dashboard even where none is asked for. A search does without them, which saves
170 MiB. `ray start` can leave most of them out; `ray.init` has no word for that, so they are left
out where Ray reads what to begin.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from types import ModuleType
from typing import Any


@contextmanager
def few_helpers(dashboard: bool) -> Iterator[None]:
    """Have a Ray that is started in a `with` statement do without what a search can do without.

    Args:
        dashboard: Whether there is to be one; it shows what other helpers gather.
    """
    from ray._private import parameter, services

    options: dict[str, Any] = {"include_log_monitor": False}
    with ExitStack() as stack:
        if not dashboard:
            options["no_monitor"] = True
            stack.enter_context(_instead(services, "start_api_server", _no_server))
        params = partial(parameter.RayParams, **options)
        stack.enter_context(_instead(parameter, "RayParams", params))
        yield


def _no_server(*_: object, **__: object) -> tuple[None, None]:
    """Begin no server of a dashboard: it has no address, and no process."""
    return None, None


@contextmanager
def _instead(module: ModuleType, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
