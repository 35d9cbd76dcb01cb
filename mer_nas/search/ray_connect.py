"""Connecting this process with Ray: one started on this machine for it alone, or a cluster.

A cluster is joined by its address, in seconds, or with the reason why not. Ray's processes and
its dashboard may ask for a token, which its owner alone can read.
"""

import contextlib
import ipaddress
import logging
import os
import re
import socket
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mer_nas import files
from mer_nas.errors import StudyError, system_said
from mer_nas.search import nodes
from mer_nas.search.config import cores_here
from mer_nas.search.events import Listener, Note, ignore
from mer_nas.search.processes import end
from mer_nas.search.ray_helpers import few_helpers

QUIET: Mapping[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
"""What goes wrong in a worker is reported as an event; Ray would log it on top."""
FOLDER = "r"
"""Ray's own folder in the one that is made for it, which Ray opens to everybody."""
AGAIN = "s"
"""The same for a second attempt."""
MAX_FOLDER = (107 if sys.platform == "linux" else 103) - len(
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
_HOPELESS = ("No space left", "path length")
"""What another attempt would not change."""
PATIENCE = 6
"""How many times as long Ray's processes may take the second time."""


class RayDoesNotStart(StudyError):
    """Ray could not be started on this machine, tried twice."""


def start(
    dashboard: bool,
    folder: Path,
    cpus: int | None,
    gpus: int | None,
    on_event: Listener = ignore,
) -> Any:
    """Start Ray, once more without its dashboard and with more patience; return what it says.

    Args:
        dashboard: Whether to start the dashboard too.
        folder: Where its sockets and logs lie; no longer than `MAX_FOLDER`.
        cpus: What this machine is taken to have; by default what Ray finds.
        gpus: What this machine is taken to have; by default what Ray finds.
        on_event: Is told of the second attempt.

    Raises:
        RayDoesNotStart: It does not, either time.
    """
    try:
        return _begin(dashboard, folder / FOLDER, cpus, gpus)
    except (Exception, SystemExit) as error:  # Ray raises bare Exceptions here
        if any(word in str(error) for word in _HOPELESS):
            raise RayDoesNotStart(_why_not(error)) from error
        on_event(Note(f"{_why_not(error)}; it is tried again, without dashboard and for longer"))
    _clear_away(folder / FOLDER)
    try:
        with patient():
            return _begin(False, folder / AGAIN, cpus, gpus)
    except (Exception, SystemExit) as error:
        _clear_away(folder / AGAIN)
        raise RayDoesNotStart(_why_not(error)) from error


def _begin(dashboard: bool, place: Path, cpus: int | None, gpus: int | None) -> Any:
    """Start Ray with its own folder at a place; return what it says of itself."""
    import ray

    with (
        _on_loopback(),
        _short_place(place.parent),
        _environment("PYTHONSAFEPATH", "1"),
        few_helpers(dashboard),
    ):
        return ray.init(
            address="local",
            job_config=_job(),
            num_cpus=cpus or cores_here(),
            num_gpus=gpus,
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            _temp_dir=str(place),
            **QUIET,
        )


def _why_not(error: BaseException) -> str:
    """Return in one line why Ray does not start, and what can be done."""
    lines = str(error).split("\n") if str(error).strip() else [type(error).__name__]
    lines = [line.strip() for line in lines if line.strip()]
    said = lines[-1] if lines[0].endswith(":") else lines[0]  # a log follows its announcement
    advice = [what for word, what in _ADVICE.items() if word in str(error)]
    what = "; ".join([said, *advice[:1]])
    return f"Ray, which the workers run on, does not start here: {what}"


def _clear_away(place: Path) -> None:
    """End what an attempt to start Ray has left running."""
    import ray

    with contextlib.suppress(Exception):  # of what is half there, anything may fail
        ray.shutdown()
    end((), place)


@contextmanager
def patient() -> Iterator[None]:
    """Have Ray wait longer for its own processes to come up.

    It gives them 30 seconds by its clock, whatever else the machine does, and no setting changes
    that: so in a `with` statement that clock goes slower.
    """
    from ray._private import node

    known = time

    class Slow:
        """The module `time` with a slow clock."""

        monotonic = staticmethod(lambda: known.monotonic() / PATIENCE)

        def __getattr__(self, name: str) -> Any:
            return getattr(known, name)

    vars(node)["time"] = Slow()
    try:
        yield
    finally:
        vars(node)["time"] = known


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


def _job() -> Any:
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
def _on_loopback() -> Iterator[None]:
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


# Joining -----------------------------------------------------------------------------------------

JOIN_SECONDS = 5.0
"""How long an address is given to answer."""
_CALL = "/ray.rpc.NodeInfoGcsService/CheckAlive"
"""What every head of a cluster answers at once, if only to refuse it without a token."""


def join(address: str) -> Any:
    """Connect this process with the cluster at an address; return what Ray says of itself.

    Raises:
        StudyError: Nobody answers there, it is no cluster, or it does not let this user in.
    """
    import ray

    found = _found(address)
    if found:
        _reach(address, *found)
        _show_token(address, ":".join(found))
    alone = found and _is_loopback(found[0]) and not _answers(_own_address(), found[1])
    try:
        with _on_loopback() if alone else contextlib.nullcontext():
            return ray.init(
                address=address, job_config=_job(), runtime_env=nodes.shipped(), **QUIET
            )
    except (ConnectionError, RuntimeError, ValueError, SystemExit) as error:
        if "Version mismatch" in str(error):
            raise StudyError(_other_versions(address, str(error))) from error
        said = str(error).splitlines() or [type(error).__name__]
        raise StudyError(_no_cluster(address, said[0])) from error


def _other_versions(address: str, said: str) -> str:
    """Return what to do where the cluster was started by other versions, from what Ray says."""
    there, _, here = said.partition("This process")
    cluster, own = (", ".join(re.findall(r"(?:Ray|Python): \S+", part)) for part in (there, here))
    return (
        f"ray.address={address}: the cluster there runs other versions ({cluster}) than this "
        f"process ({own}); start one of them with those of the other"
    )


def _found(address: str) -> tuple[str, str] | None:
    """Return host and port of an address; None where Ray is to find them and finds none.

    Raises:
        StudyError: The address is of another kind.
    """
    if address in ("auto", "local"):
        from ray._private.services import canonicalize_bootstrap_address

        address = canonicalize_bootstrap_address(address) or ""
        if not address:
            return None
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise StudyError(
            f"ray.address={address}: this is no address of a Ray cluster; right is HOST:PORT "
            "as `ray start --head` prints it, or auto for the one that runs on this machine"
        )
    return host, port


def _reach(address: str, host: str, port: str) -> None:
    try:
        _touch(host, port)
    except (OSError, OverflowError, UnicodeError) as error:
        said = system_said(error)
        raise StudyError(_no_cluster(address, said)) from error


def _show_token(address: str, found: str) -> None:
    """Let Ray show the user's token to a cluster that asks for one; by itself it would not.

    Raises:
        StudyError: The cluster takes another token, or there is none here.
    """
    if not _asks(address, found, ""):
        return
    token = _own_token()
    if not token:
        raise StudyError(
            f"ray.address={address}: the cluster there asks for a token, and none is here; put "
            f"what `ray get-auth-token` prints on its head into {_token_file()} (mode 0600)"
        )
    if _asks(address, found, token):
        raise StudyError(
            f"ray.address={address}: the cluster there asks for another token than that of "
            f"{_token_file()}, RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH; right is what "
            "`ray get-auth-token` prints on its head"
        )
    os.environ[MODE] = "token"
    _heed()


def _heed() -> None:
    """Have Ray read its environment again, which it did when it was imported."""
    from ray._raylet import Config  # type: ignore[attr-defined]

    Config.initialize("")


def _asks(address: str, found: str, token: str) -> bool:
    """Return whether a head refuses whoever shows this token; an empty one is none.

    Raises:
        StudyError: What answers there is no cluster.
    """
    import grpc

    shown = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.insecure_channel(found, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(_CALL)(b"", timeout=JOIN_SECONDS, metadata=shown)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                return True
            raise StudyError(_no_cluster(address, "something else answers there")) from error
    return False


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False


def _own_address() -> str:
    """Return by which address Ray takes others to reach this machine."""
    from ray._private.services import get_node_ip_address

    return str(get_node_ip_address())  # type: ignore[no-untyped-call]


def _answers(host: str, port: str) -> bool:
    try:
        _touch(host, port)
    except OSError:
        return False
    return True


def _touch(host: str, port: str) -> None:
    socket.create_connection((host.strip("[]"), int(port)), JOIN_SECONDS).close()


def _no_cluster(address: str, found: str) -> str:
    return (
        f"ray.address={address}: there is no Ray cluster ({found.lower()}); start one with "
        "`ray start --head`, or leave ray.address out to use this machine"
    )


# The token ---------------------------------------------------------------------------------------

MODE, TOKEN, PLACE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""What Ray reads from the environment: whether it asks, the token, or the file that holds it."""


def _token_file() -> Path:
    """Return where Ray keeps the token."""
    named = os.environ.get(PLACE)
    return Path(named) if named else Path.home() / ".ray" / "auth_token"


def shown_token() -> str:
    """Return where the token lies that the dashboard asks for; empty if it asks for none."""
    if os.environ.get(MODE, "").lower() != "token" or TOKEN in os.environ:
        return ""
    return str(_token_file())


def _own_token() -> str:
    """Return the user's token; empty if there is none."""
    if given := os.environ.get(TOKEN):
        return given.strip()
    try:
        return _token_file().read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def protect_token() -> None:
    """Make the token that Ray would write itself, readable by everybody, readable by its owner."""
    if {TOKEN, PLACE} & os.environ.keys():
        return
    file = _token_file()
    with contextlib.suppress(OSError):  # where nothing can be written there, Ray says so itself
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            files.write(file, uuid.uuid4().hex, mode=0o600)
        file.chmod(0o600)
