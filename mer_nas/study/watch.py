"""`mer-nas watch`: the page of a study, served to this machine alone.

Who may read it knows its address, in which a token stands. Whatever a browser is talked into by
other pages gets nothing: names other than this machine's are refused (DNS rebinding), and the page
may load nothing but itself.
"""

from __future__ import annotations

import errno
import hmac
import os
import secrets
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from types import TracebackType
from typing import Any, Self

from mer_nas.errors import ConfigError, shown, system_said
from mer_nas.report.page import watching_script
from mer_nas.study.folder import StudyFolder
from mer_nas.study.live import LivePage

LOOPBACK = "127.0.0.1"
NAMES = (LOOPBACK, "localhost", "[::1]")
"""What this machine may be called in an address; a tunnel may give it another port."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Sent with every answer. Styles stand in the page: widths of bars are computed."""
SECONDS = 30
"""How long somebody who has connected may take to ask."""


class _Server(ThreadingMixIn, TCPServer):
    """Answers each question in a thread; asks no name service what this machine is called."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = os.name != "nt"  # there it would let two listen on one port

    page: LivePage
    """Is there before anybody is answered."""

    def __init__(self, port: int, token: str) -> None:
        self.token, self.script = token, watching_script()
        super().__init__((LOOPBACK, port), _Answer)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave whoever has gone before the answer; whatever else happens is a bug."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Answer(BaseHTTPRequestHandler):
    """One question."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "mer-nas", ""
    timeout = SECONDS

    def do_GET(self) -> None:
        """Answer with the page, its version, or its script."""
        host = (self.headers.get("Host") or "").lower()
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if name not in NAMES:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, f"one of {', '.join(NAMES)} is answered")
            return
        _, token, *rest = [*self.path.split("/", 2), ""]
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.NOT_FOUND, "the whole address is needed, as it was printed")
            return
        match rest[0]:
            case "":
                self._send(self.server.page.html(), "text/html")
            case "version":
                self._send(self.server.page.version(), "text/plain")
            case "watch.js":
                self._send(self.server.script, "text/javascript")
            case _:
                self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def __getattr__(self, name: str) -> Any:
        """Refuse whatever is no GET."""
        if name.startswith("do_"):
            return lambda: self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered")
        raise AttributeError(name)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True  # what else was sent is not read
        self._send(f"{why}\n", "text/plain", status)

    def _send(self, text: str, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Write no log: addresses hold the token."""


class LiveServer:
    """Serves the page of a study until it is closed; to be used in a `with` statement, or closed.

    Args:
        folder: The study.
        port: Of this machine; 0 takes a free one.

    Raises:
        ConfigError: The port is taken, or may not be used.
        MerNasError: The study cannot be read.
    """

    def __init__(self, folder: StudyFolder, port: int = 0) -> None:
        token = secrets.token_urlsafe(24)
        try:
            self._server = _Server(port, token)
        except (OSError, OverflowError, TypeError) as error:
            raise ConfigError(
                f"--port {shown(port)}: {_unusable(error)}; without, a free one"
            ) from None
        try:
            self._server.page = LivePage(folder)
        except BaseException:
            self._server.server_close()
            raise
        self.port: int = self._server.server_address[1]
        self.address = f"http://{LOOPBACK}:{self.port}/{token}/"
        """Of the page; whoever knows it on this machine may read it."""
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __repr__(self) -> str:
        """Return where the page is."""
        return f"LiveServer({self.address})"

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Serve no more."""
        self.close()


def _unusable(error: OSError | OverflowError | TypeError) -> str:
    if not isinstance(error, OSError):
        return "a port is a number from 0 to 65535"
    if error.errno == errno.EADDRINUSE:
        return "another program listens there; another port would be right"
    return f"cannot be used: {system_said(error)}"
