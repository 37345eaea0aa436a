"""A made-up data set in a pinned archive, and a server that stands in for its host."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.data.catalog import Dataset, catalog
from tests.support.servers import running

NAME = "nli/made"
AT = "https://made.example.org/files/"
ADDRESS = f"{AT}made.zip"
COLUMNS = {"premise": "sentence1", "hypothesis": "sentence2", "label": "gold_label"}
READ = {"format": "json", "names": COLUMNS}
STEPS = [{"step": "only", "column": "label", "pattern": "[^-]"}]
RAW = [
    {"sentence1": "A \u2028 line", "sentence2": "trailing blank ", "gold_label": "neutral"},
    {"sentence1": "dropped", "sentence2": "dropped", "gold_label": "-"},
    {"sentence1": "Zwei\nZeilen", "sentence2": "ü", "gold_label": "entailment", "parse": "(ROOT)"},
]
ROWS = [
    {"premise": "A \u2028 line", "hypothesis": "trailing blank ", "label": "neutral"},
    {"premise": "Zwei\nZeilen", "hypothesis": "ü", "label": "entailment"},
]


def archive() -> bytes:
    """A zip archive with two splits, and a member whose path leads out of any folder."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in RAW).encode()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("made/train.jsonl", lines)
        made.writestr("../test.jsonl", lines)
    return content.getvalue()


def put(folder: Path, content: bytes, name: str = "made.zip") -> str:
    """Lay a file where the mirror of a folder looks for it, and return its checksum."""
    path = folder / "files" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def source(sha256: str, **changes: Any) -> dict[str, Any]:
    """The archive as the catalog names it."""
    files = [
        {"url": "made.zip", "sha256": sha256, "split": "train", "member": "made/train.jsonl"},
        {"url": "made.zip", "sha256": sha256, "split": "test", "member": "../test.jsonl"},
    ]
    return {"at": AT, "read": READ, "steps": STEPS, "files": files, **changes}


def dataset(sha256: str, **changes: Any) -> Dataset:
    """The catalog's entry for the archive."""
    facts = {
        "licence": "CC0 for tests",
        "columns": list(COLUMNS),
        "sources": [source(sha256)],
        "splits": {"train": {"rows": 2}, "test": {"rows": 2}},
    }
    return Dataset.model_validate(facts | changes)


def add(monkeypatch: pytest.MonkeyPatch, entry: Dataset, name: str = NAME) -> None:
    """Enter a data set in the catalog."""
    monkeypatch.setitem(catalog(), name, entry)


def files(folder: Path) -> list[str]:
    """All files below a folder but locks."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return sorted(str(path.relative_to(folder)) for path in paths)


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; a fault of the server's list comes first."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Note the request, and answer it as the next fault says, or well."""
        server: Any = self.server
        server.asked.append((self.path, self.headers.get("Range")))
        fault = server.faults.pop(0) if server.faults else None
        if isinstance(fault, int):
            self.send_error(fault)
        elif isinstance(fault, str):
            self.send_response(302)
            self.send_header("Location", fault)
            self.end_headers()
        else:
            self._send(*(fault or (None, True)))

    def _send(self, stop: int | None, ranges: bool) -> None:
        content = Path(self.translate_path(self.path))
        if not content.is_file():
            self.send_error(404)
            return
        body, start = content.read_bytes(), 0
        if ranges and "Range" in self.headers:
            start = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0])
        if start >= len(body) > 0:
            self.send_error(416)
            return
        server: Any = self.server
        if server.served.pause is not None:
            server.served.pause.wait(30)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        self.wfile.write(body[start:stop])
        if stop is not None:
            self.close_connection = True


class Served:
    """What a test sees of a server.

    Attributes:
        address: Where it answers.
        asked: Paths and ranges asked for so far.
        faults: What the next answers are: a status, an address to redirect to, or how many bytes
            are sent before the connection breaks and whether ranges are heeded.
        pause: What answers wait for, or None.
    """

    pause: threading.Event | None = None

    def __init__(self, server: Any) -> None:
        self.address = f"http://127.0.0.1:{server.server_port}"
        self.asked: list[tuple[str, str | None]] = server.asked
        self.faults: list[int | str | tuple[int | None, bool]] = server.faults

    @property
    def paths(self) -> list[str]:
        """Paths asked for so far."""
        return [path for path, _ in self.asked]


@contextmanager
def serve(folder: Path) -> Iterator[Served]:
    """Serve a folder."""
    server: Any = ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    server.asked, server.faults = [], []
    server.served = Served(server)
    with running(server):
        yield server.served
