"""Starting Ray on this machine, for this machine alone."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mer_nas.errors import StudyError

QUIET: Mapping[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
"""What goes wrong in a worker is reported as an event; Ray would log it on top."""
FOLDER = "r"
"""Ray's own folder in the one that is made for it, which Ray opens to everybody."""
LONGEST = (107 if sys.platform == "linux" else 103) - len(
    f"/{FOLDER}/session_2026-11-28_12-00-00_000000_4194304/sockets/dash_MetricsHead"
)
"""Bytes that the path of the folder made for Ray may have: a socket in it has no longer one."""
_CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"

_ADVICE = {
    "dashboard": "ray.dashboard=false starts without the dashboard",
    "timed out": "the machine may be too busy, or too short of memory, to start it in time; try "
    "again, with less beside it",
    "No space left": "make room on the disk of its temporary folder, or name another with TMPDIR",
    "path length": "name a folder with a shorter path with TMPDIR",
}
"""What to do, by a word of what Ray says."""


def start(dashboard: bool, folder: Path, cpus: int | None, gpus: int | None) -> Any:
    """Start Ray; return what it says of itself.

    Args:
        dashboard: Whether to start the dashboard too.
        folder: Where its sockets and logs lie; no longer than `LONGEST`.
        cpus: What this machine is taken to have; by default what Ray finds.
        gpus: What this machine is taken to have; by default what Ray finds.

    Raises:
        StudyError: It does not start.
    """
    import ray

    try:
        with on_loopback(), _short_place(folder), _environment("PYTHONSAFEPATH", "1"):
            return ray.init(
                address="local",
                job_config=job(),
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=dashboard,
                dashboard_host="127.0.0.1",
                _temp_dir=str(folder / FOLDER),
                **QUIET,
            )
    except (Exception, SystemExit) as error:  # Ray raises bare Exceptions here
        lines = str(error).split("\n") if str(error).strip() else [type(error).__name__]
        lines = [line.strip() for line in lines if line.strip()]
        said = lines[-1] if lines[0].endswith(":") else lines[0]  # a log follows its announcement
        advice = [what for word, what in _ADVICE.items() if word in str(error)]
        what = "; ".join([said, *advice[:1]])
        raise StudyError(f"Ray, which the workers run on, does not start here: {what}") from error


@contextmanager
def _short_place(folder: Path) -> Iterator[None]:
    """Have Ray's processes put their own temporary files beside a folder that had to be short.

    They open sockets there too.
    """
    if "TMPDIR" not in os.environ:
        yield
        return
    with _environment("TMPDIR", str(folder.parent)):
        yield


def job() -> Any:
    """Return what Ray tells its workers of this process: they import from where it does.

    By itself Ray puts the working directory before everything else, and whoever goes into a folder
    of somebody's to look at it would run its `numpy.py`.
    """
    from ray.job_config import JobConfig

    known = {os.path.abspath(path) for path in sys.path}  # noqa: PTH100 - follows no link

    class Job(JobConfig):
        def _serialize(self) -> str:
            """Return it as Ray sends it, once Ray has put in what it wants to."""
            self._py_driver_sys_path = [p for p in self._py_driver_sys_path if p in known]
            return super()._serialize()

    return Job()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Have processes that are started in a `with` statement see a variable so."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def on_loopback() -> Iterator[None]:
    """Have a Ray that is started, or joined, take this machine for the whole cluster.

    Its processes then listen on 127.0.0.1 alone, where they would listen on every address. Ray has
    this setting for systems where it knows no clusters; it is read when Ray is imported.
    """
    from ray._private import ray_constants

    known = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        with _environment(_CLUSTERS, "0"):
            yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = known
