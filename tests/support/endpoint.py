"""A server of embeddings on this machine, which can be busy, broken, strict or gone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from tests.support.servers import running

DIMENSION = 8
# Status, headers and body; None is what the server answers when all is well.
Answer = tuple[int, dict[str, str], bytes] | None


def vector(text: str, dimension: int = DIMENSION, seed: str = "tiny") -> list[float]:
    digest = hashlib.sha256((seed + text).encode()).digest()[:8]
    rng = np.random.default_rng(int.from_bytes(digest, "big"))
    found: list[float] = rng.normal(size=dimension).astype(np.float32).tolist()
    return found


def failing(status: int, message: str = "", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, json.dumps({"error": {"message": message}}).encode()


class Endpoint:
    """What the server was asked, and how it answers.

    Attributes:
        url: Its ``base_url``.
        asked: Bodies of the requests.
        headers: Headers of the requests.
        answers: Called with the number of a request and its body, before all else.
        key: What it wants to be told.
        seed: Another one is another model.
        shortens: Whether it heeds ``dimensions``.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: Callable[[int, dict[str, Any]], Answer] = lambda number, body: None
        self.key: str | None = None
        self.seed = ""
        self.shortens = True
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    @property
    def texts(self) -> list[str]:
        """All texts that vectors were asked for, but for the probe at the start of each run."""
        return [text for body in self.asked for text in body["input"] if "kettle" not in text]

    def spec(self, options: str = "") -> str:
        inner = f"base_url={self.url},model=tiny,retries=0{',' if options else ''}{options}"
        return f"api[{inner}]"

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any, bytes]:
        self.asked.append(body)
        self.headers.append(headers)
        if self.key is not None and headers.get("Authorization") != f"Bearer {self.key}":
            given = headers.get("Authorization", "").removeprefix("Bearer ")
            said = failing(401, f"Incorrect API key provided: {given}")
        else:
            said = self.answers(len(self.asked), body)
        return said or (200, {}, json.dumps(self._embeddings(body)).encode())

    def _embeddings(self, body: dict[str, Any]) -> dict[str, Any]:
        dimension = body.get("dimensions", DIMENSION) if self.shortens else DIMENSION
        texts: Sequence[str] = body["input"]
        seed = self.seed + body["model"]
        data = [
            {"object": "embedding", "index": i, "embedding": vector(text, dimension, seed)}
            for i, text in enumerate(texts)
        ]
        tokens = sum(len(text.split()) for text in texts)
        # A server may answer in any order.
        return {
            "object": "list",
            "data": data[::-1],
            "model": "tiny-v2",
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path != "/v1/embeddings":
                    status, headers, content = failing(404, "no such path") or (500, {}, b"")
                else:
                    status, headers, content = endpoint.answer(body, dict(self.headers))
                if status == 0:
                    # As a server that is killed.
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler


@contextmanager
def served() -> Iterator[Endpoint]:
    """A server while it is needed."""
    endpoint = Endpoint()
    with running(endpoint.server):
        yield endpoint
