"""Joining a Ray cluster by its address: in seconds, or with the reason why not."""

import contextlib
import ipaddress
import os
import socket
from typing import Any

from mer_nas.errors import StudyError
from mer_nas.search.ray_start import QUIET, job, on_loopback
from mer_nas.search.ray_token import MODE, own_token, token_file

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
        with on_loopback() if alone else contextlib.nullcontext():
            return ray.init(address=address, job_config=job(), **QUIET)
    except (ConnectionError, RuntimeError, ValueError, SystemExit) as error:
        said = str(error).splitlines() or [type(error).__name__]
        raise StudyError(_no_cluster(address, said[0])) from error


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
        said = getattr(error, "strerror", None) or str(error)
        raise StudyError(_no_cluster(address, said)) from error


def _show_token(address: str, found: str) -> None:
    """Let Ray show the user's token to a cluster that asks for one; by itself it would not.

    Raises:
        StudyError: The cluster takes another token, or there is none here.
    """
    if not _asks(address, found, ""):
        return
    token = own_token()
    if not token:
        raise StudyError(
            f"ray.address={address}: the cluster there asks for a token, and none is here; put "
            f"what `ray get-auth-token` prints on its head into {token_file()} (mode 0600)"
        )
    if _asks(address, found, token):
        raise StudyError(
            f"ray.address={address}: the cluster there asks for another token than that of "
            f"{token_file()}, RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH; right is what "
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
