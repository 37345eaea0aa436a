"""A page served on the loopback address, whose items are loaded when they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOOPBACK = "127.0.0.1"
_HTML, _JSON = "text/html; charset=utf-8", "application/json"


def make_server(
    page: str, items: Mapping[str, Callable[[], str]], port: int
) -> ThreadingHTTPServer:
    """Make a server that nobody but this machine reaches.

    Args:
        page: The page.
        items: Makes the JSON of items, by the path that the page asks for.
        port: Port, or 0 for a free one.

    Raises:
        OSError: The port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # A name that leads to this address is that of a stranger's page.
            if self.headers.get("Host") not in _hosts(self.server):
                self._answer(HTTPStatus.FORBIDDEN, "text/plain", "ask for 127.0.0.1")
            elif self.path == "/":
                self._answer(HTTPStatus.OK, _HTML, page)
            elif self.path in items:
                self._answer(HTTPStatus.OK, _JSON, items[self.path]())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", "not here")

        def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return ThreadingHTTPServer((LOOPBACK, port), Handler)


def _hosts(server: Any) -> set[str]:
    port = server.server_address[1]
    return {f"{LOOPBACK}:{port}", f"localhost:{port}"}
