"""A hub on this machine that takes uploads: repositories, commits, and large files."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.servers import running

LARGE = (".safetensors",)


class UploadHub:
    """What arrived.

    Attributes:
        url: Address for ``HF_ENDPOINT``.
        files: Content by path, of what was committed.
        created: Bodies of requests that make repositories.
        asked: Path and header with the token of each request.
        status: What all requests are answered with, where that is not 200.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.created: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str | None]] = []
        self.status = 200
        self._large: dict[str, bytes] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str, content: bytes) -> Any:  # noqa: PLR0911 - one a kind of request
        """Answer to a request, as JSON."""
        if path == "/api/repos/create":
            self.created.append(json.loads(content))
            return {"url": f"{self.url}/me/model"}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if "/preupload/" in path:
            names = [one["path"] for one in json.loads(content)["files"]]
            return {"files": [self._mode(name) for name in names]}
        if path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(content)["objects"]
            return {"transfer": "basic", "objects": [self._place(one) for one in objects]}
        if path.startswith("/large/"):
            self._large[path.removeprefix("/large/")] = content
            return {}
        if "/commit/" in path:
            for line in content.splitlines():
                self._commit(json.loads(line))
            return {"commitUrl": f"{self.url}/me/model/commit/1", "commitOid": "1" * 40}
        return {"id": "me/model", "sha": "1" * 40, "siblings": [], "error": path}

    def _mode(self, name: str) -> dict[str, Any]:
        mode = "lfs" if name.endswith(LARGE) else "regular"
        return {"path": name, "uploadMode": mode, "shouldIgnore": False, "oid": None}

    def _place(self, one: dict[str, Any]) -> dict[str, Any]:
        return {**one, "actions": {"upload": {"href": f"{self.url}/large/{one['oid']}"}}}

    def _commit(self, line: dict[str, Any]) -> None:
        value = line["value"]
        if line["key"] == "file":
            self.files[value["path"]] = base64.b64decode(value["content"])
        elif line["key"] == "lfsFile":
            self.files[value["path"]] = self._large[value["oid"]]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _do(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                hub.asked.append((self.path, self.headers.get("Authorization")))
                status, said = hub.status, {"error": "as told"}
                if status == 200:
                    said = hub.answer(self.path.partition("?")[0], content)
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = _do

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler


@contextmanager
def upload_hub() -> Iterator[UploadHub]:
    """A hub while it is needed."""
    hub = UploadHub()
    with running(hub.server):
        yield hub
